"""Reading data dictionaries in QuickFIX's XML format, as brokers hand them out.

`required` counts where it is Y; brokers' own marks (C, O) are read as N. A member of a component is
required only where the component is. Raises SettingsError, which names the file and what is wrong.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from onetape.errors import SettingsError
from onetape_fix.spec.model import Dictionary, FieldSpec, GroupSpec, Members, MessageSpec

type Part = tuple[int, bool, GroupSpec | None]  # tag, whether required, and its rows

DEEPEST = 64  # components and groups within each other; more is taken for a loop


def load(path: str | Path) -> Dictionary:
    """The dictionary in the file at `path`. Read once as long as the file does not change."""
    place = Path(path)
    try:
        facts = place.stat()
    except OSError as error:
        raise SettingsError(
            f"no data dictionary at {place}: {error.strerror}; check DataDictionary in the .cfg"
        ) from None
    return _cached(place, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=32)
def _cached(path: Path, _mtime: int, _size: int) -> Dictionary:
    return _Reader(path, {}).dictionary()


def overlaid(path: str | Path, base: Dictionary) -> Dictionary:
    """`base` with the overlay in the file at `path`, which may use the fields of `base` by name."""
    return base.merged(_Reader(Path(path), base.tags_by_name).dictionary())


class _Reader:
    """One file being read. `known`: tags by name that need not be defined in it."""

    def __init__(self, path: Path, known: Mapping[str, int]) -> None:
        self.path = path
        try:
            self.root = ElementTree.parse(path).getroot()
        except ElementTree.ParseError as error:
            raise self.wrong(f"is not well-formed XML: {error}") from None
        except OSError as error:
            raise self.wrong(f"cannot be read: {error.strerror}") from None
        self.tags = dict(known)
        self.components: dict[str, Element] = {}
        self.opened: dict[str, list[Part]] = {}  # components that were met before
        self.depth = 0  # of components and groups that are open

    def wrong(self, what: str) -> SettingsError:
        return SettingsError(f"data dictionary {self.path} {what}")

    def dictionary(self) -> Dictionary:
        if self.root.tag != "fix":
            raise self.wrong(f"opens with <{self.root.tag}>, expected <fix>")
        fields = {spec.tag: spec for spec in self.fields()}
        for component in self.root.iterfind("components/component"):
            self.components[self.text(component, "name")] = component
        messages = (self.message(node) for node in self.root.iterfind("messages/message"))
        return Dictionary(
            begin_string=self.version(),
            fields=fields,
            messages={message.msg_type: message for message in messages},
            header=self.members(self.root.find("header")),
            trailer=self.members(self.root.find("trailer")),
        )

    def version(self) -> str:
        major, minor = self.text(self.root, "major"), self.text(self.root, "minor")
        pack = self.root.get("servicepack", "0")
        return f"{self.root.get('type', 'FIX')}.{major}.{minor}" + (
            f"SP{pack}" if pack not in ("0", "") else ""
        )

    def text(self, node: Element, key: str) -> str:
        found = node.get(key)
        if not found:
            raise self.wrong(f"has a <{node.tag}> without {key}=")
        return found

    def fields(self) -> Iterator[FieldSpec]:
        for node in self.root.iterfind("fields/field"):
            name, number = self.text(node, "name"), self.text(node, "number")
            if not number.isdecimal():
                raise self.wrong(f"gives field {name} the number {number!r}")
            tag = int(number)
            self.tags[name] = tag
            enums = {
                self.text(value, "enum"): value.get("description", "")
                for value in node.iterfind(".//value")
            }
            yield FieldSpec(tag=tag, name=name, type=self.text(node, "type").upper(), enums=enums)

    def message(self, node: Element) -> MessageSpec:
        members = self.members(node)
        return MessageSpec(
            order=members.order,
            tags=members.tags,
            groups=members.groups,
            required=members.required,
            name=self.text(node, "name"),
            msg_type=self.text(node, "msgtype"),
            admin=node.get("msgcat") == "admin",
        )

    def members(self, node: Element | None) -> Members:
        """The members of `node`, components opened up."""
        parts = [] if node is None else self.flat(node)
        order = tuple(dict.fromkeys(tag for tag, _, _ in parts))
        return Members(
            order=order,
            tags=frozenset(order),
            groups={tag: group for tag, _, group in parts if group is not None},
            required=frozenset(tag for tag, needed, _ in parts if needed),
        )

    def flat(self, node: Element) -> list[Part]:
        """The fields and groups of `node` in order."""
        parts: list[Part] = []
        for child in node:
            needed = child.get("required") == "Y"
            if child.tag == "component":
                inside = self.component(self.text(child, "name"))
                parts += [(tag, needed and inner, group) for tag, inner, group in inside]
            elif child.tag in ("field", "group"):
                tag = self.tag(child)
                parts.append((tag, needed, self.group(child, tag)))
        return parts

    def component(self, name: str) -> list[Part]:
        """The parts of a component, opened once: messages share its groups."""
        if name not in self.opened:
            component = self.components.get(name)
            if component is None:
                raise self.wrong(f"uses component {name}, which it does not define")
            with self.deeper(name):
                self.opened[name] = self.flat(component)
        return self.opened[name]

    def group(self, node: Element, count: int) -> GroupSpec | None:
        if node.tag != "group":
            return None
        with self.deeper(node.get("name", "")):
            members = self.members(node)
        if not members.order:
            raise self.wrong(f"has an empty group {node.get('name')}")
        return GroupSpec(
            count=count,
            order=members.order,
            tags=members.tags,
            groups=members.groups,
            required=members.required,
        )

    @contextmanager
    def deeper(self, name: str) -> Generator[None]:
        """One component or group further in."""
        if self.depth >= DEEPEST:
            raise self.wrong(f"has a component or group that contains itself ({name})")
        self.depth += 1
        yield
        self.depth -= 1

    def tag(self, node: Element) -> int:
        name = self.text(node, "name")
        tag = self.tags.get(name)
        if tag is None:
            raise self.wrong(f"uses field {name}, which it does not define")
        return tag
