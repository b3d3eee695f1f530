"""The command `onetape fix`: the gateway's sessions, and what operators do with them.

`start` holds the sessions in the foreground, with --detach in a process of its own. The other
commands find the gateway by --config, or by themselves where just one runs. What changes
something needs --who: it stands in the session's journal and on the tape.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onetape.errors import OnetapeError, SettingsError, VenueUnavailable

if TYPE_CHECKING:
    from onetape_fix.session.settings import SessionConfig, Settings

DONE, FAILED, USAGE = 0, 1, 2
ALL = "all"
SAYS = "hold FIX sessions, show how they are, and do what operators do with them"
ACTIONS = {
    "logon": "connect a session and log on",
    "logout": "log a session out; it stays out until logon",
    "set-seq": "set a session's next numbers",
    "reset": "set both numbers to 1 on both sides",
    "resend": "have the peer send messages again",
    "mass-cancel": "cancel all orders of a session",
    "disable": "let no orders out of a session; cancels still leave",
    "enable": "let orders out again",
}


def add(commands: Any, command: Any) -> None:
    """Add these commands to a parser; `command` makes one."""
    fix = commands.add_parser("fix", help=SAYS, description=SAYS[0].upper() + SAYS[1:] + ".")
    what = fix.add_subparsers(dest="what", required=True, metavar="WHAT")
    _fill(what, command)


def _fill(what: Any, command: Any) -> None:
    start = command(what, "start", _start, "hold a config's sessions")
    start.add_argument("config", type=Path, help="a .cfg file")
    start.add_argument("--detach", action="store_true", help="in a process of its own; return")
    _of_gateway(command(what, "stop", _stop, "log all sessions out and end the gateway"))
    status = _of_gateway(command(what, "status", _status, "show how the sessions are"))
    status.add_argument("session", nargs="?", default="", help="one session, with all details")
    _log_arguments(_of_gateway(command(what, "log", _log, "show a session's messages in words")))
    check = command(what, "check", _check, "read a config and show what it says; nothing is opened")
    check.add_argument("config", type=Path, help="a .cfg file")
    for name, says in ACTIONS.items():
        parser = _of_gateway(command(what, name, _act, says))
        parser.set_defaults(action=name)
        parser.add_argument("session", help="a session's name, or all")
        parser.add_argument("--who", required=True, help="who asks")
        parser.add_argument("--why", default="", help="why")
        if name == "set-seq":
            parser.add_argument("--in", dest="next_in", type=int, help="the next number expected")
            parser.add_argument("--out", dest="next_out", type=int, help="the next number sent")
        elif name == "resend":
            parser.add_argument("--begin", type=int, default=1, help="the first number (1)")
            parser.add_argument("--end", type=int, default=0, help="0: up to the last one")
        elif name == "mass-cancel":
            parser.add_argument("--account", default="", help="only of this account")


def _of_gateway(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    says = "the gateway's .cfg file (default: of the one gateway that runs)"
    parser.add_argument("--config", type=Path, metavar="FILE", help=says)
    return parser


def _log_arguments(log: argparse.ArgumentParser) -> None:
    log.add_argument("session", nargs="?", default="", help="default: the only one")
    log.add_argument("--type", action="append", default=[], metavar="35", help="as D or 8")
    log.add_argument("--order", default="", metavar="ID", help="a ClOrdID, OrderID or ExecID")
    log.add_argument("--since", default="", metavar="TIME", help="ISO, UTC where it has no zone")
    log.add_argument("--until", default="", metavar="TIME", help="up to before it")
    log.add_argument("--admin", action="store_true", help="heartbeats and the like, too")
    log.add_argument("-n", "--lines", type=int, default=40, help="from the end; 0 shows all")


def run(argv: list[str]) -> int:
    """Run these commands without the rest of `onetape`; return the exit code."""
    parser = argparse.ArgumentParser("python -m onetape_fix", description=SAYS)
    _fill(parser.add_subparsers(dest="what", required=True, metavar="WHAT"), _command)
    args = parser.parse_args(argv)
    try:
        code: int = args.act(args)
    except OnetapeError as err:
        if args.json:
            print(json.dumps({"error": type(err).__name__, "message": str(err)}))
        else:
            print(f"onetape fix: {err}", file=sys.stderr)
        return USAGE if isinstance(err, SettingsError) else FAILED
    return code


def _command(commands: Any, name: str, act: Any, says: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=says, description=says[0].upper() + says[1:] + ".")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(act=act)
    return parser


def _say(args: argparse.Namespace, data: Any, text: str) -> int:
    print(json.dumps(data, default=str) if args.json else text)
    return DONE


# -- the process


def _start(args: argparse.Namespace) -> int:  # noqa: RET503  execv does not return
    from onetape_fix.gateway import process
    from onetape_fix.session.settings import read

    config = args.config.absolute()
    found = read(config)
    if args.detach:
        socket = process.ensure(config)
        said = {"socket": str(socket), "pid": process.running(socket), "config": str(config)}
        return _say(args, said, f"holding {len(found.sessions)} sessions, pid {said['pid']}")
    if pid := process.running(found.gateway.socket):
        raise SettingsError(f"a gateway of this config runs already (pid {pid})")
    said = {"socket": str(found.gateway.socket), "pid": os.getpid(), "config": str(config)}
    _say(args, said, f"holding {len(found.sessions)} sessions, pid {os.getpid()}; Ctrl-C ends it")
    sys.stdout.flush()
    # the same process, without all that a command line has loaded
    os.execv(sys.executable, [sys.executable, "-m", "onetape_fix", "gateway", str(config)])


def _stop(args: argparse.Namespace) -> int:
    from onetape_fix.gateway import process

    socket = _socket(args)
    if not process.stop(socket):
        raise VenueUnavailable(f"no gateway runs at {socket}")
    return _say(args, {"stopped": str(socket)}, "stopped")


def _socket(args: argparse.Namespace) -> Path:
    return _settings(args).gateway.socket


def _settings(args: argparse.Namespace) -> Settings:
    from onetape_fix.gateway.process import gateways
    from onetape_fix.session.settings import read

    if args.config is not None:
        return read(args.config.absolute())
    found = gateways()
    if len(found) != 1:
        those = ", ".join(one["config"] for one in found) or "none"
        raise SettingsError(f"say which gateway: --config FILE; those that run: {those}")
    return read(found[0]["config"])


# -- what is asked of it


def _status(args: argparse.Namespace) -> int:
    from onetape_fix.gateway.process import ask

    told = ask(_socket(args), "status", session=args.session)
    if args.json:
        return _say(args, told, "")
    from onetape_fix.gateway.table import details, overview

    _draw(details(told["sessions"][0]) if args.session else overview(told))
    return DONE


def _draw(drawn: Any) -> None:
    from rich.console import Console

    console = Console()
    # a pipe has no width; cut columns would be worse than long lines
    Console(width=None if console.is_terminal else 160).print(drawn)


def _act(args: argparse.Namespace) -> int:
    from onetape_fix.gateway.process import ask

    more: dict[str, Any] = {}
    for name in ("next_in", "next_out", "begin", "end", "account"):
        value = getattr(args, name, None)
        if value not in (None, ""):
            more[name] = value
    what = args.action.replace("-", "_")
    told = ask(_socket(args), what, session=args.session, who=args.who, why=args.why, **more)
    rows: list[dict[str, Any]] = told.get("all", [told])
    text = "\n".join(_became(what, row) for row in rows)
    _say(args, told, text)
    return FAILED if any("failed" in row for row in rows) else DONE


def _became(what: str, row: dict[str, Any]) -> str:
    if "failed" in row:
        return f"{row['session']}: {what} failed: {row['failed']}"
    more = {key: value for key, value in row.items() if key not in ("session", "done")}
    return f"{row['session']}: {what} done" + "".join(f", {k} {v}" for k, v in more.items())


# -- what is read from files


def _log(args: argparse.Namespace) -> int:
    from onetape_fix.gateway.showing import Wanted, Words, shown

    config = _chosen(_settings(args), args.session)
    wanted = Wanted(
        types=frozenset(args.type),
        order=args.order,
        since=_time(args.since, 0),
        until=_time(args.until, 1 << 62),
        lines=args.lines,
        admin=args.admin,
    )
    records, words = shown(config, wanted), Words(config)
    if args.json:
        told = [words.told(record) for record in records]
        return _say(args, {"session": config.name, "messages": told}, "")
    lines = [words.line(record) for record in records]
    return _say(args, {}, "\n".join(lines) or "nothing of that is in the journal")


def _chosen(found: Settings, name: str) -> SessionConfig:
    if name:
        return found.session(name)
    if len(found.sessions) != 1:
        there = ", ".join(config.name for config in found.sessions)
        raise SettingsError(f"say which session: {there}")
    return found.sessions[0]


def _time(text: str, otherwise: int) -> int:
    from datetime import UTC, datetime

    if not text:
        return otherwise
    try:
        when = datetime.fromisoformat(text)
    except ValueError as err:
        raise SettingsError(f"time {text!r}; ISO expected, as 2026-03-02T14:30") from err
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return int(when.timestamp()) * 1_000_000_000 + when.microsecond * 1_000


def _check(args: argparse.Namespace) -> int:
    from onetape_fix.gateway.checking import checked

    told = checked(args.config.absolute())
    lines = [f"{args.config}: {len(told['sessions'])} sessions, socket {told['socket']}"]
    for one in told["sessions"]:
        where = ", ".join(one["where"])
        lines.append(
            f"  {one['session']:<28}{'+'.join(one['duties']):<24}{one['profile']:<11}"
            f"{one['role']:<10}{where}{'  TLS' if one['tls'] else ''}"
        )
        lines += [f"      {trouble}" for trouble in one["troubles"]]
    lines += [f"  line {one['line']}: {one['key']} changes nothing: {one['why']}"
              for one in told["ignored"]]  # fmt: skip
    _say(args, told, "\n".join(lines))
    return FAILED if any(one["troubles"] for one in told["sessions"]) else DONE
