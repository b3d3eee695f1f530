"""The live demonstration, from the shell: a venue, a session, its proof and its second life."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onetape.cli import main


@pytest.mark.parametrize("more", [[], ["--fix"]], ids=["socket", "fix"])
def test_the_live_demo_trades_verifies_and_makes_the_session_again(
    more: list[str],
    tmp_path: Path,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place.chmod(0o711)  # under root the server runs as another user, who has to pass
    monkeypatch.setenv("ONETAPE_HOME", str(place))
    assert main(["demo", "--live", *more, "--folder", str(tmp_path / "demo"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["verified"]
    assert said["rerun_identical"]
    assert said["positions_match_venue"]
    assert said["positions"], "a demonstration that ends with nothing held shows little"
    assert said["orders"] > 10
    assert said["fills"] >= said["orders"]
    assert said["state"] == "stopped"
    assert "synthetic" in said["market"]
    if more:
        assert said["fix"]["all_kept"]
        assert said["fix"]["alarms"] == 0
