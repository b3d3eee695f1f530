# pyright: standard
"""What a gateway's process takes: resident memory with all its sessions logged on and used.

A simulated broker in a process, the gateway in a second, a client in a third that trades through
every session. Resident and private (unique) megabytes of the gateway are read before and after.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil
from fix.interop.account import account, read
from fix.interop.drill import Ours
from fix.interop.gateways import Client, GatewayProcess

ORDERS = 20  # of each session
LONGEST_S = 90.0
MB = 1e6


def measured(folder: Path, sessions: int) -> dict[str, Any]:
    """Return the gateway's memory."""
    broker = Ours(folder, sessions)
    gateway = GatewayProcess(folder, broker)
    client = Client(folder, gateway, sessions, ORDERS, LONGEST_S)
    try:
        broker.start()
        gateway.start()
        until = time.monotonic() + LONGEST_S
        while broker.records().logons < sessions:
            if time.monotonic() > until:
                raise AssertionError(f"not all sessions are up: {gateway.last_words()}")
            time.sleep(0.1)
        idle = _resident(gateway)
        client.start()
        running = client.running
        if running is None or running.wait(LONGEST_S) != 0:
            raise AssertionError(f"not all orders were filled: {client.last_words()}")
        used, own = _resident(gateway), _private(gateway)
        found = account(read(client.written), broker.records())
    finally:
        for one in (client, gateway, broker):
            one.end()
        gateway.clear()
    if not found.whole or found.orders != ORDERS * sessions:
        raise AssertionError(f"the account of the traded orders does not add up: {found}")
    return {"rss_mb": used, "rss_idle_mb": idle, "private_mb": own, "gateway_orders": found.orders}


def _resident(gateway: GatewayProcess) -> float:
    return round(_process(gateway).memory_info().rss / MB, 1)


def _private(gateway: GatewayProcess) -> float:
    return round(_process(gateway).memory_full_info().uss / MB, 1)


def _process(gateway: GatewayProcess) -> psutil.Process:
    assert gateway.running is not None
    return psutil.Process(gateway.running.pid)
