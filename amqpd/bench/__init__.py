"""A load generator: ``amqpd bench`` publishes to a broker and consumes from it, and tells how fast that went.

Rule: nothing of the broker imports this package. client/ is sans-IO (bytes and moments in, bytes and numbers out); the
files beside it have the sockets and the processes.
"""
