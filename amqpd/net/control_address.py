"""Where the socket is on which a broker takes commands: a file in its data directory.

Rule: what may live here is needed at both ends of the socket and takes no time to import.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

CONTROL_SOCKET: Final = "control.sock"
# Octets that the address of a Unix socket has at least room for; 104 on some systems, 108 on Linux.
_LONGEST_ADDRESS: Final = 100
_DESCRIPTORS: Final = "/proc/self/fd"


@contextmanager
def address_in(directory: Path) -> Iterator[str]:
    """The address of the control socket of a data directory, to be used within the block.

    Raises:
        OSError: the directory is missing, or its path too long for an address on this system.
    """
    address = str(directory / CONTROL_SOCKET)
    if len(os.fsencode(address)) <= _LONGEST_ADDRESS or not os.path.isdir(_DESCRIPTORS):
        yield address
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        yield f"{_DESCRIPTORS}/{descriptor}/{CONTROL_SOCKET}"
    finally:
        os.close(descriptor)
