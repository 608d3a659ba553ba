"""Who may do what: users, passwords, permissions, and the SASL mechanisms by which a client says who it is."""
