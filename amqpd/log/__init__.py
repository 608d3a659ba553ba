"""Logs of records with acknowledgements, on files: what queues keep and streams will stand on.

Rule: what may live here knows bytes, positions and times only; never a message, a queue or a frame.
"""
