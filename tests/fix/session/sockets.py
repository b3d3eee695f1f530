"""What the tests of connections share: a stand-in for a session, a clock, waiting, Logons."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from onetape_fix.session.application import Link
from onetape_fix.session.settings import SessionConfig
from onetape_fix.wire import Encoder

NOWHERE = ("127.0.0.1", 9)  # nobody listens on the port of `discard` here


def logon(sender: str = "US", target: str = "THEM", begin: str = "FIX.4.4", **subs: str) -> bytes:
    tags = {"sender_sub": 50, "target_sub": 57}
    header = [(49, sender), (56, target), *((tags[name], value) for name, value in subs.items())]
    encoder = Encoder(begin, header)
    return encoder.encode("A", 1, "20240304-12:00:00.000", [(98, 0), (108, 30)])


def config(
    hosts: tuple[tuple[str, int], ...] = (), role: Any = "initiator", **more: Any
) -> SessionConfig:
    sender, target = ("US", "THEM") if role == "initiator" else ("THEM", "US")
    given: dict[str, Any] = {"sender": sender, "target": target, "hosts": hosts, **more}
    return SessionConfig(begin_string="FIX.4.4", role=role, store=Path("none"), **given)


class StandIn:
    """Counts what a session would be told; an initiator says Logon when it is connected."""

    def __init__(self, config: SessionConfig) -> None:
        self.config = config
        self.wake: Callable[[], None] | None = None
        self.state = "down"
        self.link: Link | None = None
        self.heard = b""
        self.lost: list[str] = []
        self.ticks = 0
        self.fails: Exception | None = None

    @property
    def name(self) -> str:
        return self.config.name

    def connected(self, link: Link) -> None:
        if self.link is not None:
            link.close()
            return
        self.link, self.state = link, "logon"
        if self.config.role == "initiator":
            link.write(logon(self.config.sender, self.config.target))

    def received(self, data: bytes) -> None:
        if self.fails is not None:
            raise self.fails
        self.heard += data

    def disconnected(self, why: str, link: Link | None = None) -> None:
        if link is None or link is self.link:
            self.link, self.state = None, "down"
            self.lost.append(why)

    def tick(self) -> None:
        self.ticks += 1
        if self.fails is not None:
            raise self.fails


class Hands:
    """A clock whose hands are moved by sleeping, which takes no time."""

    def __init__(self, now: int = 0) -> None:
        self.at = now
        self.slept: list[float] = []
        self.stop_after = 1_000

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1e9

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += round(seconds * 1e9)
        if len(self.slept) >= self.stop_after:
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def until(true: Callable[[], Any], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.002)
