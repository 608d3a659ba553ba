"""Programs that manage a broker over HTTP, and requests to its management API beside RabbitMQ's."""
