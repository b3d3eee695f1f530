"""What a session counts and last saw: for metrics and for people, never for its own decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class Facts:
    """Counters since the session was made, and the last known values.

    `rejects` counts by what happened, type and reason: ("sent 3", "D", "5"), ("got j", "8", "3").
    `lenient` counts what broke the rules and was let through, by (type, tag, reason).
    """

    __slots__ = (
        "alarms",
        "bytes_in",
        "bytes_out",
        "gap",
        "garbled",
        "heartbeat_rtt_ns",
        "last_in_ns",
        "last_out_ns",
        "last_text",
        "lenient",
        "logons",
        "messages_in",
        "messages_out",
        "peer_expected",
        "possdup",
        "rejects",
        "resending",
        "resent",
        "skew_ns",
        "up_since_ns",
    )

    def __init__(self) -> None:
        self.messages_in = 0
        self.messages_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.possdup = 0  # messages in that were marked as sent before
        self.resent = 0  # messages out that were sent again
        self.garbled = 0
        self.logons = 0
        self.rejects: Counter[tuple[str, str, str]] = Counter()
        self.lenient: Counter[tuple[str, int, int]] = Counter()
        self.alarms: Counter[str] = Counter()
        self.gap = 0  # numbers between the one expected and the highest seen
        self.resending = 0  # numbers that the peer asked for and has not been sent yet
        self.peer_expected: int | None = None  # of 789 or 369, or of a Logout's text
        self.heartbeat_rtt_ns: int | None = None
        self.skew_ns: int | None = None  # our clock less the peer's SendingTime
        self.last_in_ns = 0
        self.last_out_ns = 0
        self.up_since_ns = 0  # 0: not up
        self.last_text = ""  # of the last Logout, reject or disconnection

    def as_dict(self) -> Mapping[str, object]:
        """Plain values under plain names, for JSON."""
        told: dict[str, object] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, Counter):
                counted: Counter[object] = value  # pyright: ignore[reportUnknownVariableType]
                value = {_words(key): count for key, count in counted.items()}
            told[name] = value
        return told


def _words(key: object) -> str:
    if isinstance(key, tuple):
        parts: tuple[object, ...] = key  # pyright: ignore[reportUnknownVariableType]
        return " ".join(str(part) for part in parts)
    return str(key)
