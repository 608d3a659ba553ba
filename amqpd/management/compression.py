"""Compression of answers, for clients that can take it.

Rule: what may live here is the same for the HTTP API and for the metrics.
"""

from __future__ import annotations

from typing import Final

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

SMALLEST: Final = 860  # octets; less fits into a packet anyway
LEVEL: Final = 1  # what it takes away from message traffic matters more than octets

COMPRESSION: Final = Middleware(GZipMiddleware, minimum_size=SMALLEST, compresslevel=LEVEL)
