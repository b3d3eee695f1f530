"""The commands that stop and permit: kill, rearm, states, limits.

`onetape kill` ends with 0 only where the venues' own word says that nothing works any more; with
1 where an order, or a venue without a word, is left. It needs no session and waits for no tape.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onetape.errors import SettingsError

if TYPE_CHECKING:
    from onetape.results.tape import Tape

DONE, FAILED = 0, 1
SCOPE = "firm, desk:X, account:X, strategy:X, trader:X, venue:X or instrument:X"


def add(commands: Any, command: Any) -> None:
    """Add these commands to a parser; `command` makes one."""
    _kill_arguments(command(commands, "kill", _kill, "halt a scope and cancel its working orders"))
    rearm = _of_tape(command(commands, "rearm", _rearm, "let a killed scope trade again"))
    rearm.add_argument("scope", help=SCOPE)
    _persons(rearm, second=True)
    rearm.add_argument(
        "--accept", action="append", default=[], metavar="ORDER",
        help="an order, or venue:NAME, that the kill left and is taken as it is",
    )  # fmt: skip
    states = _of_tape(command(commands, "states", _states, "show trading states, or set one"))
    states.add_argument("scope", nargs="?", help=SCOPE)
    states.add_argument("state", nargs="?", help="ACTIVE, REDUCING, CANCEL_ONLY or HALTED")
    _persons(states, needed=False, second=True)
    limits = command(commands, "limits", _limits, "show, check, propose and approve limits")
    _limits_arguments(limits, command)


def _kill_arguments(kill: argparse.ArgumentParser) -> None:
    _of_tape(kill)
    kill.add_argument("scope", nargs="?", default="firm", help=f"{SCOPE} (default: firm)")
    kill.add_argument("--reason", required=True)
    kill.add_argument("--who", default="", help="who asks (default: the user of this computer)")
    kill.add_argument("--drill", action="store_true", help="do all of it, marked as a drill")
    kill.add_argument("--venue", metavar="ADAPTER", help="default: the venues of all sessions")
    kill.add_argument("--config", type=Path, metavar="FILE", help="of the venue: JSON or TOML")
    kill.add_argument("--account", action="append", default=[], help="at that venue")
    kill.add_argument("--patience", type=float, default=10.0, metavar="SECONDS")


def _limits_arguments(limits: argparse.ArgumentParser, command: Any) -> None:
    what = limits.add_subparsers(dest="what", required=True, metavar="WHAT")
    _of_tape(command(what, "show", _show, "show the limits in force and those that wait"))
    check = command(what, "check", _check, "read a limits file and say what it means")
    check.add_argument("file", type=Path)
    write = command(what, "write", _write, "write a complete set of limits to begin with")
    write.add_argument("file", type=Path)
    write.add_argument("--equity", default="100000", help="of the account")
    write.add_argument("--currency", default="USD")
    propose = _of_tape(command(what, "propose", _propose, "ask for the limits in a file"))
    propose.add_argument("file", type=Path)
    _persons(propose)
    approve = _of_tape(command(what, "approve", _approve, "put proposed limits in force"))
    approve.add_argument("version")
    approve.add_argument("--second", required=True, help="who approves, not who proposed")


def _of_tape(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    says = "a server's URL or a folder for our own (default: ONETAPE_TAPE, or the user's own)"
    parser.add_argument("--tape", metavar="WHERE", help=says)
    return parser


def _persons(parser: argparse.ArgumentParser, *, needed: bool = True, second: bool = False) -> None:
    parser.add_argument("--who", required=needed, default="", help="who asks")
    parser.add_argument("--reason", required=needed, default="", help="why")
    if second:
        parser.add_argument("--second", default="", help="who else stands for it")


def _tape(where: str | None) -> Tape:
    from onetape.results.tape import open_tape

    if where and "://" not in where and not (Path(where).expanduser() / "data").is_dir():
        raise SettingsError(f"no tape in {where}; onetape backtest --tape {where} begins one")
    return open_tape(where)


def _say(args: argparse.Namespace, data: Any, text: str) -> int:
    print(json.dumps(data, default=str) if args.json else text)
    return DONE


def _kill(args: argparse.Namespace) -> int:
    from onetape.results.control import kill

    made = kill(
        args.scope,
        args.reason,
        who=args.who,
        venues=_venues(args),
        drill=args.drill,
        patience=args.patience,
        tape=lambda: _tape(args.tape),
    )
    _say(args, made.to_dict(), repr(made))
    return DONE if made.done else FAILED


def _venues(args: argparse.Namespace) -> list[dict[str, Any]] | None:
    from onetape.results.reach import lives_inside

    if args.venue is None:
        if args.config is not None or args.account:
            raise SettingsError("--config and --account say how to reach a --venue; name it too")
        return None
    if not args.account:
        raise SettingsError(f"no account: say --account NAME, as it is known at {args.venue}")
    config = _config(args.config) if args.config is not None else {}
    if lives_inside(args.venue, config):
        raise SettingsError(
            f"a {args.venue} venue without an address lives inside its session's process and "
            "cannot be reached from here; kill the session, or give the venue an address"
        )
    return [{"adapter": args.venue, "config": config, "accounts": args.account}]


def _config(path: Path) -> dict[str, Any]:
    read: Callable[[str], Any] = tomllib.loads if path.suffix == ".toml" else json.loads
    try:
        told = read(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise SettingsError(f"no config can be read from {path}: {err}") from err
    if not isinstance(told, dict):
        raise SettingsError(f"{path} holds {type(told).__name__}; a table of settings expected")
    return told  # pyright: ignore[reportUnknownVariableType]


def _rearm(args: argparse.Namespace) -> int:
    from onetape.results.control import rearm

    with _tape(args.tape) as tape:
        made = rearm(
            args.scope, who=args.who, second=args.second, reason=args.reason,
            accept=args.accept, tape=tape,
        )  # fmt: skip
    return _say(args, made.to_dict(), repr(made))


def _states(args: argparse.Namespace) -> int:
    from onetape.results.control import kills, set_state, states

    with _tape(args.tape) as tape:
        if args.scope is not None:
            if args.state is None:
                raise SettingsError(f"no state for {args.scope}: ACTIVE, REDUCING, ... expected")
            made = set_state(
                args.scope, args.state, who=args.who, reason=args.reason,
                second=args.second, tape=tape,
            )  # fmt: skip
            return _say(args, made.to_dict(), repr(made))
        rows, steps = states(tape).to_dicts(), kills(tape).to_dicts()
    lines = [f"  {row['scope']:<28}{row['state']:<12} {_because(row)}" for row in rows]
    text = "\n".join(lines) or "every scope is ACTIVE: none was ever moved"
    return _say(args, {"states": rows, "kills": steps}, text)


def _because(row: dict[str, Any]) -> str:
    killed = f", kill {row['kill']}" if row["kill"] else ""
    return f"{row['reason']} ({row['who']}, {row['since']:%Y-%m-%d %H:%M:%S} UTC{killed})"


def _limits(_: argparse.Namespace) -> int:
    raise SettingsError("say what: show, check, write, propose or approve")


def _show(args: argparse.Namespace) -> int:
    from onetape.results.control import limits_history, limits_in_force
    from onetape.risk.limitbook import dumps, to_json

    with _tape(args.tape) as tape:
        force, history = limits_in_force(tape), limits_history(tape)
    data = {
        "version": None if force is None else force.version,
        "rules": None if force is None else json.loads(to_json(force)),
        "history": history.drop("rules").to_dicts(),
    }
    none = "no limits are in force: onetape limits write FILE, then onetape limits propose FILE"
    return _say(args, data, none if force is None else dumps(force))


def _check(args: argparse.Namespace) -> int:
    from onetape.risk.limitbook import load, to_json

    book = load(args.file)
    data = {"version": book.version, "rules": json.loads(to_json(book))}
    text = f"{args.file}: version {book.version}, {len(book.rules)} rules\n  {book.describe()}"
    return _say(args, data, text)


def _write(args: argparse.Namespace) -> int:
    from onetape.risk.limitbook import dumps, starter

    if args.file.exists():
        raise SettingsError(f"{args.file} is there already; name another file")
    book = starter(args.equity, args.currency)
    args.file.write_text(dumps(book), encoding="utf-8")
    said = {"file": str(args.file), "version": book.version, "rules": len(book.rules)}
    text = f"wrote {len(book.rules)} rules to {args.file}; change them, then propose the file"
    return _say(args, said, text)


def _propose(args: argparse.Namespace) -> int:
    from onetape.results.control import propose_limits

    with _tape(args.tape) as tape:
        made = propose_limits(args.file, who=args.who, reason=args.reason, tape=tape)
    return _say(args, made.to_dict(), repr(made))


def _approve(args: argparse.Namespace) -> int:
    from onetape.results.control import approve_limits

    with _tape(args.tape) as tape:
        made = approve_limits(args.version, second=args.second, tape=tape)
    return _say(args, made.to_dict(), repr(made))
