"""What our two sides of a drill share: how a session is set up, what an order and a report hold.

Both sides are programs of their own (`trader`, `broker`) that can be killed at any instruction;
they keep a journal for their sessions and a file of records for the account.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from onetape_fix.session.settings import Checks, SessionConfig
from onetape_fix.wire import Body, Message

from .counterparts import OWN, peer

QUANTITY = 200
PRICE = Decimal("10.25")
STEPS = (("0", "0", 0, 0), ("F", "1", 100, 100), ("F", "2", 100, 200))
HEARTBEAT = 30


def ours(at: int, port: int, store: Path, host: str = "127.0.0.1") -> SessionConfig:
    """Return the settings of our initiator number `at`."""
    return SessionConfig(
        begin_string="FIX.4.4", sender=peer(at), target=OWN, role="initiator",
        hosts=((host, port),), heartbeat=HEARTBEAT, store=store, timestamp_digits=6,
        reconnect=0.5, order_ttl=None,
    )  # fmt: skip


def theirs(at: int, port: int, store: Path) -> SessionConfig:
    """Return the settings of the simulated broker's session with it."""
    return SessionConfig(
        begin_string="FIX.4.4", sender=OWN, target=peer(at), role="acceptor",
        listen=("127.0.0.1", port), heartbeat=HEARTBEAT, store=store, timestamp_digits=6,
        order_ttl=None, checks=Checks(lenient=False),
    )  # fmt: skip


def new_order(order: str, sent_at: str) -> Body:
    """Return a limit order."""
    return (
        (11, order), (1, "ACC"), (21, "1"), (55, "MSFT"), (54, "1"), (60, sent_at), (38, QUANTITY),
        (40, "2"), (44, PRICE), (59, "0"),
    )  # fmt: skip


def reports(order: Message, answers: int = len(STEPS)) -> Sequence[tuple[str, Body]]:
    """Return the ExecIDs and bodies of the answers to an order: the same to the same order."""
    known = order[11]
    found: list[tuple[str, Body]] = []
    for at, (kind, status, last, done) in enumerate(STEPS[:answers]):
        fill = ((32, last), (31, PRICE)) if last else ()
        body: Body = (
            (37, f"O-{known}"), (11, known), (17, f"{known}-{at}"), (150, kind), (39, status),
            (1, order.get(1, "ACC")), (55, order[55]), (54, order[54]), (38, QUANTITY), *fill,
            (151, QUANTITY - done), (14, done), (6, PRICE if done else 0), (60, order[60]),
        )  # fmt: skip
        found.append((f"{known}-{at}", body))
    return found


class Notes:
    """A file of records: a line is there once `add` returns, whatever becomes of this process."""

    def __init__(self, path: Path) -> None:
        self.out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if os.fstat(self.out).st_size and not path.read_bytes().endswith(b"\n"):
            os.write(self.out, b"\n")

    def add(self, *words: str) -> None:
        """Add a line of words."""
        os.write(self.out, (" ".join(words) + "\n").encode())
