"""The door of a process: asked over a real socket, from a thread beside a running loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from onetape.errors import RunError, SettingsError
from onetape.run import control

Asked = Callable[[], Any]


def behind(path: Path, handlers: Mapping[str, control.Handler], asked: Asked) -> Any:
    """Return what `asked` gives while the door at `path` is open."""

    async def both() -> Any:
        door = await control.serve(path, handlers)
        try:
            return await asyncio.to_thread(asked)
        finally:
            await door.close()

    return asyncio.run(both())


async def later(args: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"got": args}


def refused(_: dict[str, Any]) -> dict[str, Any]:
    raise SettingsError("quantity 0 found, more than 0 expected")


def broken(_: dict[str, Any]) -> dict[str, Any]:
    return {"a": {}["b"]}


HANDLERS: dict[str, control.Handler] = {
    "ping": lambda _: {"pong": True},
    "later": later,
    "refused": refused,
    "broken": broken,
}


def test_what_is_asked_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    assert behind(path, HANDLERS, lambda: control.ask(path, "ping")) == {"pong": True}
    told = behind(path, HANDLERS, lambda: control.ask(path, "later", flatten=True))
    assert told == {"got": {"flatten": True}}


def test_the_door_is_open_to_its_own_user_only(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    assert behind(path, HANDLERS, lambda: path.stat().st_mode & 0o777) == 0o600
    assert not path.exists()


def test_what_a_handler_raised_comes_to_the_asker(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with pytest.raises(SettingsError, match="quantity 0 found"):
        behind(path, HANDLERS, lambda: control.ask(path, "refused"))


def test_a_handler_that_breaks_is_told_and_the_door_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"

    def twice() -> dict[str, Any]:
        with pytest.raises(RunError, match="broken: KeyError"):
            control.ask(path, "broken")
        return control.ask(path, "ping")

    assert behind(path, HANDLERS, twice) == {"pong": True}


def test_what_nobody_knows_is_answered_with_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with pytest.raises(RunError, match="broken, later, ping, refused"):
        behind(path, HANDLERS, lambda: control.ask(path, "dance"))


def test_a_line_that_is_no_question_is_answered_too(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"

    def garbage() -> bytes:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.sendall(b"what?\n")
            return sock.recv(4_096)

    assert b"cannot be read" in behind(path, HANDLERS, garbage)


def test_nobody_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with pytest.raises(RunError, match=r"has not opened its door yet.*onetape live list"):
        control.ask(path, "ping")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(RunError, match="it was killed"):
        control.ask(path, "ping")
    assert behind(path, HANDLERS, lambda: control.ask(path, "ping")) == {"pong": True}


def test_a_process_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        deaf.listen()
        with pytest.raises(RunError, match=r"no answer to 'ping' within 0\.05 s"):
            control.ask(path, "ping", 0.05)


def test_two_processes_do_not_stand_behind_one_door(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"

    async def second() -> None:
        door = await control.serve(path, HANDLERS)
        try:
            with pytest.raises(RunError, match="another process answers"):
                await control.serve(path, HANDLERS)
        finally:
            await door.close()

    asyncio.run(second())


def test_a_path_that_is_too_long_for_the_system_works_as_well(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    path = folder / "control.sock"
    assert behind(path, HANDLERS, lambda: control.ask(path, "ping")) == {"pong": True}
    assert not path.exists()


def test_a_closing_door_answers_what_it_was_asked(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"

    async def main() -> dict[str, Any]:
        asked = asyncio.Event()

        async def slow(_: dict[str, Any]) -> dict[str, Any]:
            asked.set()
            await asyncio.sleep(0.05)
            return {"done": True}

        door = await control.serve(path, {"slow": slow})
        answer = asyncio.create_task(asyncio.to_thread(control.ask, path, "slow"))
        await asked.wait()
        await door.close()
        return await answer

    assert asyncio.run(main()) == {"done": True}
