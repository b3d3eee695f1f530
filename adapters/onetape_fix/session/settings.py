"""What a session and a gateway are made of: typed, checked, the same from a .cfg or from Python.

`read(path)` takes a standard session file ([DEFAULT], [SESSION], and our [GATEWAY]); the keys and
what they mean are in `keys`. `SessionConfig` and `GatewayConfig` may also be made directly.

Units    seconds, unless a name says otherwise.
Secrets  are references (`secrets.Secret`): a plain one in the file is an error.
Raises   SettingsError, with the file, the line and what to write instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from onetape.errors import SettingsError
from onetape_fix.session.schedule import NON_STOP, Schedule
from onetape_fix.session.secrets import Secret

Address = tuple[str, int]
Role = Literal["initiator", "acceptor"]
Sync = Literal["group", "always", "never"]

VERSIONS = ("FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1")
DUTIES = frozenset(("order", "marketdata", "dropcopy", "clearing"))
DIGITS = (0, 3, 6, 9)


class Tls(msgspec.Struct, frozen=True):
    """A session's TLS. An initiator always checks the peer's certificate and its host name.

    Without `authorities` those of the system are trusted. `ask` of an acceptor: whether the
    peer must show a certificate of `authorities` ("no", "may", "must").
    """

    authorities: Path | None = None  # a file or a folder of PEM certificates
    certificate: Path | None = None  # ours, PEM, with its chain
    key: Path | None = None  # ours, PEM; None: in the file of `certificate`
    key_password: Secret | None = None
    revoked: Path | None = None  # a PEM revocation list
    server_name: str = ""  # the name that the peer's certificate must bear; "": the host's
    ask: Literal["no", "may", "must"] = "no"
    oldest: Literal["1.2", "1.3"] = "1.2"
    ciphers: str = ""


class Checks(msgspec.Struct, frozen=True):
    """How strictly a session reads; what each does is in `keys`."""

    dictionary: bool = True
    order: bool = True
    empty: bool = True
    user_defined: bool = True
    unknown_fields: bool = False
    group_order: bool = True
    reject_garbled: bool = False
    lenient: bool | None = None  # None: an initiator is, an acceptor is not


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One FIX session. `sender` is our CompID (49 of what we send), `target` the peer's."""

    begin_string: str
    sender: str
    target: str
    role: Role = "initiator"
    session_name: str = ""
    sender_sub: str = ""
    sender_location: str = ""
    target_sub: str = ""
    target_location: str = ""
    qualifier: str = ""
    default_appl_ver: str = ""  # the value of 1137, such as "9" for FIX.5.0SP2
    hosts: tuple[Address, ...] = ()  # an initiator tries them one after the other
    listen: Address | None = None  # of an acceptor
    source: Address | None = None  # the local address to connect from
    heartbeat: int = 30
    logon_timeout: float = 10.0
    logout_timeout: float = 2.0
    reconnect: float = 30.0  # the longest wait between two attempts
    reset_on_logon: bool = False
    reset_on_logout: bool = False
    reset_on_disconnect: bool = False
    refresh_on_logon: bool = False
    schedule: Schedule = NON_STOP
    data_dictionary: Path | None = None
    transport_dictionary: Path | None = None
    app_dictionaries: tuple[tuple[str, Path], ...] = ()  # (version or "", path)
    checks: Checks = Checks()
    check_comp_id: bool = True
    check_latency: bool = True
    max_latency: float = 120.0
    timestamp_digits: int = 3
    next_expected: bool = False  # send and use 789
    last_processed: bool = False  # send 369
    resend_chunk: int = 0  # messages asked for at once; 0: all
    redundant_resends: bool = False
    persist: bool = True
    store: Path = Path("fixstore")
    tls: Tls | None = None
    duties: frozenset[str] = frozenset(("order",))
    profile: str = ""
    throttle: float = 0.0  # messages a second; 0: no limit
    order_ttl: float | None = 10.0  # an order older than that is not resent; None: always is
    username: Secret | None = None
    password: Secret | None = None
    sorted_body: bool = False
    test_request_id: str = ""
    extra: Mapping[str, str | Secret] = msgspec.field(default_factory=dict[str, "str | Secret"])

    def __post_init__(self) -> None:
        _refuse(self)

    @property
    def id(self) -> str:
        """What the session is on the wire: FIX.4.4:SENDER->TARGET[:qualifier]."""
        sender = "/".join(p for p in (self.sender, self.sender_sub, self.sender_location) if p)
        target = "/".join(p for p in (self.target, self.target_sub, self.target_location) if p)
        return f"{self.begin_string}:{sender}->{target}{self.qualifier and ':' + self.qualifier}"

    @property
    def name(self) -> str:
        """What the session is called everywhere: its SessionName, else its id."""
        return self.session_name or self.id

    @property
    def lenient(self) -> bool:
        """Whether reports with faults are delivered instead of rejected."""
        chosen = self.checks.lenient
        return self.role == "initiator" if chosen is None else chosen


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The process that holds the sessions."""

    name: str = "fix"
    socket: Path = Path("gateway.sock")  # where sessions of ours and operators talk to it
    log: Path | None = None
    metrics: Address | None = None
    tape: str | Secret = ""  # the database to which messages are copied; "": none
    history: float = 2.0  # days of the journal that a new listener is told
    keep: float = 30.0  # days that the journal is kept; 0: for ever
    segment: int = 16 << 20  # bytes of a journal's file before the next is begun
    sync: Sync = "group"
    queue: int = 10_000  # messages that may wait for a slow listener before an alarm
    tick: float = 0.1
    logon_size: int = 16 << 10  # bytes that a stranger may send before his Logon
    write_limit: int = 4 << 20  # bytes that may wait for a slow peer before it is cut off
    connect_timeout: float = 10.0
    extra: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])


class Ignored(msgspec.Struct, frozen=True):
    """A key that other engines know and that changes nothing here."""

    key: str
    line: int
    why: str


class Settings(msgspec.Struct, frozen=True):
    """All of a file."""

    sessions: tuple[SessionConfig, ...]
    gateway: GatewayConfig = GatewayConfig()
    ignored: tuple[Ignored, ...] = ()

    def session(self, name: str) -> SessionConfig:
        """The session of a name or id; SettingsError where there is none."""
        for config in self.sessions:
            if name in (config.name, config.id):
                return config
        there = ", ".join(config.name for config in self.sessions) or "none"
        raise SettingsError(f"no session {name!r} in the settings; there are: {there}")


def read(path: str | Path) -> Settings:
    """Return what a .cfg file says; relative paths in it are taken from its folder."""
    from onetape_fix.session.reading import settings_of

    return settings_of(Path(path))


def _refuse(config: SessionConfig) -> None:
    said = f"session {config.name}:"
    if config.begin_string not in VERSIONS:
        raise SettingsError(
            f"{said} BeginString {config.begin_string!r} found; one of {', '.join(VERSIONS)}"
            " expected (FIX 5.0 is FIXT.1.1 with DefaultApplVerID)"
        )
    if not config.sender or not config.target:
        raise SettingsError(f"{said} SenderCompID or TargetCompID is empty; both expected")
    if not config.duties <= DUTIES:
        raise SettingsError(
            f"{said} Role {', '.join(sorted(config.duties - DUTIES))} found; some of"
            f" {', '.join(sorted(DUTIES))} expected"
        )
    if config.timestamp_digits not in DIGITS:
        raise SettingsError(
            f"{said} {config.timestamp_digits} digits of a second found; 0, 3, 6 or 9 expected"
        )
    for name in ("heartbeat", "throttle", "resend_chunk", "max_latency", "reconnect"):
        if getattr(config, name) < 0:
            raise SettingsError(f"{said} {name} {getattr(config, name)} found; 0 or more expected")
