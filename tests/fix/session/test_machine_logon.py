"""Logging on and out, and beginning anew: both roles, on a clock that the test moves."""

from __future__ import annotations

import pytest

from onetape.errors import VenueError
from onetape_fix.session import NotLoggedOn, Schedule
from onetape_fix.spec import Rules, shipped

from .room import NOON, ROLES, SECOND, Desk, Role

both = pytest.mark.parametrize("role", ROLES)
LOGON = [(98, "0"), (108, 30)]


def test_an_initiator_says_logon_first_and_is_up_when_it_is_answered() -> None:
    desk = Desk("initiator", heartbeat=20)
    desk.connect()
    (logon,) = desk.got()
    assert (logon.type, logon[34], logon[98], logon[108]) == ("A", "1", "0", "20")
    assert (logon[49], logon[56]) == ("US", "THEM")
    assert desk.session.state == "logon"
    desk.says("A", LOGON)
    assert desk.session.state == "up"
    assert desk.app.ups == 1


def test_an_acceptor_hears_a_logon_first_and_answers_with_the_interval_asked_for() -> None:
    desk = Desk("acceptor")
    desk.connect()
    assert desk.got() == []
    desk.says("A", [(98, "0"), (108, 17)])
    (logon,) = desk.got()
    assert (logon.type, logon[34], logon[108]) == ("A", "1", "17")
    assert desk.session.state == "up"


@both
def test_the_fields_of_the_version_and_of_a_session_within_the_firm_are_sent(role: Role) -> None:
    desk = Desk(role, begin_string="FIXT.1.1", default_appl_ver="9", sender_sub="DESK")
    desk.connect()
    desk.says("A", [*LOGON, (1137, "9")])
    (logon,) = desk.got()
    assert (logon[1137], logon[50]) == ("9", "DESK")


def test_a_logon_bears_what_the_application_adds_and_is_signed_for_its_own_time() -> None:
    desk = Desk()
    desk.app.logon_fields = [(553, "me"), (554, "secret")]
    desk.connect()
    (logon,) = desk.got()
    assert (logon[553], logon[554]) == ("me", "secret")
    assert desk.session.logon_at == NOON


@pytest.mark.parametrize(("tag", "value"), [(49, "OTHER"), (56, "OTHER")])
@both
def test_a_logon_of_somebody_else_is_cut_without_a_word(role: Role, tag: int, value: str) -> None:
    desk = Desk(role)
    desk.connect()
    desk.got()
    desk.says("A", LOGON, header=[(tag, value)])
    assert desk.wire.closed
    assert desk.got() == []
    assert desk.app.codes == ["logon_refused"]
    assert desk.app.ups == 0


def test_an_acceptor_cuts_a_logon_whose_time_is_far_off_or_no_time() -> None:
    for sent in (-121, 121):
        desk = Desk("acceptor")
        desk.connect()
        desk.says("A", LOGON, sent=sent)
        assert desk.wire.closed
        assert "SendingTime" in desk.app.alarms[0].text


def test_an_initiator_goes_on_with_a_venue_whose_clock_is_off_and_says_so() -> None:
    desk = Desk("initiator")
    desk.connect()
    desk.says("A", LOGON, sent=-300)
    assert desk.session.state == "up"
    assert desk.app.codes == ["skew"]


@both
def test_a_wrong_version_in_the_first_message_is_cut(role: Role) -> None:
    desk = Desk(role)
    desk.connect()
    desk.got()
    desk.session.received(Desk(role, begin_string="FIX.4.2").raw("A", LOGON, 1))
    assert desk.wire.closed
    assert desk.app.codes == ["logon_refused"]


@both
def test_a_first_message_that_is_no_logon_is_cut(role: Role) -> None:
    desk = Desk(role)
    desk.connect()
    desk.got()
    desk.says("0")
    assert desk.wire.closed
    assert desk.got() == []


def test_an_acceptor_cuts_garbage_where_a_logon_is_expected() -> None:
    desk = Desk("acceptor")
    desk.connect()
    desk.session.received(b"GET / HTTP/1.1\r\n\r\n")
    assert desk.wire.closed


def test_an_acceptor_cuts_a_logon_without_a_heartbeat_interval() -> None:
    desk = Desk("acceptor")
    desk.connect()
    desk.says("A", [(98, "0")])
    assert desk.wire.closed
    assert "HeartBtInt" in desk.app.alarms[0].text


def test_a_logon_that_is_turned_away_is_told_why_and_moves_no_expected_number() -> None:
    desk = Desk("acceptor")
    desk.app.turns_away = "wrong password"
    desk.connect()
    desk.says("A", LOGON)
    (logout,) = desk.got()
    assert (logout.type, logout[58]) == ("5", "wrong password")
    assert desk.wire.closed
    assert desk.store.next_in == 1


def test_a_logon_that_the_venue_turns_away_tells_its_text() -> None:
    desk = Desk("initiator")
    desk.connect()
    desk.says("5", [(58, "account locked")])
    assert desk.wire.closed
    assert desk.app.alarms[-1].code == "logon_refused"
    assert desk.session.facts.last_text == "account locked"
    assert desk.app.downs == []  # it was never up


@both
def test_a_logon_that_does_not_come_is_given_up(role: Role) -> None:
    desk = Desk(role, logon_timeout=10.0)
    desk.connect()
    desk.wait(9.5)
    assert not desk.wire.closed
    desk.wait(1)
    assert desk.wire.closed
    assert desk.app.codes == ["logon_timeout"]


@both
def test_a_second_connection_of_a_live_session_is_closed_and_the_first_goes_on(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    first = desk.wire
    desk.connect()
    assert desk.wire.closed
    desk.session.disconnected("late", desk.wire)
    assert not first.closed
    assert desk.session.state == "up"


@both
def test_a_second_logon_on_a_live_session_is_ignored_and_told(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.says("A", LOGON)
    assert desk.got() == []
    assert desk.app.codes == ["unexpected"]
    assert desk.store.next_in == 3


@both
def test_a_logon_with_a_number_too_high_is_answered_and_the_gap_asked_for(role: Role) -> None:
    desk = Desk(role)
    desk.connect()
    desk.says("A", LOGON, 5)
    logon, request = desk.got()
    assert (logon.type, request.type) == ("A", "2")
    assert (request[7], request[16]) == ("1", "0")
    assert desk.session.state == "up"
    desk.repeats("4", [(123, "Y"), (36, 6)], 1)
    assert desk.store.next_in == 6


@both
def test_a_logon_with_a_number_too_low_is_told_the_expected_one_and_nothing_is_reset(
    role: Role,
) -> None:
    desk = Desk(role)
    desk.store.set_in(47, NOON)
    desk.connect()
    desk.got()
    desk.says("A", LOGON, 12)
    (logout,) = desk.got()
    assert logout[58] == "MsgSeqNum too low, expecting 47 but received 12"
    assert desk.wire.closed
    assert desk.app.codes == ["seq_too_low"]
    assert desk.app.alarms[0].detail == {"expected": 47, "received": 12}
    assert desk.store.next_in == 47


def test_a_venue_that_finds_our_number_too_low_is_not_reset_blindly() -> None:
    desk = Desk("initiator")
    desk.connect()
    desk.says("5", [(58, "MsgSeqNum too low, expecting 50 but received 1")])
    assert desk.app.codes == ["seq_too_low", "logon_refused"]
    assert desk.session.facts.peer_expected == 50
    assert desk.store.next_out == 2


def test_a_reset_by_the_initiator_begins_both_sides_at_one() -> None:
    desk = Desk("acceptor")
    desk.store.set_in(20, NOON)
    desk.store.set_out(30, NOON)
    desk.connect()
    desk.says("A", [*LOGON, (141, "Y")], 1)
    (logon,) = desk.got()
    assert (logon[34], logon[141]) == ("1", "Y")
    assert (desk.store.next_in, desk.store.next_out) == (2, 2)
    assert desk.app.codes == ["reset"]
    assert desk.app.alarms[0].detail == {"by": "peer", "next_in": 20, "next_out": 30}


@pytest.mark.parametrize("answer", [[(141, "Y")], []], ids=["with 141", "without 141"])
def test_our_reset_at_the_logon_is_taken_whether_the_venue_repeats_it_or_not(
    answer: list[tuple[int, str]],
) -> None:
    desk = Desk("initiator", reset_on_logon=True)
    desk.store.set_in(20, NOON)
    desk.store.set_out(30, NOON)
    desk.connect()
    (logon,) = desk.got()
    assert (logon[34], logon[141]) == ("1", "Y")
    desk.says("A", [*LOGON, *answer], 1)
    assert desk.session.state == "up"
    assert (desk.store.next_in, desk.store.next_out) == (2, 2)


def test_a_reset_in_the_answer_that_we_did_not_ask_for_keeps_our_own_number() -> None:
    desk = Desk("initiator")
    desk.store.set_in(20, NOON)
    desk.store.set_out(30, NOON)
    desk.connect()
    desk.says("A", [*LOGON, (141, "Y")], 1)
    assert desk.session.state == "up"
    assert (desk.store.next_in, desk.store.next_out) == (2, 31)
    assert desk.app.codes == ["reset"]


@both
def test_a_reset_by_the_peer_in_the_middle_is_answered(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.order("a")
    desk.says("A", [*LOGON, (141, "Y")], 1)
    (logon,) = desk.got()
    assert (logon[34], logon[141]) == ("1", "Y")
    assert desk.app.codes == ["reset"]
    desk.order("b", 2)
    assert desk.app.orders == ["a", "b"]


@both
def test_our_own_reset_in_the_middle_holds_orders_back_until_it_is_answered(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.order("a")
    desk.session.reset()
    (logon,) = desk.got()
    assert (logon[34], logon[141]) == ("1", "Y")
    assert desk.app.downs == ["the numbers begin anew"]
    with pytest.raises(NotLoggedOn):
        desk.session.send("D", [(11, "x")])
    desk.order("on its way", 3)  # sent before the peer heard of it
    desk.says("A", [*LOGON, (141, "Y")], 1)
    assert desk.session.state == "up"
    assert desk.app.ups == 2
    desk.order("c", 2)
    assert desk.app.orders == ["a", "on its way", "c"]
    assert desk.store.next_in == 3


def test_a_reset_while_the_session_is_down_is_told_to_the_venue_at_the_next_logon() -> None:
    desk = Desk("initiator")
    desk.store.set_out(30, NOON)
    desk.session.reset()
    desk.connect()
    (logon,) = desk.got()
    assert (logon[34], logon[141]) == ("1", "Y")
    desk.says("A", [*LOGON, (141, "Y")])
    desk.cut()
    desk.connect()
    assert 141 not in desk.got()[0]


@both
def test_resets_on_logout_and_on_disconnection_happen_where_they_are_set(role: Role) -> None:
    desk = Desk(role, reset_on_logout=True)
    desk.log_on()
    desk.cut()
    assert desk.store.next_in == 2
    desk.seq = 2
    desk.log_on()
    desk.says("5")
    assert (desk.store.next_in, desk.store.next_out) == (1, 1)
    desk = Desk(role, reset_on_disconnect=True)
    desk.log_on()
    desk.cut()
    assert (desk.store.next_in, desk.store.next_out) == (1, 1)


@both
def test_a_logout_of_the_peer_is_answered_and_ends_the_connection(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.says("5", [(58, "end of day")])
    assert desk.kinds() == ["5"]
    assert desk.wire.closed
    assert desk.app.downs == ["the peer logged out: end of day"]


@both
def test_our_logout_waits_for_the_answer_and_still_hears_what_comes_before_it(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.session.logout("done")
    (logout,) = desk.got()
    assert (logout.type, logout[58]) == ("5", "done")
    desk.order("last fill")
    assert desk.app.orders == ["last fill"]
    desk.says("5")
    assert desk.got() == []
    assert desk.wire.closed


@both
def test_a_logout_that_is_not_answered_ends_the_connection_all_the_same(role: Role) -> None:
    desk = Desk(role, logout_timeout=2.0)
    desk.log_on()
    desk.session.logout()
    desk.wait(3)
    assert desk.wire.closed


@both
def test_what_is_sent_while_the_session_is_not_up_is_refused_and_never_leaves(role: Role) -> None:
    desk = Desk(role)
    with pytest.raises(NotLoggedOn, match="down"):
        desk.session.send("D", [(11, "x")])
    desk.connect()
    with pytest.raises(NotLoggedOn, match="logon"):
        desk.session.send("D", [(11, "x")])
    desk.says("A", LOGON)
    assert "D" not in desk.kinds()
    desk.session.logout()
    with pytest.raises(NotLoggedOn, match="logout"):
        desk.session.send("D", [(11, "x")])


@both
def test_both_numbers_are_agreed_on_at_the_logon_without_a_resend_request(role: Role) -> None:
    desk = Desk(role, next_expected=True)
    desk.log_on(more=[(789, 2 if role == "initiator" else 1)])
    for name in ("a", "b"):
        desk.session.send("D", [(11, name)])
    desk.cut()
    desk.connect()
    desk.says("A", [*LOGON, (789, 3)], 5)  # the peer has not seen b, and has sent 2 to 4
    written = desk.got()
    assert [m.type for m in written if m.type != "4"] == ["A", "D"]
    assert written[0][789] == "2"
    again = next(m for m in written if m.type == "D")
    assert (again[34], again[43], again[11]) == ("3", "Y", "b")
    desk.repeats("4", [(123, "Y"), (36, 6)], 2)
    assert desk.store.next_in == 6


def test_a_peer_that_expects_a_number_which_we_have_not_reached_is_not_logged_on() -> None:
    desk = Desk("acceptor", next_expected=True)
    desk.connect()
    desk.says("A", [*LOGON, (789, 9)])
    (logout,) = desk.got()
    assert logout.type == "5"
    assert desk.app.codes == ["seq_ahead"]


@both
def test_the_number_begins_anew_with_the_venues_day_and_not_before(role: Role) -> None:
    seventeen = 17 * 3600
    schedule = Schedule(zone="America/New_York", start=seventeen, end=seventeen)
    desk = Desk(role, schedule=schedule, heartbeat=0)
    desk.log_on()
    desk.order("a")
    desk.cut()
    desk.clock.move(9 * 3600)  # 16:00 in New York
    desk.log_on(0, seq=3)
    assert desk.store.next_in == 4
    desk.session.tick()
    assert desk.session.state == "up"
    desk.clock.move(2 * 3600)
    desk.session.tick()
    assert desk.kinds() == ["5"]
    desk.says("5")
    desk.log_on(seq=1)
    assert desk.store.next_in == 2
    assert desk.app.codes == ["reset"]
    assert desk.app.alarms[0].detail["by"] == "schedule"


@both
def test_a_connection_outside_of_the_sessions_hours_is_closed(role: Role) -> None:
    schedule = Schedule(start=13 * 3600, end=14 * 3600)
    desk = Desk(role, schedule=schedule, heartbeat=0)
    desk.connect()
    assert desk.wire.closed
    desk.clock.move(3600)
    desk.log_on(0)
    desk.wait(1)
    desk.clock.ns = NOON + 7200 * SECOND
    desk.session.tick()
    assert desk.kinds() == ["5"]


def test_a_logon_that_breaks_the_rules_is_cut_by_an_acceptor_and_taken_by_an_initiator() -> None:
    rules = Rules(shipped("FIX.4.4"))
    desk = Desk("acceptor", rules=rules)
    desk.connect()
    desk.says("A", [*LOGON, (9999, "own")])
    assert desk.wire.closed
    assert desk.app.codes == ["logon_refused"]
    desk = Desk("initiator", rules=rules)
    desk.connect()
    desk.says("A", [*LOGON, (9999, "own")])
    assert desk.session.state == "up"
    assert desk.app.codes == ["lenient"]


def test_an_acceptor_cuts_a_logon_whose_time_is_no_time() -> None:
    desk = Desk("acceptor")
    desk.connect()
    desk.says("A", LOGON, header=[(52, "now")])
    assert desk.wire.closed
    assert "SendingTime" in desk.app.alarms[0].text


@both
def test_a_logout_before_the_logon_is_answered_cuts_the_connection(role: Role) -> None:
    desk = Desk(role)
    desk.connect()
    desk.session.logout()
    assert desk.wire.closed
    assert desk.app.downs == []


@both
def test_a_peer_that_does_not_renew_the_numbers_ends_the_session(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.session.reset()
    with pytest.raises(NotLoggedOn):
        desk.session.reset()
    desk.says("5", [(58, "no resets here")])
    assert desk.wire.closed
    assert desk.session.facts.last_text == "no resets here"


def test_what_a_version_or_a_state_does_not_know_is_refused() -> None:
    desk = Desk(begin_string="FIX.4.0")
    desk.log_on()
    with pytest.raises(VenueError, match="knows no reset"):
        desk.session.reset()
    with pytest.raises(VenueError, match="session's own"):
        desk.session.send("0", [])
    for wrong in (desk.session.set_in, desk.session.set_out):
        with pytest.raises(VenueError, match="1 or more"):
            wrong(0)
    desk.cut()
    with pytest.raises(NotLoggedOn):
        desk.session.request_resend(1)
    desk.session.test_request()
    desk.session.logout()
    assert desk.got() == []
