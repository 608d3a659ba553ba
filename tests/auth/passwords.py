"""Hashes of passwords that other programs made."""

from __future__ import annotations

# bcrypt with the least work, of "secret".
BCRYPT_OF_SECRET = "$2b$04$vN1Y24hvWOiH.TOD2mlxnOKZPX1tkqgfuI8n6IBhnoRZriGROdr0W"
