"""Heartbeats, test requests and silence, on a clock that the test moves."""

from __future__ import annotations

import pytest

from .room import ROLES, Desk, Role

both = pytest.mark.parametrize("role", ROLES)


@both
def test_a_heartbeat_leaves_after_the_interval_of_our_own_silence(role: Role) -> None:
    desk = Desk(role)
    desk.log_on(10)
    desk.wait(9.5)
    assert desk.kinds() == []
    desk.wait(0.5)
    assert desk.kinds() == ["0"]
    desk.says("0")
    desk.wait(5)
    desk.session.send("D", [(11, "x")])
    desk.got()
    desk.wait(6)
    assert "0" not in desk.kinds()


@both
def test_a_silent_peer_is_asked_and_then_cut_off(role: Role) -> None:
    desk = Desk(role)
    desk.log_on(10)
    desk.wait(13)
    assert desk.kinds() == ["0", "1"]
    desk.wait(10.5)
    assert not desk.wire.closed
    desk.wait(1)
    assert desk.wire.closed
    assert desk.app.codes == ["no_heartbeat"]
    assert desk.session.state == "down"
    assert len(desk.app.downs) == 1


@both
def test_anything_that_arrives_is_a_sign_of_life(role: Role) -> None:
    desk = Desk(role)
    desk.log_on(10)
    for n in range(20):
        desk.wait(11)
        desk.order(str(n))
    assert "1" not in desk.kinds()
    assert not desk.wire.closed


@both
def test_a_test_request_is_answered_with_its_name(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.says("1", [(112, "HELLO")])
    (beat,) = desk.got()
    assert (beat.type, beat[112]) == ("0", "HELLO")


@both
def test_a_test_request_of_ours_measures_the_way_there_and_back(role: Role) -> None:
    desk = Desk(role)
    desk.log_on()
    desk.session.test_request()
    (asked,) = desk.got()
    desk.clock.move(0.25)
    desk.says("0", [(112, "another")])
    assert desk.session.facts.heartbeat_rtt_ns is None
    desk.says("0", [(112, asked[112])])
    assert desk.session.facts.heartbeat_rtt_ns == 250_000_000


@both
def test_an_interval_of_zero_means_no_heartbeats_and_no_cut(role: Role) -> None:
    desk = Desk(role, heartbeat=0)
    desk.log_on(0)
    desk.wait(500, 5)
    assert desk.got() == []
    assert not desk.wire.closed


def test_an_initiator_beats_as_often_as_the_venue_wants_when_that_is_more_often() -> None:
    for ours, theirs, beats in ((30, 10, 10.0), (10, 30, 10.0)):
        desk = Desk("initiator", heartbeat=ours)
        desk.log_on(theirs)
        assert desk.session.heartbeat == beats


@both
def test_garbage_is_no_sign_of_life(role: Role) -> None:
    desk = Desk(role)
    desk.log_on(10)
    for _ in range(50):
        desk.wait(0.5)
        desk.session.received(b"8=FIX.4.4\x01junk")
    assert desk.wire.closed


@both
def test_a_tick_without_a_connection_does_nothing(role: Role) -> None:
    desk = Desk(role)
    desk.session.tick()
    desk.log_on()
    desk.cut()
    desk.wait(100, 10)
    desk.session.received(desk.raw("0", (), 2))
    assert desk.got() == []
    assert desk.store.next_in == 2
    assert desk.app.downs == ["the line was cut"]


@both
def test_what_the_session_knows_of_itself_can_be_told_as_json(role: Role) -> None:
    import json

    desk = Desk(role)
    desk.log_on()
    desk.says("3", [(45, 1), (372, "D"), (373, 5)])
    told = json.loads(json.dumps(desk.session.facts.as_dict()))
    assert told["messages_in"] == 2
    assert told["rejects"] == {"got 3 D 5": 1}
    assert told["alarms"] == {"session_reject": 1}
