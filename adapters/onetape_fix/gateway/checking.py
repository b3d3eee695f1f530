"""A config looked at without opening anything: no socket, no journal, no secret is resolved.

Raises   SettingsError where the config cannot be read; what is wrong with single sessions is told
         beside them, so that a person sees it all at once.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from onetape.errors import OnetapeError, SettingsError
from onetape_fix.gateway.building import profile_of, rules_of, settled
from onetape_fix.gateway.server import LONGEST
from onetape_fix.gateway.status import next_reset
from onetape_fix.session.settings import SessionConfig, read


def checked(config: Path, now: int | None = None) -> dict[str, Any]:
    """Return what a config says, as plain data."""
    found = read(config)
    if not found.sessions:
        raise SettingsError(f"{config} has no [SESSION]; one at least is expected")
    at = time.time_ns() if now is None else now
    socket = str(found.gateway.socket)
    told = [_session(one, at) for one in found.sessions]
    if len(socket.encode()) > LONGEST:
        told[0]["troubles"].append(f"Socket {socket} is longer than {LONGEST} bytes")
    return {
        "config": str(config),
        "socket": socket,
        "tape": bool(found.gateway.tape),
        "sessions": told,
        "ignored": [{"key": one.key, "line": one.line, "why": one.why} for one in found.ignored],
    }


def _session(config: SessionConfig, now: int) -> dict[str, Any]:
    troubles: list[str] = []
    profile = ""
    try:
        ways = profile_of(config)
        profile = ways.name
        rules_of(settled(config, ways), ways)
        if not ways.speaks(config.begin_string):
            troubles.append(f"profile {profile} is not known to speak {config.begin_string}")
    except OnetapeError as err:
        troubles.append(str(err))
    where = [f"{host}:{port}" for host, port in config.hosts]
    if config.listen is not None:
        where.append(f"listens at {config.listen[0]}:{config.listen[1]}")
    if not where:
        troubles.append("no SocketConnectHost and no SocketAcceptPort: it can never be up")
    return {
        "session": config.name,
        "id": config.id,
        "role": config.role,
        "duties": sorted(config.duties),
        "profile": profile,
        "where": where,
        "tls": config.tls is not None,
        "heartbeat_s": config.heartbeat,
        "in_window": config.schedule.inside(now),
        "next_reset": next_reset(config.schedule, now),
        "troubles": troubles,
    }
