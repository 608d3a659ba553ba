"""The client's end of a connection does what AMQP asks of clients."""

from __future__ import annotations

import pytest
from pamqp import commands

from amqpd.bench.client.session import Role, Session
from amqpd.wire.frames import HEARTBEAT_FRAME
from amqpd.wire.methods import encode, make
from tests.bench.joined import Joined
from tests.builders import FakeWire, World


class Idle(Role):
    """A role that does nothing, and remembers what it was told."""

    def __init__(self, forgives: bool = False) -> None:
        super().__init__()
        self.told: list[str] = []
        self.forgives = forgives

    def opened(self, session: Session) -> None:
        self.told.append("opened")

    def refused(self, code: int, text: str) -> bool:
        self.told.append(f"refused {code}")
        return self.forgives

    def resumed(self) -> None:
        self.told.append("resumed")


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_it_logs_in_and_opens_a_channel_however_octets_are_cut(cut: int) -> None:
    role = Idle()
    joined = Joined(World(), role, cut=cut)
    assert role.told == ["opened"]
    assert joined.world.observer.events[:2] == [("authenticated", "guest"), ("opened", "/")]
    joined.session.close()
    joined.run()
    assert joined.session.ended
    assert joined.session.fault is None


@pytest.mark.parametrize(
    ("login", "sentence"),
    [
        ({"password": "wrong"}, "check user and password in --uri"),
        ({"vhost": "nowhere"}, "check the virtual host in --uri"),
    ],
)
def test_a_login_that_is_refused_is_a_sentence_with_the_way_out(login: dict[str, str], sentence: str) -> None:
    joined = Joined(World(), Idle(), **login)
    assert joined.session.ended
    assert sentence in (joined.session.fault or "")


def test_a_channel_that_is_closed_ends_it_unless_the_role_goes_on() -> None:
    for forgives, ended in ((False, True), (True, False)):
        role = Idle(forgives)
        joined = Joined(World(), role)
        joined.session.send(commands.Queue.Declare, queue="nowhere", passive=True)
        joined.run()
        assert role.told[1] == "refused 404"
        assert joined.session.ended is ended
        assert role.told[2:] == ([] if ended else ["opened"])


def ready_session(role: Role, heartbeat: int = 60) -> tuple[Session, FakeWire]:
    """A session whose channel is open, and its wire."""
    session = Session(role, "u", "p", "/", "here:1", "test")
    wire = FakeWire()
    session.begin(wire)
    tune = make(commands.Connection.Tune, channel_max=9, frame_max=8192, heartbeat=heartbeat)
    for channel, method in (
        (0, make(commands.Connection.Start, version_minor=9)),
        (0, tune),
        (0, make(commands.Connection.OpenOk)),
        (1, make(commands.Channel.OpenOk)),
    ):
        session.receive(encode(channel, method))
    return session, wire


def test_it_takes_the_smaller_limits() -> None:
    session, wire = ready_session(Idle(), heartbeat=10)
    tune_ok = encode(0, make(commands.Connection.TuneOk, channel_max=9, frame_max=8192, heartbeat=10))
    assert tune_ok in wire.written
    assert (session.frame_max, session.half_interval) == (8192, 5)


def test_no_heartbeats_if_the_broker_wants_none() -> None:
    assert ready_session(Idle(), heartbeat=0)[0].half_interval == 0


def test_heartbeats_are_sent_while_it_is_silent() -> None:
    session, wire = ready_session(Idle())
    session.tick()
    assert not wire.written.endswith(HEARTBEAT_FRAME)  # it had just written
    session.tick()
    assert wire.written.endswith(HEARTBEAT_FRAME)


def test_a_broker_that_is_silent_for_two_intervals_is_given_up() -> None:
    session, wire = ready_session(Idle(), heartbeat=10)
    for _ in range(3):
        session.tick()
        session.receive(HEARTBEAT_FRAME)
    for _ in range(4):
        assert not session.ended
        session.tick()
    assert not session.ended  # the first of these ticks found the heartbeat
    session.tick()
    assert session.fault == (
        "The connection to here:1 was lost (nothing came for 20 s): look whether the broker is running."
    )
    assert wire.closed


def test_flow_and_blocking_hold_it_until_both_are_over() -> None:
    role = Idle()
    session, wire = ready_session(role)
    session.receive(encode(1, make(commands.Channel.Flow, active=False)))
    assert wire.written.endswith(encode(1, make(commands.Channel.FlowOk, active=False)))
    session.receive(encode(0, make(commands.Connection.Blocked, reason="low on memory")))
    assert (session.held, session.blocked) == (True, "low on memory")
    session.receive(encode(1, make(commands.Channel.Flow, active=True)))
    assert session.held
    assert role.told == ["opened"]
    session.receive(encode(0, make(commands.Connection.Unblocked)))
    assert not session.held
    assert role.told == ["opened", "resumed"]


def test_a_connection_that_the_broker_closes_is_answered_and_a_fault() -> None:
    session, wire = ready_session(Idle())
    session.receive(encode(0, make(commands.Connection.Close, reply_code=320, reply_text="CONNECTION_FORCED - bye")))
    assert wire.written.endswith(encode(0, make(commands.Connection.CloseOk)))
    assert "320 CONNECTION_FORCED - bye" in (session.fault or "")


def test_a_socket_that_closes_before_it_is_open_is_no_amqp_port_or_a_wrong_login() -> None:
    session = Session(Idle(), "u", "p", "/", "here:1", "test")
    session.begin(FakeWire())
    session.lost("closed by the broker")
    assert "check user and password, and that this is an AMQP port" in (session.fault or "")
