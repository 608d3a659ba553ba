"""The edge: sockets on the event loop, and nothing that decides anything."""
