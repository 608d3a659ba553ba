"""Reply codes, their scope, and the reply text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd import errors
from amqpd.errors import REPLY_TEXT_LIMIT, AMQPError, Disconnect, InternalError, NotFound, SoftError

CHANNEL, CONNECTION = False, True
CODES = [
    (errors.AccessRefused, 403, "ACCESS_REFUSED", CHANNEL),
    (errors.NotFound, 404, "NOT_FOUND", CHANNEL),
    (errors.ResourceLocked, 405, "RESOURCE_LOCKED", CHANNEL),
    (errors.PreconditionFailed, 406, "PRECONDITION_FAILED", CHANNEL),
    (errors.ConnectionForced, 320, "CONNECTION_FORCED", CONNECTION),
    (errors.LoginRefused, 403, "ACCESS_REFUSED", CONNECTION),
    (errors.FrameError, 501, "FRAME_ERROR", CONNECTION),
    (errors.CommandInvalid, 503, "COMMAND_INVALID", CONNECTION),
    (errors.ChannelError, 504, "CHANNEL_ERROR", CONNECTION),
    (errors.UnexpectedFrame, 505, "UNEXPECTED_FRAME", CONNECTION),
    (errors.NotAllowed, 530, "NOT_ALLOWED", CONNECTION),
    (errors.NotImplementedByServer, 540, "NOT_IMPLEMENTED", CONNECTION),
    (errors.InternalError, 541, "INTERNAL_ERROR", CONNECTION),
]


@pytest.mark.parametrize(("cls", "code", "name", "closes_connection"), CODES)
def test_every_error_carries_its_code_name_and_scope(
    cls: type[AMQPError], code: int, name: str, closes_connection: bool
) -> None:
    error = cls("why")
    assert (error.code, error.name, error.closes_connection) == (code, name, closes_connection)
    assert error.reply_text == f"{name} - why"


def test_no_error_class_is_missing_from_the_table() -> None:
    def below(cls: type[AMQPError]) -> set[type[AMQPError]]:
        return {cls}.union(*(below(sub) for sub in cls.__subclasses__()))

    mine = {cls for cls in below(AMQPError) if cls.__module__ == errors.__name__}
    assert mine - {AMQPError, SoftError} == {row[0] for row in CODES}


def test_without_an_explanation_the_text_is_the_bare_name() -> None:
    assert InternalError().reply_text == "INTERNAL_ERROR"


def test_an_error_is_about_the_method_being_processed_unless_it_says_otherwise() -> None:
    assert NotFound("x").about_method
    assert not NotFound("x", about_method=False).about_method


@pytest.mark.parametrize("size", [0, 1, 242, 243])
def test_a_text_of_at_most_255_octets_is_left_alone(size: int) -> None:
    text = NotFound("q" * size).reply_text
    assert text.endswith("q" * size)
    assert len(text) <= REPLY_TEXT_LIMIT


def test_a_longer_text_is_cut_to_252_octets_and_three_dots() -> None:
    text = NotFound("q" * 244).reply_text
    assert text == "NOT_FOUND - " + "q" * 240 + "..."
    assert len(text) == REPLY_TEXT_LIMIT


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_a_text_always_fits_a_shortstr_and_is_not_cut_within_a_character(explanation: str) -> None:
    text = NotFound(explanation).reply_text
    assert len(text.encode("utf-8", "surrogateescape")) <= REPLY_TEXT_LIMIT
    whole = f"NOT_FOUND - {explanation}" if explanation else "NOT_FOUND"
    assert text == whole or whole.startswith(text.removesuffix("..."))


def test_octets_that_are_not_utf_8_do_not_break_the_text() -> None:
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert NotFound(name).reply_text.encode("utf-8", "surrogateescape") == b"NOT_FOUND - \xff\xfe"
    assert NotFound(name * 200).reply_text.endswith("...")


def test_a_disconnect_is_no_amqp_error_for_there_is_no_method_that_tells_it() -> None:
    disconnect = Disconnect("bytes make no sense")
    assert not isinstance(disconnect, AMQPError)
    assert (disconnect.reason, disconnect.linger) == ("bytes make no sense", 0.0)
