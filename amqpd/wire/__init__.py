"""Bytes to frames, methods and properties, and back. Nothing here knows exchanges, queues or sockets."""
