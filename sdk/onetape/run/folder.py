"""The folder of a live session: its spec and its status, shared by handle, supervisor, trader.

    <home>/sessions/<id>/    mode 0700
        spec.json            what was asked for, written once by the handle
        status.json          how the trader is, replaced by it several times a second
        supervisor.json      how the supervisor is, replaced by it when that changes
        control.sock         the trader's door; supervisor.sock the supervisor's
        log.txt              what both say
        lock                 locked by the living supervisor: there is one for a session

Whole      Files are replaced in one step: a reader sees the old or the new, never a half.
Private    Everything is the user's own (0700, 0600): a config may name secrets, though never
           hold them, and who can reach a door may trade.
Units      times in ns UTC; amounts exact, as text in JSON.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec

from onetape.errors import RunError, SettingsError
from onetape.settings import settings

SPEC, STATUS, SUPERVISOR = "spec.json", "status.json", "supervisor.json"
CONTROL, SUPERVISOR_DOOR, LOG, LOCK = "control.sock", "supervisor.sock", "log.txt", "lock"
STREAM = "session/"
ENDED = ("stopped", "failed", "killed")
ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")


class Endpoint(msgspec.Struct, frozen=True):
    """An adapter by the name of its entry point, and its config: plain data, no secrets."""

    adapter: str
    config: dict[str, Any] = {}


class Wanted(msgspec.Struct, frozen=True):
    """A subscription: `data` is quotes, trades or bars, `step` of bars."""

    instrument: str
    data: str
    step: str | None = None


class Watch(msgspec.Struct, frozen=True):
    """How the supervisor watches; seconds. After `restarts` in `window_s` it gives up."""

    stuck_s: float = 10.0  # without a heartbeat once the trader has said something
    start_s: float = 120.0  # until its first status: reading code and reconciling take time
    halt_s: float = 5.0  # that a stuck trader has for halting before it is ended
    stop_s: float = 60.0  # that a stop may take before the trader is ended
    restarts: int = 5
    window_s: float = 600.0
    backoff_s: float = 0.5  # before the first restart; doubled each time, at most 30
    cancel_stuck: bool = True  # cancel a stuck trader's orders before it is started again


class LiveSpec(msgspec.Struct, frozen=True):
    """One live session as it was asked for.

    session      the stream's key, without "session/"
    strategy     "module:Class" where the class can be imported, else ""
    source       the class's source where it cannot (a notebook's cell)
    path, cwd    where modules and files are looked for, as in the process that asked
    instruments  canonical JSON of each Instrument; none: the venue and the feed are asked
    cash         starting cash by currency where the venue is simulated, exact text
    limits       canonical JSON of the LimitBook
    tape         the URL of the tape's PostgreSQL
    tape_folder  the folder of our own server where the tape is on one, to hold it; else ""
    catalog      where the day's data is kept, "": nowhere
    previous     the session that this one follows, "": none
    accept       breaks between our books and the venue's that were accepted by name
    """

    session: str
    strategy: str
    strategy_name: str
    venue: Endpoint
    feed: Endpoint
    account: str
    limits: str
    tape: str
    source: str = ""
    params: dict[str, Any] = {}
    mode: Literal["paper", "live"] = "paper"
    book: str = "paper"
    trader: str = ""
    desk: str = ""
    subscriptions: tuple[Wanted, ...] = ()
    instruments: tuple[str, ...] = ()
    cash: dict[str, str] = {}
    currency: str = "USD"
    tape_folder: str = ""
    catalog: str = ""
    previous: str = ""
    accept: tuple[str, ...] = ()
    on_restart: Literal["cancel", "keep"] = "cancel"
    latency: str = "0"
    flatten_on_stop: bool = False
    on_error: Literal["halt"] = "halt"
    options: dict[str, Any] = {}
    path: tuple[str, ...] = ()
    cwd: str = ""
    watch: Watch = Watch()
    created: int = 0


class Holding(msgspec.Struct, frozen=True):
    """A position now; `quantity` signed, prices in quote currency, `mark` None: no price yet."""

    instrument: str
    quantity: Decimal
    average_price: Decimal
    mark: Decimal | None = None
    unrealized: Decimal | None = None


class FeedHealth(msgspec.Struct, frozen=True):
    """A subscription now: state live, stale, gap, offset or closed; `age_s` of its last row."""

    instrument: str
    data: str
    state: str
    age_s: float | None = None
    rows: int = 0


class Restart(msgspec.Struct, frozen=True):
    """Why and when (ns UTC) a trader was started again."""

    ts: int
    why: str


class Supervision(msgspec.Struct, frozen=True):
    """How a supervisor is. A birth tells a process from a later one with the same pid.

    state   watching, stuck (the trader gives no heartbeat), restarting, stopping, killing, ended
    """

    pid: int
    birth: str
    state: str
    detail: str = ""
    attempt: int = 0
    trader_pid: int = 0
    trader_birth: str = ""
    restarts: tuple[Restart, ...] = ()
    ts: int = 0


class Status(msgspec.Struct, frozen=True):
    """How a trader is. `heartbeat` is the wall clock in ns of its last turn of the loop.

    state       starting, reconciling, running, stopping, stopped, failed or killed
    gate_state  ACTIVE, REDUCING, CANCEL_ONLY or HALTED
    error       what made it fail, in full
    tape_lag    events that wait to be durable
    """

    session: str
    pid: int
    state: str
    ts: int = 0
    heartbeat: int = 0
    detail: str = ""
    quotes: int = 0
    orders_sent: int = 0
    fills: int = 0
    working: int = 0
    positions: tuple[Holding, ...] = ()
    realized: Decimal = Decimal(0)
    unrealized: Decimal = Decimal(0)
    equity: Decimal | None = None
    currency: str = "USD"
    feeds: tuple[FeedHealth, ...] = ()
    venue_state: str = ""
    gate_state: str = ""
    denied: int = 0
    tape_lag: int = 0
    error: str = ""
    last_event_seq: int = 0
    attempt: int = 1


def home() -> Path:
    """Return where sessions are kept: ONETAPE_HOME, else the user's data folder."""
    named = settings().home
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return platformdirs.user_data_path("onetape")


def sessions_folder() -> Path:
    """Return the folder of all sessions; it need not be there yet."""
    return home() / "sessions"


def folder_of(session: str) -> Path:
    """Return the folder of a session by its whole id; raises SettingsError for no id at all."""
    name = session.removeprefix(STREAM)
    if not ID.fullmatch(name) or ".." in name:
        raise SettingsError(
            f"{session!r} found; a session's id such as EmaCross-20240108T093000-1a2b3c expected"
        )
    return sessions_folder() / name


def make(spec: LiveSpec) -> Path:
    """Make a session's folder with its spec; raises RunError where there is one already."""
    folder = folder_of(spec.session)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.parent.stat().st_mode & 0o077:
        folder.parent.chmod(0o700)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise RunError(f"{folder} is there already; a session has a folder of its own") from None
    replace(folder / SPEC, msgspec.json.format(msgspec.json.encode(spec), indent=2))
    return folder


def read_spec(folder: Path) -> LiveSpec:
    """Return a session's spec; raises RunError where there is none or it is of another version."""
    return _read(folder / SPEC, LiveSpec)


def write_status(folder: Path, status: Status) -> None:
    """Replace a session's status."""
    replace(folder / STATUS, msgspec.json.encode(status))


def read_status(folder: Path) -> Status | None:
    """Return a session's status, None while the trader has said nothing yet."""
    return _read(folder / STATUS, Status) if (folder / STATUS).exists() else None


def write_supervision(folder: Path, told: Supervision) -> None:
    """Replace what is known of a session's supervisor."""
    replace(folder / SUPERVISOR, msgspec.json.encode(told))


def read_supervision(folder: Path) -> Supervision | None:
    """Return what is known of a session's supervisor, None before there was one."""
    return _read(folder / SUPERVISOR, Supervision) if (folder / SUPERVISOR).exists() else None


def replace(path: Path, text: bytes) -> None:
    """Replace a file in one step, readable by its user only."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
    new.replace(path)


def _read[T](path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise RunError(
            f"there is no {path.name} in {path.parent}: not the folder of a session"
        ) from None
    except msgspec.MsgspecError as err:
        raise RunError(
            f"{path} cannot be read ({err}): it was written by another version of onetape"
        ) from err


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """Hold a session's lock, which the kernel lets go of when the process ends.

    Raises RunError where another supervisor holds it.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise RunError(f"another supervisor is at work in {folder}") from None
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def tape_held(spec: LiveSpec) -> Generator[None]:
    """Keep our own tape server running, which ends with the last process that holds it."""
    if not spec.tape_folder:
        yield
        return
    from onetape.tape.embedded import serve

    with serve(Path(spec.tape_folder)):
        yield
