"""The management API: the same requests to amqpd and to RabbitMQ."""
