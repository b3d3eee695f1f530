"""The commands that ask the tape: tapes, asof, trace, verify, anchor, prove, archive, rebuild."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onetape.errors import SettingsError

if TYPE_CHECKING:
    from onetape.results.tape import Tape

DONE, TOUCHED = 0, 4


def add(commands: Any, command: Any) -> None:
    """Add the tape's commands to a parser; `command` makes one."""
    _of_tape(command(commands, "tapes", _tapes, "show the tape: where it is, its runs, how it is"))
    asof = _of_tape(
        command(commands, "asof", _asof, "show what was held, worked and owed at an instant")
    )
    asof.add_argument("true_at", nargs="?", metavar="TIME", help="as 2024-05-03T14:32 (UTC)")
    asof.add_argument("--known-at", metavar="TIME|SEQ", help="what had been recorded by then")
    asof.add_argument("--book", default="live", help="live, paper, or a run's id")
    asof.add_argument("--account")
    asof.add_argument("--instrument")
    trace = _of_tape(command(commands, "trace", _trace, "show where a number comes from"))
    trace.add_argument("what", help="a run's id, a saved run's file, or an event's ledger seq")
    trace.add_argument("seq", nargs="?", help="an event of the run; the last fill when left out")
    trace.add_argument("--catalog", metavar="PATH")
    trace.add_argument("--data", action="append", default=[], metavar="NAME")
    verify = _of_tape(command(commands, "verify", _verify, "recompute the tape from its bytes"))
    verify.add_argument("--anchors", metavar="FILE", help="where anchors were published")
    anchor = _of_tape(command(commands, "anchor", _anchor, "publish the tape's head outside it"))
    anchor.add_argument("where", metavar="FILE", help="an append-only file, or plug-in:address")
    prove = _of_tape(command(commands, "prove", _prove, "write the proof of one event to a file"))
    prove.add_argument("seq", type=int, help="the event's ledger seq")
    prove.add_argument("file", type=Path)
    archive = _of_tape(
        command(commands, "archive", _archive, "move closed partitions to verified Parquet files")
    )
    archive.add_argument("folder", type=Path)
    archive.add_argument("--drop", action="store_true", help="drop the moved tables")
    _of_tape(command(commands, "rebuild", _rebuild, "project everything anew, then switch over"))


def _of_tape(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    says = "a server's URL or a folder for our own (default: ONETAPE_TAPE, or the user's own)"
    parser.add_argument("--tape", metavar="WHERE", help=says)
    return parser


def _tape(args: argparse.Namespace) -> Tape:
    from onetape.results.tape import open_tape

    where = args.tape
    if (
        where is not None
        and "://" not in where
        and not (Path(where).expanduser() / "data").is_dir()
    ):
        raise SettingsError(f"no tape in {where}; onetape backtest --tape {where} begins one")
    return open_tape(where)


def _say(args: argparse.Namespace, data: Any, text: str) -> int:
    print(json.dumps(data, default=str) if args.json else text)
    return DONE


def _tapes(args: argparse.Namespace) -> int:
    with _tape(args) as tape:
        head, runs, status = tape.head(), tape.runs(), tape.status()
        data = {
            "tape": repr(tape),
            "events": head.seq,
            "batches": head.batch,
            "chain": head.chain.hex(),
            "runs": runs.to_dicts(),
            "status": status,
        }
        shown = [repr(tape), *map(_line, runs.iter_rows(named=True))]
        return _say(args, data, "\n".join(shown))


def _line(run: dict[str, Any]) -> str:
    what = f"  {run['stream']:<44} {run['status'] or 'open':<10}"
    return f"{what} {run['events']:>9,} events {run['fills']:>7,} fills  {run['fingerprint'][:12]}"


def _asof(args: argparse.Namespace) -> int:
    known = int(args.known_at) if (args.known_at or "").isdigit() else args.known_at
    with _tape(args) as tape:
        narrowed = {"account": args.account, "instrument": args.instrument}
        found = tape.at(args.true_at, known, book=args.book, **narrowed)
        return _say(args, found.to_dict(), repr(found))


def _trace(args: argparse.Namespace) -> int:
    if Path(args.what).is_file():
        from onetape.cli import trace_file

        return trace_file(args)
    with _tape(args) as tape:
        if args.what.isdigit():
            traced = tape.trace(int(args.what))
            return _say(args, traced.to_dict(), repr(traced))
        run = tape.run(args.what)
        if args.seq is None and not run.fills.height:
            raise SettingsError(f"{run.id} has no fills: say the seq of one of its events")
        traced = run.trace(run.fills[-1] if args.seq is None else int(args.seq))
        return _say(args, traced.to_dict(), repr(traced))


def _verify(args: argparse.Namespace) -> int:
    with _tape(args) as tape:
        verdict = tape.verify(args.anchors, progress=False if args.json else None)
        wires = tape.verify_wire()
    ok = verdict.ok and all(wires)
    data = {
        "ok": ok,
        "events": verdict.events,
        "batches": verdict.batches,
        "chain": verdict.chain,
        "anchors": verdict.anchors,
        "findings": [
            {"batch": one.batch, "seq": one.seq, "what": one.what} for one in verdict.findings
        ],
        "seconds": round(verdict.seconds, 3),
        "wire": [one._asdict() | {"ok": one.ok} for one in wires],
    }
    _say(args, data, "\n".join((repr(verdict), *map(str, wires))))
    return DONE if ok else TOUCHED


def _anchor(args: argparse.Namespace) -> int:
    import msgspec

    with _tape(args) as tape:
        made = tape.anchor(args.where)
    text = f"anchored batch {made.batch}, event {made.seq}, chain {made.chain[:12]} in {args.where}"
    return _say(args, msgspec.to_builtins(made), text)


def _prove(args: argparse.Namespace) -> int:
    with _tape(args) as tape:
        proof = tape.prove(args.seq)
    path = str(proof.save(args.file))
    told = {"file": path, "seq": proof.seq, "chain": proof.chain, "batch": proof.batch,
            "published": proof.anchored_ns is not None}  # fmt: skip
    return _say(args, told, f"{proof!r}\nin {path}")


def _archive(args: argparse.Namespace) -> int:
    with _tape(args) as tape:
        shown = False if args.json else None
        made = tape.keeping.archive(args.folder, drop=args.drop, progress=shown)
    lines = [f"{one.uri}: events {one.seq_lo} to {one.seq_hi}, verified" for one in made]
    data = {"segments": [{n: _text(v) for n, v in one._asdict().items()} for one in made]}
    return _say(args, data, "\n".join(lines) or "nothing to archive: no partition is closed yet")


def _text(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _rebuild(args: argparse.Namespace) -> int:
    with _tape(args) as tape:
        status = tape.rebuild(progress=False if args.json else None)
    return _say(args, status, f"rebuilt: {status['projection']}")
