"""A trader's mapping on its own: commands in, bodies out; messages in, reports out. No sockets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from onetape.errors import VenueError
from onetape.run.ports import CancelOrder, ModifyOrder, NewOrder, VenueState
from onetape_fix.gateway.line import Heard, Inbound, Sent
from onetape_fix.profiles import Profile, SymbolMap, profile
from onetape_fix.session import SessionConfig
from onetape_fix.trade.executions import Leave
from onetape_fix.trade.flow import Flow
from onetape_fix.wire import Encoder, Message, format_utc, parse

D = Decimal
NOW = 1_704_726_000_000_000_000
BEGIN = {"4.2": "FIX.4.2", "4.4": "FIX.4.4", "5.0": "FIXT.1.1"}
PROFILES = {"4.2": "generic42", "4.4": "generic44", "5.0": "generic50"}


class Desk:
    """One flow, what it said and what it sent; `hear` is the venue's half."""

    def __init__(self, like: str | Profile = "generic44", folder: Any = None, **more: Any) -> None:
        self.profile = profile(like) if isinstance(like, str) else like
        self.profile = replace(self.profile, **more) if more else self.profile
        begin = BEGIN[self.profile.dialect]
        config = SessionConfig(begin_string=begin, sender="ME", target="BROKER")
        self.encoder = Encoder(begin, [(49, "BROKER"), (56, "ME")])
        self.flow = Flow(
            config, self.profile, SymbolMap(self.profile, "X"), lambda _: "USD", folder, grace=5.0
        )
        self.said: list[Any] = []
        self.sent: list[Leave] = []
        self.seq = self.position = 0
        self.broken = False
        self.flow.send = self.leave
        self.flow.begin(self.said.append)

    # -- out

    def leave(self, leave: Leave) -> None:
        if self.broken:
            raise VenueError("the line is down")
        self.sent.append(leave)
        self.position += 1
        raw = self.encoder.encode(leave.msg_type, len(self.sent), format_utc(NOW), leave.body)
        self.flow.hear(
            Sent(leave.msg_type, len(self.sent), leave.ref, parse(raw), self.position, NOW)
        )

    def order(self, name: str = "C1", side: Any = "BUY", qty: Any = 30, **more: Any) -> NewOrder:
        terms = {"type": "LIMIT", "price": D("10"), **more}
        return NewOrder(name, "A", "AAA.X", side, quantity=D(qty), **terms)

    def new(self, name: str = "C1", **more: Any) -> str:
        """Send an order; return its ClOrdID."""
        leave = self.flow.outgoing.new(self.order(name, **more), NOW)
        assert leave is not None
        self.leave(leave)
        return leave.ref

    def modify(self, name: str = "C1", **terms: Any) -> str:
        given = {key: D(value) for key, value in terms.items()}
        leave = self.flow.outgoing.modify(ModifyOrder(name, None, "AAA.X", **given), NOW)
        self.leave(leave)
        return leave.ref

    def cancel(self, name: str = "C1") -> str:
        leave = self.flow.outgoing.cancel(CancelOrder(name, None, "AAA.X"), NOW)
        self.leave(leave)
        return leave.ref

    def last(self) -> dict[int, Any]:
        """The fields of what was sent last."""
        return dict(self.sent[-1].body)

    # -- in

    def message(self, kind: str, body: dict[int, Any], header: Any = ()) -> Message:
        self.seq += 1
        fields = [(tag, value) for tag, value in body.items() if value is not None]
        return parse(self.encoder.encode(kind, self.seq, format_utc(NOW), fields, header))

    def hear(self, kind: str, body: dict[int, Any], header: Any = (), replayed: bool = False):
        """Let a message arrive; return what it led to."""
        self.position += 1
        before = len(self.said)
        message = self.message(kind, body, header)
        self.tell(Inbound(message, self.position, NOW, replayed))
        return self.said[before:]

    def tell(self, heard: Heard) -> None:
        self.flow.hear(heard)

    def report(self, what: str, wire: str = "C1", again: bool = False, **tags: Any) -> list[Any]:
        """Let an execution report arrive. `what` is 150 as FIX 4.4 has it; tags are t38=... ."""
        old = self.profile.dialect == "4.2"
        body: dict[int, Any] = {37: "V1", 11: wire, 17: f"X{self.seq}"}
        if old:
            body[20] = {"H": "1", "G": "2", "I": "3"}.get(what, "0")
        body |= {150: what, 39: STATUS.get(what, "0"), 1: "A", 55: "AAA", 207: "X", 54: "1"}
        body |= {38: 30, 14: 0, 60: format_utc(NOW + self.seq)}
        body |= {int(tag[1:]): value for tag, value in tags.items()}
        if old and what in "FGHI":
            body[150] = body[39]
        body.setdefault(151, _leaves(body))
        header = [(43, "Y"), (122, format_utc(NOW))] if again else ()
        return self.hear("8", body, header)

    def fill(self, exec_id: str, qty: Any, cum: Any, px: Any = "10", **more: Any) -> list[Any]:
        """Let an execution arrive."""
        total = more.get("t38", 30)
        status = more.pop("t39", "2" if D(cum) == D(total) else "1")
        return self.report("F", t17=exec_id, t32=qty, t31=px, t14=cum, t39=status, **more)

    def kinds(self) -> list[str]:
        """What was said, by kind, states left out."""
        return [type(each).__name__ for each in self.said if not isinstance(each, VenueState)]

    @property
    def doubtful(self) -> list[str]:
        return [order.name for order in self.flow.executions.doubtful.values()]


STATUS = {
    "A": "A", "0": "0", "3": "3", "4": "4", "5": "0", "6": "6", "8": "8", "9": "9", "C": "C",
    "E": "E", "F": "1", "I": "0", "L": "0", "D": "0", "H": "0", "G": "1",
}  # fmt: skip


def _leaves(body: dict[int, Any]) -> Any:
    return 0 if body[39] in "348C" else D(body[38]) - D(body[14])
