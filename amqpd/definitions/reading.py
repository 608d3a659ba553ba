"""Reading a document: from JSON to Definitions, or to a sentence that says which rows are wrong.

Rule: what may live here knows the shapes that documents have had over the years. Nothing here knows a broker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from amqpd.broker.policy import PolicyError
from amqpd.definitions.fields import Fields, RowFault
from amqpd.definitions.rows import SECTIONS, Definitions
from amqpd.definitions.sections import OF_ONE_VHOST, READERS, NoVHost, Place
from amqpd.definitions.steps import Steps, run_all
from amqpd.errors import AMQPError

_MOST_SHOWN: Final = 5  # faults in one text


class DefinitionsError(ValueError):
    """A document cannot be imported, and nothing of it was.

    Args:
        faults: a sentence for each thing that is wrong, with section and index.
    """

    def __init__(self, faults: list[str]) -> None:
        more = f"; and {len(faults) - _MOST_SHOWN} more" if len(faults) > _MOST_SHOWN else ""
        super().__init__("; ".join(faults[:_MOST_SHOWN]) + more)
        self.faults = faults


class Reading:
    """Reads one document. When steps() has ended, definitions has everything.

    Args:
        document: what Parsing made of it.
        vhost: the virtual host that all of it is to belong to; empty if the document is of a whole broker.

    Raises:
        DefinitionsError: the document is no object.
    """

    def __init__(self, document: object, vhost: str = "") -> None:
        if not isinstance(document, dict):
            raise DefinitionsError(["a definitions document is a JSON object"])
        self.definitions = Definitions("users" in document, "permissions" in document)
        self._document: Mapping[str, object] = document
        self._vhost = vhost
        self._version = version_of(document)
        self._faults: list[str] = []

    def steps(self) -> Steps:
        """Read a row a step.

        Raises:
            DefinitionsError: at the end, if rows are wrong.
        """
        for section in OF_ONE_VHOST if self._vhost else SECTIONS:
            for index, values in enumerate(self._rows(section)):
                self._read(section, index, values)
                yield
        if self._faults:
            raise DefinitionsError(self._faults)

    def _rows(self, section: str) -> list[object]:
        rows = self._document.get(section)
        if rows is None or rows == {}:
            return []
        if not isinstance(rows, list):
            self._faults.append(f"{section} is not a list")
            return []
        return rows

    def _read(self, section: str, index: int, values: object) -> None:
        try:
            fields = Fields(values)
            row = READERS[section](Place(section, index, self._vhost, self._version), fields)
        except NoVHost as fault:
            raise DefinitionsError([named(section, index, values, str(fault))]) from None
        except PolicyError as error:
            self._faults.append(named(section, index, values, str(error).replace("\n", "; ")))
        except AMQPError as error:
            self._faults.append(named(section, index, values, error.explanation))
        except (RowFault, ValueError) as error:
            self._faults.append(named(section, index, values, str(error)))
        except RecursionError:
            self._faults.append(named(section, index, values, "is nested too deep"))
        else:
            self.definitions.rows[section].append(row)


def read(document: object, vhost: str = "") -> Definitions:
    """Read a document at once.

    Raises:
        DefinitionsError: it cannot be imported.
    """
    reading = Reading(document, vhost)
    run_all(reading.steps())
    return reading.definitions


def named(section: str, index: int, values: object, fault: str) -> str:
    """A fault with the row that has it: section, index and, where the row has one, name."""
    name = values.get("name") if isinstance(values, dict) else None
    shown = f' "{name[:80]}"' if isinstance(name, str) else ""
    return f"{section}[{index}]{shown}: {fault}"


def version_of(document: Mapping[str, object]) -> tuple[int, ...]:
    """The version of the RabbitMQ that wrote a document; empty if it does not tell."""
    for key in ("rabbitmq_version", "rabbit_version"):
        value = document.get(key)
        if isinstance(value, str):
            return tuple(int(part) for part in re.findall(r"\d{1,9}", value)[:3])
    return ()
