"""Random AMQP programs on amqpd and on a real RabbitMQ side by side: whatever differs is a bug, or is named in allowed.py."""
