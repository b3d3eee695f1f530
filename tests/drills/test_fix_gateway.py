"""A gateway that is started while others look whether it runs."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from onetape.errors import SettingsError
from onetape_fix.gateway.process import locked, running


def test_a_gateway_starts_although_somebody_just_looks_whether_one_runs(tmp_path: Path) -> None:
    socket = tmp_path / "g"
    with locked(socket):
        assert running(socket)
    with socket.with_suffix(".lock").open("r+") as looked:  # as `running` does, for a moment
        fcntl.flock(looked, fcntl.LOCK_EX)
        threading.Timer(0.05, lambda: fcntl.flock(looked, fcntl.LOCK_UN)).start()
        with locked(socket):
            assert running(socket)


def test_a_second_gateway_is_still_refused(tmp_path: Path) -> None:
    refused = pytest.raises(SettingsError, match="runs already")
    with locked(tmp_path / "g"), refused, locked(tmp_path / "g"):
        raise AssertionError("two at a time")
