"""The error of a catalog. Who has none has to know it, too, and need not load SQLite for that."""

from __future__ import annotations


class CatalogError(Exception):
    """A catalog that cannot be used. Its text is one sentence that names the file and says what to do."""
