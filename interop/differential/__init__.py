"""Random AMQP programs on amqpd and a real RabbitMQ side by side: what differs is a bug, or is named in allowed.py."""
