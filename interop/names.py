"""Names of queues and exchanges that no other test uses: all tests of a run share one broker and one vhost."""

from __future__ import annotations

import uuid


def unique(word: str) -> str:
    """Return `word` with something appended that makes it a name of its own."""
    return f"{word}-{uuid.uuid4().hex[:8]}"
