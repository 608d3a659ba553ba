"""Random programs about streams on amqpd and RabbitMQ, each compared with a model and with the other."""
