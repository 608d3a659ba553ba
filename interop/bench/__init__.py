"""How fast amqpd is, and how small: the programs behind docs/performance.md."""
