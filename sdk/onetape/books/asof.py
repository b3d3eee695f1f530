# pyright: standard
"""As of: what was held, worked, owed and earned at any instant, in both times.

    at(url, true_at=T)                 what do we now know was true at T
    at(url, true_at=T, known_at=T)     what did we believe at T
    at(url, known_at=1_000)            everything that the first thousand events told

The answer at an instant is the fold, in the ledger's order, of the events with
ts_event <= true_at and seq <= known_at; `past` says what a fold does with events that lean on
others outside of it. Every part is worked out when it is asked for.

Cash is an account's: a question about one instrument leaves it whole. P&L is the instrument's.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from onetape.books.past import FOREVER, Instant
from onetape.books.projected import Bookmark, When, bookmark, nanoseconds, opened, written
from onetape.errors import SettingsError

if TYPE_CHECKING:
    import polars as pl


def at(
    where: Any,
    *,
    true_at: When = None,
    known_at: When = None,
    book: str = "live",
    account: str | None = None,
    instrument: str | None = None,
    marks: Mapping[str, Decimal] | None = None,
) -> AsOf:
    """Return what stood in a book at an instant.

    where      a database's URL, or a psycopg connection that stays the caller's
    true_at    ns UTC, a datetime or ISO text: what had happened by then; None: everything
    known_at   a ledger seq, or a time: as far as the ledger knew it then; None: all it knows
    marks      the price of an instrument; else the account's last fill in it is the price

    Nothing beyond the projected books is seen: `projected_to` says how far they have come, so
    let the projector catch up first. Raises TapeError when there are no projected books,
    SettingsError for a time that is none.
    """
    true = FOREVER if true_at is None else nanoseconds(true_at, "true_at")
    recorded = known_at is not None and not isinstance(known_at, int)
    asked = nanoseconds(known_at, "known_at") if recorded else 0  # type: ignore[arg-type]
    with opened(where) as connection:
        mark = bookmark(connection, asked)
    known = mark.head if known_at is None else mark.known if recorded else known_at
    instant = Instant(true, min(known, mark.seq))  # type: ignore[type-var]
    return AsOf(where, instant, known, book, account, instrument, _prices(marks), mark)  # type: ignore[arg-type]


def _prices(marks: Mapping[str, Decimal] | None) -> dict[str, Decimal]:
    prices = dict(marks or {})
    for name, price in prices.items():
        if not isinstance(price, Decimal):
            found = f"marks[{name!r}] is {price!r}, a {type(price).__name__}"
            raise SettingsError(f"{found}; expected a Decimal, such as Decimal('{price}')")
    return prices


@dataclass(frozen=True, eq=False)
class AsOf:
    """What stood at an instant. `known_at` is the ledger seq that was asked for."""

    where: Any = field(repr=False)
    instant: Instant
    known_at: int
    book: str
    account: str | None
    instrument: str | None
    marks: dict[str, Decimal]
    bookmark: Bookmark

    @property
    def true_at(self) -> int | None:
        """The time of what had happened, ns UTC; None for everything."""
        return None if self.instant.true_at == FOREVER else self.instant.true_at

    @property
    def projected_to(self) -> int:
        """The ledger seq up to which the projected books have come."""
        return self.bookmark.seq

    @property
    def is_behind(self) -> bool:
        """Whether the projected books have yet to come to what was asked for."""
        return self.projected_to < self.known_at

    @cached_property
    def positions(self) -> pl.DataFrame:
        """One row for each account, instrument and strategy, flat ones too, in order of opening."""
        from onetape.books.values import shown

        return shown(self._valued)

    @cached_property
    def exposure(self) -> pl.DataFrame:
        """What each account holds in each instrument, netted over its strategies."""
        from onetape.books.values import exposure

        return exposure(self._valued)

    @cached_property
    def orders(self) -> pl.DataFrame:
        """The orders working at the instant, with the columns of `Run.orders`."""
        from onetape.books.worked import working

        with opened(self.where) as connection:
            return working(connection, self.book, self.account, self.instrument, self.instant)

    @cached_property
    def cash(self) -> pl.DataFrame:
        """The balance of each account in each currency."""
        from onetape.books import moved, values

        whole = self if self.instrument is None else self._of_account
        with opened(self.where) as connection:
            scope = moved.Scope(self.book, self.account, None, self.instant)
            fees = moved.foreign_fees(connection, scope)
            paid = [(account, currency, -amount) for account, currency, amount in fees]
            others = moved.deposits(connection, scope) + moved.dividends(connection, scope)
        return values.cash(whole._valued, [values.amounts(others), values.amounts(paid)])

    @cached_property
    def pnl(self) -> pl.DataFrame:
        """Profit by account and currency: realized + unrealized + dividends - commission."""
        from onetape.books import moved, values

        with opened(self.where) as connection:
            scope = moved.Scope(self.book, self.account, self.instrument, self.instant)
            fees = moved.foreign_fees(connection, scope)
            paid = moved.dividends(connection, scope)
        return values.pnl(self._valued, values.amounts(paid), values.amounts(fees))

    @cached_property
    def _of_account(self) -> AsOf:
        parts = (self.where, self.instant, self.known_at, self.book, self.account, None)
        return AsOf(*parts, self.marks, self.bookmark)

    @cached_property
    def _valued(self) -> pl.DataFrame:
        from onetape.books import held, values

        with opened(self.where) as connection:
            if self.instrument is None:
                return self._many(connection)
            states = held.of_instrument(
                connection, self.book, self.account, self.instrument, self.instant
            )
        return values.valued(states, self.marks)

    def _many(self, connection: Any) -> pl.DataFrame:
        import polars as pl

        from onetape.books import many, snapshot, values

        base = snapshot.nearest(connection, self.book, self.instant, self.bookmark)
        with ThreadPoolExecutor(1) as beside:  # the blob is unpacked while the rest arrives
            told = beside.submit(many.read, connection, self.book, self.instant, base.about)
            start = base.unpacked()
            answer = many.of_book(
                connection, self.book, self.instant, start, told.result(), self.account
            )
        columns = values.valued_columns(answer.columns, self.marks)
        if answer.states:
            columns = pl.concat([columns, values.valued(answer.states, self.marks)])
        return columns.sort(values.KEY)

    @property
    def valued_at(self) -> str:
        """What prices holdings: there are no market prices on the tape."""
        return "marks, else last fill" if self.marks else "last fill"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types; amounts as text, times as ISO text."""
        known = self.instant
        return {
            "true_at": None if self.true_at is None else written(known.true_at),
            "known_at": self.known_at,
            "projected_to": self.projected_to,
            "book": self.book,
            "account": self.account,
            "instrument": self.instrument,
            "valued_at": self.valued_at,
            "positions": _plain(self.positions),
            "orders": _plain(self.orders),
            "cash": _plain(self.cash),
            "exposure": _plain(self.exposure),
            "pnl": _plain(self.pnl),
        }

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        held = self.positions
        some = held.filter(held["quantity"] != 0).head(SHOWN)
        heads = "".join(f"<th>{name}</th>" for name in LOOKED_AT)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_cell(row[name]))}</td>" for name in LOOKED_AT)
            for row in some.iter_rows(named=True)
        )  # fmt: skip
        more = f"<p>and {held.height - some.height:,} more or flat, valued at {self.valued_at}</p>"
        beside = "".join(f"<p>{html.escape(line.strip())}</p>" for line in self._beside())
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        return f"<p>{html.escape(self._said())}</p>{table}{more}{beside}"

    def _said(self) -> str:
        true = "everything" if self.true_at is None else f"what was true at {written(self.true_at)}"
        whose = [self.book, *(one for one in (self.account, self.instrument) if one)]
        known = f"as known at seq {self.known_at:,}"
        behind = f" (projected only to seq {self.projected_to:,})" if self.is_behind else ""
        return f"{' / '.join(whose)}: {true}, {known}{behind}"

    def _lines(self) -> Iterator[str]:
        held = self.positions
        some = held.filter(held["quantity"] != 0)
        yield self._said()
        flat = held.height - some.height
        yield f"  {some.height:,} held, {flat:,} flat, valued at {self.valued_at}"
        for row in some.head(SHOWN).iter_rows(named=True):
            price = f"{_short(row['average_price'])} {row['currency']}"
            money = f"{_short(row['quantity'])} {row['instrument']} at {price}"
            owner = f"{row['account']} / {row['strategy']}"
            yield f"  {money}, {owner}, seq {row['seq']:,}"
        if some.height > SHOWN:
            yield f"  and {some.height - SHOWN:,} more"
        yield from self._beside()

    def _beside(self) -> Iterator[str]:
        """Yield cash and working orders, where there are few enough to be asked for unasked."""
        if self.positions.height > FEW:
            return
        for row in self.cash.iter_rows(named=True):
            yield f"  cash {_short(row['balance'])} {row['currency']}, {row['account']}"
        yield f"  {self.orders.height:,} working orders"


SHOWN = 12
FEW = 200  # positions up to which cash and orders are told unasked
WHOSE = ("instrument", "account", "strategy")
LOOKED_AT = (*WHOSE, "quantity", "average_price", "price", "unrealized", "realized", "currency")


def _plain(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return [{k: _json(v) for k, v in row.items()} for row in _stamped(frame)]


def _stamped(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    import polars as pl

    times = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    for row in frame.with_columns(pl.col(times).dt.timestamp("ns")).iter_rows(named=True):
        yield row | {name: written(row[name]) for name in times if row[name] is not None}


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return _short(value)
    return value.isoformat() if isinstance(value, date) else value


def _cell(value: Any) -> str:
    if isinstance(value, Decimal):
        return _short(value)
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _short(amount: Decimal) -> str:
    return f"{amount.normalize():f}" if amount else "0"
