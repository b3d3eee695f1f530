"""The command `onetape demo`: the whole path, on past data or live at a simulated venue."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from onetape.errors import SettingsError

DONE, FAILED, DIVERGED = 0, 1, 3


def add(commands: Any, command: Any, folder: str) -> None:
    """Add the command to a parser; `command` makes one."""
    demo = command(commands, "demo", _demo, "ingest real data, backtest, trace, rerun, report")
    demo.add_argument(
        "--folder", type=Path, default=Path(folder), help="where to put what it makes"
    )
    demo.add_argument("--tape", metavar="WHERE", help="a server's URL or a folder for our own")
    demo.add_argument("--live", action="store_true", help="trade a minute at a simulated venue")
    demo.add_argument("--fix", action="store_true", help="with --live: by FIX over TLS")


def _demo(args: argparse.Namespace) -> int:
    if args.fix and not args.live:
        raise SettingsError("--fix without --live found; FIX is for trading: say demo --live --fix")
    return _stepped(args, 9 if args.fix else 8, _live) if args.live else _stepped(args, 13, _past)


def _stepped(args: argparse.Namespace, steps: int, act: Callable[..., int]) -> int:
    from tqdm import tqdm

    with tqdm(
        total=steps, disable=args.json, file=sys.stderr, bar_format="{n_fmt}/{total_fmt} {desc}"
    ) as bar:

        def step(said: str) -> None:
            bar.set_description_str(said)
            bar.update(1)

        return act(args, step)


def _past(args: argparse.Namespace, step: Callable[[str], None]) -> int:
    from onetape.demo import demo
    from onetape.results.text import brief

    made = demo(args.folder, step, args.tape)
    if args.json:
        print(json.dumps(made.to_dict(), default=str))
        return DONE if made.rerun_identical else DIVERGED
    for run in made.runs:
        print(brief(run), end="\n\n")
    print(made.tape)
    print(made.verdict, end="\n\n")
    print(made.asof, end="\n\n")
    print("where the last fill comes from")
    print(made.trace, end="\n\n")
    print(f"rerun identical: {'yes' if made.rerun_identical else 'NO'}")
    print(f"report: {made.report}")
    return DONE if made.rerun_identical else DIVERGED


def _live(args: argparse.Namespace, step: Callable[[str], None]) -> int:
    from onetape.demo_live import demo_live

    made = demo_live(args.folder, step, args.tape, fix=args.fix)
    if args.json:
        print(json.dumps(made.to_dict(), default=str))
    else:
        print(made)
    if not made.rerun_identical:
        return DIVERGED
    return DONE if made.good else FAILED
