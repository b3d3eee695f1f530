"""Writing messages: order, values, groups, what is refused, and sending the same again."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from onetape.errors import VenueError
from onetape_fix.wire import Encoder, Framer, Unwritable, parse, resent

from .drawn import ENCODER, SENT, bodies

LATER = "20260821-12:00:05.000001"


def shown(raw: bytes) -> str:
    return raw.decode("latin-1").replace("\x01", "|")


def test_the_header_is_in_order_and_the_body_as_given():
    encoder = Encoder("FIX.4.4", [(56, "B"), (49, "A"), (57, "SUB"), (50, "ME")])
    raw = encoder.encode("D", 3, SENT, [(55, "X"), (11, "1")])
    body = f"35=D|34=3|49=A|50=ME|52={SENT}|56=B|57=SUB|55=X|11=1|"
    assert shown(raw) == f"8=FIX.4.4|9={len(body)}|{body}10={sum(raw[:-7]) & 255:03d}|"
    assert Framer().feed(raw) == [raw]


def test_further_header_fields_stand_in_the_order_of_tags():
    raw = ENCODER.encode("0", 9, SENT, [], header=[(122, SENT), (43, "Y"), (97, "N")])
    tags = [tag for tag, _ in parse(raw).fields]
    assert tags == [8, 9, 35, 34, 43, 49, 52, 56, 97, 122, 10]


def test_a_header_field_of_the_message_replaces_the_constant_one():
    raw = Encoder("FIX.4.4", [(49, "A"), (56, "B"), (57, "S")]).encode(
        "D", 1, SENT, [], header=[(57, "OTHER")]
    )
    assert [value for tag, value in parse(raw).fields if tag == 57] == ["OTHER"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1E+3"), "1000"),
        (Decimal("0.10"), "0.10"),
        (Decimal("1E-9"), "0.000000001"),
        (-5, "-5"),
        (True, "Y"),
        (False, "N"),
        ("a=b=", "a=b="),
    ],
)
def test_values_are_written_as_fix_wants_them(value, text):
    assert parse(ENCODER.encode("D", 1, SENT, [(44, value), (58, "x")]))[44] == text


def test_groups_get_their_counts():
    row = [(448, "A"), (802, [[(523, "x")]])]
    raw = ENCODER.encode("D", 1, SENT, [(453, [row, [(448, "B")]]), (386, [])])
    assert "453=2|448=A|802=1|523=x|448=B|386=0|" in shown(raw)


@pytest.mark.parametrize(
    "body",
    [
        [(58, "")],
        [(58, "a\x0110=000")],
        [(96, "a\x01b")],
        [(95, 2), (96, "a\x01b")],
        [(453, [[(448, "a\x01b")]])],
        [(453, [[(448, "")]])],
        [(44, 1.5)],
        [(44, None)],
        [(44, Decimal("NaN"))],
        [(44, Decimal("Infinity"))],
        [(58, "€")],
        [(44, b"1")],
    ],
)
def test_what_would_be_no_message_is_refused(body: Any):
    with pytest.raises(Unwritable) as told:
        ENCODER.encode("D", 1, SENT, body)
    assert isinstance(told.value, VenueError)
    assert isinstance(told.value, ValueError)


def test_a_header_cannot_smuggle_fields_either():
    with pytest.raises(Unwritable):
        ENCODER.encode("D", 1, SENT, [(55, "X")], header=[(57, "a\x01554=x")])
    with pytest.raises(Unwritable):
        Encoder("FIX.4.4", [(49, "a\x01b")])


def body_of(raw: bytes) -> bytes:
    return raw[raw.index(b"56=BROKER\x01") : -7].split(b"\x01", 1)[1]


def test_data_in_the_header_survives_being_sent_again():
    first = ENCODER.encode("D", 1, SENT, [(55, "X")], header=[(90, 3), (91, "a\x01=")])
    assert parse(resent(first, LATER))[91] == "a\x01="


@given(bodies)
def test_a_message_sent_again_has_the_same_body_byte_for_byte(body):
    first = ENCODER.encode("8", 12, SENT, body)
    again = resent(first, LATER)
    assert Framer().feed(again) == [again]
    message = parse(again)
    assert message.fields[2:9] == [
        (35, "8"),
        (34, "12"),
        (43, "Y"),
        (49, "ME"),
        (52, LATER),
        (56, "BROKER"),
        (122, SENT),
    ]
    assert again.removesuffix(again[-7:]).endswith(b"\x01" + body_of(first))


def test_sent_a_third_time_it_still_says_when_it_was_first_sent():
    third = resent(resent(ENCODER.encode("D", 1, SENT, [(55, "X")]), LATER), "20260822-00:00:00")
    assert parse(third)[122] == SENT
    assert [tag for tag, _ in parse(third).fields].count(43) == 1


def test_header_fields_of_a_resend_can_be_replaced():
    first = ENCODER.encode("D", 1, SENT, [(55, "X")], header=[(369, 4), (115, "CLIENT")])
    again = parse(resent(first, LATER, header=[(369, 9)]))
    assert (again[369], again[115]) == ("9", "CLIENT")
