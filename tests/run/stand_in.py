"""A stand-in trader and its supervisor, as real processes: no engine, no venue, no tape.

    python stand_in.py FOLDER            supervises, and starts the next as the trader
    python stand_in.py --trader FOLDER ATTEMPT

The stand-in keeps the trader's promises to its supervisor and its handle: it opens its door,
beats in its status, stops when told. `options` in the spec say what it does wrong.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from decimal import Decimal
from pathlib import Path

import msgspec

from onetape.errors import SettingsError
from onetape.run import control, supervise
from onetape.run import folder as files
from onetape.run.folder import FeedHealth, Holding, Status


class Trader:
    def __init__(self, folder: Path, attempt: int) -> None:
        self.folder = folder
        self.spec = files.read_spec(folder)
        self.options = self.spec.options
        self.stop = asyncio.Event()
        self.status = Status(
            self.spec.session,
            os.getpid(),
            "starting",
            attempt=attempt,
            positions=(
                Holding("GOOG.XNAS", Decimal(3), Decimal("10.5"), Decimal(11), Decimal("1.5")),
            ),
            feeds=(FeedHealth("GOOG.XNAS", "bars", "live", 0.2, 7),),
            unrealized=Decimal("1.5"),
            equity=Decimal("1001.5"),
            venue_state="connected",
            gate_state="ACTIVE",
        )

    def tell(self, **changes: object) -> None:
        now = time.time_ns()
        self.status = msgspec.structs.replace(self.status, ts=now, heartbeat=now, **changes)
        files.write_status(self.folder, self.status)

    def handlers(self) -> dict[str, control.Handler]:
        def stop(args: dict[str, object]) -> dict[str, object]:
            (self.folder / "stop.json").write_text(json.dumps(args))
            if not self.options.get("deaf to stop"):
                self.stop.set()
            return {"stopping": True}

        def halt(args: dict[str, object]) -> dict[str, object]:
            (self.folder / "halt.json").write_text(json.dumps(args))
            self.tell(gate_state="HALTED")
            return {"state": "HALTED"}

        def order(args: dict[str, object]) -> dict[str, object]:
            if args["quantity"] == "0":
                raise SettingsError("quantity 0 found, more than 0 expected")
            self.tell(orders_sent=self.status.orders_sent + 1)
            return {"client_order_id": "O-1", **args}

        def hang(args: dict[str, object]) -> dict[str, object]:
            asyncio.get_running_loop().call_later(0.02, self.hang, args.get("seconds", 3600))
            return {}

        return {
            "ping": lambda _: {"pid": os.getpid()},
            "status": lambda _: msgspec.to_builtins(self.status),
            "stop": stop,
            "halt": halt,
            "order": order,
            "cancel": lambda args: {"asked": [args["client_order_id"]]},
            "hang": hang,
        }

    def hang(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)

    async def run(self) -> None:
        signal.signal(signal.SIGUSR1, self.told_to_halt)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop.set)
        door = await control.serve(self.folder / files.CONTROL, self.handlers())
        self.tell(state="running")
        while not self.stop.is_set():
            self.tell()
            await asyncio.sleep(0.02)
        self.tell(state="stopped", detail="as asked", positions=())
        await door.close()

    def told_to_halt(self, *_: object) -> None:
        (self.folder / "told to halt").touch()


def cancels_nothing(folder: Path) -> supervise.Killer:
    async def kill(spec: files.LiveSpec, scope: str, reason: str, who: str) -> dict[str, object]:
        with (folder / "canceled.txt").open("a") as file:
            file.write(json.dumps({"scope": scope, "reason": reason, "who": who}) + "\n")
        if spec.options.get("venue does not answer"):
            raise ConnectionError("the venue does not answer")
        return {"state": "KILLED", "working": []}

    return kill


def main() -> int:
    if sys.argv[1] != "--trader":
        folder = Path(sys.argv[1])
        command = (sys.executable, __file__, "--trader")
        return supervise.main(folder, command, cancels_nothing(folder))
    trader = Trader(Path(sys.argv[2]), int(sys.argv[3]))
    print(f"attempt {sys.argv[3]}", flush=True)
    if trader.options.get("cannot start"):
        raise SettingsError("no limits for account A1")
    if trader.options.get("says that it failed"):
        trader.tell(state="failed", detail="not reconciled", error="break: 3 ours, 4 theirs")
        return 1
    if trader.options.get("crashes") and trader.status.attempt > trader.options.get("runs once", 0):
        trader.tell(state="running")
        os.kill(os.getpid(), signal.SIGKILL)
    asyncio.run(trader.run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
