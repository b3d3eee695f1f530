"""The gate of a run: every answer on the tape, counted before it leaves, held to its terms."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

import onetape as ot
from onetape.risk.intent import Intent, Reference
from onetape.risk.limitbook import book, dumps, to_json
from onetape.risk.rungs import Ladder, rung
from onetape.risk.state import InstrumentTerms, State
from onetape.run.approval import Who, terms_of
from onetape.run.gate import Gate
from onetape.tape import kinds, kinds_live

from .busy import Busy, data
from .hand import flat, quotes, scripted

D = Decimal
NAME = "AAA.XNAS"


class Still:
    """A market that does not move."""

    def reference(self, instrument: str) -> Reference | None:
        return Reference(D(100), "mid", 0, D(99), D(101))

    def rate(self, currency: str) -> Decimal | None:
        return D(1)


class Notes(list[Any]):
    """What a gate records, with the causes; the gate is told of each fact as a recorder would."""

    gate: Gate

    def __call__(self, fact: Any, cause: int | None) -> int:
        self.append((fact, cause))
        self.gate.take(fact, self.gate.now)
        return len(self)


def gate(**limits: Any) -> tuple[Gate, Notes]:
    notes, allowed = Notes(), ot.limits(**limits)
    state = State("USD", allowed, account="A1")
    state.know(InstrumentTerms(NAME, D("0.01"), "USD"))
    notes.gate = Gate(allowed, state, Still(), notes, Who("A1"))
    return notes.gate, notes


def intent(name: str, size: int = 1, **more: Any) -> Intent:
    terms: dict[str, Any] = {"kind": "submit", "side": "BUY", "type": "MARKET", "ts": 1, **more}
    return Intent(
        client_order_id=name,
        account="A1",
        strategy="S",
        instrument=NAME,
        venue="XNAS",
        quantity=D(size),
        **terms,
    )


def test_each_answer_is_recorded_with_its_cause_allowed_or_not():
    at, notes = gate(max_position=5)
    at.judge([intent("O1", 4)], 7)
    at.judge([intent("O2", 2)], 8)
    (first, cause), (second, after) = notes
    assert (first.verdict, cause) == ("allow", 7)
    assert (second.verdict, second.code, after) == ("deny", "MAX_LONG", 8)
    assert (second.observed, second.threshold, second.limit) == (6, 5, "firm max_position")
    assert (first.observed, first.threshold) == (4, 5)
    assert first.limits_version == at.limits.version
    assert (first.reference, first.reference_source) == (100, "mid")
    assert first.gate_version


def test_what_is_allowed_counts_before_it_leaves_and_until_it_has_ended():
    at, _ = gate(max_position=5)
    assert at.judge([intent("O1", 4)])[0].allowed
    assert not at.judge([intent("O2", 4)])[0].allowed
    at.take(kinds.OrderRejected("O1", NAME, "S", "no"), 2)
    assert at.judge([intent("O3", 4)])[0].allowed
    at.dropped("O3")
    assert at.judge([intent("O4", 5)])[0].allowed


def test_a_list_leaves_as_a_whole_or_not_at_all():
    at, notes = gate(max_position=5)
    answers = at.judge([intent("O1", 3), intent("O2", 3)])
    assert [a.allowed for a in answers] == [False, False]
    assert [fact.verdict for fact, _ in notes] == ["deny", "deny"]
    assert not at.knows("O1")
    assert at.judge([intent("O3", 3), intent("O4", 2)])[1].allowed


def test_an_approval_is_for_just_these_terms():
    at, _ = gate(max_position=5)
    asked = intent("O1", 3, type="LIMIT", price=D(90))
    at.judge([asked])
    assert at.approved("O1", terms_of(asked))
    for other in ({"quantity": D(4)}, {"price": D(91)}, {"type": "MARKET"}, {"side": "SELL"}):
        assert not at.approved("O1", terms_of(msgspec.structs.replace(asked, **other)))
    assert not at.approved("O2", terms_of(asked))
    changed = msgspec.structs.replace(asked, kind="modify", quantity=D(4))
    assert at.judge([changed])[0].allowed
    assert at.approved("O1", terms_of(changed))


def test_what_was_allowed_may_not_leave_once_the_trading_state_forbids_it():
    at, _ = gate(max_position=5)
    asked = intent("O1", 3)
    at.judge([asked])
    at.take(kinds_live.RiskMoved("firm", "HALTED", "why", "somebody"), 2)
    assert at.held_back("O1") == "STATE_HALTED"
    assert not at.approved("O1", terms_of(asked))
    assert at.judge([msgspec.structs.replace(asked, kind="cancel")])[0].allowed


@pytest.mark.parametrize(("side", "code"), [("BUY", "WOULD_INCREASE"), ("SELL", "")])
def test_in_reducing_only_what_reduces_may_leave(side, code):
    at, _ = gate(max_position=5)
    at.judge([intent("O0", 3)])
    filled = kinds.OrderFilled(
        "O0", NAME, "S", "A1", "V", "T", "BUY", D(3), D(100), "USD", D(0), "USD", "TAKER"
    )
    at.take(filled, 2)
    assert not at.knows("O0")
    at.judge([intent("O1", 2, side=side)])
    at.take(kinds_live.RiskMoved("account:A1", "REDUCING", "why", "somebody"), 3)
    assert at.held_back("O1") == code


def test_new_limits_are_in_force_from_their_event_on():
    at, notes = gate(max_position=5)
    tighter = book([("firm", "max_position", 1)], "allow")
    at.take(kinds_live.LimitsSet(tighter.version, to_json(tighter), "", "r", "s", "why"), 2)
    assert not at.judge([intent("O1", 2)])[0].allowed
    assert notes[-1][0].limits_version == tighter.version


def test_a_kill_and_its_end():
    at, _ = gate(max_position=5)
    at.take(kinds_live.KillMoved("K1", "account:A1", "CANCELLING", "w", "why"), 2)
    assert not at.judge([intent("O1")])[0].allowed
    at.take(kinds_live.KillMoved("K1", "account:A1", "ARMED", "w", "why", second="s"), 3)
    assert at.judge([intent("O2")])[0].allowed


# -- in a backtest


def test_every_decision_of_a_run_is_between_what_was_wanted_and_what_happened():
    run = ot.backtest(
        scripted({0: lambda s: s.buy(2), 1: lambda s: s.buy(9)}),
        flat([100] * 4),
        limits=ot.limits(max_order_quantity=5),
    )
    allowed, denied = run.recording.of_kind("risk.decided")
    for event in (allowed, denied):
        assert run.recording.seq(event.cause).kind == "decision.made"
    (order,) = run.recording.of_kind("order.initialized")
    assert order.seq > allowed.seq
    assert order.cause == allowed.cause
    assert (allowed.fact.verdict, denied.fact.verdict) == ("allow", "deny")


def test_the_result_shows_what_would_have_been_denied():
    plan = {1: lambda s: s.buy(9, limit=90), 2: lambda s: s.sell(2)}
    run = ot.backtest(
        scripted(plan), flat([100] * 4), limits=ot.limits(max_order_quantity=5, max_short=1)
    )
    first, second = run.denied.iter_rows(named=True)
    assert (first["side"], first["quantity"], first["price"]) == ("BUY", 9, 90)
    assert (first["code"], first["check"], first["limit"]) == (
        "MAX_VOLUME",
        "R09",
        "firm max_order_quantity",
    )
    assert (second["code"], second["observed"], second["threshold"]) == ("MAX_SHORT", 2, 1)
    assert run.recording.seq(first["seq"]).fact.verdict == "deny"
    assert ot.backtest(scripted({}), flat([100] * 3)).denied.height == 0


@pytest.mark.parametrize("kind", ["bars", "two bars", "quotes", "mixed"])
def test_a_run_with_limits_is_the_same_twice_in_any_chunks_and_again(kind):
    given: dict[str, Any] = {
        "fill": None if kind == "quotes" else "next_open",
        "limits": ot.limits(
            max_position=4, max_order_notional=400, daily_loss_soft=30, max_gross=900
        ),
    }
    whole = ot.backtest(Busy, data(kind), **given)
    assert whole.denied.height
    assert ot.backtest(Busy, data(kind), **given).recording.raws == whole.recording.raws
    for chunk in (1, 3):
        assert ot.backtest(Busy, data(kind), chunk=chunk, **given) == whole
    assert ot.rerun(whole).identical


def test_a_limits_file_may_be_tried_on_history(tmp_path):
    path = tmp_path / "limits.toml"
    path.write_text(dumps(book([("instrument:AAA.XNAS", "max_order_quantity", 1)], "allow", "v7")))
    run = ot.backtest(scripted({0: lambda s: s.buy(2)}), flat([100] * 3), limits=path)
    (row,) = run.denied.iter_rows(named=True)
    assert row["limit"] == "instrument:AAA.XNAS max_order_quantity"
    (decided,) = run.recording.of_kind("risk.decided")
    assert decided.fact.limits_version == "v7"
    again = ot.rerun(run)
    assert again.identical, repr(again)


def test_limits_that_deny_what_is_absent_do_so_in_a_backtest_too():
    strict = book([("firm", "max_order_quantity", 5)], "deny")
    run = ot.backtest(scripted({0: lambda s: s.buy(1)}), flat([100] * 3), limits=strict)
    assert run.denied["code"].to_list() == ["NO_LIMIT"]


def test_an_order_that_waits_for_its_open_counts_and_is_let_go_of_when_dropped():
    plan = {
        1: lambda s: s.buy(5),
        2: lambda s: (s.buy(1), s.cancel(), s.sell(5), s.cancel(), s.sell(5)),
    }
    run = ot.backtest(scripted(plan), flat([100] * 6), limits=ot.limits(max_position=5))
    assert run.denied["side"].to_list() == ["BUY"]
    assert [r["side"] for r in run.fills.iter_rows(named=True)] == ["BUY", "SELL"]


def test_an_order_that_waits_for_its_open_stays_when_trading_was_halted_meanwhile():
    """Decided at a bar's close, halted by what the other share does before the next open."""
    ladder = Ladder((rung("drawdown 300: halt"),), hold=1)
    other = quotes([(n * 60, 100 - 10 * n, 101 - 10 * n) for n in range(9)], "BBB.XNAS")
    plan = {0: lambda s: s.buy(10, instrument="BBB.XNAS"), 1: lambda s: s.buy(1, instrument=NAME)}
    bars = flat([100, 100], NAME)
    free = ot.backtest(scripted(plan), [other, bars])
    held = ot.backtest(scripted(plan), [other, bars], ladder=ladder)
    assert NAME in free.fills["instrument"].to_list()
    assert NAME not in held.fills["instrument"].to_list()
    decided = [e.fact for e in held.recording.of_kind("risk.decided") if e.fact.instrument == NAME]
    assert [(fact.verdict, fact.code) for fact in decided] == [
        ("allow", ""),
        ("deny", "STATE_HALTED"),
    ]


def test_a_tape_with_refusals_of_an_earlier_version_is_still_shown():
    from pathlib import Path

    run = ot.Run.load(Path(__file__).parents[1] / "golden" / "01.tape")
    (row,) = run.denied.iter_rows(named=True)
    assert (row["limit"], row["observed"], row["threshold"]) == ("max_order_quantity", 500, 100)
    assert any("refused by limits" in line for line in run.warnings)


def test_the_recipe_of_an_earlier_version_gives_its_limits_back():
    from onetape.run.spec import Recipe

    run = ot.backtest(scripted({}), flat([100] * 3), limits=ot.limits(max_position=3))
    told = msgspec.json.decode(run.opened.recipe)
    old = {"max_order_quantity": "100", "max_order_notional": None, "max_position": None}
    recipe = msgspec.json.decode(msgspec.json.encode({**told, "limits": old}), type=Recipe)
    assert recipe.limits_kept() == ot.limits(max_order_quantity=100)
    assert run.conventions["limits"] == "max_position=3"


def test_runs_without_limits_have_no_gate_and_say_nothing_of_one():
    run = ot.backtest(scripted({0: lambda s: s.buy(1)}), flat([100] * 3))
    assert not [e for e in run.recording if e.kind.startswith("risk.")]
    assert "ladder" not in run.opened.recipe


def test_limits_that_are_none_of_these_are_refused():
    with pytest.raises(ot.errors.SettingsError, match="limits file"):
        ot.backtest(scripted({}), flat([100] * 3), limits=object())
    with pytest.raises(ot.errors.SettingsError, match="no limits can be read"):
        ot.backtest(scripted({}), flat([100] * 3), limits="nowhere.toml")
    with pytest.raises(ot.errors.SettingsError, match="MEASURE NUMBER: STEP"):
        ot.backtest(scripted({}), flat([100] * 3), ladder=["loss"])


def test_the_decimal_context_of_the_caller_does_not_matter():
    from decimal import localcontext

    plan = {0: lambda s: s.buy(3), 2: lambda s: s.sell(3)}
    given: dict[str, Any] = {"limits": ot.limits(max_order_notional="310.5"), "fill": "this_close"}
    whole = ot.backtest(scripted(plan), flat([100] * 4), **given)
    with localcontext() as context:
        context.prec = 4
        assert ot.backtest(scripted(plan), flat([100] * 4), **given) == whole
