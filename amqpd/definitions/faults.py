"""What is wrong with files of definitions.

Rule: what may live here needs nothing else of this package: whoever starts a broker without definitions has to know
these errors, and nothing more.
"""

from __future__ import annotations


class FileError(Exception):
    """A file of definitions cannot be used. Its text is one sentence; the command ends with status 2."""
