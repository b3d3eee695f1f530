"""A simulated venue behind FIX for a test, and the config of a trader at it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

import onetape as ot
from onetape.run.ports import Quote
from onetape_fix.door.server import Door, opened
from onetape_fix.session import SessionConfig, Settings

D = Decimal
START = 1_704_726_000_000_000_000
AAA = ot.equity("AAA.SIM", session=None, tz="UTC")
BBB = ot.equity("BBB.SIM", session=None, tz="UTC")
LISTED = [msgspec.to_builtins(each) for each in (AAA, BBB)]
VERSIONS = {"sim": "FIX.4.4", "generic44": "FIX.4.4", "generic42": "FIX.4.2"}


def quote(bid: Any, ask: Any, size: Any = 1_000, ts: int = START, name: str = "AAA.SIM") -> Quote:
    return Quote(name, ts, D(bid), D(ask), D(size), D(size))


def acceptor(profile: str = "sim", name: str = "DESK", **more: Any) -> SessionConfig:
    """The venue's end of a session; `name` is who dials it."""
    begin = more.pop("begin", None) or VERSIONS.get(profile, "FIX.4.4")
    made: dict[str, Any] = {
        "begin_string": begin,
        "sender": "SIM",
        "target": name,
        "role": "acceptor",
        "session_name": name,
        "listen": ("127.0.0.1", 0),
        "persist": False,
        "profile": profile,
        "timestamp_digits": 3 if begin == "FIX.4.2" else 9,
        "default_appl_ver": "9" if begin == "FIXT.1.1" else "",
        "duties": frozenset(("order", "marketdata")),
        "extra": {"Account": "A"},
    }
    return SessionConfig(**{**made, **more})


def written(folder: Path, door: Door, **keys: dict[str, str]) -> Path:
    """Write the .cfg of a trader's sessions; `keys` are further lines by session."""
    lines = [
        "[DEFAULT]", "ConnectionType=initiator", "TargetCompID=SIM",
        f"FileStorePath={folder}/store",
        "NonStopSession=Y", "HeartBtInt=30", "ReconnectInterval=1", "[GATEWAY]",
        f"Socket={folder}/g", "Tick=0.02",
    ]  # fmt: skip
    for session in door.sessions:
        config = session.config
        host, port = door.addresses[session.name]
        lines += [
            "[SESSION]", f"BeginString={config.begin_string}", f"SenderCompID={config.target}",
            f"SessionName={config.target}", f"SocketConnectHost={host}",
            f"SocketConnectPort={port}", f"Profile={config.profile}",
            f"Role={', '.join(sorted(config.duties))}",
            f"TimestampPrecision={config.timestamp_digits}",
        ]  # fmt: skip
        if config.default_appl_ver:
            lines.append("DefaultApplVerID=FIX.5.0SP2")
        lines += [f"{key}={value}" for key, value in keys.get(session.name, {}).items()]
    path = folder / "trader.cfg"
    path.write_text("\n".join(lines) + "\n")
    return path


@asynccontextmanager
async def at_door(
    *sessions: SessionConfig, keys: dict[str, dict[str, str]] | None = None, **world: Any
) -> AsyncIterator[tuple[Door, dict[str, Any]]]:
    """A door, and the config of a trader at it (its gateway inside this process)."""
    with tempfile.TemporaryDirectory(prefix="ft") as name:
        folder = Path(name)
        given = {"instruments": LISTED, "fees": "bps:2", **world}
        async with opened(Settings(sessions=sessions or (acceptor(),)), given, None) as door:
            path = written(folder, door, **(keys or {}))
            config = {"config": str(path), "gateway": "inside", "timeout": 4.0, "connect": 8.0}
            yield door, config


def show(door: Door, row: Any) -> None:
    """Let the market move."""
    door.world.player.seen(row)
