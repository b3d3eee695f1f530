"""The dictionaries that ship: what this package sends and reads, in a short form of its own.

    field 54 Side CHAR 1=Buy 2=Sell     a field and, where the list is closed, its values
    block Parties                       members that stand together in several messages
    app D NewOrderSingle                a message ("admin": one the session lives on)
     ClOrdID! +Parties NoX(A! B)        !: required; +: a block; ( ): the rows of a group
    like FIX.4.4                        starts from another version's blocks and messages
    more D                              adds members to what was taken over
    less D HandlInst                    takes members away again
    ease D Side                         no longer required

`fields.txt` lists the fields of all versions, one file for each version its messages. Lists of
values are those of all versions together: venues on an old version use later values, and a closed
list that is too short would reject them. Open lists (party roles, security types) are left out.
Raises SettingsError for a version that does not ship, and for a file that is not in this form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

from onetape.errors import SettingsError
from onetape_fix.spec.model import Dictionary, FieldSpec, GroupSpec, Members, MessageSpec

FILES = {
    "FIX.4.2": "fix42.txt",
    "FIX.4.4": "fix44.txt",
    "FIXT.1.1": "fixt11.txt",
    "FIX.5.0SP2": "fix50sp2.txt",
}
APPL_VERSIONS = {"4": "FIX.4.2", "6": "FIX.4.4", "9": "FIX.5.0SP2"}  # ApplVerID (1128, 1137)
TOKEN = re.compile(r"(\+?)([A-Za-z]\w*)(!?)(\(?)|(\))")
SECTIONS = frozenset(("header", "trailer", "block", "app", "admin"))

type Words = list[tuple[str, str, str, str]]  # plus, name, exclamation mark, bracket


@cache
def shipped(version: str) -> Dictionary:
    """Our dictionary of a BeginString, or of an ApplVerID ("9": FIX.5.0SP2)."""
    return _Source(_file(version)).dictionary()


def _file(version: str) -> str:
    name = FILES.get(APPL_VERSIONS.get(version, version))
    if name is None:
        raise SettingsError(
            f"no dictionary of {version!r} ships; there are {', '.join(FILES)}; "
            "give others with DataDictionary="
        )
    return name


def _lines(name: str) -> Iterator[str]:
    text = files("onetape_fix.spec").joinpath("data", name).read_text("utf-8")
    return (line for line in text.splitlines() if line and not line.startswith("#"))


def _field(words: list[str]) -> FieldSpec:
    tag, name, kind, *values = words
    enums = dict(value.split("=", 1) for value in values)
    return FieldSpec(tag=int(tag), name=name, type=kind, enums=enums)


class _Source:
    """One version's file, read: what is written in it, not yet what it means."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = ""
        self.fields = {spec.tag: spec for spec in (_field(x.split()) for x in _lines("fields.txt"))}
        self.bodies: dict[tuple[str, str], str] = {}  # (kind, name or type): its members, as text
        self.titles: dict[str, str] = {}  # message type: name
        self.less: dict[str, set[str]] = {}  # message type: members taken away
        self.ease: dict[str, set[str]] = {}  # message type: members no longer required
        key = ("", "")  # of the body that is being read
        for line in _lines(name):
            if line.startswith(" "):
                self.bodies[key] = self.bodies.get(key, "") + line
            else:
                key = self._opened(line.split())
        self.tags = {spec.name: tag for tag, spec in self.fields.items()}

    def _opened(self, words: list[str]) -> tuple[str, str]:
        """Takes a line that stands at the margin; the key of the body that it opens."""
        kind, *rest = words
        if kind == "version":
            self.version = rest[0]
        elif kind == "field":
            spec = _field(rest)
            self.fields[spec.tag] = spec
        elif kind == "like":
            self._like(_Source(_file(rest[0])))
        elif kind == "more":
            return "more", rest[0]
        elif kind in ("less", "ease"):
            changes = self.less if kind == "less" else self.ease
            changes.setdefault(rest[0], set()).update(rest[1:])
        elif kind in SECTIONS:
            name = rest[0] if rest else ""
            if kind in ("app", "admin"):
                self.titles[name] = rest[1]
            self.bodies[kind, name] = ""
            self.bodies.pop(("more", name), None)
            return kind, name
        else:
            raise SettingsError(f"{self.name}: a line opens with {kind!r}")
        return "", ""

    def _like(self, other: _Source) -> None:
        taken = ("block", "app")
        self.bodies |= {key: body for key, body in other.bodies.items() if key[0] in taken}
        self.titles |= {t: name for t, name in other.titles.items() if ("app", t) in self.bodies}

    def dictionary(self) -> Dictionary:
        """What the file means."""
        header = self._section(("header", ""))
        trailer = self._section(("trailer", ""))
        messages = {
            name: self._message(kind, name)
            for kind, name in self.bodies
            if kind in ("app", "admin")
        }
        used = _all_tags([header, trailer, *messages.values()])
        return Dictionary(
            begin_string=self.version,
            fields={tag: self.fields[tag] for tag in sorted(used)},
            messages=messages,
            header=header,
            trailer=trailer,
        )

    def _message(self, kind: str, name: str) -> MessageSpec:
        less, ease = self.less.get(name, set()), self.ease.get(name, set())
        body = self._section((kind, name), frozenset(less), frozenset(ease))
        more = self._section(("more", name))
        order = tuple(dict.fromkeys(body.order + more.order))
        return MessageSpec(
            order=order,
            tags=frozenset(order),
            groups={**body.groups, **more.groups},
            required=body.required | more.required,
            name=self.titles[name],
            msg_type=name,
            admin=kind == "admin",
        )

    def _section(
        self,
        key: tuple[str, str],
        less: frozenset[str] = frozenset(),
        ease: frozenset[str] = frozenset(),
    ) -> Members:
        words: Words = [
            (plus, name or closing, needed, bracket)
            for plus, name, needed, bracket, closing in TOKEN.findall(self.bodies.get(key, ""))
        ]
        words.reverse()
        return self._run(words, less, ease)

    def _run(self, words: Words, less: frozenset[str], ease: frozenset[str]) -> Members:
        """The members up to the closing bracket, or to the end. `words` are in reverse."""
        order: list[int] = []
        groups: dict[int, GroupSpec] = {}
        required: set[int] = set()
        while words:
            plus, name, needed, bracket = words.pop()
            if name == ")":
                break
            if plus:
                part = self._section(self._block(name), less, ease)
                order += part.order
                groups |= part.groups
                required |= part.required if needed else set()
                continue
            inner = self._run(words, less, ease) if bracket else None
            if name in less:
                continue
            tag = self._tag(name)
            order.append(tag)
            if needed and name not in ease:
                required.add(tag)
            if inner is not None:
                groups[tag] = _group(tag, inner)
        unique = tuple(dict.fromkeys(order))
        return Members(unique, frozenset(unique), groups, frozenset(required))

    def _block(self, name: str) -> tuple[str, str]:
        if ("block", name) not in self.bodies:
            raise SettingsError(f"{self.name} uses block {name}, which it does not have")
        return "block", name

    def _tag(self, name: str) -> int:
        tag = self.tags.get(name)
        if tag is None:
            raise SettingsError(f"{self.name} uses field {name}, which fields.txt does not have")
        return tag


def _group(count: int, rows: Members) -> GroupSpec:
    return GroupSpec(
        count=count, order=rows.order, tags=rows.tags, groups=rows.groups, required=rows.required
    )


def _all_tags(parts: list[Members]) -> set[int]:
    found: set[int] = set()
    for part in parts:
        found |= part.tags
        found |= _group_tags(part.groups)
    return found


def _group_tags(groups: Mapping[int, GroupSpec]) -> set[int]:
    found: set[int] = set()
    for group in groups.values():
        found |= group.tags | _group_tags(group.groups)
    return found
