"""Builds amqpd: metadata is in pyproject.toml, here is only how the hot packages are compiled.

mypyc turns the packages below into C extensions when a C compiler with Python's headers works on this machine. Without
one, or when compiling fails, the same files are installed as they are and run interpreted. `amqpd --version` tells.

The environment variable AMQPD_COMPILE decides otherwise: 0 never compiles, 1 fails the build rather than fall back.
Editable installs are not compiled unless it is 1: the extensions would hide the files being edited.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from setuptools import Distribution, Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

COMPILED = (
    "amqpd/errors.py",
    "amqpd/clock.py",
    "amqpd/turn.py",
    "amqpd/wire",
    "amqpd/log",
    "amqpd/broker",
    "amqpd/protocol",
    "amqpd/net/amqp.py",
    "amqpd/net/driver.py",
    "amqpd/bench/client",
)
# Files of those packages that mypyc cannot take, each with its reason.
INTERPRETED: frozenset[str] = frozenset()

BUILDING = {"build", "build_ext", "bdist_wheel", "install", "editable_wheel"}


def compiled_sources() -> list[str]:
    """The files that mypyc compiles, as paths relative to this directory."""
    files: list[Path] = []
    for entry in map(Path, COMPILED):
        files.extend(sorted(entry.rglob("*.py")) if entry.is_dir() else [entry])
    return [path.as_posix() for path in files if path.exists() and path.as_posix() not in INTERPRETED]


def compiler_works() -> bool:
    """True if C that includes Python.h becomes a shared library here. Tried, not guessed from a name on PATH."""
    from setuptools._distutils.ccompiler import new_compiler
    from setuptools._distutils.sysconfig import customize_compiler

    compiler = new_compiler()
    customize_compiler(compiler)
    compiler.add_include_dir(sysconfig.get_paths()["include"])
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <Python.h>\nPyObject *PyInit_probe(void) { return NULL; }\n")
        try:
            objects = compiler.compile([str(source)], output_dir=folder)
            compiler.link_shared_object(objects, str(Path(folder, "probe.so")))
        except Exception:  # each platform's compiler class has its own errors; none of them may stop an install
            return False
    return True


def must_compile() -> bool:
    return os.environ.get("AMQPD_COMPILE") == "1"


def may_compile() -> bool:
    if not BUILDING.intersection(sys.argv) or os.environ.get("AMQPD_COMPILE") == "0":
        return False
    return must_compile() or ("editable_wheel" not in sys.argv and compiler_works())


def notice(reason: str) -> None:
    print(f"amqpd: {reason}; installing the interpreted form, which does the same more slowly", file=sys.stderr)


def extensions() -> list[Extension]:
    """What mypyc makes of the sources, or nothing."""
    if not may_compile():
        if BUILDING.intersection(sys.argv) and "AMQPD_COMPILE" not in os.environ and "editable_wheel" not in sys.argv:
            notice("no C compiler with Python's headers here")
        return []
    try:
        from mypyc.build import mypycify

        # An ignore comment that this mypy release no longer needs is no reason to do without the compiled form.
        options = ["--no-warn-unused-ignores"]
        # One C file for each Python file: a single one takes gcc twice as long, and one processor has to do it all.
        return mypycify(
            [*options, *compiled_sources()], opt_level="3", debug_level="0", group_name="amqpd", multi_file=True
        )
    except (Exception, SystemExit) as error:  # mypyc leaves through sys.exit when the sources do not suit it
        if must_compile():
            raise
        notice(f"mypyc failed ({error})")
        return []


class BuildExtensions(build_ext):
    """build_ext that leaves no half: either every extension is built, or none is. All processors compile."""

    def build_extensions(self) -> None:
        compile_one = self.compiler.compile

        def compile_all(sources: list[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = pool.map(lambda source: compile_one([source], **options), sources)
                return [name for names in objects for name in names]

        self.compiler.compile = compile_all
        super().build_extensions()

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:  # as in compiler_works
            if must_compile():
                raise
            notice(f"the C compiler failed ({error})")
            self.extensions = []
            self.distribution.ext_modules = []


class Build(build):
    """build that takes out of its folder what an earlier build left there and this one did not make."""

    def run(self) -> None:
        super().run()
        parts = [self.get_finalized_command(name) for name in self.get_sub_commands()]
        made = {Path(output) for part in parts for output in part.get_outputs()}
        for path in [*Path(self.build_lib).rglob("*.py"), *Path(self.build_lib).rglob("*.so")]:
            if path not in made:
                path.unlink()


if __name__ == "__main__":
    setup(
        distclass=Distribution,
        ext_modules=extensions(),
        cmdclass={"build": Build, "build_ext": BuildExtensions},
    )
