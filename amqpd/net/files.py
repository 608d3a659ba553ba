"""How many files the process may have open: sockets are files."""

from __future__ import annotations

import sys
from typing import Final

# What is taken for "no limit": more sockets than the memory of any machine could serve.
UNLIMITED: Final = 1_048_576


def file_limit() -> int:
    """The number of files that the process may have open."""
    if sys.platform == "win32":
        return UNLIMITED
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if soft == resource.RLIM_INFINITY else min(soft, UNLIMITED)


def raise_file_limit() -> None:
    """Take all that the process may have: the soft limit is a courtesy to programs that use select()."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = UNLIMITED if hard == resource.RLIM_INFINITY else min(hard, UNLIMITED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
