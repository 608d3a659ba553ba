"""How long something takes, for tests that compare one duration with another one measured beside it.

Other work on the machine, and the garbage collector with a large heap, make a run longer and never shorter. So the time
is the processor's, the collector is off, and of several runs the shortest counts.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

RUNS = 9


def shortest(run: Callable[[], object], prepare: Callable[[], object] = int) -> float:
    """The seconds of processor time that the shortest of some runs took.

    Args:
        prepare: called before each run, outside of the time.
    """
    taken = []
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(RUNS):
            prepare()
            began = time.process_time()
            run()
            taken.append(time.process_time() - began)
    finally:
        if collecting:
            gc.enable()
    return min(taken)
