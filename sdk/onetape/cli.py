"""The command `onetape`.

Exit codes   0 done; 1 something went wrong and the message says what; 2 the arguments do not
             make sense; 3 a rerun gave another tape; 4 the tape was touched.
Every command takes --json and then prints one JSON object on standard output and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onetape import cli_added, cli_demo, cli_live, cli_risk, cli_tape, given
from onetape.errors import OnetapeError, SettingsError
from onetape.settings import settings

DONE, FAILED, USAGE, DIVERGED = 0, 1, 2, 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = None
    try:
        args = _parser().parse_args(argv)
        code: int = args.act(args)
        sys.stdout.flush()
        return code
    except OnetapeError as err:
        return _failed(args, err)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _failed(args: argparse.Namespace | None, err: OnetapeError) -> int:
    if args is not None and args.json:
        print(json.dumps({"error": type(err).__name__, "message": str(err)}))
    else:
        print(f"onetape: {err}", file=sys.stderr)
    return USAGE if isinstance(err, SettingsError) else FAILED


# -- what can be asked


def _parser() -> argparse.ArgumentParser:
    import onetape

    here = settings()
    parser = argparse.ArgumentParser(
        "onetape", description="Quant research and trading on one tape."
    )
    parser.add_argument("--version", action="version", version=f"onetape {onetape.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    cli_demo.add(commands, _command, here.demo)
    _ingest_arguments(
        _command(commands, "ingest", _ingest, "put market data into a catalog"), here.catalog
    )
    listing = _command(commands, "catalog", _catalog, "list a catalog's datasets, or look at one")
    listing.add_argument("--catalog", default=here.catalog, metavar="PATH")
    listing.add_argument("name", nargs="?", help="a dataset's name or the start of its fingerprint")
    listing.add_argument(
        "--verify", action="store_true", help="read it again and check its fingerprint"
    )
    listing.add_argument("--remove", action="store_true", help="remove it from the catalog")
    _backtest_arguments(
        _command(commands, "backtest", _backtest, "run a strategy over market data")
    )
    again = _command(commands, "rerun", _rerun, "run a recorded run again and compare the tapes")
    again.add_argument("run", help="a run's id on the tape, or a file saved by backtest --save")
    again.add_argument("--tape", metavar="WHERE", help="the tape that the run is on")
    _data_arguments(again)
    cli_tape.add(commands, _command)
    cli_live.add(commands, _command)
    cli_risk.add(commands, _command)
    cli_added.add(commands, _command)
    says = "measure: b1, b2, b3, ingest, tape, faults, gate, live, kill, drills, fix, fixdrills"
    bench = _command(commands, "bench", _bench, says)
    bench.add_argument("name")
    bench.add_argument("--rounds", type=int, help="repetitions; medians are printed")
    bench.add_argument("--no-peers", action="store_true", help="leave the other libraries out")
    bench.add_argument("--events", type=int, help="tape: how many events are written")
    bench.add_argument("--seconds", type=float, help="live: how long the soak lasts")
    bench.add_argument("--runs", type=int, help="drills: how many sessions are killed at")
    bench.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    return parser


def _command(commands: Any, name: str, act: Any, says: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=says, description=says[0].upper() + says[1:] + ".")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(act=act)
    return parser


def _data_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--catalog", metavar="PATH", help="the catalog that --data names are looked up in"
    )
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="NAME",
        help="a dataset, or a sample such as GOOG",
    )


def _ingest_arguments(parser: argparse.ArgumentParser, catalog: str) -> None:
    parser.add_argument("source", help="a CSV (also .gz) or Parquet file, or a glob in quotes")
    parser.add_argument("--catalog", default=catalog, metavar="PATH")
    parser.add_argument(
        "--instrument", required=True, metavar="ID", help="as GOOG.XNAS or EUR/USD.SIM"
    )
    parser.add_argument("--type", choices=("equity", "fx", "future"), default="equity")
    parser.add_argument("--tick", default=None, help="smallest price step, as 0.01")
    parser.add_argument("--currency", default="USD")
    parser.add_argument("--multiplier", default=1, help="of a future")
    parser.add_argument("--expiry", help="of a future, as 2024-03-15")
    parser.add_argument("--kind", choices=("bars", "quotes", "trades"))
    parser.add_argument("--step", help="of bars, as 1-DAY or 1-MINUTE")
    parser.add_argument("--tz", help="the zone of times without one")
    parser.add_argument(
        "--stamp", choices=("close", "open"), default="close", help="what a bar's time is"
    )
    parser.add_argument("--map", action="append", default=[], metavar="COLUMN=SOURCE")
    parser.add_argument("--name")
    parser.add_argument("--strict", action="store_true", help="refuse data with quality findings")


def _backtest_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strategy", required=True, help="a known name, module:Class or file.py:Class"
    )
    _data_arguments(parser)
    parser.add_argument("-p", "--param", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--cash", default="100000")
    parser.add_argument("--currency", default="USD")
    parser.add_argument(
        "--fees", default="none", help="none, bps:20, per_share:0.005:1, maker_taker:-1:5"
    )
    parser.add_argument("--fill", help="next_open, this_close, next_close, intrabar, book")
    parser.add_argument("--account", default="margin")
    parser.add_argument("--slippage", type=int, default=0, metavar="TICKS")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--start")
    parser.add_argument("--end")
    parser.add_argument("--save", type=Path, help="keep the tape in this file")
    parser.add_argument("--report", type=Path, help="write an HTML report")
    says = "write to the tape while it runs: no value for the default one, a URL, or a folder"
    parser.add_argument("--tape", nargs="?", const="", metavar="WHERE", help=says)


# -- what is done


def _ingest(args: argparse.Namespace) -> int:
    from onetape.market.catalog import Catalog

    mapping = dict(given.pairs(args.map)) or None
    dataset = Catalog(args.catalog).ingest(
        args.source,
        instrument=given.instrument(args),
        kind=args.kind,
        step=args.step,
        tz=args.tz,
        stamp=args.stamp,
        mapping=mapping,
        name=args.name,
        strict=args.strict,
        progress=not args.json,
    )
    return _say(args, _card(dataset), repr(dataset))


def _card(dataset: Any) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "instrument": dataset.instrument.id,
        "kind": dataset.kind,
        "step": dataset.step,
        "rows": dataset.rows,
        "start": dataset.start.isoformat(),
        "end": dataset.end.isoformat(),
        "fingerprint": dataset.fingerprint,
        "synthetic": dataset.synthetic,
        "inferred": dict(dataset.inferred or {}),
        "findings": [f"{f.severity}: {f.count} {f.kind} ({f.detail})" for f in dataset.findings],
    }


def _catalog(args: argparse.Namespace) -> int:
    from onetape.market.catalog import Catalog

    catalog = Catalog(args.catalog)
    if args.name is None:
        listed = catalog.datasets()
        return _say(args, {"datasets": listed.to_dicts()}, _table(listed))
    dataset = catalog.dataset(args.name)
    if args.remove:
        catalog.remove(dataset.name)
        return _say(args, {"removed": dataset.name}, f"removed {dataset.name}")
    if args.verify:
        dataset.verify()
    said = repr(dataset) + (
        "\n  verified: the rows are those that were kept" if args.verify else ""
    )
    return _say(args, _card(dataset) | {"verified": args.verify}, said)


def _table(frame: Any) -> str:
    import polars as pl

    if not frame.height:
        return "the catalog is empty: onetape ingest FILE --instrument ID puts data into it"
    with pl.Config(tbl_rows=200, tbl_cols=20, tbl_width_chars=200, tbl_hide_dataframe_shape=True):
        return str(frame)


def _backtest(args: argparse.Namespace) -> int:
    import onetape as ot
    from onetape.results.text import brief

    if not args.data:
        raise SettingsError("no data: say --data GOOG for a sample, or --catalog PATH --data NAME")
    run = ot.backtest(
        given.strategy(args.strategy),
        given.datasets(args),
        cash=args.cash,
        currency=args.currency,
        fees=given.fees(args.fees),
        fill=args.fill,
        account=args.account,
        slippage=ot.ticks(args.slippage) if args.slippage else None,
        latency=args.latency,
        start=args.start,
        end=args.end,
        params={name: given.value(text) for name, text in given.pairs(args.param)},
        tape=None if args.tape is None else ot.open_tape(args.tape or None),
    )
    if args.save:
        run.save(args.save)
    if args.report:
        run.save(args.report.with_suffix(".html"))
    return _say(args, run.to_dict(), brief(run))


def _rerun(args: argparse.Namespace) -> int:
    import onetape as ot

    if Path(args.run).is_file():
        args.file = Path(args.run)
        again = ot.rerun(_loaded(args))
    else:
        again = ot.rerun(args.run, ot.open_tape(args.tape))
    said = {
        "identical": again.identical,
        "fingerprint": again.run.fingerprint,
        "difference": repr(again.diff()),
    }
    _say(args, said, repr(again))
    return DONE if again.identical else DIVERGED


def trace_file(args: argparse.Namespace) -> int:
    """Trace an event of a saved run."""
    args.file = Path(args.what)
    run = _loaded(args, needed=False)
    if args.seq is None and not run.fills.height:
        raise SettingsError(
            f"{args.file} has no fills: say the seq of an event, 1 to {len(run.recording)}"
        )
    if args.seq is not None and not args.seq.isdigit():
        raise SettingsError(
            f"seq {args.seq!r} found, a whole number from 1 to {len(run.recording)} expected"
        )
    traced = run.trace(run.fills[-1] if args.seq is None else int(args.seq))
    return _say(args, traced.to_dict(), repr(traced))


def _loaded(args: argparse.Namespace, needed: bool = True) -> Any:
    import onetape as ot

    run = ot.Run.load(args.file)
    if not args.data:
        args.data = [d.name for d in run.opened.datasets]
        try:
            return ot.Run.load(args.file, given.datasets(args))
        except OnetapeError:
            if needed:
                raise
            return run
    return ot.Run.load(args.file, given.datasets(args))


def _bench(args: argparse.Namespace) -> int:
    asked = {
        "rounds": args.rounds,
        "peers": False if args.no_peers else None,
        "small": args.small or None,
        "events": args.events,
        "seconds": args.seconds,
        "runs": args.runs,
    }
    module = given.benchmark(args.name)
    wanted = module.run.__code__.co_varnames[: module.run.__code__.co_argcount]
    print(
        json.dumps(
            module.run(**{n: v for n, v in asked.items() if v is not None and n in wanted}),
            default=str,
        )
    )
    return DONE


def _say(args: argparse.Namespace, data: Any, text: str) -> int:
    print(json.dumps(data, default=str) if args.json else text)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
