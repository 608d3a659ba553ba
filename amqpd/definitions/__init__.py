"""Definitions: the topology, users and policies of a broker as one JSON document, in RabbitMQ's form.

A document is parsed, read and checked as a whole (parsing, reading, checking) before anything of it is applied
(importing). All of that takes place in steps, so that whoever runs them can let others have their turn in between.
"""
