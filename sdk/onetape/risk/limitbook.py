"""Limit books: the one door to rules, files and what changed between two of them.

`book` makes one of (scope, name, value), `load` reads one from a file, `starter` is a complete
set for a paper account. The table of all limits is `limitnames.LIMITS`.
"""

from __future__ import annotations

from onetape.risk.limitfile import dumps, load, loads, starter
from onetape.risk.limitnames import LIMITS, table
from onetape.risk.resolved import Resolved
from onetape.risk.rules import Absent, LimitBook, Rule, book, from_json, loosened, to_json

__all__ = [
    "LIMITS",
    "Absent",
    "LimitBook",
    "Resolved",
    "Rule",
    "book",
    "dumps",
    "from_json",
    "load",
    "loads",
    "loosened",
    "starter",
    "table",
    "to_json",
]
