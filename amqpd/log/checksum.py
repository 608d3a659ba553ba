"""The CRC-32 of records: that of zlib, from ISA-L where it is installed.

Rule: what may live here computes that one number. Both ways give the same, so files do not depend on it.
"""

from __future__ import annotations

try:  # a processor's own instructions: a tenth of the time for a large record, not more for a small one
    # Where there is none the ignore is needed, for compiling too.
    from isal.isal_zlib import crc32  # type: ignore[import-not-found, unused-ignore]
except ImportError:  # there is none for this platform
    from zlib import crc32

__all__ = ["crc32"]
