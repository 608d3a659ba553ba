"""Queues: what takes messages in, keeps them in order, and hands them to consumers. One type a file."""
