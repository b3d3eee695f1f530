# pyright: standard
"""What both loads of the FIX bench share: their arguments, and how CPU and time are counted.

It imports nothing but the standard library: the peer's load runs in another interpreter.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any


def arguments(says: str) -> argparse.ArgumentParser:
    """Return the parser of a load."""
    asked = argparse.ArgumentParser(description=says)
    asked.add_argument("--port", type=int, required=True)
    asked.add_argument("--store", type=Path, required=True)
    asked.add_argument("--sessions", type=int, default=28)
    asked.add_argument("--orders", type=int, default=100, help="of each session")
    asked.add_argument("--warm", type=int, default=10, help="orders of each session before")
    asked.add_argument("--rate", type=float, default=0.0, help="orders a second of all sessions")
    asked.add_argument("--seconds", type=float, default=5.0, help="of the paced part")
    asked.add_argument("--dictionary", default="")
    asked.add_argument("--sync", default="group")
    return asked


class Spent:
    """CPU and wall time of a part, and what was done in it."""

    def __init__(self) -> None:
        self.orders = self.reports = 0
        self.trips: list[float] = []  # s
        self.cpu = self.wall = 0.0

    def begin(self) -> Spent:
        """Start the clocks."""
        self.cpu, self.wall = time.process_time(), time.perf_counter()
        return self

    def end(self) -> None:
        """Stop the clocks."""
        self.cpu = time.process_time() - self.cpu
        self.wall = time.perf_counter() - self.wall

    def told(self) -> dict[str, Any]:
        """Return the figures."""
        messages = self.orders + self.reports
        return {
            "orders": self.orders,
            "reports": self.reports,
            "messages_per_s": round(messages / self.wall),
            "cpu_us_per_message": round(self.cpu / messages * 1e6, 2),
            "cpu_share": round(self.cpu / self.wall, 3),
            "roundtrip_p50_us": part(self.trips, 0.5),
            "roundtrip_p99_us": part(self.trips, 0.99),
            "roundtrip_max_us": part(self.trips, 1.0),
        }


def part(values: list[float], share: float) -> float:
    """Return a percentile of seconds in microseconds."""
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1e6, 1)
