"""What the arguments of the command line mean; a wrong one raises SettingsError."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from onetape.errors import SettingsError
from onetape.settings import settings


def pairs(given: list[str]) -> list[tuple[str, str]]:
    """Return NAME=VALUE arguments as pairs."""
    for text in given:
        if "=" not in text:
            raise SettingsError(f"{text!r} found, NAME=VALUE expected")
    return [(text.partition("=")[0], text.partition("=")[2]) for text in given]


def value(text: str) -> Any:
    """Return a parameter as a number or truth value where it reads as one, else as text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def fees(text: str) -> Any:
    """Return the fee model that a text such as "bps:20" names."""
    import onetape as ot

    name, *numbers = text.split(":")
    makers = {
        "none": lambda: None,
        "bps": ot.bps,
        "per_share": ot.per_share,
        "maker_taker": ot.maker_taker,
    }
    try:
        return makers[name](*numbers)
    except (KeyError, TypeError, ArithmeticError):
        raise SettingsError(
            f"--fees {text!r} found; none, bps:20, per_share:0.005:1 or maker_taker:-1:5 expected"
        ) from None


def datasets(args: argparse.Namespace) -> list[Any]:
    """Return the datasets and samples that --data names."""
    from onetape.market.catalog import Catalog
    from onetape.market.samples import sample, samples

    where = args.catalog or settings().catalog  # where `onetape ingest` puts things
    there = args.catalog is not None or Path(where).is_dir()
    catalog = Catalog(where) if there else None
    known = set(catalog.datasets()["name"].to_list()) if catalog is not None else set[str]()
    found: list[Any] = []
    for name in args.data:
        asked = args.catalog is not None and name not in samples()
        kept = catalog is not None and (name in known or asked)
        found.append(catalog.dataset(name) if catalog is not None and kept else sample(name))
    return found


def strategy(name: str) -> Any:
    """Return the strategy class that a name, module:Class or file.py:Class means."""
    known = {point.name: point for point in entry_points(group="onetape.strategies")}
    if name in known:
        return known[name].load()
    where, _, attribute = name.partition(":")
    if not attribute:
        listed = ", ".join(sorted(known)) or "none"
        raise SettingsError(
            f"no strategy {name!r}; known: {listed}; or say module:Class or file.py:Class"
        )
    try:
        module = _file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
        return getattr(module, attribute)
    except (ImportError, AttributeError, OSError) as err:
        raise SettingsError(f"strategy {name!r} cannot be loaded: {err}") from err


def _file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.exists():
        raise ImportError(f"there is no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def instrument(args: argparse.Namespace) -> Any:
    """Return the instrument that the ingest arguments describe."""
    import onetape as ot

    tick = {} if args.tick is None else {"tick": args.tick}
    if args.type == "fx":
        return ot.fx(args.instrument, **tick)
    if args.type == "future":
        if args.tick is None or args.expiry is None:
            raise SettingsError(
                "a future needs --tick and --expiry, as --tick 0.25 --expiry 2024-03-15"
            )
        return ot.future(
            args.instrument,
            tick=args.tick,
            expiry=args.expiry,
            multiplier=args.multiplier,
            currency=args.currency,
        )
    return ot.equity(args.instrument, currency=args.currency, **tick)


def benchmark(name: str) -> Any:
    """Return the module of a benchmark of the repository."""
    roots = [Path.cwd(), Path(__file__).resolve().parents[2]]
    for root in roots:
        path = root / "tests" / "benchmarks" / f"bench_{name.lower()}.py"
        if path.exists():
            sys.path.insert(0, str(path.parent))
            return importlib.import_module(path.stem)
    known = sorted(
        p.stem[6:] for root in roots for p in (root / "tests" / "benchmarks").glob("bench_*.py")
    )
    raise SettingsError(
        f"no benchmark {name!r}; there is {', '.join(dict.fromkeys(known)) or 'none'}. "
        "They are part of the repository, not of the package: run from a checkout."
    )
