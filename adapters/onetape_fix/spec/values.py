"""Whether a value fits the type of its field.

A check is any callable that says yes or no to the text of a value. Most are methods of compiled
patterns or of sets, so that checking a message costs little more than walking over it. Types that
are not listed take any text that is not empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from onetape_fix.spec.model import FieldSpec

type Check = Callable[[str], object]

INT = r"-?\d{1,18}"  # what fits into 64 bits: reading longer ones could be made costly
COUNT = r"\d{1,18}"
DECIMAL = r"-?(?:\d+\.?\d*|\.\d+)"
DATE = r"\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d{1,12})?"
MONTH = r"\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]|w[1-5])?"
OFFSET = r"(?:Z|[+-]\d\d(?::?[0-5]\d)?)?"

PATTERNS = {
    "INT": INT,
    "TAGNUM": COUNT,
    "LENGTH": COUNT,
    "SEQNUM": COUNT,
    "NUMINGROUP": COUNT,
    "DAYOFMONTH": r"0?[1-9]|[12]\d|3[01]",
    "QTY": DECIMAL,
    "PRICE": DECIMAL,
    "PRICEOFFSET": DECIMAL,
    "AMT": DECIMAL,
    "FLOAT": DECIMAL,
    "PERCENTAGE": DECIMAL,
    "CHAR": r"[\s\S]",
    "BOOLEAN": r"[YN]",
    "UTCTIMESTAMP": f"{DATE}-{TIME}",
    "UTCTIMEONLY": TIME,
    "UTCDATEONLY": DATE,
    "UTCDATE": DATE,
    "LOCALMKTDATE": DATE,
    "LOCALMKTTIME": TIME,
    "MONTHYEAR": MONTH,
    "TZTIMEONLY": r"(?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d{1,12})?)?" + OFFSET,
    "TZTIMESTAMP": f"{DATE}-(?:[01]\\d|2[0-3]):[0-5]\\d(?::(?:[0-5]\\d|60)(?:\\.\\d{{1,12}})?)?"
    + OFFSET,
}
FORMATS: dict[str, Check] = {
    name: re.compile(pattern, re.ASCII).fullmatch for name, pattern in PATTERNS.items()
}


def format_check(kind: str) -> Check:
    """Says whether a value has the shape of its type. `len` says no to the empty value only."""
    return FORMATS.get(kind, len)


def value_check(spec: FieldSpec) -> Check:
    """Says whether a value is one of those the field knows; yes to all where it knows none."""
    values = frozenset(spec.enums)
    if not values:
        return _any
    if not spec.multiple:
        return values.__contains__
    return lambda value: values.issuperset(value.split(" "))


def whole_check(spec: FieldSpec) -> Check:
    """Both checks at once, as cheap as can be: a value of the list has the right shape."""
    if not spec.enums:
        return format_check(spec.type)
    shape, known = format_check(spec.type), value_check(spec)
    if all(shape(value) for value in spec.enums) and not spec.multiple:
        return known
    return lambda value: shape(value) and known(value)


def _any(_value: str) -> bool:
    return True
