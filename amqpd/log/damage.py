"""What opening stored files can find wrong with them.

Rule: what may live here says what is wrong and where, in words for whoever runs the broker. It mends nothing.
"""

from __future__ import annotations

from typing import final


@final
class Damage:
    """A stretch of a file that could not be read; everything around it is kept.

    Args:
        path: of the file, relative to the root of its Files.
        position: the first octet of the stretch.
        length: of the stretch in octets; 0 when something is missing there.
        text: one sentence that a person understands.
    """

    def __init__(self, path: str, position: int, length: int, text: str) -> None:
        self.path = path
        self.position = position
        self.length = length
        self.text = text

    def __str__(self) -> str:
        if self.length == 0:
            return f"{self.path}, octet {self.position}: {self.text}"
        return f"{self.path}, octets {self.position} to {self.position + self.length - 1}: {self.text}"

    def __repr__(self) -> str:
        return f"Damage({self.path!r}, {self.position}, {self.length}, {self.text!r})"


class NewerFormat(Exception):
    """A file was written by a version of amqpd that is newer than this one; nothing of it was touched.

    Args:
        path: of the file, relative to the root of its Files.
        found: the version of the format that its header tells.
        known: the newest version that can be read here.
    """

    def __init__(self, path: str, found: int, known: int) -> None:
        super().__init__(
            f"{path} has format version {found}, but this amqpd reads versions up to {known}: a newer amqpd wrote it"
        )
        self.path = path
        self.found = found
        self.known = known
