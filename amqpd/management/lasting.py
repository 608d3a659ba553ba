"""Making very many objects that stay, without the garbage collector looking at them again and again.

Rule: what may live here sets the collector of the process, and sets it back.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lasting() -> Iterator[None]:
    """What is made meanwhile is taken for objects that stay.

    The collector would look at them while they are young: 0.4 s in one piece for those of 50,000 queues. In the end
    they count as old ones, and so does what else was young: garbage in cycles among it waits for the next look at
    everything.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()  # into the oldest generation, whatever generation it was in
        gc.enable()
