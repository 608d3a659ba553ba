"""The HTTP API.

Nothing here is imported before the AMQP listeners accept, but for ``sockets``; see server.py.
"""
