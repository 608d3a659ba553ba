"""Offline verification of a data directory: what is there, what is corrupt, and what of that can be mended.

Rule: what may live here reads what the log, the catalog and the queues have written, while no broker runs. It changes
nothing, but for repair.py. It needs little memory however large the directory is.
"""
