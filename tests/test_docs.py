"""What the documentation says of the code is compared with the code: the states of a connection, the tree, the import
order, what is compiled, and that links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pamqp import base, commands

import setup
from amqpd.protocol.state import ENDED, HANDSHAKE, LEGAL, ConnectionState
from amqpd.wire.methods import Method
from tests.builders import PROTOCOL_HEADER, Client, World
from tests.test_layers import FILES, PACKAGE, ROWS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "interop/README.md"])
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text("utf-8")
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
UNREACHED = "(no mechanism of two steps yet)"

# The arguments with which a connection accepts each of the methods that LEGAL names.
ARGUMENTS: dict[type[Method], dict[str, object]] = {
    commands.Connection.StartOk: {
        "client_properties": {},
        "mechanism": "PLAIN",
        "response": b"\0guest\0guest",
        "locale": "en_US",
    },
    commands.Connection.TuneOk: {"channel_max": 2047, "frame_max": 131_072, "heartbeat": 0},
    commands.Connection.Open: {"virtual_host": "/"},
    commands.Connection.Close: {"reply_code": 200, "reply_text": "", "class_id": 0, "method_id": 0},
    commands.Connection.CloseOk: {},
    commands.Connection.UpdateSecret: {"new_secret": b"", "reason": ""},
}
STEPS: dict[ConnectionState, Callable[[Client], None]] = {
    ConnectionState.PROTOCOL_HEADER: lambda client: None,
    ConnectionState.STARTING: lambda client: client.feed(PROTOCOL_HEADER),
    ConnectionState.TUNING: lambda client: say(client, commands.Connection.StartOk),
    ConnectionState.OPENING: lambda client: say(client, commands.Connection.TuneOk),
    ConnectionState.RUNNING: lambda client: say(client, commands.Connection.Open),
    ConnectionState.CLOSING: lambda client: client.connection.force_close("by the test"),
    ConnectionState.CLOSED: lambda client: say(client, commands.Connection.CloseOk),
}
"""How a client gets from each state to the next one here."""


def say(client: Client, method: type[Method]) -> None:
    """Send a method with arguments that are accepted."""
    client.send(0, method, **ARGUMENTS[method])


def client_in(state: ConnectionState) -> Client:
    """A client whose connection has come to this state."""
    client = World().raw_client()
    for reached, step in STEPS.items():
        step(client)
        client.world.finish()
        if reached is state:
            break
    assert client.connection.state is state
    client.take()
    return client


def drawn_state(state: ConnectionState) -> list[str]:
    """A state's lines in the drawing, its transitions tried on a real connection."""
    if state is ConnectionState.PROTOCOL_HEADER:
        client = client_in(state)
        client.feed(PROTOCOL_HEADER)
        lines = [transition("AMQP 0 0 9 1", client)]
    else:
        lines = [tried(state, method) for method in sorted(LEGAL[state], key=method_name)]
    otherwise = f"{'anything else':<26}{aftermath(state)}"
    return [f"{state.name} waits for {state.value}" if state in HANDSHAKE else state.name, *lines, otherwise]


def tried(state: ConnectionState, method: type[Method]) -> str:
    """What comes of a method in a state where it is legal."""
    if state not in STEPS:
        return f"{method_name(method):<26}{UNREACHED}"
    client = client_in(state)
    say(client, method)
    return transition(method_name(method), client)


def transition(sent: str, client: Client) -> str:
    """One line of the drawing: what was sent, what came back, and the state that the connection is in now."""
    answers = ", ".join(method_name(type(item)) for _, item in client.received() if isinstance(item, base.Frame))
    return f"{sent:<26}{answers or '-':<32}-> {client.connection.state.name}"


def aftermath(state: ConnectionState) -> str:
    """What becomes of a connection that does what its state does not allow."""
    if state in ENDED:
        return "is discarded"
    if state is ConnectionState.AUTHENTICATING:
        return "is kept until the check is done"
    if state is ConnectionState.PROTOCOL_HEADER:
        return "AMQP 0 0 9 1, then the socket is closed"
    return "the socket is closed after 3 s" if state in HANDSHAKE else "connection.close with 504"


def method_name(method: type[Method]) -> str:
    """A method's name as the specification writes it: connection.start_ok."""
    class_name, _, name = method.name.partition(".")
    return f"{class_name.lower()}.{re.sub('(?<!^)(?=[A-Z])', '_', name).lower()}"


def drawing() -> str:
    """The states of a connection as docs/architecture.md draws them."""
    lines: list[str] = []
    for state in ConnectionState:
        head, *rest = drawn_state(state)
        lines += [head, *(f"    {line}" for line in rest)]
    return "\n".join(lines)


def block_after(marker: str) -> str:
    """The code block of architecture.md that follows a line."""
    match = re.search(rf"^{re.escape(marker)}$\n+```\n(.*?)\n```$", ARCHITECTURE, re.MULTILINE | re.DOTALL)
    assert match is not None, f"no code block after {marker!r}"
    return match[1]


def test_the_states_of_a_connection_are_drawn_as_they_are() -> None:
    """On failure: put drawing() into docs/architecture.md, or mend the code."""
    assert block_after("<!-- tests/test_docs.py: states -->") == drawing()


@pytest.mark.parametrize("state", HANDSHAKE & STEPS.keys() - {ConnectionState.PROTOCOL_HEADER})
def test_anything_else_during_the_handshake_closes_the_socket_after_3_seconds(state: ConnectionState) -> None:
    client = client_in(state)
    client.send(0, commands.Connection.CloseOk)
    client.world.advance(2.9)
    assert not client.wire.closed
    client.world.advance(0.2)
    assert client.wire.closed
    assert client.take() == b""


def test_the_tree_names_every_file() -> None:
    tree = block_after("<!-- tests/test_docs.py: tree -->")
    named = re.findall(r"[\w/]+\.py", tree)
    expected = {path.relative_to(PACKAGE).as_posix() for path in FILES if path.name != "__init__.py"}
    assert len(named) == len(set(named))
    assert set(named) == expected


def test_the_import_order_is_the_one_that_is_enforced() -> None:
    order = block_after("<!-- tests/test_docs.py: imports -->")
    rows = [re.split(r", ", row) for row in re.split(r"\s+<-\s+", order)]
    there = {path.stem if path.parent == PACKAGE else path.relative_to(PACKAGE).parts[0] for path in FILES}
    assert rows == [[unit for unit in row if unit in there] for row in ROWS if there.intersection(row)]


def test_what_is_compiled_is_told() -> None:
    told = block_after("<!-- tests/test_docs.py: compiled -->").split()
    assert told == [entry for entry in setup.COMPILED if (ROOT / entry).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text("utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
