"""How a session is, as plain data for `onetape fix status`, a dashboard or an alert.

Every key is always there; None says that it is not known. Units stand in the names: ns UTC in
`*_ns`, microseconds in `*_us`, seconds in `*_s`; times for people are ISO texts, in the
venue's zone where they are its own.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from onetape_fix.gateway.certificate import expiry, expiry_of_file

if TYPE_CHECKING:
    from onetape_fix.gateway.held import Held
    from onetape_fix.session import Schedule

SECOND = 1_000_000_000


def session_status(held: Held, now: int, kept: dict[str, Any] | None) -> dict[str, Any]:
    """Return everything that is known of one session."""
    facts, store, config = held.session.facts, held.store, held.config
    return {
        "session": held.name,
        "id": config.id,
        "duties": sorted(config.duties),
        "profile": held.profile.name,
        "role": config.role,
        "state": held.session.state,
        "address": _address(held),
        "attempts": None if held.dialer is None else held.dialer.attempts,
        "ready": held.ready,
        "disabled": held.disabled,
        "out": held.out,
        "in_window": config.schedule.inside(now),
        "last_error": held.last_error,
        "last_text": facts.last_text,
        "next_in": store.next_in,
        "next_out": store.next_out,
        "peer_expected": facts.peer_expected,
        "gap": facts.gap,
        "resending": facts.resending,
        "possdup": facts.possdup,
        "resent": facts.resent,
        "garbled": facts.garbled,
        "messages_in": facts.messages_in,
        "messages_out": facts.messages_out,
        "bytes_in": facts.bytes_in,
        "bytes_out": facts.bytes_out,
        "heartbeat_s": held.session.heartbeat,
        "heartbeat_rtt_us": _us(facts.heartbeat_rtt_ns),
        "skew_us": _us(facts.skew_ns),
        "last_in_ns": facts.last_in_ns or None,
        "last_out_ns": facts.last_out_ns or None,
        "up_since_ns": facts.up_since_ns or None,
        "reconnects": max(held.logons - 1, 0),
        "alarms": held.alarms,
        "throttled": held.bucket.refused,
        "journal": _journal(held),
        "listeners": _listeners(held),
        "database": kept,
        "certificate": _certificate(held),
        "next_reset": next_reset(config.schedule, now),
        **held.meter.told(now),
    }


def _address(held: Held) -> str | None:
    found = held.config.listen if held.dialer is None else held.dialer.address
    return None if found is None else f"{found[0]}:{found[1]}"


def _us(ns: int | None) -> float | None:
    return None if ns is None else round(ns / 1e3, 1)


def _journal(held: Held) -> dict[str, Any]:
    """Return what is written; and what a loss of the machine would take (`unsynced`)."""
    store = held.store
    synced: int | None = getattr(store, "synced", None)
    return {
        "position": store.position,
        "unsynced": None if synced is None else store.position - synced,
        "epoch": _iso(store.epoch, "UTC") if store.epoch else None,
    }


def _listeners(held: Held) -> dict[str, Any]:
    behind = [listener.behind for listener in held.listeners]
    return {"count": len(behind), "behind": max(behind, default=0)}


def _certificate(held: Held) -> dict[str, Any] | None:
    """Return until when the peer's certificate and ours are good; None without TLS."""
    tls = held.config.tls
    if tls is None:
        return None
    ours = None
    if tls.certificate is not None:
        with suppress(OSError, ValueError):
            ours = _ours(tls.certificate)
    shown = None if held.dialer is None else held.dialer.peer_certificate
    peer = None
    if shown is not None:
        with suppress(ValueError):
            peer = expiry(shown)
    return {
        "peer_until": None if peer is None else _iso(peer, "UTC"),
        "ours_until": None if ours is None else _iso(ours, "UTC"),
    }


@lru_cache(maxsize=64)
def _read(path: Path, _mtime: int) -> int:
    return expiry_of_file(path)


def _ours(path: Path) -> int:
    return _read(path, path.stat().st_mtime_ns)


def next_reset(schedule: Schedule, now: int) -> str | None:
    """Return when the numbers begin anew, in the venue's own zone; None: never by itself."""
    key, at = schedule.key(now), now
    for _ in range(16):
        moment = schedule.next_change(at)
        if moment is None:
            return None
        if schedule.key(moment) != key:
            return _iso(moment, schedule.zone)
        at = moment
    return None


def _iso(ns: int, zone: str) -> str:
    when = datetime.fromtimestamp(ns / SECOND, UTC).astimezone(ZoneInfo(zone))
    return when.isoformat(timespec="seconds")
