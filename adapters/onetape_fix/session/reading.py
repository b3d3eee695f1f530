"""A session file is read: sections and lines first, then the typed settings.

[DEFAULT] holds for all sessions, wherever it stands; each [SESSION] adds its own. [GATEWAY] is
ours. A line is `key=value`; `#` begins a comment where a line begins.

Raises   SettingsError with the file and the line; never with a secret's text.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from onetape.errors import SettingsError
from onetape_fix.session.keys import Key, host_zone, is_secret, path
from onetape_fix.session.keytable import GATEWAY, NEUTRAL, OTHERS, PROFILE, REFUSED, SESSION
from onetape_fix.session.schedule import NON_STOP, Schedule
from onetape_fix.session.settings import (
    Checks,
    GatewayConfig,
    Ignored,
    SessionConfig,
    Settings,
    Tls,
)

SECTIONS = ("default", "session", "gateway")
HIDDEN = ("Username", "Tape")  # keys whose values are not repeated, beside the secret ones
SOCKET_LENGTH = 100  # characters; systems stop at 104 to 108
_HOST = re.compile(r"(socketconnecthost|socketconnectport)(\d*)\Z")
_DICTIONARY = re.compile(r"appdatadictionary(?:\.(.+))?\Z")


class Line(NamedTuple):
    """A key as it was written, its value, and where."""

    key: str
    value: str
    number: int


class Section(NamedTuple):
    """The lines of a section by their key in lower case."""

    name: str
    number: int
    lines: dict[str, Line]


class _Made:
    """What the lines of one section amount to, before it is typed."""

    def __init__(self, file: Path, lines: dict[str, Line]) -> None:
        self.file, self.lines = file, lines
        self.fields: dict[str, Any] = {}
        self.parts: dict[str, dict[str, Any]] = {}
        self.extra: dict[str, Any] = {}
        self.hosts: dict[int, dict[str, Any]] = {}
        self.dictionaries: list[tuple[str, Path]] = []
        self.ignored: list[Ignored] = []

    def wrong(self, line: Line, why: str) -> SettingsError:
        return SettingsError(f"{self.file}, line {line.number}: {why}")

    def read(self, line: Line, key: Key) -> Any:
        """The value of a line as its key says."""
        found = "" if is_secret(key.name) or key.name in HIDDEN else f" {line.value!r}"
        try:
            return key.read(line.value, self.file.parent)
        except ValueError as err:
            raise self.wrong(line, f"{line.key}{found} found; expected {err}") from None
        except SettingsError as err:
            raise self.wrong(line, f"{line.key}: {err}") from None

    def put(self, line: Line, key: Key) -> None:
        """Set the key's field."""
        part, _, field = key.field.rpartition(".")
        target = self.parts.setdefault(part, {}) if part else self.fields
        value = self.read(line, key)
        if target.setdefault(field, value) != value:
            raise self.wrong(line, f"{line.key} says another thing than a key before it; keep one")


def settings_of(file: Path) -> Settings:
    """Return what a session file says."""
    file = file.expanduser().absolute()
    try:
        told = file.read_text(encoding="utf-8-sig")
    except OSError as err:
        raise SettingsError(f"the session file {file} cannot be read: {err.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"the session file {file} is not text; UTF-8 expected") from None
    default: dict[str, Line] = {}
    sections = _sections(file, told)
    for section in sections:
        if section.name == "default":
            default.update(section.lines)
    made = [
        _session(_Made(file, default | section.lines), section)
        for section in sections
        if section.name == "session"
    ]
    sessions = tuple(config for config, _ in made)
    _refuse_twins(file, sessions, [s for s in sections if s.name == "session"])
    ignored = {note.line: note for _, notes in made for note in notes}
    gateway = _gateway(file, [s for s in sections if s.name == "gateway"])
    return Settings(sessions, gateway, tuple(ignored[number] for number in sorted(ignored)))


# -- lines


def _sections(file: Path, told: str) -> list[Section]:
    found: list[Section] = []
    for number, line in enumerate(told.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        at = f"{file}, line {number}:"
        if stripped.startswith("["):
            name = stripped.strip("[] \t").lower()
            if name not in SECTIONS or not stripped.endswith("]"):
                raise SettingsError(
                    f"{at} section {stripped} found; [DEFAULT], [SESSION] or [GATEWAY] expected"
                )
            found.append(Section(name, number, {}))
            continue
        key, sign, value = (part.strip() for part in stripped.partition("="))
        if not sign or not key:
            raise SettingsError(f"{at} neither a section nor key=value")
        if not found:
            raise SettingsError(f"{at} {key} stands before any section; begin with [DEFAULT]")
        twin = found[-1].lines.setdefault(key.lower(), Line(key, value, number))
        if twin.number != number:
            raise SettingsError(f"{at} {key} was set in line {twin.number} already; keep one")
    return found


def _unknown(made: _Made, line: Line, names: list[str]) -> SettingsError:
    close = difflib.get_close_matches(line.key.lower(), [n.lower() for n in names], 3, 0.6)
    proper = {name.lower(): name for name in names}
    hint = f"did you mean {' or '.join(proper[c] for c in close)}?" if close else (
        "keys of a broker profile of your own begin with Profile."
    )  # fmt: skip
    return made.wrong(line, f"unknown key {line.key!r}; {hint}")


# -- a session


def _session(made: _Made, section: Section) -> tuple[SessionConfig, list[Ignored]]:
    for low, line in made.lines.items():
        _take(made, low, line)
    at = f"{made.file}, section [SESSION] of line {section.number}:"
    for key in ("BeginString", "SenderCompID", "TargetCompID", "ConnectionType"):
        if SESSION[key.lower()].field not in made.fields:
            raise SettingsError(f"{at} {key} is missing")
    fields = made.fields
    acceptor = fields["role"] == "acceptor"
    try:
        fields["schedule"] = _schedule(made.parts.get("schedule", {}), at)
        fields["checks"] = Checks(**made.parts.get("checks", {}))
        fields["tls"] = _tls(made.parts.get("tls"), acceptor, at)
        fields["hosts"] = () if acceptor else _hosts(made, at)
        fields["listen"] = _listen(made.parts.get("listen", {}), at) if acceptor else None
        source = made.parts.get("source")
        fields["source"] = source and (source.get("host", "0.0.0.0"), source.get("port", 0))
        fields["app_dictionaries"] = tuple(made.dictionaries)
        fields["extra"] = made.extra
        fields.setdefault("store", made.file.parent / "fixstore")
        fields.setdefault("timestamp_digits", fields.pop("digits_by_millis", 3))
        fields.pop("digits_by_millis", None)
        return SessionConfig(**fields), made.ignored
    except SettingsError as err:
        raise SettingsError(str(err) if at in str(err) else f"{at} {err}") from None


def _take(made: _Made, low: str, line: Line) -> None:
    """One line of a session."""
    key = SESSION.get(low)
    if key is not None:
        if line.value:  # `key=` is how templates leave a key open
            made.put(line, key)
    elif (host := _HOST.match(low)) is not None:
        which, place = host.groups()
        field = which.removeprefix("socketconnect")
        name = Key(line.key, field, SESSION["socketacceptport"].read if field == "port" else _text)
        made.hosts.setdefault(int(place or 0), {})[field] = made.read(line, name)
    elif (dictionary := _DICTIONARY.match(low)) is not None:
        version = line.key.partition(".")[2] if dictionary[1] else ""
        made.dictionaries.append((version, path(line.value, made.file.parent)))
    elif low.startswith("profile.") or low in PROFILE:
        _keep_extra(made, line, PROFILE.get(low) or line.key.partition(".")[2])
    elif low in OTHERS:
        raise made.wrong(line, f"{line.key} found, which is not read here; {OTHERS[low]}")
    elif low in NEUTRAL:
        _pass(made, low, line)
    else:
        names = [k.name for k in SESSION.values()]
        names += ["SocketConnectHost", "SocketConnectPort", "AppDataDictionary"]
        raise _unknown(made, line, names + list(PROFILE.values()))


def _text(value: str, _: Path) -> str:
    return value


def _keep_extra(made: _Made, line: Line, name: str) -> None:
    referred = line.value.startswith(("env:", "file:", "keyring:"))
    if line.value and (referred or is_secret(name)):
        made.extra[name] = made.read(line, Key(name, "", SESSION["password"].read))
    elif (name.endswith("File") or name == "Overlay") and line.value:
        made.extra[name] = str(path(line.value, made.file.parent))
    else:
        made.extra[name] = line.value


def _pass(made: _Made, low: str, line: Line) -> None:
    """A key that changes nothing; a plain secret may not stand there either."""
    weak, instead = REFUSED.get(low, ("", ""))
    if weak and line.value.lower() == weak:
        raise made.wrong(line, f"{line.key}={line.value} found; {instead}")
    if is_secret(low) and line.value:
        made.read(line, Key(line.key, "", SESSION["password"].read))
    made.ignored.append(Ignored(line.key, line.number, NEUTRAL[low]))


def _schedule(part: dict[str, Any], at: str) -> Schedule:
    if part.pop("local", False):
        if "zone" in part:
            raise SettingsError(f"{at} UseLocalTime=Y and TimeZone found; keep one")
        part["zone"] = host_zone()
    if part.get("non_stop"):
        return NON_STOP
    if "start" not in part or "end" not in part:
        raise SettingsError(f"{at} StartTime or EndTime is missing; set both, or NonStopSession=Y")
    if "days" in part and "first" in part:
        raise SettingsError(f"{at} Weekdays and StartDay found; keep one")
    return Schedule(**part)


def _tls(part: dict[str, Any] | None, acceptor: bool, at: str) -> Tls | None:
    """TLS is on where it is said so, or where a certificate is named."""
    if part is None:
        return None
    named = part.keys() & {"authorities", "client", "server"}
    if not part.pop("on", bool(named)):
        return None
    pairs = {which: (part.pop(which, None), part.pop(f"{which}_key", None))
             for which in ("client", "server")}  # fmt: skip
    part["certificate"], part["key"] = pairs["server" if acceptor else "client"]
    if acceptor and part["certificate"] is None:
        raise SettingsError(f"{at} an acceptor with TLS has no ServerCertificateFile; name one")
    return Tls(**part)


def _hosts(made: _Made, at: str) -> tuple[tuple[str, int], ...]:
    """SocketConnectHost, ..Host1, ..Host2 with their ports, which the first may lend."""
    if not made.hosts:
        raise SettingsError(f"{at} SocketConnectHost and SocketConnectPort are missing")
    first = next((host["port"] for host in made.hosts.values() if "port" in host), None)
    found: list[tuple[str, int]] = []
    for place in sorted(made.hosts):
        host = made.hosts[place]
        name, port = host.get("host"), host.get("port", first)
        if name is None or port is None:
            said = place or ""
            raise SettingsError(
                f"{at} SocketConnectHost{said} or SocketConnectPort{said} is missing"
            )
        found.append((name, port))
    return tuple(found)


def _listen(part: dict[str, Any], at: str) -> tuple[str, int]:
    if "port" not in part:
        raise SettingsError(f"{at} SocketAcceptPort is missing")
    return part.get("host", "127.0.0.1"), part["port"]  # others only where it is asked for


def _refuse_twins(file: Path, sessions: tuple[SessionConfig, ...], where: list[Section]) -> None:
    seen: dict[str, int] = {}
    for config, section in zip(sessions, where, strict=True):
        for name in {config.id, config.name}:
            if name in seen:
                raise SettingsError(
                    f"{file}: session {name} stands in lines {seen[name]} and {section.number};"
                    " remove one, or give them different SessionQualifier and SessionName"
                )
            seen[name] = section.number


# -- the gateway


def _gateway(file: Path, sections: list[Section]) -> GatewayConfig:
    if len(sections) > 1:
        raise SettingsError(
            f"{file}, line {sections[1].number}: a second [GATEWAY]; there is one for all sessions"
        )
    made = _Made(file, sections[0].lines if sections else {})
    for low, line in made.lines.items():
        key = GATEWAY.get(low)
        if key is not None:
            made.put(line, key)
        elif low.startswith("x-"):
            made.extra[line.key[2:]] = line.value
        else:
            raise _unknown(made, line, [k.name for k in GATEWAY.values()])
    fields: dict[str, Any] = {**made.fields, "extra": made.extra}
    fields.setdefault("name", file.stem)
    fields.setdefault("socket", _socket(file))
    return GatewayConfig(**fields)


def _socket(file: Path) -> Path:
    """Beside the file, or where a short path is left to have."""
    beside = file.with_suffix(".sock")
    if len(str(beside)) <= SOCKET_LENGTH:
        return beside
    mark = hashlib.sha256(str(file).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"onetape-fix-{mark}.sock"
