#!/usr/bin/env python3
"""How much work a message is for the processor: counted, not timed, so that it does not depend on the machine's mood.

    instructions.py [--python .venv/bin/python] [--accept]

Runs workloads.py and compares what is counted, a published message, with what was accepted last (instructions.json):

* bytecodes of the interpreted form, which depend on the minor version of Python only;
* machine instructions of the compiled form, counted by valgrind's callgrind. Compiler, interpreter and libraries make a
  difference, so the numbers belong to a toolchain. On another one the nearest numbers, scaled by a calibration
  that runs none of amqpd's code, are compared with a wider limit.

The exit status is 1 when a count is more than 5 % above what was accepted (15 % on another toolchain). --accept writes
what was measured into instructions.json; say in the commit why it is right that it costs so much.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ACCEPTED = HERE / "instructions.json"
WORKLOADS = HERE / "workloads.py"
LIMIT = 1.05
FOREIGN_LIMIT = 1.15  # for a toolchain that nothing was accepted for
TIMEOUT = 300

Counts = dict[str, float]


@dataclass(frozen=True)
class Instructions:
    """Machine instructions with one toolchain.

    Args:
        calibration: of a piece of work that is not amqpd's.
        counts: a published message, by workload.
    """

    calibration: float
    counts: Counts

    def scaled(self, calibration: float) -> Counts:
        """What these would be where the calibration takes so many."""
        return {name: count * calibration / self.calibration for name, count in self.counts.items()}


@dataclass
class Accepted:
    """What instructions.json holds: bytecodes by version of Python, instructions by toolchain."""

    bytecodes: dict[str, Counts] = field(default_factory=dict)
    instructions: dict[str, Instructions] = field(default_factory=dict)

    @staticmethod
    def load(path: Path) -> Accepted:
        """Read the file; nothing was accepted if there is none."""
        if not path.exists():
            return Accepted()
        data = json.loads(path.read_text())
        instructions = {name: Instructions(**found) for name, found in data["instructions"].items()}
        return Accepted(data["bytecodes"], instructions)

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")


def environment(**more: str) -> dict[str, str]:
    """What makes runs alike: hashes, and no byte-compiling on the way."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AMQPD_", "PYTHON"))}
    return {**kept, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", **more}


def version_of(python: str) -> str:
    """Minor version of a Python, such as 3.11."""
    return ask(python, "import sys; print('%d.%d' % sys.version_info[:2])")


def toolchain_of(python: str) -> str:
    """What the instructions of a compiled amqpd depend on beside its source."""
    versions = ask(
        python,
        "import sys, platform; from importlib.metadata import version;"
        "print(platform.python_version(), platform.machine(), 'mypy', version('mypy'), 'librt', version('librt'))",
    )
    compiler = subprocess.run(["cc", "-dumpfullversion"], capture_output=True, text=True, check=False).stdout.strip()
    return f"CPython {versions} cc {compiler or 'none'}"


def ask(python: str, program: str) -> str:
    """What a one-line program prints."""
    done = subprocess.run([python, "-P", "-c", program], capture_output=True, text=True, check=True, env=environment())
    return done.stdout.strip()


def is_compiled(python: str) -> bool:
    """This Python has the compiled form installed."""
    return ask(python, "import amqpd.wire.frames as f; print(f.__file__)").endswith(".so")


def bytecodes(python: str) -> Counts:
    """Bytecodes a message of the checkout, interpreted."""
    command = [python, str(WORKLOADS), "bytecodes"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment(PYTHONPATH=str(ROOT)), timeout=TIMEOUT
    )
    said = json.loads(done.stdout)
    return {name: round(said["counts"][name] / messages, 1) for name, messages in said["messages"].items()}


def instructions(python: str) -> Instructions:
    """Machine instructions a message of the installed, compiled form."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, "profile")
        tool = ["valgrind", "--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={profile}"]
        done = subprocess.run(
            [*tool, python, "-P", str(WORKLOADS), "instructions"],
            capture_output=True,
            text=True,
            check=False,
            env=environment(PYTHONMALLOC="pymalloc"),
            timeout=TIMEOUT,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        messages: dict[str, int] = json.loads(done.stdout)["messages"]
        # Profile 1 is what came before the first mark, 2 the first workload, 3 what lies between it and the second.
        totals = {name: total(Path(f"{profile}.{2 * place + 2}")) for place, name in enumerate(messages)}
    counts = {name: round(totals[name] / count, 1) for name, count in messages.items() if name != "calibration"}
    return Instructions(totals["calibration"], counts)


def total(profile: Path) -> int:
    """The sum of a profile that callgrind wrote."""
    found = re.search(r"^(?:totals|summary): (\d+)", profile.read_text(), re.MULTILINE)
    assert found is not None  # callgrind ends every profile with it
    return int(found[1])


def nearest(accepted: dict[str, Instructions], toolchain: str) -> str:
    """The toolchain with the most words in common."""
    words = set(toolchain.split())
    return max(sorted(accepted), key=lambda name: len(words & set(name.split())))


def compare(what: str, measured: Counts, accepted: Counts, limit: float) -> list[str]:
    """Print a table; returns a sentence for every workload that costs too much, or has no accepted number."""
    print(f"{what:<28} {'accepted':>10} {'now':>10}")
    complaints = []
    for name, count in measured.items():
        before = accepted.get(name)
        if before is None:
            complaints.append(f"{what}: nothing was accepted for {name}")
            continue
        print(f"    {name:<24} {before:>10,.0f} {count:>10,.0f} {count / before - 1:>+7.1%}")
        if count > before * limit:
            complaints.append(f"{what}: {name} takes {count / before - 1:.1%} more than was accepted")
    return complaints


def judge_bytecodes(accepted: Accepted, python: str, accept: bool) -> list[str]:
    """Measure and compare the interpreted form."""
    version = version_of(python)
    measured = bytecodes(python)
    before = accepted.bytecodes.get(version)
    if accept:
        accepted.bytecodes[version] = measured
    if before is None:
        print(f"bytecodes: none were accepted for Python {version}, so these are not judged: {measured}")
        return []
    return compare(f"bytecodes, Python {version}", measured, before, LIMIT)


def judge_instructions(accepted: Accepted, python: str, accept: bool) -> list[str]:
    """Measure and compare the compiled form."""
    if shutil.which("valgrind") is None or not is_compiled(python):
        print("instructions: not counted, that takes valgrind and the compiled form")
        return []
    toolchain = toolchain_of(python)
    measured = instructions(python)
    before = dict(accepted.instructions)
    if accept:
        accepted.instructions[toolchain] = measured
    if toolchain in before:
        return compare("instructions", measured.counts, before[toolchain].counts, LIMIT)
    if not before:
        print(f"instructions: none were ever accepted, so these are not judged: {measured.counts}")
        return []
    other = nearest(before, toolchain)
    print(f"instructions: none were accepted for {toolchain}; compared with those of {other}, scaled")
    return compare("instructions, scaled", measured.counts, before[other].scaled(measured.calibration), FOREIGN_LIMIT)


def judge(python: str, accept: bool) -> list[str]:
    """Measure, print, and return what is wrong; with ``accept`` all is right from now on."""
    accepted = Accepted.load(ACCEPTED)
    complaints = judge_bytecodes(accepted, python, accept) + judge_instructions(accepted, python, accept)
    if accept:
        accepted.save(ACCEPTED)
        return []
    return complaints


def main() -> None:
    """Judge, and end with what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="one that has amqpd installed (this one)")
    parser.add_argument("--accept", action="store_true", help="these are the right numbers")
    options = parser.parse_args()
    complaints = judge(options.python, options.accept)
    for complaint in complaints:
        print(complaint)
    if complaints:
        print("If that is what it has to cost: make instructions ARGS=--accept")
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
