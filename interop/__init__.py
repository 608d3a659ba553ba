"""Real clients and real brokers beside amqpd; nothing in the broker imports this."""
