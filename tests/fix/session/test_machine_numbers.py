"""Sequence numbers: gaps, resends, gap fills and repeats, in both roles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape_fix.session import MemoryStore, StoreError
from onetape_fix.session.gap import PATIENCE, TRIES
from onetape_fix.session.resending import BURST

from .room import NOON, ROLES, SECOND, Desk, Role

both = pytest.mark.parametrize("role", ROLES)
Y = [(123, "Y")]


# -- what is missing from the peer


@both
def test_a_gap_is_asked_for_once_and_what_came_early_waits_for_its_turn(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.order("d", 5)
    desk.order("e")
    (request,) = desk.got()
    assert (request.type, request[7], request[16]) == ("2", "2", "0")
    assert desk.app.orders == []
    assert desk.session.facts.gap == 5
    for seq, name in ((2, "a"), (3, "b"), (4, "c")):
        desk.repeats("D", [(11, name)], seq)
    assert desk.app.orders == ["a", "b", "c", "d", "e"]
    assert desk.store.next_in == 7
    assert desk.session.facts.gap == 0
    assert desk.got() == []


@pytest.mark.parametrize(("version", "end"), [("FIX.4.1", "999999"), ("FIX.4.2", "0")])
def test_all_that_follows_is_asked_for_in_the_words_of_the_version(version: str, end: str) -> None:
    desk = Desk(begin_string=version)
    desk.log_on()
    desk.order("d", 5)
    assert desk.got()[0][16] == end


@both
def test_a_gap_inside_of_a_gap_is_asked_for_when_the_first_is_filled(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.order("b", 3)
    desk.order("d", 5)
    assert [m[7] for m in desk.got()] == ["2"]
    desk.repeats("D", [(11, "a")], 2)
    assert desk.app.orders == ["a", "b"]
    assert [m[7] for m in desk.got()] == ["4"]
    desk.repeats("D", [(11, "c")], 4)
    assert desk.app.orders == ["a", "b", "c", "d"]


@both
def test_a_long_gap_is_asked_for_in_chunks_where_the_venue_wants_it(role: Role) -> None:
    desk = Desk(role, resend_chunk=3)
    desk.log_on()
    desk.order("last", 9)
    asked: list[tuple[str, str]] = []
    for seq in range(2, 9):
        asked += [(m[7], m[16]) for m in desk.got()]
        desk.repeats("D", [(11, str(seq))], seq)
    assert asked == [("2", "4"), ("5", "7"), ("8", "8")]
    assert desk.app.orders == ["2", "3", "4", "5", "6", "7", "8", "last"]


@both
def test_a_request_that_was_lost_is_made_again(role: Role) -> None:
    desk = Desk(role, heartbeat=0)
    desk.log_on(0)
    desk.order("d", 5)
    assert desk.kinds() == ["2"]
    desk.wait(PATIENCE - 1)
    assert desk.kinds() == []
    desk.wait(1.5)
    assert desk.kinds() == ["2"]


@both
def test_a_slow_resend_that_makes_progress_is_not_asked_for_again(role: Role) -> None:
    desk = Desk(role, heartbeat=0)
    desk.log_on(0)
    desk.order("d", 7)
    desk.got()
    for seq in range(2, 6):
        desk.wait(PATIENCE * 0.8)
        desk.repeats("D", [(11, "x")], seq)
    assert desk.got() == []


@both
def test_a_peer_that_does_not_resend_loses_the_gap_but_not_what_waits_behind_it(
    role: Role,
) -> None:
    desk = Desk(role, heartbeat=0)
    desk.log_on(0)
    desk.order("d", 5)
    desk.wait(PATIENCE * (TRIES + 1))
    assert desk.app.orders == ["d"]
    assert desk.kinds() == ["2"] * TRIES
    assert desk.app.codes == ["no_resend", "gap_filled_over"]
    assert desk.app.alarms[1].detail["first"] == 2
    assert desk.app.alarms[1].detail["last"] == 4
    assert desk.store.next_in == 6


@both
def test_a_peer_without_resend_requests_is_never_asked(role: Role) -> None:
    desk = Desk(role)
    desk.app.asks = False
    desk.log_on()
    desk.order("d", 5)
    assert desk.got() == []
    assert desk.app.orders == ["d"]
    assert desk.app.codes == ["gap_filled_over"]
    desk.order("e")
    assert desk.app.orders == ["d", "e"]


@both
def test_a_gap_fill_over_numbers_that_were_not_seen_is_told(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.order("d", 9)
    desk.repeats("D", [(11, "a")], 2)
    desk.repeats("4", [*Y, (36, 9)], 3)
    assert desk.app.orders == ["a", "d"]
    assert desk.app.codes == ["gap_filled_over"]
    detail = desk.app.alarms[0].detail
    assert (detail["first"], detail["last"], detail["unseen"]) == (3, 8, 6)


@both
def test_what_came_early_is_delivered_even_where_the_peer_fills_over_it(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.order("fill", 4)
    desk.says("0", seq=5)
    desk.repeats("4", [*Y, (36, 7)], 2)
    assert desk.app.orders == ["fill"]
    assert desk.store.next_in == 7
    assert desk.app.alarms[0].detail["unseen"] == 3  # 2, 3 and 6


@both
def test_a_gap_fill_that_is_early_waits_like_any_other(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.says("4", [*Y, (36, 20)], 10)
    assert [m[7] for m in desk.got()] == ["2"]
    desk.repeats("4", [*Y, (36, 10)], 2)
    assert desk.store.next_in == 20


@both
def test_a_gap_fill_that_was_seen_is_ignored_when_it_says_so_and_cut_when_not(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.repeats("4", [*Y, (36, 20)], 1)
    assert desk.store.next_in == 2
    desk.says("4", [*Y, (36, 20)], 1)
    (logout,) = desk.got()
    assert logout[58] == "MsgSeqNum too low, expecting 2 but received 1"


@both
def test_a_sequence_reset_counts_whatever_its_own_number_is(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.says("4", [(36, 25)], 900)
    assert desk.store.next_in == 25
    assert desk.app.codes == ["gap_filled_over"]
    desk.says("4", [(36, 25), (123, "N")], 1)
    assert desk.store.next_in == 25
    assert desk.got() == []
    desk.says("4", [(36, 24)], 25)
    (reject,) = desk.got()
    assert (reject.type, reject[45], reject[373]) == ("3", "25", "5")
    assert desk.store.next_in == 25


@both
def test_a_repeat_of_what_was_seen_is_not_delivered_again_but_counted(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.order("a")
    desk.repeats("D", [(11, "a")], 2)
    assert desk.app.orders == ["a"]
    assert desk.session.facts.possdup == 1
    assert desk.got() == []


def test_a_repeat_without_its_first_time_is_rejected_by_the_strict_and_else_ignored() -> None:
    for role, answer in (("acceptor", ["3"]), ("initiator", [])):
        desk = Desk(role)
        desk.log_on()
        desk.order("a")
        desk.says("D", [(11, "a")], 2, header=[(43, "Y")])
        assert desk.kinds() == answer
        assert desk.app.orders == ["a"]
        assert desk.session.state == "up"


def test_a_repeat_first_sent_after_it_was_sent_ends_an_acceptors_session() -> None:
    for role, answer in (("acceptor", ["3", "5"]), ("initiator", [])):
        desk = Desk(role)
        desk.log_on()
        desk.order("a")
        desk.says("D", [(11, "a")], 2, header=[(43, "Y"), (122, "20260105-12:00:10")])
        assert desk.kinds() == answer
        assert desk.app.orders == ["a"]


@both
def test_a_possible_resend_is_the_applications_business(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.order("a")
    desk.order("a", header=[(97, "Y")])
    assert [m.get(97) for m in desk.app.heard] == [None, "Y"]


@both
def test_a_number_too_low_without_a_mark_ends_the_session(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.order("a")
    desk.order("b", 2)
    (logout,) = desk.got()
    assert logout[58] == "MsgSeqNum too low, expecting 3 but received 2"
    assert desk.wire.closed
    assert desk.app.codes == ["seq_too_low"]
    assert desk.app.orders == ["a"]


@both
def test_an_operator_may_hear_again_what_was_seen(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.order("a")
    desk.session.request_resend(2, 2)
    assert [(m[7], m[16]) for m in desk.got()] == [("2", "2")]
    desk.repeats("D", [(11, "a")], 2)
    assert desk.app.orders == ["a", "a"]
    assert desk.store.next_in == 3


@both
def test_an_operator_may_set_both_numbers(role: Role) -> None:
    desk = Desk(role)
    desk.session.set_in(7)
    desk.session.set_out(9)
    desk.log_on(seq=7)
    desk.session.send("D", [(11, "x")])
    assert desk.got()[-1][34] == "10"


# -- what the peer misses from us


@both
def test_admin_messages_become_one_gap_fill_and_orders_go_again_as_they_were(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    for name in ("a", "b"):
        desk.session.send("D", [(11, name), (453, [[(448, "X"), (802, [[(523, "Y")]])]])])
    for _ in range(2):
        desk.says("1", [(112, "HI")])
    desk.session.send("D", [(11, "c")])
    first = desk.got()
    desk.clock.move(5)
    desk.says("2", [(7, 1), (16, 0)])
    written = desk.got()
    assert [(m.type, m[34], m.get(36)) for m in written] == [
        ("4", "1", "2"),
        ("D", "2", None),
        ("D", "3", None),
        ("4", "4", "6"),
        ("D", "6", None),
    ]
    repeats, firsts = [written[n] for n in (1, 2, 4)], [first[n] for n in (0, 1, 4)]
    for again, before in zip(repeats, firsts, strict=True):
        assert (again[43], again[122]) == ("Y", before[52])
        assert again[52] > before[52]
        assert body_of(again.raw) == body_of(before.raw)
    assert all(m[43] == "Y" and m[123] == "Y" for m in written if m.type == "4")
    assert desk.store.next_out == 7


def body_of(raw: bytes) -> bytes:
    """What stands between the header and the trailer."""
    return raw[raw.index(b"\x0111=") : raw.rindex(b"\x0110=")]


@both
def test_a_range_beyond_what_was_sent_ends_with_what_was_sent(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.session.send("D", [(11, "a")])
    desk.got()
    desk.says("2", [(7, 2), (16, 99)])
    assert [m[34] for m in desk.got()] == ["2"]


@both
def test_numbers_that_we_never_sent_are_not_answered_but_told(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.says("2", [(7, 40), (16, 0)])
    assert desk.got() == []
    assert desk.app.codes == ["seq_ahead"]


@both
def test_a_range_that_ends_before_it_begins_is_rejected(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.says("2", [(7, 4), (16, 2)])
    (reject,) = desk.got()
    assert (reject.type, reject[371], reject[373]) == ("3", "16", "5")


@both
def test_both_sides_may_miss_something_at_the_same_time(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.session.send("D", [(11, "ours")])
    desk.got()
    desk.order("c", 4)
    desk.says("2", [(7, 2), (16, 0)])  # number 5, while 2 and 3 are missing here
    written = desk.got()
    assert [(m.type, m[34]) for m in written[:2]] == [("2", "3"), ("D", "2")]
    desk.repeats("D", [(11, "a")], 2)
    desk.repeats("D", [(11, "b")], 3)
    assert desk.app.orders == ["a", "b", "c"]
    assert desk.store.next_in == 6


@both
def test_an_order_that_is_too_old_is_not_sent_late(role: Role) -> None:
    desk = Desk(role, order_ttl=10.0)
    desk.log_on()
    desk.session.send("D", [(11, "old")])
    desk.session.send("F", [(11, "cancel"), (41, "old")])
    desk.session.send("G", [(11, "change"), (41, "old")])
    desk.clock.move(11)
    desk.session.send("D", [(11, "young")])
    desk.got()
    desk.says("2", [(7, 2), (16, 0)])
    assert [(m.type, m[34], m.get(11), m.get(36)) for m in desk.got()] == [
        ("4", "2", None, "3"),
        ("F", "3", "cancel", None),
        ("4", "4", None, "5"),
        ("D", "5", "young", None),
    ]
    assert desk.app.codes == ["stale_order", "stale_order"]
    assert [a.detail["client_order_id"] for a in desk.app.alarms] == ["old", "change"]


@both
def test_what_the_application_does_not_repeat_becomes_a_gap_fill(role: Role) -> None:
    desk = Desk(role)
    desk.app.keeps_back = {"D"}
    desk.log_on()
    desk.session.send("D", [(11, "a")])
    desk.session.send("F", [(11, "b")])
    desk.got()
    desk.says("2", [(7, 2), (16, 0)])
    assert [(m.type, m.get(36)) for m in desk.got()] == [("4", "3"), ("F", None)]


@both
def test_a_long_resend_leaves_room_for_heartbeats_test_requests_and_new_orders(
    role: Role,
) -> None:
    desk = Desk(role)
    desk.log_on()
    total = BURST * 2 + 10
    for n in range(total):
        desk.session.send("F", [(11, str(n))])
    desk.got()
    desk.says("2", [(7, 1), (16, 0)])
    assert len(desk.got()) == BURST + 1  # and the gap fill over the logon
    assert desk.session.facts.resending == BURST + 10
    desk.says("1", [(112, "THERE?")])
    desk.session.send("D", [(11, "new")])
    assert desk.kinds() == ["0", "D"]
    desk.session.tick()
    desk.session.tick()
    assert [m[34] for m in desk.got()] == [str(n) for n in range(BURST + 2, total + 2)]
    assert desk.session.facts.resending == 0


@both
def test_the_session_asks_to_be_woken_for_the_rest_of_a_resend(role: Role) -> None:
    desk = Desk(role)
    woken: list[int] = []
    desk.session.wake = lambda: woken.append(1)
    desk.log_on()
    for n in range(BURST + 1):
        desk.session.send("F", [(11, str(n))])
    desk.says("2", [(7, 2), (16, 0)])
    assert woken == [1]
    desk.session.tick()
    assert woken == [1]


@both
def test_a_resend_keeps_to_the_rate_that_the_venue_allows(role: Role) -> None:
    desk = Desk(role, throttle=20.0)
    desk.log_on()
    for n in range(60):
        desk.session.send("F", [(11, str(n))])
    desk.got()
    desk.says("2", [(7, 2), (16, 0)])
    for _ in range(20):
        desk.wait(0.1, 0.1)
        assert len(desk.wire.written) <= 45
    desk.wait(2.0, 0.1)
    assert len(desk.got()) == 60


@both
def test_the_same_request_again_during_a_resend_does_not_begin_it_anew(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    for n in range(BURST + 10):
        desk.session.send("F", [(11, str(n))])
    desk.got()
    desk.says("2", [(7, 2), (16, 0)])
    desk.says("2", [(7, BURST + 5), (16, 0)])
    desk.session.tick()
    assert [m[34] for m in desk.got()] == [str(n) for n in range(2, BURST + 12)]


@both
def test_the_last_number_seen_is_told_where_it_is_wanted(role: Role) -> None:
    desk = Desk(role, last_processed=True)
    desk.log_on()
    desk.order("a")
    desk.session.send("F", [(11, "b")])
    desk.says("2", [(7, 1), (16, 0)])
    assert [(m.type, m[369]) for m in desk.got()] == [("F", "2"), ("4", "3"), ("F", "3")]


@pytest.mark.parametrize(
    ("kind", "body", "missing"),
    [("2", [(7, 1)], "16"), ("2", [(16, 0)], "7"), ("4", [(123, "Y")], "36")],
)
@both
def test_a_request_or_a_gap_fill_that_lacks_a_number_is_rejected(
    role: Role, kind: str, body: list[tuple[int, str | int]], missing: str
) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.says(kind, body)
    (reject,) = desk.got()
    assert (reject.type, reject[371], reject[373]) == ("3", missing, "1")
    assert desk.session.state == "up"


@both
def test_a_second_logon_or_a_request_that_comes_early_takes_only_its_number(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.says("A", [(98, "0"), (108, 30)], 3)
    desk.says("2", [(7, 1), (16, 0)], 5)
    assert [m[7] for m in desk.got() if m.type == "2"] == ["2"]
    desk.repeats("D", [(11, "a")], 2)
    assert desk.store.next_in == 4
    desk.repeats("D", [(11, "b")], 4)
    assert desk.store.next_in == 6
    desk.repeats("A", [(98, "0"), (108, 30)], 1)
    assert desk.session.state == "up"


@both
def test_a_request_in_the_old_words_means_all(role: Role) -> None:
    desk = Desk(role, begin_string="FIX.4.1")
    desk.log_on()
    desk.session.send("F", [(11, "a")])
    desk.got()
    desk.says("2", [(7, 2), (16, 999_999)])
    assert desk.kinds() == ["F"]


# -- what is kept, and when


class Full(MemoryStore):
    """A store whose disk is full when the test says so."""

    full = False

    def sent(self, seq: int, raw: bytes, ts: int, copy: bool = False) -> int:
        if self.full:
            raise StoreError("no space left")
        return super().sent(seq, raw, ts, copy)

    def received(self, seq: int, raw: bytes, ts: int, advance: bool) -> int:
        if self.full:
            raise StoreError("no space left")
        return super().received(seq, raw, ts, advance)


@both
def test_what_cannot_be_kept_is_not_written(role: Role) -> None:
    store = Full()
    desk = Desk(role, kept=store)
    desk.log_on()
    store.full = True
    with pytest.raises(StoreError):
        desk.session.send("D", [(11, "x")])
    assert desk.got() == []
    assert desk.store.next_out == 2


@both
def test_what_was_heard_and_cannot_be_kept_is_not_counted_and_cuts_the_connection(
    role: Role,
) -> None:
    store = Full()
    desk = Desk(role, kept=store)
    desk.log_on()
    store.full = True
    desk.order("a")
    assert desk.wire.closed
    assert desk.app.codes == ["store"]
    assert desk.store.next_in == 2
    assert desk.app.recorded == []


@both
def test_an_application_that_fails_hears_the_message_again(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.app.raises = RuntimeError("books are closed")
    desk.order("a")
    assert desk.wire.closed
    assert desk.app.codes == ["application"]
    assert desk.store.next_in == 2
    desk.app.raises = None
    desk.log_on(seq=3)
    desk.repeats("D", [(11, "a")], 2)
    assert desk.app.orders == ["a", "a"]
    assert desk.store.next_in == 4


@both
def test_a_message_is_recorded_after_it_was_heard_and_at_the_position_told(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.order("a")
    ((message, position),) = desk.app.recorded
    kept = next(r for r in desk.store.records() if r.position == position)
    assert (kept.kind, kept.seq, kept.raw) == ("in", 2, message.raw)


@pytest.mark.parametrize("logon", [1, 5])
@both
def test_a_reset_in_the_middle_of_a_message_does_not_count_it_among_the_new_numbers(
    role: Role, logon: int
) -> None:
    desk = Desk(role)
    desk.log_on(seq=logon)
    desk.app.on_message = lambda session, _: session.reset()
    desk.repeats("D", [(11, "a")], 2 if logon == 1 else 1)
    assert desk.store.next_in == 1
    desk.says("A", [(98, "0"), (108, 30), (141, "Y")], 1)
    assert desk.store.next_in == 2


@both
def test_a_peer_that_asks_for_the_same_again_and_again_is_told_of(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.session.send("F", [(11, "a")])
    for _ in range(12):
        desk.says("2", [(7, 2), (16, 0)])
    assert desk.kinds().count("F") == 13
    assert desk.app.codes == ["resend_loop", "resend_loop"]


@given(st.permutations(range(2, 10)), st.sampled_from(ROLES))
def test_whatever_the_order_of_arrival_everything_is_heard_in_its_order(
    arrival: list[int], role: Role
) -> None:
    desk = Desk(role)
    desk.log_on()
    for seq in arrival:
        desk.order(str(seq), seq)
    assert desk.app.orders == [str(seq) for seq in range(2, 10)]
    assert desk.store.next_in == 10


@given(st.lists(st.sampled_from("DF01"), max_size=12), st.integers(1, 14), st.integers(0, 14))
def test_every_number_of_a_range_is_answered_exactly_once(
    sent: list[str], begin: int, end: int
) -> None:
    desk = Desk("acceptor", order_ttl=None)
    desk.log_on()
    for kind in sent:
        if kind in "DF":
            desk.session.send(kind, [(11, "x")])
        else:
            desk.says("1", [(112, kind)])
    last = desk.store.next_out - 1
    desk.got()
    desk.says("2", [(7, begin), (16, end)])
    covered: list[int] = []
    for message in desk.got():
        if message.type in ("3", "A"):
            continue
        stop = int(message[36]) if message.type == "4" else message.seq + 1
        covered += range(message.seq, stop)
    stop = last if end == 0 else min(end, last)
    proper = begin <= last and (end == 0 or end >= begin)
    assert covered == (list(range(begin, stop + 1)) if proper else [])


def test_times_are_kept_in_ns() -> None:
    desk = Desk()
    desk.log_on()
    desk.order("a")
    assert {record.ts for record in desk.store.records()} == {NOON}
    assert desk.session.facts.last_in_ns == NOON
    assert SECOND == 10**9
