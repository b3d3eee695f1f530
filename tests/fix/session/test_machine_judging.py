"""What is wrong with a message, and what becomes of it: garbled bytes, faults, rejects, clocks."""

from __future__ import annotations

import pytest

from onetape_fix.session import Rejected, Unsupported
from onetape_fix.session.outgoing import Header
from onetape_fix.session.settings import Checks
from onetape_fix.spec import Rules, shipped
from onetape_fix.wire import Body, format_utc, parse_utc, sealed

from .room import NOON, ROLES, SECOND, Desk, Role

both = pytest.mark.parametrize("role", ROLES)
RULES = Rules(shipped("FIX.4.4"))
STRICT = Rules(shipped("FIX.4.4"), lenient=frozenset())
ORDER: Body = [
    (11, "a"),
    (55, "XYZ"),
    (54, "1"),
    (60, "20260105-12:00:00"),
    (38, 100),
    (40, "1"),
]
REPORT: Body = [
    (37, "o"),
    (17, "e"),
    (150, "0"),
    (39, "0"),
    (55, "XYZ"),
    (54, "1"),
    (151, 100),
    (14, 0),
    (6, 0),
]


def replaced(body: Body, tag: int, value: str) -> Body:
    return [(t, value if t == tag else v) for t, v in body]


def without(body: Body, tag: int) -> Body:
    return [field for field in body if field[0] != tag]


# -- bytes


@both
def test_garbled_bytes_are_skipped_counted_and_told_and_the_gap_is_asked_for(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    spoiled = desk.raw("D", [(11, "a")], 2).replace(b"11=a", b"11=b")
    desk.session.received(spoiled)
    assert desk.store.next_in == 2
    assert desk.session.facts.garbled == 1
    assert desk.app.codes == ["garbled"]
    desk.order("b", 3)
    assert [m[7] for m in desk.got()] == ["2"]
    desk.order("a", 2)
    assert desk.app.orders == ["a", "b"]


@both
def test_a_message_that_comes_byte_by_byte_is_one_message(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    for byte in desk.raw("D", [(11, "a")], 2):
        desk.session.received(bytes([byte]))
    assert desk.app.orders == ["a"]


@both
def test_two_messages_in_one_packet_are_two_messages(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.session.received(desk.raw("D", [(11, "a")], 2) + desk.raw("D", [(11, "b")], 3))
    assert desk.app.orders == ["a", "b"]


@both
def test_a_message_of_a_megabyte_and_one_with_a_zero_padded_length_are_taken(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.order("x" * 1_000_000)
    raw = desk.raw("D", [(11, "b")], 3)
    body = raw[raw.index(b"35=") : -7]
    message = b"8=FIX.4.4\x019=%09d\x01" % len(body) + body
    desk.session.received(message + b"10=%03d\x01" % (sum(message) & 255))
    assert [len(order) for order in desk.app.orders] == [1_000_000, 1]


@both
def test_a_separator_inside_of_a_data_field_does_not_end_it(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.says("B", [(148, "news"), (95, 5), (96, "a\x01b=c")])
    assert desk.app.heard[0][96] == "a\x01b=c"


@both
def test_type_and_number_in_the_wrong_place_make_no_message(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    body = b"34=2\x0135=0\x0149=THEM\x0152=20260105-12:00:00\x0156=US\x01"
    desk.session.received(sealed(b"8=FIX.4.4\x019=", body))
    assert desk.store.next_in == 2
    assert desk.app.codes == ["garbled"]


@pytest.mark.parametrize("number", [b"", b"34=x\x01", b"34=-2\x01", b"34=\x01"])
@both
def test_a_message_without_a_number_ends_the_session(role: Role, number: bytes) -> None:
    desk = Desk(role)
    desk.log_on()
    body = b"35=0\x01" + number + b"49=THEM\x0152=20260105-12:00:00\x0156=US\x01"
    desk.session.received(sealed(b"8=FIX.4.4\x019=", body))
    assert [m[58] for m in desk.got()] == ["MsgSeqNum missing"]
    assert desk.wire.closed


@both
def test_another_version_in_the_middle_is_answered_by_a_logout(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    other = Desk(role, begin_string="FIX.4.1")
    desk.session.received(other.raw("1", [(112, "x")], 2))
    assert [m[58] for m in desk.got()] == ["Incorrect BeginString"]
    assert desk.session.state == "logout"


# -- faults


@pytest.mark.parametrize(
    ("reason", "tag", "body"),
    [
        (0, 999, [*ORDER, (999, "x")]),
        (0, 5001, [*ORDER, (5001, "x")]),
        (1, 11, without(ORDER, 11)),
        (2, 37, [*ORDER, (37, "x")]),
        (5, 54, replaced(ORDER, 54, "?")),
        (6, 38, replaced(ORDER, 38, "+200")),
        (13, 40, [*ORDER, (40, "2")]),
        (14, 49, [*ORDER, (49, "THEM")]),
        (16, 453, [*ORDER, (453, "2"), (448, "X"), (447, "D"), (452, 1)]),
    ],
)
def test_an_acceptor_rejects_a_fault_with_its_reason_and_goes_on(
    reason: int, tag: int, body: Body
) -> None:
    desk = Desk("acceptor", rules=STRICT)
    desk.log_on()
    desk.says("D", body)
    (reject,) = desk.got()
    assert (reject.type, reject[45], reject[372]) == ("3", "2", "D")
    assert (reject[373], reject[371]) == (str(reason), str(tag))
    assert desk.app.heard == []
    assert desk.app.codes == ["rejected"]
    assert desk.store.next_in == 3


def test_an_acceptor_rejects_a_field_without_a_value_and_an_unknown_type() -> None:
    desk = Desk("acceptor", rules=STRICT)
    desk.log_on()
    raw = desk.raw("D", ORDER, 2)
    body = raw[raw.index(b"35=") : -7].replace(b"55=XYZ", b"55=")
    desk.session.received(sealed(b"8=FIX.4.4\x019=", body))
    desk.says("*", seq=3)
    assert [(m[373], m.get(371)) for m in desk.got()] == [("4", "55"), ("11", None)]


def test_a_version_without_the_later_reasons_is_not_sent_them() -> None:
    desk = Desk("acceptor", begin_string="FIX.4.2", rules=Rules(shipped("FIX.4.2")))
    desk.log_on()
    desk.says("D", [(11, "a"), (11, "b")])
    (reject,) = desk.got()
    assert reject[58] == "Tag appears more than once" or reject[373] in ("1", "2")
    desk = Desk("acceptor", begin_string="FIX.4.1")
    desk.log_on()
    desk.app.raises = Rejected(5, "no", 11)
    desk.says("D", [(11, "a")])
    (reject,) = desk.got()
    assert 373 not in reject
    assert 372 not in reject


@both
def test_foreign_ids_are_rejected_and_end_the_session(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.says("D", ORDER, header=[(49, "OTHER")])
    reject, logout = desk.got()
    assert (reject[373], logout.type) == ("9", "5")
    assert desk.app.heard == []


def test_foreign_ids_pass_where_the_settings_say_so() -> None:
    desk = Desk(check_comp_id=False)
    desk.log_on()
    desk.says("D", ORDER, header=[(49, "OTHER")])
    assert desk.app.orders == ["a"]


@pytest.mark.parametrize(
    "body",
    [
        [*REPORT, (9999, "own tag")],
        [*REPORT, (999, "later tag")],
        replaced(REPORT, 150, "?"),
        without(REPORT, 151),
        [*REPORT, (453, 1), (448, "X"), (447, "D"), (9876, "inside a group")],
        [*REPORT, (453, "2"), (448, "X"), (447, "D"), (452, 1)],
    ],
    ids=["own tag", "unknown tag", "unknown value", "missing", "in a group", "count"],
)
def test_an_execution_report_with_faults_reaches_an_initiator(body: Body) -> None:
    desk = Desk("initiator", rules=RULES)
    desk.log_on()
    desk.says("8", body)
    assert [m[17] for m in desk.app.heard] == ["e"]
    assert desk.got() == []
    assert set(desk.app.codes) == {"lenient"}
    assert desk.session.facts.lenient.total() >= 1


def test_what_is_let_through_is_counted_always_and_told_less_and_less() -> None:
    desk = Desk("initiator", rules=RULES)
    desk.log_on()
    for _ in range(120):
        desk.says("8", [*REPORT, (9999, "x")])
    assert desk.session.facts.lenient["8", 9999, 0] == 120
    assert [alarm.detail["count"] for alarm in desk.app.alarms] == [1, 10, 100]


@pytest.mark.parametrize("kind", ["3", "j"])
@both
def test_a_reject_is_never_rejected_whatever_is_wrong_with_it(role: Role, kind: str) -> None:
    for problem in (None, Unsupported(), Rejected(5, "bad", 45)):
        desk = Desk(role, rules=STRICT)
        desk.log_on()
        desk.app.raises = problem
        desk.says(kind, [(9999, "x"), (45, "what")])
        assert desk.got() == []
        assert desk.session.state == "up"
        assert desk.store.next_in == 3


@pytest.mark.parametrize(
    ("kind", "code", "body"),
    [
        ("3", "session_reject", [(45, 7), (371, 38), (372, "D"), (373, 5), (58, "odd lot")]),
        ("j", "business_reject", [(45, 7), (372, "D"), (380, 3), (58, "odd lot")]),
    ],
)
@both
def test_a_reject_of_ours_by_the_peer_is_heard_counted_and_told(
    role: Role, kind: str, code: str, body: Body
) -> None:
    desk = Desk(role, rules=RULES)
    desk.log_on()
    desk.says(kind, body)
    assert [m[45] for m in desk.app.heard] == ["7"]
    alarm = desk.app.alarms[-1]
    assert (alarm.code, alarm.detail["ref_seq"], alarm.detail["ref_type"]) == (code, 7, "D")
    assert desk.session.facts.last_text == "odd lot"
    assert desk.session.facts.rejects[f"got {kind}", "D", str(body[-2][1])] == 1


@both
def test_a_type_that_the_application_does_not_serve_is_answered_so(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.app.raises = Unsupported()
    desk.says("R", [(131, "q")])
    (answer,) = desk.got()
    assert (answer.type, answer[45], answer[372], answer[380]) == ("j", "2", "R", "3")
    assert desk.store.next_in == 3


def test_a_version_without_business_rejects_is_answered_by_a_session_reject() -> None:
    desk = Desk("acceptor", begin_string="FIX.4.1")
    desk.log_on()
    desk.app.raises = Unsupported()
    desk.says("R", [(131, "q")])
    (answer,) = desk.got()
    assert (answer.type, answer[45], answer[58]) == ("3", "2", "Unsupported Message Type")


def test_a_reject_goes_back_the_way_that_the_message_came() -> None:
    desk = Desk("acceptor", rules=STRICT)
    desk.log_on()
    way: Header = [(115, "CLIENT"), (116, "DESK"), (144, "CHI")]
    desk.says("D", without(ORDER, 55), header=way)
    desk.says("D", without(ORDER, 54), header=way)
    reject = desk.got()[-1]
    assert (reject[128], reject[129], reject[145]) == ("CLIENT", "DESK", "CHI")


def test_the_settings_may_make_an_initiator_strict_and_an_acceptor_lenient() -> None:
    desk = Desk("initiator", checks=Checks(lenient=False))
    desk.log_on()
    desk.order("a", sent=-300)
    assert desk.kinds() == ["3", "5"]
    desk = Desk("acceptor", checks=Checks(lenient=True))
    desk.log_on()
    desk.order("a", sent=-300)
    assert desk.kinds() == []
    assert desk.app.orders == ["a"]


# -- times


@pytest.mark.parametrize(
    ("digits", "stamp"),
    [
        (0, "20260105-12:00:00"),
        (3, "20260105-12:00:00.123"),
        (6, "20260105-12:00:00.123456"),
        (9, "20260105-12:00:00.123456789"),
    ],
)
@both
def test_times_are_written_with_the_digits_that_are_set_and_read_with_any(
    role: Role, digits: int, stamp: str
) -> None:
    desk = Desk(role, timestamp_digits=digits)
    desk.clock.ns = NOON + 123_456_789
    desk.connect()
    desk.says("A", [(98, "0"), (108, 30)], header=[(52, stamp)])
    assert desk.got()[0][52] == stamp
    assert desk.session.state == "up"
    assert desk.session.facts.skew_ns == desk.clock.ns - parse_utc(stamp)


@pytest.mark.parametrize(
    ("now", "stamp"),
    [
        ("20170101-00:00:00", "20161231-23:59:60.500"),
        ("20261231-23:59:59", "20270101-00:00:01"),
        ("20280229-00:00:00", "20280228-23:59:59.999999999"),
    ],
    ids=["leap second", "year's end", "leap day"],
)
def test_odd_moments_are_in_time(now: str, stamp: str) -> None:
    desk = Desk("acceptor")
    desk.clock.ns = parse_utc(now)
    desk.log_on()
    desk.order("a", header=[(52, stamp)])
    assert desk.app.orders == ["a"]
    assert desk.got() == []


def test_a_clock_that_is_off_ends_an_acceptors_session() -> None:
    for sent in (-121, 121):
        desk = Desk("acceptor")
        desk.log_on()
        desk.order("a", sent=sent)
        reject, logout = desk.got()
        assert (reject[373], logout.type) == ("10", "5")
        assert desk.app.heard == []


def test_a_clock_that_is_off_is_told_once_by_an_initiator_and_nothing_is_lost() -> None:
    desk = Desk("initiator")
    desk.log_on()
    for name in ("a", "b", "c"):
        desk.clock.move(2)
        desk.order(name, sent=-150)
    assert desk.app.orders == ["a", "b", "c"]
    assert desk.app.codes.count("skew") == 1
    assert desk.session.facts.skew_ns == 150 * SECOND


@both
def test_the_age_of_what_waited_behind_a_gap_is_no_fault(role: Role) -> None:
    desk = Desk(role, heartbeat=0)
    desk.log_on(0)
    desk.order("b", 3)
    desk.clock.move(500)
    desk.repeats("D", [(11, "a")], 2)
    assert desk.app.orders == ["a", "b"]
    assert desk.kinds() == ["2"]


def test_a_time_that_is_none_is_rejected_by_an_acceptor_and_let_through_by_an_initiator() -> None:
    for role, answer in (("acceptor", ["3"]), ("initiator", [])):
        desk = Desk(role)
        desk.log_on()
        desk.order("a", header=[(52, "yesterday")])
        assert desk.kinds() == answer
    assert format_utc(NOON, 0) == "20260105-12:00:00"
