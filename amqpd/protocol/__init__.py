"""The protocol: connections and channels as tables of legality, sans-IO. Bytes and time in, bytes and effects out."""
