"""The command `onetape live`: start, status, stop, kill, list and log of live sessions.

`start` waits until the strategy runs, with --attach until the session has ended; Ctrl-C then
leaves the session running. It returns 1 where the session failed or was killed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onetape import given
from onetape.errors import SettingsError

if TYPE_CHECKING:
    from onetape.results.session_handle import Session

DONE, FAILED = 0, 1
EVERY_S = 1.0


def add(commands: Any, command: Any) -> None:
    """Add these commands to a parser; `command` makes one."""
    live = commands.add_parser("live", help="trade: start, status, stop, kill, list, log")
    what = live.add_subparsers(dest="what", required=True, metavar="WHAT")
    _start_arguments(command(what, "start", _start, "start a strategy in processes of its own"))
    _of_session(command(what, "status", _status, "show how a session is"))
    stop = _of_session(command(what, "stop", _stop, "stop a session in good order"), needed=True)
    stop.add_argument("--flatten", action="store_true", help="close its positions, too")
    stop.add_argument("--no-wait", action="store_true", help="ask only")
    kill = _of_session(
        command(what, "kill", _kill, "cancel all of a session's orders, and end it"), needed=True
    )
    kill.add_argument("--reason", required=True)
    kill.add_argument("--who", help="who asks (default: the user of this computer)")
    kill.add_argument("--scope", default="", help="default: the session's account")
    listing = command(what, "list", _list, "list sessions, the newest first")
    listing.add_argument("--alive", action="store_true", help="only those that run")
    log = _of_session(command(what, "log", _log, "show what a session's processes said"))
    log.add_argument("-n", "--lines", type=int, default=40, help="from the end; 0 shows all")


def _of_session(
    parser: argparse.ArgumentParser, *, needed: bool = False
) -> argparse.ArgumentParser:
    says = "its id, or the start of it" + ("" if needed else " (default: the newest)")
    parser.add_argument("id", nargs=None if needed else "?", default="", help=says)
    return parser


def _start_arguments(start: argparse.ArgumentParser) -> None:
    start.add_argument(
        "--strategy", required=True, help="a known name, module:Class or file.py:Class"
    )
    start.add_argument("--venue", required=True, metavar="ADAPTER", help="where orders go, as sim")
    start.add_argument("--feed", metavar="ADAPTER", help="default: the venue")
    for end in ("venue", "feed"):
        start.add_argument(
            f"--{end}-set", action="append", default=[], metavar="KEY=VALUE",
            help=f"one entry of the {end}'s config; secrets as env:NAME",
        )  # fmt: skip
        start.add_argument(f"--{end}-config", type=Path, metavar="FILE", help="config as JSON")
    start.add_argument("--account", required=True, metavar="NAME")
    start.add_argument("--limits", metavar="FILE", help="see onetape limits write")
    start.add_argument("--mode", default="paper", choices=("paper", "live"))
    start.add_argument("--data", action="append", default=[], metavar="NAME", help="to be replayed")
    start.add_argument("--catalog", metavar="PATH", help="of --data, and where the day is kept")
    start.add_argument("--subscribe", action="append", metavar="WHAT", help=_SUBSCRIBE)
    start.add_argument("-p", "--param", action="append", default=[], metavar="NAME=VALUE")
    start.add_argument("--cash", default="100000", help="where the venue is simulated")
    start.add_argument("--currency", default="USD")
    start.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    start.add_argument("--tape", metavar="WHERE", help="a server's URL or a folder for our own")
    start.add_argument("--name", help="begins the session's id")
    start.add_argument("--trader", default="")
    start.add_argument("--desk", default="")
    start.add_argument("--on-restart", default="cancel", choices=("cancel", "keep"))
    start.add_argument("--flatten-on-stop", action="store_true")
    start.add_argument("--accept", action="append", default=[], metavar="BREAK")
    how = start.add_mutually_exclusive_group()
    how.add_argument("--attach", action="store_true", help="show it until it has ended")
    how.add_argument("--no-wait", action="store_true", help="return before it runs")


_SUBSCRIBE = "as EUR/USD.SIM (quotes), EUR/USD.SIM:trades or GOOG.XNAS:bars:1-MINUTE"


def _start(args: argparse.Namespace) -> int:
    from onetape.results.session import trade

    session = trade(
        given.strategy(args.strategy),
        venue=_endpoint(args, "venue"),
        feed=_endpoint(args, "feed") if args.feed else None,
        account=args.account,
        limits=args.limits,
        mode=args.mode,
        data=given.datasets(args) or None,
        catalog=args.catalog,
        subscribe=[_wanted(text) for text in args.subscribe] if args.subscribe else None,
        params={name: given.value(text) for name, text in given.pairs(args.param)},
        cash=args.cash,
        currency=args.currency,
        latency=args.latency,
        tape=args.tape,
        name=args.name,
        trader=args.trader,
        desk=args.desk,
        on_restart=args.on_restart,
        flatten_on_stop=args.flatten_on_stop,
        accept=args.accept,
    )
    if args.attach:
        return _attached(args, session)
    if not args.no_wait:
        session.wait("running", timeout=120)
    return _say(args, session.to_dict(), repr(session))


def _endpoint(args: argparse.Namespace, end: str) -> tuple[str, dict[str, Any]]:
    config: dict[str, Any] = {}
    path: Path | None = getattr(args, f"{end}_config")
    if path is not None:
        try:
            config = dict(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as err:
            raise SettingsError(f"--{end}-config {path} is no JSON map: {err}") from err
    said: list[str] = getattr(args, f"{end}_set")
    return getattr(args, end), config | {key: given.value(v) for key, v in given.pairs(said)}


def _wanted(text: str) -> Any:
    parts = text.split(":")
    return text if len(parts) == 1 else tuple(parts)


def _attached(args: argparse.Namespace, session: Session) -> int:
    """Show a session until it has ended; an interrupt leaves it running."""
    shown = ""
    try:
        while (view := session.view).alive:
            said = f"{view.state}  {view.pnl.total:+,.2f} {view.pnl.currency}"
            if said != shown and not args.json:
                print(f"{session.id}  {said}", file=sys.stderr)
            shown = said
            time.sleep(EVERY_S)
    except KeyboardInterrupt:
        print(f"left running; onetape live stop {session.id} ends it", file=sys.stderr)
        return DONE
    _say(args, session.to_dict(), repr(session))
    return DONE if session.state == "stopped" else FAILED


def _status(args: argparse.Namespace) -> int:
    session = _session(args)
    return _say(args, session.to_dict(), f"{session!r}\n{session.health!r}")


def _stop(args: argparse.Namespace) -> int:
    session = _session(args).stop(flatten=args.flatten, wait=not args.no_wait)
    return _say(args, session.to_dict(), repr(session))


def _kill(args: argparse.Namespace) -> int:
    killed = _session(args).kill(args.reason, who=args.who, scope=args.scope)
    _say(args, killed.to_dict(), repr(killed))
    return DONE if killed.done else FAILED


def _list(args: argparse.Namespace) -> int:
    from onetape.results.session import sessions

    found = sessions(alive=args.alive)
    return _say(args, {"sessions": [one.to_dict() for one in found]}, repr(found))


def _log(args: argparse.Namespace) -> int:
    session = _session(args)
    said = str(session.log(args.lines or None))
    return _say(args, {"session": session.id, "log": said}, said)


def _session(args: argparse.Namespace) -> Session:
    from onetape.results.session import session

    return session(args.id)


def _say(args: argparse.Namespace, data: Any, text: str) -> int:
    print(json.dumps(data, default=str) if args.json else text)
    return DONE
