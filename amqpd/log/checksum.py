"""The CRC-32 of records: that of zlib, from ISA-L where it is installed.

Rule: what may live here computes that one number. Both ways give the same, so files do not depend on it.
"""

from __future__ import annotations

try:  # a processor's own instructions: a tenth of the time for a large record, not more for a small one
    from isal.isal_zlib import crc32
except ImportError:  # there is none for this platform
    from zlib import crc32

__all__ = ["crc32"]
