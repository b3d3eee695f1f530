"""What is rejected, why, and what is let through with a finding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.wire.drawn import bodies
from onetape_fix.spec import LENIENT, Checks, Finding, Rules, shipped
from onetape_fix.wire import Encoder, Message, parse
from onetape_fix.wire.encode import sealed

SENT = "20260821-12:00:00"
STRICT = Rules(shipped("FIX.4.4"), lenient=frozenset())
ORDER = "11=1|55=X|54=1|60=20260821-12:00:00|38=100|40=1"
REPORT = "37=1|17=1|150=0|39=0|55=X|54=1|151=1|14=0|6=0"


def message(msg_type: str, body: str, head: str = f"34=2|49=A|52={SENT}|56=B") -> Message:
    inside = "|".join(part for part in (f"35={msg_type}", head, body) if part) + "|"
    return parse(sealed(b"8=FIX.4.4\x019=", inside.replace("|", "\x01").encode("latin-1")))


def first(msg_type: str, body: str, rules: Rules = STRICT, **more: str) -> tuple[int, int | None]:
    found = rules.check(message(msg_type, body, **more))
    if not found:
        return -1, None
    assert len(found) == 1
    assert found[0].fatal
    return found[0].reason, found[0].tag


@pytest.mark.parametrize(
    ("msg_type", "body"),
    [
        ("0", ""),
        ("0", "112=hello"),
        ("D", ORDER),
        ("D", f"{ORDER}|18=1 2 3"),
        ("D", f"{ORDER}|453=1|448=A|447=D|452=1|802=2|523=x|803=1|523=y"),
        ("D", f"{ORDER}|453=0"),
        ("D", f"{ORDER}|453=002|448=A|448=B"),
        ("8", REPORT),
        ("W", "55=X|268=2|269=0|270=1.5|269=1|270=1.6|271=100|272=20260821|273=12:00:00.123"),
        ("d", "320=1|322=2|323=4|55=X|555=0"),
    ],
)
def test_what_is_right_has_no_findings(msg_type, body):
    assert STRICT.check(message(msg_type, body)) == []


@pytest.mark.parametrize(
    ("msg_type", "body", "reason", "tag"),
    [
        ("0", "999=HI", 0, 999),
        ("0", "0=HI", 0, 0),
        ("0", "-1=HI", 0, -1),
        ("0", "5000=HI", 0, 5000),
        ("D", ORDER.replace("11=1|", ""), 1, 11),
        ("D", "", 1, 11),
        ("0", "55=X", 2, 55),
        ("D", f"{ORDER}|58=", 4, 58),
        ("D", ORDER.replace("54=1", "54=?"), 5, 54),
        ("D", ORDER.replace("38=100", "38=+100"), 6, 38),
        ("D", ORDER.replace("38=100", "38=1e5"), 6, 38),
        ("D", ORDER.replace("60=2026", "60=26"), 6, 60),
        ("D", f"{ORDER}|126=20040415", 6, 126),
        ("D", f"{ORDER}|114=yes", 6, 114),
        ("D", f"{ORDER}|200=202613", 6, 200),
        ("*", "", 11, None),
        ("D", f"{ORDER}|40=2", 13, 40),
        ("D", f"{ORDER}|50=SUB", 14, 50),
        ("D", f"{ORDER}|89=x|58=y", 14, 58),
        ("D", f"{ORDER}|453=2|452=1|448=A|448=B", 15, 452),
        ("D", f"{ORDER}|453=2|448=A|452=1|447=D|448=B", 15, 447),
        ("D", f"{ORDER}|453=3|448=A|448=B", 16, 453),
        ("D", f"{ORDER}|453=1|448=A|448=B", 16, 453),
        ("D", f"{ORDER}|453=1", 16, 453),
        ("D", f"{ORDER}|453=x|448=A", 6, 453),
        ("D", f"{ORDER}|453=-1", 6, 453),
        ("D", f"{ORDER}|453={'9' * 5_000}", 6, 453),
        ("D", f"{ORDER}|58={'9' * 5_000}|854={'9' * 5_000}", 6, 854),
        ("D", f"{ORDER}|453=1|448=A|448=", 16, 453),
        ("D", f"{ORDER}|453=1|448=A|447=DD", 6, 447),
        ("D", f"{ORDER}|453=1|448=A|452=1|452=2", 13, 452),
        ("D", f"{ORDER}|453=1|448=A|802=2|523=x", 16, 802),
        ("V", "262=1|263=0|264=1|267=1|269=?|146=1|55=X", 5, 269),
        ("V", "262=1|263=0|264=1|267=2|269=?|146=1|55=X", 16, 267),
        ("i", "117=1|296=1|302=1|304=1|295=1|299=1|295=1", 13, 295),
        ("E", "66=1|394=1|68=1|73=1|11=1|55=X|54=1", 1, 67),
    ],
)
def test_each_fault_has_its_reason_and_tag(msg_type, body, reason, tag):
    assert first(msg_type, body) == (reason, tag)


def test_the_header_is_looked_at_first():
    assert first("D", "", head="34=2|49=A|56=B") == (1, 52)
    assert first("0", "999=x", head=f"34=2|49=A|52={SENT}|56=") == (4, 56)
    assert first("0", "", head=f"34=2|49=A|52={SENT}|56=B|43=maybe") == (6, 43)
    assert first("0", "", head=f"34=2|34=2|49=A|52={SENT}|56=B") == (13, 34)
    assert first("D", f"{ORDER}|34=2", head=f"49=A|52={SENT}|56=B") == (14, 34)


def test_hops_may_repeat_in_the_header():
    hops = f"34=2|49=A|52={SENT}|56=B|627=2|628=X|629={SENT}|628=Y|630=7"
    assert first("0", "", head=hops) == (-1, None)
    assert first("0", "", head=hops.replace("627=2", "627=3")) == (16, 627)


def test_the_texts_are_those_of_the_acceptance_scripts():
    found = STRICT.check(message("D", f"{ORDER}|453=3|448=A"))
    assert found == [Finding(16, 453, "Incorrect NumInGroup count for repeating group", fatal=True)]


def test_a_lenient_type_is_delivered_with_all_that_is_odd_about_it():
    odd = REPORT.replace("150=0", "150=?").replace("6=0", "5001=mine|453=1|448=A|9999=x")
    assert first("8", odd) == (1, 6)
    found = Rules(shipped("FIX.4.4")).check(message("8", odd))
    assert [(f.reason, f.tag) for f in found] == [(1, 6), (5, 150), (0, 5001), (0, 9999)]
    assert not any(finding.fatal for finding in found)


def test_what_a_venue_tells_is_lenient_and_what_it_is_asked_is_not():
    assert {"8", "9", "AE", "AP", "W", "X", "3", "j"} <= LENIENT
    assert LENIENT.isdisjoint({"D", "F", "G", "H", "V", "0", "1", "2", "4", "5", "A"})


def test_findings_of_one_message_are_bounded():
    body = REPORT + "".join(f"|{tag}=x" for tag in range(6_000, 7_000))
    assert 1 < len(Rules(shipped("FIX.4.4")).check(message("8", body))) < 100


@pytest.mark.parametrize(
    ("checks", "body"),
    [
        (Checks(order=False), f"{ORDER}|58=x|43=Y"),
        (Checks(values=False), f"{ORDER}|58="),
        (Checks(user_fields=False), f"{ORDER}|5001=x"),
        (Checks(unknown_fields=True), f"{ORDER}|999=x|112=y"),
        (Checks(group_order=False), f"{ORDER}|453=1|448=A|452=1|447=D"),
        (Checks(required=False), "55=X"),
    ],
)
def test_each_check_can_be_switched_off(checks, body):
    lax = Rules(shipped("FIX.4.4"), lenient=frozenset(), checks=checks)
    assert first("D", body) != (-1, None)
    if checks.order:
        assert first("D", body, lax) == (-1, None)
    else:
        assert first("D", body, lax)[0] == 2  # it stands in the body, where it does not belong


def test_unknown_message_types_can_be_passed_on():
    lax = Rules(shipped("FIX.4.4"), checks=Checks(unknown_messages=True))
    assert first("U9", "9001=x", lax) == (-1, None)
    assert STRICT.spec_of("U9") is None
    assert STRICT.spec_of("D") is not None


def test_of_fixt_the_session_is_judged_by_the_transport_and_orders_by_the_application():
    rules = Rules(shipped("FIXT.1.1"), shipped("9"), lenient=frozenset())
    assert first("0", "", rules) == (-1, None)
    assert first("A", "98=0|108=30", rules) == (1, 1137)
    assert first("A", "98=0|108=30|1137=9", rules) == (-1, None)
    assert first("D", "11=1|54=1|60=20260821-12:00:00|40=1", rules) == (-1, None)
    assert first("D", "11=1|60=20260821-12:00:00|40=1", rules) == (1, 54)
    assert first("D", "11=1|54=1|60=20260821-12:00:00|40=1|98=0", rules) == (0, 98)


def test_the_first_finding_is_the_same_whether_one_or_all_are_asked_for():
    every = frozenset(STRICT.transport.messages)
    lenient = Rules(shipped("FIX.4.4"), lenient=every)
    bad = message("D", "55=X|54=?|999=x|38=+1|453=3|448=A")
    one, many = STRICT.check(bad), lenient.check(bad)
    assert (one[0].reason, one[0].tag) == (many[0].reason, many[0].tag)


@given(st.sampled_from(["D", "8", "W", "0", "A", "AE", "?"]), bodies)
def test_any_message_gets_an_answer(msg_type, body):
    raw = Encoder("FIX.4.4", [(49, "A"), (56, "B")]).encode(msg_type, 1, SENT, body)
    for rules in (STRICT, Rules(shipped("FIX.4.4"))):
        for finding in rules.check(parse(raw)):
            assert finding.text


@given(
    st.lists(st.sampled_from([*ORDER.split("|"), "453=1", "448=A", "452=1", "58=x"]), max_size=14)
)
def test_the_quick_way_and_the_thorough_way_agree(parts):
    drawn = message("D", "|".join(parts))
    odd = message("D", "|".join([*parts, "999=x"]))  # never quick
    every = Rules(shipped("FIX.4.4"), lenient=frozenset({"D"}))
    thorough = [finding for finding in every.check(odd) if finding.tag != 999]
    assert every.check(drawn) == thorough
