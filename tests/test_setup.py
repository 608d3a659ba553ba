"""Installing: with no C compiler, or with sources that do not compile, amqpd is installed all the same, interpreted.

That it is compiled where a compiler works is shown by this whole suite, run with --form compiled.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NO_COMPILER = {"CC": "false", "LDSHARED": "false"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The smallest checkout that builds."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "amqpd").mkdir()
    for name in ("__init__.py", "errors.py"):
        shutil.copy(ROOT / "amqpd" / name, tmp_path / "amqpd")
    return tmp_path


def build(checkout: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Build a wheel into dist/."""
    inherited = {key: value for key, value in os.environ.items() if key != "AMQPD_COMPILE"}
    return subprocess.run(
        [sys.executable, "setup.py", "--quiet", "bdist_wheel"],
        cwd=checkout,
        env=inherited | environ,
        capture_output=True,
        text=True,
    )


def wheels(checkout: Path) -> list[str]:
    return [path.name for path in checkout.glob("dist/*.whl")]


def test_without_a_c_compiler_the_install_is_interpreted_and_says_so(checkout: Path) -> None:
    done = build(checkout, **NO_COMPILER)
    assert done.returncode == 0
    assert "amqpd: no C compiler with Python's headers here; installing the interpreted form" in done.stderr
    assert wheels(checkout) == ["amqpd-0.1.0-py3-none-any.whl"]


def test_compiling_can_be_switched_off(checkout: Path) -> None:
    done = build(checkout, AMQPD_COMPILE="0")
    assert (done.returncode, "amqpd:" in done.stderr) == (0, False)
    assert wheels(checkout) == ["amqpd-0.1.0-py3-none-any.whl"]


def test_compiling_can_be_insisted_on(checkout: Path) -> None:
    assert build(checkout, AMQPD_COMPILE="1", **NO_COMPILER).returncode != 0
    assert wheels(checkout) == []


def test_sources_that_mypyc_refuses_are_installed_interpreted(checkout: Path) -> None:
    """CC is one that always succeeds, so that mypyc is asked even where there is no compiler."""
    (checkout / "amqpd" / "errors.py").write_text("x: int = 'text'\n")
    done = build(checkout, CC="true", LDSHARED="true")
    assert done.returncode == 0
    assert "amqpd: mypyc failed" in done.stderr
    assert wheels(checkout) == ["amqpd-0.1.0-py3-none-any.whl"]


def test_a_compiler_that_fails_on_the_sources_leaves_no_half(checkout: Path) -> None:
    """A compiler that takes the probe but not what mypyc wrote."""
    compiler = checkout / "cc"
    compiler.write_text('#!/bin/sh\ncase "$*" in *probe*) exit 0;; *) exit 1;; esac\n')
    compiler.chmod(0o755)
    done = build(checkout, CC=str(compiler), LDSHARED=str(compiler))
    assert done.returncode == 0
    assert "amqpd: the C compiler failed" in done.stderr
    assert [path for path in checkout.glob("build/lib*/**/*") if path.suffix == ".so"] == []
