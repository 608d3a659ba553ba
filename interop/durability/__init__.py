"""The crash test: a broker that is killed again and again keeps what it confirmed."""
