"""Every octet of a payload that makes it no message is found; none makes the check fail or hang."""

from __future__ import annotations

import pytest

from amqpd.broker.records import HAS_DEADLINE, RecordEncoder
from amqpd.check.payload import Payloads
from amqpd.wire.properties import Properties
from tests.builders import message

SENT = message(Properties.of(content_type="text/plain", headers={"a": 1}), b"body of it", "orders", "a.b")
PAYLOAD = RecordEncoder().head(SENT, 0) + SENT.content


def fault(payload: bytes, weight: int = 10) -> str | None:
    return Payloads().fault(0, weight, payload)


@pytest.mark.parametrize("deadline", [0, 1_700_000_000_000])
@pytest.mark.parametrize("body", [b"", b"body of it"])
def test_what_the_broker_stores_is_a_message(deadline: int, body: bytes) -> None:
    sent = message(Properties.of(delivery_mode=2), body)
    assert fault(RecordEncoder().head(sent, deadline) + sent.content, len(body)) is None


def test_a_body_in_several_frames_is_added_up() -> None:
    frames = b"".join(b"\x03\x00\x01" + len(part).to_bytes(4, "big") + part + b"\xce" for part in (b"body ", b"of it"))
    payload = PAYLOAD[: -len(b"body of it") - 8] + frames
    assert fault(payload) is None
    assert fault(payload[:-1]) is not None


def test_every_truncation_and_every_addition_is_found() -> None:
    for size in range(len(PAYLOAD)):
        assert fault(PAYLOAD[:size]) is not None
    assert fault(PAYLOAD + b"\x00") is not None


def test_any_changed_octet_is_found_or_harmless() -> None:
    """Nothing but a text is ever the outcome: a length that points backwards must not lead the decoder in circles."""
    for position in range(len(PAYLOAD)):
        for value in (0x00, 0x7F, 0x80, 0xF8, 0xFF):
            changed = PAYLOAD[:position] + bytes([value]) + PAYLOAD[position + 1 :]
            found = fault(changed)
            assert found is None or found


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "it ends too early"),
        (bytes([0x80]) + PAYLOAD[1:], "it is of an unknown kind"),
        (PAYLOAD[:-1] + b"\x00", "its body is no frame"),
        (bytes([HAS_DEADLINE]) + PAYLOAD[1:], "it"),
    ],
)
def test_the_text_tells_what_is_wrong(payload: bytes, text: str) -> None:
    assert (fault(payload) or "").startswith(text)


def test_the_weight_has_to_be_that_of_the_body() -> None:
    assert fault(PAYLOAD, 11) == "its body has 10 octets and not 11"
