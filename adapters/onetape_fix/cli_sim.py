"""The command `onetape sim`: a simulated venue behind FIX, and what it shall do wrong.

    onetape sim --fix door.cfg --world world.json --socket /tmp/sim.sock
    onetape sim --mirror broker.cfg                 the other side of your own session file
    onetape sim fault garble count=2 session=CLIENT1 --socket /tmp/sim.sock

It says where it listens and runs until SIGTERM or Ctrl-C; then everybody is logged out. The socket
(mode 0600) also serves clients of `onetape_sim`: {"address": "unix:/tmp/sim.sock"}.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onetape.errors import OnetapeError, SettingsError

if TYPE_CHECKING:
    from onetape_fix.door.server import Door

DONE, FAILED, USAGE, STOPPED = 0, 1, 2, 130
SAYS = "a simulated venue behind FIX (--fix), and its faults (fault)"
EXAMPLES = Path(__file__).parent / "door"


def add(commands: Any, command: Any) -> None:
    """Add this command to a parser; `command` makes one."""
    _fill(command(commands, "sim", _serve, SAYS), command)


def _fill(parser: argparse.ArgumentParser, command: Any) -> None:
    parser.add_argument(
        "--fix", type=Path, metavar="FILE", help="a .cfg file with ConnectionType=acceptor"
    )
    parser.add_argument(
        "--mirror", type=Path, metavar="FILE", help="your own .cfg: be what its sessions dial"
    )
    parser.add_argument(
        "--world", type=Path, metavar="FILE", help="what is traded: JSON (default: an example)"
    )
    _of_socket(parser)
    what = parser.add_subparsers(dest="what", metavar="[fault]")
    fault = command(what, "fault", _fault, "let a running simulated venue do something wrong")
    fault.add_argument("name", help="see adapters/onetape_fix/door/README.md")
    fault.add_argument("args", nargs="*", metavar="KEY=VALUE")
    _of_socket(fault)


def _of_socket(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--socket", metavar="PATH", help="a local socket for faults")


def run(argv: list[str]) -> int:
    """Run this command without the rest of `onetape`; return the exit code."""
    parser = argparse.ArgumentParser("python -m onetape_fix.cli_sim", description=SAYS)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(act=_serve)
    _fill(parser, _command)
    args = parser.parse_args(argv)
    try:
        code: int = args.act(args)
    except SettingsError as err:
        print(f"onetape: {err}", file=sys.stderr)
        return USAGE
    except OnetapeError as err:
        print(f"onetape: {err}", file=sys.stderr)
        return FAILED
    return code


def _command(commands: Any, name: str, act: Any, says: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=says)
    parser.set_defaults(act=act)
    return parser


# -- the venue


def _serve(args: argparse.Namespace) -> int:
    if (args.fix is None) == (args.mirror is None):
        raise SettingsError(
            "one of --fix and --mirror expected; say which sessions to accept, as "
            f"onetape sim --fix {EXAMPLES / 'example_sim.cfg'}, or whose other side to be, as "
            "onetape sim --mirror broker.cfg"
        )
    return asyncio.run(_served(args))


async def _served(args: argparse.Namespace) -> int:
    from onetape_fix.door.mirror import mirrored
    from onetape_fix.door.server import opened

    sessions = args.fix if args.mirror is None else mirrored(args.mirror)
    world = world_in(args.world or EXAMPLES / "example_world.json")
    stop = asyncio.Event()
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _end, stop, ended, number)
    async with opened(sessions, world, args.socket) as door:
        _say(door, args)
        await stop.wait()
    return STOPPED if ended == [signal.SIGINT] else DONE


def _end(stop: asyncio.Event, ended: list[int], number: int) -> None:
    ended.append(number)
    stop.set()


def _say(door: Door, args: argparse.Namespace) -> None:
    world = door.world
    if args.json:
        places = {name: f"{host}:{port}" for name, (host, port) in door.addresses.items()}
        told = {"name": world.config.name, "sessions": places, "socket": args.socket}
        print(json.dumps({**told, "instruments": list(world.core.instruments)}), flush=True)
        return
    for session in door.sessions:
        host, port = door.addresses[session.name]
        print(f"{session.name} ({session.config.id}) listens at {host}:{port}")
    if args.socket:
        print(f"faults: onetape sim fault NAME KEY=VALUE --socket {args.socket}")
    traded = ", ".join(world.core.instruments)
    print(f"the simulated venue {world.config.name} is open; it trades {traded}", flush=True)


def world_in(path: Path) -> dict[str, object]:
    """Return the config of a world; a relative journal is taken from the file's folder."""
    try:
        found: Any = json.loads(path.read_text())
    except (OSError, ValueError) as err:
        raise SettingsError(f"{path} cannot be read as the config of a world: {err}") from None
    if not isinstance(found, dict):
        raise SettingsError(f"{path} holds {type(found).__name__}; a JSON object is expected")
    world: dict[str, object] = dict(found)  # pyright: ignore[reportUnknownArgumentType]  checked
    journal = world.get("journal")
    if isinstance(journal, str):
        world["journal"] = str(path.parent / Path(journal).expanduser())
    return world


# -- its faults


def _fault(args: argparse.Namespace) -> int:
    if args.socket is None:
        raise SettingsError("no --socket found; say the one that the simulated venue listens at")
    asyncio.run(tell(args.socket, args.name, pairs(args.args)))
    if args.json:
        print(json.dumps({"fault": args.name}))
    return DONE


async def tell(socket: str, name: str, args: dict[str, object]) -> None:
    """Begin a fault of the simulated venue that listens at `socket`.

    Raises SettingsError for a fault that is none, VenueUnavailable where nobody listens.
    """
    from onetape_sim.config import checked
    from onetape_sim.link import Link
    from onetape_sim.wire import place

    address = f"unix:{socket}"
    link = Link(checked({"address": address}), place(address))
    await link.start()
    try:
        await link.ask("fault", text=name, args=args)
    finally:
        await link.leave()


def pairs(said: list[str]) -> dict[str, object]:
    """Return KEY=VALUE words as a map; values are JSON where they are, else text."""
    found: dict[str, object] = {}
    for word in said:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise SettingsError(f"{word!r} found; KEY=VALUE expected, as count=2")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
