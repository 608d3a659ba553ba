"""What unmodified AMQP clients do against a broker, one client a file (or a few files for pika)."""
