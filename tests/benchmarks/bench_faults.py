# pyright: standard
"""The fault suite: what the tape lost, doubled, skipped or failed to notice when it was hurt.

    python tests/benchmarks/bench_faults.py [--small] [--only NAME ...]

Real processes, real SIGKILL, real disks; no waiting by the clock: each step waits for what it
needs to see, with a deadline. Servers are the embedded one with the product's own settings.

acked       events that an append acknowledged before, between and after the harm
present     events on the tape at the end; more than acked where a writer died unanswered
lost        acknowledged and not there        duplicated   there more than once
skipped     events of the ledger that a reader did not get, or got out of order
verdict     "held", "FAILED: why", or "not run: why"

Not shown, as it cannot be done here: power loss, torn sectors, failover, network partitions.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import firm
import psutil
from fault_cases import QUICK
from fault_tools import (
    OTHERS,
    Found,
    audited,
    filled,
    notes_of,
    outcome,
    superuser,
    told,
    troubles,
    unlike,
)
from gauges import scratch
from workers import Worker, noted, wait_until

from onetape.errors import TapeUnavailable
from onetape.tape.embedded import serve
from onetape.tape.event import Event
from onetape.tape.postgres import PostgresTape

NOT_RUN = "not run: "
Part = tuple[str, list[Event]]


class Victim:
    """An embedded server that may be killed and started again, on the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.holds = [serve(folder)]

    @property
    def url(self) -> str:
        """The URL, the same after each start."""
        return self.holds[-1].url

    def kill(self) -> None:
        """SIGKILL the postmaster and all its children."""
        main = psutil.Process(self.holds[-1].pid)
        processes = [main, *main.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(processes, timeout=30)

    def start(self) -> float:
        """Start it again; return the seconds until it serves."""
        begun = time.monotonic()
        self.holds.append(serve(self.folder))
        return time.monotonic() - begun

    def stop(self) -> None:
        """Let go of it, so that it ends."""
        for hold in self.holds:
            hold.stop()
        self.holds = self.holds[-1:]

    def __enter__(self) -> Victim:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def server_killed(folder: Path, times: int = 3) -> Found:
    """SIGKILL the server while three processes append batches of 1, 20 and 300."""
    batches, notes = {"ones": 1, "twenties": 20, "hundreds": 300}, folder / "notes"
    notes.mkdir()
    down: list[float] = []
    with Victim(folder / "tape") as victim:
        workers = {n: Worker("write", victim.url, notes, n, b) for n, b in batches.items()}
        try:
            for _ in range(times):
                _more(notes, {"ones": 25, "twenties": 10, "hundreds": 4})
                victim.kill()
                down.append(round(victim.start(), 2))
            _more(notes, {"ones": 25, "twenties": 10, "hundreds": 4})
            said = {name: worker.stop() for name, worker in workers.items()}
        finally:
            for worker in workers.values():
                worker.__exit__(BaseException)
        with PostgresTape(victim.url) as tape:
            found = audited(tape, notes_of(notes, batches))
            found["wrong"] += [unlike(tape, name, batch) for name, batch in batches.items()]
    sums = {n: sum(one[n] for one in said.values()) for n in ("refused", "in_doubt", "repeated")}
    found["wrong"].append(told(not sums["refused"], "no append noticed"))
    did = f"{times} times SIGKILL to the whole server, 3 writers in mid-append"
    return outcome(did, recovery_s=down, **sums, **found)


def _more(folder: Path, wanted: dict[str, int]) -> None:
    """Wait until each worker was told of so many more appends."""
    before = {name: len(noted(folder / name)) for name in wanted}
    for name, more in wanted.items():
        upto = before[name] + more
        wait_until(lambda n=name, u=upto: len(noted(folder / n)) >= u, f"appends of {name}")


def writer_killed(folder: Path, times: int = 6, url: str | None = None) -> Found:
    """SIGKILL a writer process; the next one sends everything again from the start."""
    with contextlib.ExitStack() as stack:
        if url is None:
            url = stack.enter_context(Victim(folder / "tape")).url
        notes = folder / "notes"
        notes.mkdir()
        for number in range(times):
            with Worker("write", url, notes, "writer", 50) as worker:
                seen = len(noted(notes / "writer"))
                upto = seen + 8 * (number + 1)  # the earlier ones are told again first
                wait_until(lambda u=upto: len(noted(notes / "writer")) >= u, "appends")
                _in_mid_append(url)
                worker.kill()
        with PostgresTape(url) as tape:
            found = audited(tape, noted(notes / "writer"))
            unanswered = found["present"] - found["acked"]
            found["wrong"].append(unlike(tape, "writer", 50))
            upto = len(noted(notes / "writer")) + 8 * (times + 2)
            with Worker("write", url, notes, "writer", 50) as worker:
                wait_until(lambda: len(noted(notes / "writer")) >= upto, "appends after it all")
                said = worker.stop()
            again = audited(tape, noted(notes / "writer"))
            again["wrong"] += [*found["wrong"], unlike(tape, "writer", 50)]
            again["lost"] += found["lost"]
    again["wrong"].append(told(not said["repeated"], "nothing was recognized"))
    did = f"{times} times SIGKILL to a writer in mid-append, each followed by a full resend"
    return outcome(did, unanswered=unanswered, recognized=said["repeated"], **again)


def _in_mid_append(url: str) -> None:
    """Wait until a session of a writer is seen inside a transaction."""
    asked = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND pid <> pg_backend_pid() AND application_name = 'onetape' AND xact_start IS NOT NULL"""
    with superuser(url) as connection:
        wait_until(lambda: connection.execute(asked).fetchone()[0] > 0, "a transaction")


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Generator[Callable[[int], None]]:
    """Mount a small filesystem on a folder; gives what makes it larger. OSError: not allowed."""
    folder.mkdir()

    def mount(options: str) -> None:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise OSError(f"mount -t tmpfs: {done.stderr.strip() or done.returncode}")

    mount(f"size={megabytes}m,mode=755")
    try:
        yield lambda larger: mount(f"remount,size={larger}m")
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def disk_full(folder: Path, megabytes: int = 130) -> Found:
    """Fill a small disk with events, make it larger, go on with the events refused."""
    try:
        with small_disk(folder / "disk", megabytes) as larger:
            return _filled_up(folder / "disk" / "tape", larger, megabytes)
    except (OSError, FileNotFoundError) as err:
        return outcome("disk full") | {"verdict": f"{NOT_RUN}{err}"}


def _filled_up(folder: Path, larger: Callable[[int], None], megabytes: int) -> Found:
    acked: list[list[Any]] = []
    with Victim(folder) as victim, PostgresTape(victim.url) as tape:
        parts = firm.day(2_000_000, 1, 500, "disk")
        refused, said = _until_full(tape, parts, acked)
        larger(megabytes * 3)
        back, tries = _until_taken(victim, tape, refused)
        acked.append([refused[0], refused[1][0].seq, refused[1][-1].seq])
        for _ in range(20):
            stream, events = next(parts)
            tape.append(stream, events)
            acked.append([stream, events[0].seq, events[-1].seq])
        found = audited(tape, acked)
    found["wrong"].append(told("full" not in said and "space" not in said, f"said only: {said}"))
    did = f"appended until {megabytes} MB were full, then given room"
    return outcome(did, said=said[:300], back_s=round(back, 2), tries=tries, **found)


def _until_full(
    tape: PostgresTape, parts: Iterator[Part], acked: list[list[Any]]
) -> tuple[Part, str]:
    """Append until an append is refused; return what was refused, and the words."""
    for stream, events in parts:
        try:
            tape.append(stream, events)
        except TapeUnavailable as err:
            return (stream, events), str(err)
        acked.append([stream, events[0].seq, events[-1].seq])
    raise AssertionError("the disk never filled up")


def _until_taken(victim: Victim, tape: PostgresTape, refused: Part) -> tuple[float, int]:
    """Append the same again until it is taken; return the seconds and the tries it took."""
    begun, tries = time.monotonic(), 0
    while True:
        tries += 1
        try:
            if victim.holds[-1].pid is None:  # the server went down with the disk
                victim.start()
            tape.append(*refused)
        except TapeUnavailable:
            if time.monotonic() - begun > 60:
                raise
            time.sleep(0.1)
        else:
            return time.monotonic() - begun, tries


def flipped_byte(folder: Path) -> Found:
    """One byte of the log's file is changed while the server is down."""
    asked = """SELECT pg_relation_filepath(tableoid), (ctid::text::point)[0]::int8
    FROM onetape.event WHERE seq = 200"""
    with Victim(folder / "tape") as victim:
        with PostgresTape(victim.url) as tape:
            acked = filled(tape, 600)
        with superuser(victim.url) as connection:
            file, block = connection.execute(asked).fetchone()
            connection.execute("CHECKPOINT")
    path = folder / "tape" / "data" / file
    raw = bytearray(path.read_bytes())
    raw[block * 8192 + 6000] ^= 0x01
    path.write_bytes(raw)
    named: list[str] = []
    with Victim(folder / "tape") as victim, PostgresTape(victim.url) as tape:
        for what in (lambda: list(tape.read()), lambda: troubles(tape)):
            try:
                named += [str(one) for one in what()[:1]]
            except Exception as err:
                named.append(f"{type(err).__name__}: {err}")
    wrong = [told(f"block {block}" not in one, f"not named: {one[:200]}") for one in named[:1]]
    wrong.append(told(not named, "nobody noticed"))
    did = f"one bit flipped in block {block} of the log"
    return outcome(did, wrong, acked=sum(a[2] - a[1] + 1 for a in acked), named=named)


def follower(folder: Path, writers: int = 12) -> Found:
    """Follow under many writers, across terminated sessions and a restarted server."""
    notes = folder / "notes"
    notes.mkdir()
    names = [f"writer-{number}" for number in range(writers)]
    with Victim(folder / "tape") as victim:
        PostgresTape(victim.url).close()
        reader = Worker("follow", victim.url, notes, "reader")
        workers = [Worker("write", victim.url, notes, name, 5) for name in names]
        try:
            _read_on(notes, 400)
            for _ in range(3):
                with superuser(victim.url) as connection:
                    connection.execute(OTHERS)
                _read_on(notes, 400)
            victim.stop()
            back = victim.start()
            _read_on(notes, 400)
            victim.kill()
            victim.start()
            _read_on(notes, 400)
            said = [worker.stop() for worker in workers]
            with PostgresTape(victim.url) as tape:
                found = audited(tape, notes_of(notes, names))
                last = tape.head().seq
            heard = reader.stop(str(last))
        finally:
            for worker in (reader, *workers):
                worker.__exit__(BaseException)
    seen = [seq for line in noted(notes / "reader") for seq in line[0]]
    found["skipped"] = len(set(range(1, last + 1)) - set(seen))
    found["duplicated"] += len(seen) - len(set(seen))
    found["wrong"].append(told(seen != sorted(seen), "out of order"))
    did = f"followed {writers} writers; sessions cut 3 times, server restarted and killed"
    refused = sum(one["refused"] for one in said)
    return outcome(did, restart_s=round(back, 2), refused=refused, followed=heard["last"], **found)


def _read_on(notes: Path, more: int) -> None:
    def last() -> int:
        lines = noted(notes / "reader")
        return lines[-1][0][-1] if lines else 0

    upto = last() + more
    wait_until(lambda: last() >= upto, f"the reader at seq {upto}")


HEAVY: dict[str, Callable[[Path], Found]] = {
    "server killed": server_killed,
    "writer killed": writer_killed,
    "disk full": disk_full,
    "flipped byte in a heap page": flipped_byte,
    "follower under 12 writers": follower,
}


def run(small: bool | None = None, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return all cases, and the sums over them; `small` leaves out those that kill servers."""
    names = [n for n in (*QUICK, *(() if small else HEAVY)) if not only or n in only]
    cases: list[Found] = []
    before = os.getloadavg()
    with scratch() as folder, _bar(len(names)) as bar, serve(folder / "shared") as server:
        for number, name in enumerate(names):
            bar.set_description(name)
            place = folder / f"case-{number}"
            place.mkdir(mode=0o755)
            begun = time.monotonic()
            try:
                if name in QUICK:
                    found = QUICK[name](server.url_of(f"case_{number}"), place)
                else:
                    found = HEAVY[name](place)
            except Exception as err:  # one case must not hide the others
                said = f"{type(err).__name__}: {err}"
                found = outcome(str(QUICK.get(name, HEAVY.get(name)).__doc__), [said])
            cases.append({"name": name, **found, "seconds": round(time.monotonic() - begun, 1)})
            bar.update(1)
    verdicts = [case["verdict"] for case in cases]
    return {
        **{n: sum(c[n] for c in cases) for n in ("acked", "lost", "duplicated", "skipped")},
        "held": verdicts.count("held"),
        "failed": [c["name"] for c in cases if c["verdict"].startswith("FAILED")],
        "not_run": [c["name"] for c in cases if c["verdict"].startswith(NOT_RUN)],
        "load": [round(one, 2) for one in (before[0], os.getloadavg()[0])],
        "cpus": os.cpu_count(),
        "seconds": round(sum(case["seconds"] for case in cases), 1),
        "synthetic": True,
        "cases": cases,
    }


def _bar(steps: int) -> Any:
    from tqdm.std import tqdm

    return tqdm(total=steps, disable=not sys.stderr.isatty(), leave=False, file=sys.stderr)


def main() -> None:
    """Serve the command line and print one JSON object."""
    parser = argparse.ArgumentParser(description="Hurt the tape and count what it lost.")
    parser.add_argument("--small", action="store_true", help="leave out those that kill servers")
    parser.add_argument("--only", nargs="+", default=[], choices=[*QUICK, *HEAVY])
    told_so = parser.parse_args()
    print(json.dumps(run(told_so.small, tuple(told_so.only)), indent=1, default=str))


if __name__ == "__main__":
    main()
