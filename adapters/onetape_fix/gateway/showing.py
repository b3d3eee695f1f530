"""Messages for people: a session's journal, read beside the process that writes it, in words.

Nothing is asked of the gateway and nothing is locked, so a journal can be looked at while its
session trades, and after its process died. What is shown has no secrets: the journal has none,
and what is shown is masked once more.

Units    ns UTC.
Raises   SettingsError where there is no journal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from onetape.errors import SettingsError
from onetape_fix.gateway.building import profile_of, rules_of
from onetape_fix.gateway.follow import OWN, type_of
from onetape_fix.session.journal import KINDS
from onetape_fix.session.secrets import mask, mask_text
from onetape_fix.session.segments import Damaged, head_of, items, listed
from onetape_fix.session.settings import SessionConfig
from onetape_fix.session.store import Record
from onetape_fix.spec import Rules
from onetape_fix.wire import DATA_TAGS, Garbled, names, parse

FRAME = frozenset((8, 9, 10, 34, 35, 49, 52, 56))  # said in other words, or said nothing by
ORDER_TAGS = frozenset(("11", "37", "41", "17", "526"))
ARROWS = {"in": "<", "out": ">", "in_copy": "<<", "out_copy": ">>"}
MOST = 100_000


class Wanted(msgspec.Struct, frozen=True):
    """What of a journal is to be shown; the last `lines` of it, 0 shows all that is kept."""

    types: frozenset[str] = frozenset()
    order: str = ""  # a ClOrdID, OrderID or ExecID
    since: int = 0
    until: int = 1 << 62
    lines: int = 40
    admin: bool = False
    notes: bool = True

    def fits(self, record: Record) -> bool:
        """Tell whether a record is to be shown."""
        if not self.since <= record.ts < self.until:
            return False
        if record.kind not in ARROWS:
            return self.notes and not self.types and not self.order
        kind = type_of(record.raw)
        if self.types and kind not in self.types:
            return False
        if not self.admin and not self.types and kind in OWN:
            return False
        return not self.order or self._named(record.raw)

    def _named(self, raw: bytes) -> bool:
        fields = raw.decode("latin-1").split("\x01")
        return any(
            value == self.order and tag in ORDER_TAGS
            for tag, _, value in (field.partition("=") for field in fields)
        )


def journal_of(config: SessionConfig) -> Iterator[Record]:
    """Return the kept records of a session's journal, without one that is being written."""
    folder = config.store / quote(config.name, safe="")
    segments = listed(folder) if folder.is_dir() else []
    if not segments:
        raise SettingsError(f"{config.name} has no journal in {config.store}: it never ran there")
    for segment in segments:
        try:
            _, begun = head_of(segment.path)
            for item in items(segment.path, begun.end):
                yield Record(item.position, KINDS[item.kind], item.seq, item.ts, item.body)
        except (Damaged, FileNotFoundError):
            continue  # its end is being written now, or it was retired meanwhile


def shown(config: SessionConfig, wanted: Wanted) -> list[Record]:
    """Return the records to be shown, the oldest first."""
    fitting = (record for record in journal_of(config) if wanted.fits(record))
    return list(deque(fitting, maxlen=wanted.lines or MOST))


class Words:
    """Puts records of one session into words, by its dictionaries."""

    def __init__(self, config: SessionConfig) -> None:
        self._rules: Rules | None = rules_of(config, profile_of(config))
        self._tags = DATA_TAGS if self._rules is None else self._rules.data_tags

    def told(self, record: Record) -> dict[str, Any]:
        """Return a record as plain data."""
        base: dict[str, Any] = {
            "position": record.position,
            "ts": record.ts,
            "time": _time(record.ts),
            "kind": record.kind,
            "seq": record.seq,
        }
        if record.kind not in ARROWS:
            return {**base, "text": mask_text(record.raw.decode("utf-8", "replace"))}
        raw = mask(record.raw)
        try:
            message = parse(raw, self._tags)
        except Garbled as err:
            return {**base, "type": "", "name": str(err), "fields": []}
        fields = [
            {"tag": tag, "name": self._name(tag), "value": value, "means": self._means(tag, value)}
            for tag, value in message.fields
            if tag not in FRAME
        ]
        kind = message.type
        return {**base, "type": kind, "name": self._message(kind), "fields": fields}

    def line(self, record: Record) -> str:
        """Return a record as one line."""
        told = self.told(record)
        if "text" in told:
            words = told["text"] or f"{record.kind} {record.seq or ''}".strip()
            return f"{told['time']}  --  {words}"
        fields = " ".join(
            f"{field['name']}={field['means'] or field['value']}" for field in told["fields"]
        )
        head = f"{told['time']}  {ARROWS[record.kind]:<2}  {record.seq:>6}  "
        return f"{head}{told['type']:<2} {told['name']}  {fields}".rstrip()

    def _name(self, tag: int) -> str:
        if self._rules is None:
            return names(tag)
        for one in (self._rules.application, self._rules.transport):
            if tag in one.fields:
                return one.name_of(tag)
        return names(tag)

    def _means(self, tag: int, value: str) -> str:
        if self._rules is None:
            return ""
        for one in (self._rules.application, self._rules.transport):
            if (said := one.value_name(tag, value)) != value:
                return said
        return ""

    def _message(self, kind: str) -> str:
        spec = None if self._rules is None else self._rules.spec_of(kind)
        return "" if spec is None else spec.name


def _time(ns: int) -> str:
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest // 1_000:06d}"
