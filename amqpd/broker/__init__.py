"""The broker's own subject: messages, exchanges, bindings, queues, virtual hosts. It knows no sockets or frames."""
