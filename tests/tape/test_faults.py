"""What the tape does when it is hurt: the quick cases of `onetape bench faults`, one test each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import bench_faults
import fault_cases


def held(found: dict[str, Any]) -> bool:
    """Tell whether a case held, and show it when it did not."""
    assert found["verdict"] == "held", found
    return found["lost"] == found["duplicated"] == found["skipped"] == 0


def test_events_sent_twice_or_eightfold_at_once_are_recorded_once(
    database: str, tmp_path: Path
) -> None:
    found = fault_cases.duplicate_delivery(database, tmp_path)
    assert held(found)
    assert found["acked"] == 720


def test_processes_on_one_stream_leave_versions_without_gap_each_its_winners(
    database: str, tmp_path: Path
) -> None:
    found = fault_cases.one_stream(database, tmp_path, writers=3, goal=40)
    assert held(found)
    assert found["acked"] == found["present"] >= 40


def test_recorded_time_rises_while_the_clock_is_set_back_one_hour(
    database: str, tmp_path: Path
) -> None:
    assert held(fault_cases.clock_set_back(database, tmp_path))


@pytest.mark.parametrize(
    "harm",
    [fault_cases.superuser_update, fault_cases.superuser_header, fault_cases.superuser_delete],
)
def test_what_a_superuser_did_with_triggers_disabled_is_named_with_batch_and_event(
    harm: Any, database: str, tmp_path: Path
) -> None:
    found = harm(database, tmp_path)
    assert held(found)
    assert found["named"]


def test_a_renamed_account_is_noticed(database: str, tmp_path: Path) -> None:
    assert held(fault_cases.renamed(database, tmp_path))


def test_a_tail_rewritten_consistently_is_found_by_the_anchor_and_by_nothing_else(
    database: str, tmp_path: Path
) -> None:
    assert held(fault_cases.rewritten_tail(database, tmp_path))


def test_sessions_cut_in_mid_append_lose_and_double_nothing(database: str, tmp_path: Path) -> None:
    found = fault_cases.connection_cut(database, tmp_path, cuts_made=3)
    assert held(found)
    assert found["refused"] > 0


def test_idle_transactions_held_open_elsewhere_hide_nothing_from_a_reader(
    database: str, tmp_path: Path
) -> None:
    assert held(fault_cases.idle_transaction(database, tmp_path))


def test_events_that_cannot_be_read_or_folded_are_parked_and_the_projection_goes_on(
    database: str, tmp_path: Path
) -> None:
    assert held(fault_cases.poison(database, tmp_path))


def test_a_commit_refused_at_the_last_moment_leaves_no_name_behind(
    database: str, tmp_path: Path
) -> None:
    assert held(fault_cases.named_in_doubt(database, tmp_path))


def test_an_untouched_tape_verifies_while_another_process_writes_to_it(
    database: str, tmp_path: Path
) -> None:
    assert held(fault_cases.verified_while_written(database, tmp_path))


@pytest.mark.slow
def test_a_projector_killed_again_and_again_books_every_event_once(
    database: str, tmp_path: Path
) -> None:
    assert held(fault_cases.projector_killed(database, tmp_path, times=2))


def test_every_quick_case_is_part_of_the_suite() -> None:
    assert set(bench_faults.QUICK) >= {"duplicate delivery", "poison event", "commit refused"}
    assert not set(bench_faults.QUICK) & set(bench_faults.HEAVY)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(bench_faults.HEAVY))
def test_the_heavy_cases_hold(name: str, place: Path) -> None:
    place.chmod(0o755)
    found = bench_faults.HEAVY[name](place)
    if found["verdict"].startswith(bench_faults.NOT_RUN):
        pytest.skip(found["verdict"])
    assert held(found)
