"""The command ``amqpd``.

Rule: what may live here talks to a person at a terminal. What takes long to import (the event loop, the broker) is
imported by the function that needs it, so that ``--help`` and ``--version`` answer at once.
"""

from amqpd.cli.command import main

__all__ = ["main"]
