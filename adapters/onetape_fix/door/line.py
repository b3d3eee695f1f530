"""A session of the door, and the link under it: the faults that bytes and numbers have.

What is wrong on purpose is wrong below the state machine or in one of its steps; the machine itself
is the one that everybody uses.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from onetape_fix.door import faults
from onetape_fix.door.counter import Counter
from onetape_fix.session import Clock, Link, Session, SessionConfig, Store
from onetape_fix.spec import Rules
from onetape_fix.spec.rules import TEXTS
from onetape_fix.wire import Message
from onetape_fix.wire.msgtypes import ADMIN

TYPE = re.compile(rb"\x0135=([^\x01]+)\x01")
UNKNOWN_TYPE = 11  # 373


class FaultyLink:
    """A link on which what is written may go wrong."""

    def __init__(self, inner: Link, wrong: faults.Wrong) -> None:
        self.inner = inner
        self.wrong = wrong

    @property
    def waiting(self) -> int:
        """Bytes that the peer has not taken yet."""
        return int(getattr(self.inner, "waiting", 0))

    def write(self, data: bytes) -> None:
        """See Link."""
        wrong = self.wrong
        if wrong.lasting(faults.HalfOpen) is not None:
            return
        found = TYPE.search(data, 0, 64)
        if found is not None and found[1].decode() not in ADMIN:
            if wrong.next(faults.HangUp) is not None:
                self.inner.write(data[: len(data) // 2])
                self.inner.close()
                return
            if wrong.next(faults.Garble) is not None:
                data = faults.garbled(data)
        self.inner.write(data)

    def close(self) -> None:
        """See Link."""
        self.inner.close()

    def read(self, on: bool) -> None:
        """Go on reading from the socket, or stop it: then its buffers fill."""
        transport: Any = getattr(self.inner, "_transport", None)
        if transport is None or transport.is_closing():
            return
        if on:
            transport.resume_reading()
        else:
            transport.pause_reading()


class DoorSession(Session):
    """An acceptor's session that can go wrong; see the module."""

    def __init__(
        self, config: SessionConfig, rules: Rules | None, store: Store, app: Counter, clock: Clock
    ) -> None:
        super().__init__(config, rules, store, app, clock)
        self.counter = app
        self.wrong = app.wrong
        self.quiet_until = 0.0  # monotonic
        self.wire: FaultyLink | None = None

    def connected(self, link: Link) -> None:
        """See Session."""
        if self.linked:
            super().connected(link)
            return
        self.wire = FaultyLink(link, self.wrong)
        super().connected(self.wire)

    def disconnected(self, why: str, link: Link | None = None) -> None:
        """See Session."""
        wire = self.wire
        ours = wire if wire is not None and link is wire.inner else link
        super().disconnected(why, ours)

    def received(self, data: bytes) -> None:
        """See Session."""
        if self.wrong.lasting(faults.HalfOpen) is None:
            super().received(data)

    def tick(self) -> None:
        """See Session."""
        if self.wrong.lasting(faults.HalfOpen) is not None or self.counter.world.silent:
            return
        if self.clock.monotonic() >= self.quiet_until:
            super().tick()

    def _was_asked(self, message: Message, seq: int) -> None:
        if self.counter.peculiar.ways.resend == "none":
            self._reject(message, seq, UNKNOWN_TYPE, TEXTS[UNKNOWN_TYPE], 35)
        elif self.wrong.lasting(faults.NoResend) is not None:
            self._take_number(message, seq)
        else:
            super()._was_asked(message, seq)

    def cut(self, why: str) -> None:
        """End the connection at once, without a Logout."""
        wire = self.wire
        if wire is not None and self.linked:
            self.disconnected(why)
            wire.close()

    def begin(self, fault: faults.Fault) -> None:
        """Begin a fault of this session."""
        if isinstance(fault, faults.HangUp) and fault.now:
            self.cut("hung up on purpose")
            return
        self.counter.begin(fault)
        if isinstance(fault, faults.TooLow):
            self.cut("hung up on purpose")
            self.set_out(max(1, self.store.next_out - fault.by))
        elif isinstance(fault, faults.DelayHeartbeats):
            self.quiet_until = self.clock.monotonic() + fault.seconds
        elif isinstance(fault, faults.SlowReader) and self.wire is not None:
            self.wire.read(False)
            asyncio.get_running_loop().call_later(fault.seconds, self.wire.read, True)
