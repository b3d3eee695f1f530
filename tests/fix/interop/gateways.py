"""Our side as it is run in earnest: a gateway's process that holds the sessions, and its client."""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

from .counterparts import BEGUN_S, OWN, Broker, Process, peer

CONFIG = """[DEFAULT]
ConnectionType=initiator
BeginString=FIX.4.4
TargetCompID={own}
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
HeartBtInt=30
ReconnectInterval=0.5
TimestampPrecision=6
NonStopSession=Y
OrderTimeToLive=none
FileStorePath={store}
[GATEWAY]
Socket={socket}
"""


class GatewayProcess(Process):
    """`python -m onetape_fix gateway`, with a session for each of the broker's."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        super().__init__(folder, "gateway")
        self.config = folder / "gateway.cfg"
        short = Path(tempfile.mkdtemp(prefix="onetape-fix-"))  # a socket's path has 107 bytes
        self.socket = short / "gateway.sock"
        text = CONFIG.format(
            own=OWN, port=broker.port, store=folder / "gateway-store", socket=self.socket
        )
        for at in range(broker.sessions):
            text += f"[SESSION]\nSenderCompID={peer(at)}\nSessionName={peer(at)}\n"
        self.config.write_text(text)

    def command(self) -> list[str]:
        """See `Process`."""
        return [sys.executable, "-m", "onetape_fix", "gateway", str(self.config)]

    def start(self) -> None:
        """Start it and wait for its socket."""
        super().start()
        until = time.monotonic() + BEGUN_S
        while not self._answers():  # a killed one leaves its socket behind
            if not self.alive or time.monotonic() > until:
                raise AssertionError(f"the gateway does not serve: {self.last_words()}")
            time.sleep(0.02)

    def clear(self) -> None:
        """Remove the folder of the socket."""
        shutil.rmtree(self.socket.parent, ignore_errors=True)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as one:
            return one.connect_ex(str(self.socket)) == 0


class Client(Process):
    """The gateway's client, which has the orders."""

    def __init__(
        self, folder: Path, gateway: GatewayProcess, sessions: int, orders: int, seconds: float
    ) -> None:
        super().__init__(folder, "client")
        self.gateway, self.sessions, self.orders, self.seconds = gateway, sessions, orders, seconds
        self.written = folder / "trader.records"

    def command(self) -> list[str]:
        """See `Process`."""
        return [
            sys.executable, "-m", "fix.interop.desk", "--socket", str(self.gateway.socket),
            "--records", str(self.written), "--sessions", str(self.sessions),
            "--orders", str(self.orders), "--seconds", str(self.seconds),
        ]  # fmt: skip
