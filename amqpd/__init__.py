"""amqpd: an AMQP 0-9-1 broker.

Rule: the version, and nothing that costs time to import.
"""

__version__ = "0.1.0"
