"""Definitions: the topology, users and policies of a broker as one JSON document, in RabbitMQ's form.

A document is read and checked as a whole (reading, checking) before anything of it is applied (importing). All three
take place in steps, so that whoever runs them can let others have their turn in between (steps).
"""
