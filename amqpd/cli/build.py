"""Which form of amqpd is installed: compiled by mypyc, or interpreted."""

from __future__ import annotations

import platform
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

from amqpd import __version__


def is_compiled(module: str = "amqpd.errors") -> bool:
    """True if the module is compiled. The build compiles all of the hot packages or none, so one tells for all."""
    spec = find_spec(module)
    return spec is not None and (spec.origin or "").endswith(tuple(EXTENSION_SUFFIXES))


def version_line() -> str:
    """What ``amqpd --version`` says."""
    form = "compiled" if is_compiled() else "interpreted"
    return f"amqpd {__version__} ({form}), {platform.python_implementation()} {platform.python_version()}"
