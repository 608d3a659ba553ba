"""python -m interop.security: all attacks, or some, and a table of what they cost."""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from interop.amqpd_server import ROOT
from interop.security.attacks import ATTACKS
from interop.security.campaign import run, table
from interop.security.target import make_certificates, program


def main() -> None:
    """Attack, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m interop.security", description=__doc__)
    parser.add_argument("--long", action="store_true", help="attack as much as the documentation's table says")
    parser.add_argument("--only", action="append", choices=[attack.name for attack in ATTACKS], help="this attack")
    arguments = parser.parse_args()
    print(
        subprocess.run([*program(), "--version"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    )
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        certificates = make_certificates(Path(folder))
        for attack in ATTACKS:
            if arguments.only is None or attack.name in arguments.only:
                outcomes.append(run(attack, certificates, arguments.long))
                print(table(outcomes[-1:]).splitlines()[-1], flush=True)
    print("\n" + table(outcomes))


if __name__ == "__main__":
    main()
