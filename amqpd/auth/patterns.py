"""Regular expressions of permissions: RabbitMQ's are PCRE, searched without anchors; these are Python's.

docs/accounts.md tells what is different. Rule: what may live here is how a pattern is read.
"""

from __future__ import annotations

import re
import warnings


class PatternError(ValueError):
    """A text that is no regular expression."""


def compiled(pattern: str) -> re.Pattern[str] | None:
    """The pattern ready for searching, or None for the empty one, which matches nothing (RabbitMQ).

    Raises:
        PatternError: it is no regular expression.
    """
    if not pattern:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Python's own plans are not the user's concern
            return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"{pattern!r} is not a regular expression: {error}") from None
