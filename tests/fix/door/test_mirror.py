"""A session file's other side: the example's 28 sessions log on to what is made of it."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

import pytest

from onetape.errors import SettingsError
from onetape_fix.door.mirror import mirrored
from onetape_fix.door.server import opened
from onetape_fix.gateway.hub import Gateway
from onetape_fix.session import read

EXAMPLE = Path(__file__).parents[3] / "adapters" / "onetape_fix" / "example.cfg"
WORLD = {"generator": {"instruments": ["AAA.SIM"]}, "speed": 1, "clock": "wall"}
PATIENCE_S = 20.0


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the example on free ports, without hours: it is to be up at any time."""
    text = EXAMPLE.read_text()
    text = re.sub(
        r"^(TimeZone|StartTime|EndTime|StartDay|EndDay|Weekdays)=.*\n", "", text, flags=re.M
    )
    text = text.replace("[DEFAULT]\n", "[DEFAULT]\nNonStopSession=Y\n", 1)
    for name in set(re.findall(r"=env:(\w+)", text)):
        monkeypatch.setenv(name, f"a {name.lower()}")
    ports = iter(free_ports(28))
    text = re.sub(r"(?<=SocketConnectPort=)\d+", lambda _: str(next(ports)), text)
    path = folder / "example.cfg"
    path.write_text(text)
    return path


def test_all_28_sessions_of_the_example_log_on_to_its_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copied(tmp_path, monkeypatch)

    async def walk() -> None:
        async with opened(mirrored(path), WORLD) as door:
            assert len(door.sessions) == 28
            gateway = Gateway(read(path))
            await gateway.start()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    while not all(s["state"] == "up" for s in gateway.status()["sessions"]):
                        await asyncio.sleep(0.02)
            finally:
                await gateway.stop()
            assert not any(s["alarms"] for s in gateway.status()["sessions"])

    asyncio.run(walk())


def test_the_ids_change_sides_and_the_numbers_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "broker.cfg"
    path.write_text(
        "[DEFAULT]\nConnectionType=initiator\nBeginString=FIX.4.4\nSenderCompID=DESK\n"
        "SenderSubID=ONE\nTargetCompID=THEM\nSocketConnectHost=127.0.0.1\nSocketConnectPort=7002\n"
        "FileStorePath=store\nNonStopSession=Y\n[SESSION]\n"
    )
    (ours,), (theirs,) = read(path).sessions, mirrored(path).sessions
    assert (theirs.sender, theirs.target, theirs.target_sub) == ("THEM", "DESK", "ONE")
    assert (theirs.role, theirs.listen, theirs.hosts) == ("acceptor", ("127.0.0.1", 7002), ())
    assert theirs.store != ours.store


@pytest.mark.parametrize(
    ("line", "told"),
    [("SocketConnectHost=fix.example.com", "another machine"), ("SocketUseSSL=Y", "uses TLS")],
)
def test_what_only_the_broker_can_be_is_refused(tmp_path: Path, line: str, told: str) -> None:
    lines = {
        "ConnectionType": "initiator", "BeginString": "FIX.4.4", "SenderCompID": "DESK",
        "TargetCompID": "THEM", "SocketConnectHost": "127.0.0.1", "SocketConnectPort": "7002",
        "NonStopSession": "Y",
    } | dict([line.split("=")])  # fmt: skip
    path = tmp_path / "broker.cfg"
    path.write_text("[DEFAULT]\n" + "".join(f"{k}={v}\n" for k, v in lines.items()) + "[SESSION]\n")
    with pytest.raises(SettingsError, match=told):
        mirrored(path)


def test_a_file_of_acceptors_has_no_other_side(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no initiator session"):
        mirrored(EXAMPLE.parent / "door" / "example_sim.cfg")
