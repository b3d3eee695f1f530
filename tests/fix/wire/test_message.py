"""Reading one message: fields in order, data fields, groups, and what is no message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape_fix.spec import GroupSpec
from onetape_fix.wire import Encoder, Framer, Garbled, parse, rows, rows_of

from .drawn import ENCODER, SENT, bodies, flattened


def wire(text: str) -> bytes:
    return text.replace("|", "\x01").encode("latin-1")


def test_a_message_keeps_all_fields_in_order():
    raw = wire("8=FIX.4.4|9=20|35=8|34=7|55=A|55=B|10=000|")
    message = parse(raw)
    assert message.type == "8"
    assert message.raw == raw
    assert [tag for tag, _ in message.fields] == [8, 9, 35, 34, 55, 55, 10]
    assert message[55] == "A"
    assert message.get(58) is None
    assert message.get(58, "none") == "none"
    assert 34 in message
    assert 58 not in message
    assert message.seq == 7
    assert not message.possdup
    with pytest.raises(KeyError):
        message[58]


@given(bodies)
def test_what_was_written_is_read_back(body):
    raw = ENCODER.encode("8", 12, SENT, body)
    message = parse(raw)
    head = [(35, "8"), (34, "12"), (49, "ME"), (52, SENT), (56, "BROKER")]
    assert message.fields[2:-1] == head + flattened(body)
    assert Framer().feed(raw) == [raw]


@given(st.text(st.characters(max_codepoint=255), min_size=1, max_size=40))
def test_a_data_field_may_hold_any_byte(text):
    message = parse(ENCODER.encode("A", 1, SENT, [(95, len(text)), (96, text), (58, "x")]))
    assert message[96] == text
    assert message[58] == "x"


@pytest.mark.parametrize("length", ["3", "999", "x", "-1", "99999999999999999999"])
def test_a_wrong_data_length_ends_the_field_at_the_separator(length):
    message = parse(wire(f"8=FIX.4.4|9=1|35=A|95={length}|96=abcdef|58=x|10=000|"))
    assert (message[96], message[58]) == ("abcdef", "x")


def test_a_data_field_right_at_the_start_has_no_length():
    assert parse(wire("8=F|9=1|35=A|58=7|96=abc=|10=000|"))[96] == "abc="


def test_a_broker_may_name_data_fields_of_its_own():
    raw = wire("8=FIX.4.4|9=1|35=A|9001=5|9002=a|b=c|10=000|")
    assert parse(raw, data_tags=frozenset((9002,)))[9002] == "a\x01b=c"
    with pytest.raises(Garbled):
        parse(raw)


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from((1, 11, 55, 58, 5001)), st.sampled_from(("", "A", "=", "1=2"))
            ),
            max_size=4,
        ),
        max_size=8,
    )
)
def test_messages_that_are_alike_but_for_their_tags_are_each_read_by_their_own(bodies):
    for body in bodies:
        fields = [(8, "FIX.4.4"), (9, "5"), (35, "U9"), *body, (10, "000")]
        raw = "".join(f"{tag}={value}\x01" for tag, value in fields).encode()
        assert parse(raw).fields == fields
        with pytest.raises(Garbled):
            parse(raw + b"10")


def test_values_may_hold_equal_signs():
    assert parse(wire("8=FIX.4.4|9=1|35=B|58=a=b==|10=000|"))[58] == "a=b=="


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8=FIX.4.4|",
        "8=FIX.4.4|9=1|10=000|",
        "8=FIX.4.4|9=1|34=1|35=A|10=000|",
        "9=1|8=FIX.4.4|35=A|10=000|",
        "8=FIX.4.4|9=1|35=A|58=x|",
        "8=FIX.4.4|9=1|35=A|58=x|10=000",
        "8=FIX.4.4|9=1|35=A|4x=1|10=000|",
        "8=FIX.4.4|9=1|35=A|058=1|10=000|",
        "8=FIX.4.4|9=1|35=A|=1|10=000|",
        "8=FIX.4.4|9=1|35=A|-=1|10=000|",
        "8=FIX.4.4|9=1|35=A|58|10=000|",
        "8=FIX.4.4|9=1|35=A||10=000|",
        "8=FIX.4.4|9=1|35=A|1234567890=1|10=000|",
        "8=FIX.4.4|9=1|35=A|²=1|10=000|",
    ],
)
def test_what_is_no_message_is_garbled(text):
    with pytest.raises(Garbled):
        parse(wire(text))


@pytest.mark.parametrize("tag", [0, -1, 999, 5000, 123456789])
def test_odd_tags_are_read_so_that_they_can_be_rejected_by_number(tag):
    assert parse(wire(f"8=FIX.4.4|9=1|35=0|{tag}=HI|10=000|"))[tag] == "HI"


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "²", "9" * 30])
def test_a_sequence_number_is_a_plain_number(text):
    with pytest.raises(ValueError, match="sequence number"):
        _ = parse(wire(f"8=FIX.4.4|9=1|35=0|34={text}|10=000|")).seq


def test_the_text_form_of_a_message_shows_no_values():
    assert "secret" not in repr(parse(wire("8=FIX.4.4|9=1|35=A|554=secret|10=000|")))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_garbled(data):
    for raw in (data, b"8=FIX.4.4\x019=5\x0135=A\x01" + data + b"\x0110=000\x01"):
        try:
            parse(raw)
        except Garbled:
            continue


SUBS = GroupSpec(802, (523, 803), frozenset((523, 803)))
PARTIES = GroupSpec(453, (448, 447, 452, 802), frozenset((448, 447, 452, 802)), {802: SUBS})


def test_groups_are_cut_into_rows_and_nested_rows_again():
    parties = [
        [(448, "A"), (452, "1"), (802, [[(523, "x")], [(523, "y"), (803, "2")]])],
        [(448, "B"), (447, "D")],
    ]
    message = parse(ENCODER.encode("8", 1, SENT, [(37, "1"), (453, parties), (54, "1")]))
    found = message.groups(PARTIES)
    assert [row[0] for row in found] == [(448, "A"), (448, "B")]
    assert found[1] == [(448, "B"), (447, "D")]
    assert rows(found[0], SUBS) == [[(523, "x")], [(523, "y"), (803, "2")]]
    assert rows(found[1], SUBS) == []
    assert parse(ENCODER.encode("8", 1, SENT, [(37, "1")])).groups(PARTIES) == []


def test_a_group_that_opens_with_another_field_than_the_dictionary_says_is_still_cut():
    message = parse(wire("8=F|9=1|35=8|453=2|452=1|448=A|452=3|448=B|54=1|10=000|"))
    assert message.groups(PARTIES) == [[(452, "1"), (448, "A")], [(452, "3"), (448, "B")]]


def test_a_plain_group_needs_no_dictionary():
    message = parse(wire("8=F|9=1|35=W|55=X|268=2|269=0|270=1|269=1|270=2|10=000|"))
    cut = rows_of(message.fields, 268, 269, (270, 271))
    assert cut == [[(269, "0"), (270, "1")], [(269, "1"), (270, "2")]]
    assert rows_of(message.fields, 146, 55, ()) == []


def test_ten_thousand_rows_are_one_message():
    entries = [[(269, str(n % 2)), (270, n), (271, 5)] for n in range(10_000)]
    raw = Encoder("FIX.4.4", [(49, "V"), (56, "ME")]).encode("W", 1, SENT, [(268, entries)])
    assert Framer().feed(raw) == [raw]
    entry = GroupSpec(268, (269, 270, 271), frozenset((269, 270, 271)))
    cut = parse(raw).groups(entry)
    assert len(cut) == 10_000
    assert cut[-1] == [(269, "1"), (270, "9999"), (271, "5")]


def test_a_count_that_comes_again_stays_in_its_row():
    message = parse(wire("8=F|9=1|35=8|453=1|448=A|802=1|802=1|523=x|10=000|"))
    assert message.groups(PARTIES) == [[(448, "A"), (802, "1"), (802, "1"), (523, "x")]]
