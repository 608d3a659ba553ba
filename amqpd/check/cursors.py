"""Whether the files with a stream's named cursors are whole.

Rule: what may live here knows which of them counts, and what a start makes of the others.
"""

from __future__ import annotations

from amqpd.check.findings import Cure, CursorsReport, Finding, Mend
from amqpd.log.cursors import cursors_files
from amqpd.log.cursors_file import CursorsFile, damages_of, places_of
from amqpd.log.files import Files


def check_cursors(files: Files, folder: str) -> CursorsReport:
    """Look at all files of cursors in a stream's folder. Blocks.

    Raises:
        NewerFormat: a newer amqpd wrote one of them.
        OSError: one may not be read, or is gone.
    """
    found = cursors_files(files, folder)
    report = CursorsReport(folder=folder, cursors=len(places_of(found)), octets=sum(file.size for file in found))
    for damage in damages_of(found):
        report.damaged(damage)
    for file in found[:1]:
        _note_tail(file, report)
    for file in found[1:]:
        text = "cursors that a newer file replaces; the next start removes it"
        report.notes.append(Finding(file.path, 0, file.size, text))
    if len(found) > 1 or any(not file.intact for file in found):
        report.mend(Mend(Cure.REPLACE_CURSORS, folder))
    return report


def _note_tail(file: CursorsFile, report: CursorsReport) -> None:
    end = file.end if file.entries > 0 else 0
    told = any(finding.path == file.path and finding.position >= end for finding in report.corrupt)
    if end < file.size and not told:
        text = "torn places of cursors at the end, as a crash leaves them; their consumers continue at earlier ones"
        report.notes.append(Finding(file.path, end, file.size - end, text))
