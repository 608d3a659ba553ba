"""A real RabbitMQ, started and stopped by code, to prove the tests and to compare amqpd with."""
