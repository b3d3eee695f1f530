"""Questions to the venue and their answers: orders, executions, positions, cash, instruments.

A question is answered once its last report is there (912=Y, or as many as were announced); one
that is rejected, not served or not answered in time raises VenueUnavailable: "unknown" is never
told as "empty". Each question has an id of its own; FIX 4.2 has none for an order's status, which
is then known again by the order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from itertools import count

import msgspec

from onetape.errors import VenueUnavailable
from onetape_fix.trade.ids import PLAIN, written
from onetape_fix.wire import Message
from onetape_fix.wire import tags as t

NONE_THERE = "2"  # 728
FINE = ("0", "")


class Question(msgspec.Struct, eq=False):
    """One question; `wires` are ClOrdIDs by which its answer may come where ids are not told."""

    id: str
    what: str
    done: asyncio.Future[list[Message]]
    wires: frozenset[str] = frozenset()
    found: list[Message] = msgspec.field(default_factory=list[Message])
    total: int | None = None


class Questions:
    """The questions of one session that have no answer yet."""

    def __init__(self, begin: int) -> None:
        self._ids = count(max(begin // 1_000, 1))
        self._open: dict[str, Question] = {}
        self._take: Mapping[str, Callable[[Message], bool]] = {
            "8": self._status, "AE": self._trade, "AQ": self._trades_ack, "AO": self._positions_ack,
            "AP": self._position, "BA": self._cash, "BG": self._cash_ack, "r": self._mass_canceled,
            "y": self._listed,
        }  # fmt: skip

    def begin(self, what: str, wires: frozenset[str] = frozenset(), id: str = "") -> Question:
        """Return a new question. One that is the only of its kind at a time waits for nothing."""
        made = id or written(next(self._ids), PLAIN)
        loop = asyncio.get_running_loop()
        question = self._open[made] = Question(made, what, loop.create_future(), wires)
        return question

    async def answer(self, question: Question, seconds: float) -> list[Message]:
        """Return the messages of the answer; VenueUnavailable where none comes."""
        try:
            async with asyncio.timeout(seconds):
                return await question.done
        except TimeoutError:
            raise VenueUnavailable(
                f"the venue did not answer the question for its {question.what} in {seconds} s"
            ) from None
        finally:
            self._open.pop(question.id, None)

    def take(self, message: Message) -> bool:
        """Take a message in; True where it answers a question and tells nothing else."""
        take = self._take.get(message.type)
        return take is not None and take(message)

    def refused(self, ref: str, why: str) -> bool:
        """A question did not leave, or is not served; True where it was one."""
        question = self._open.get(ref)
        if question is None:
            return False
        self._fail(question, why)
        return True

    def lost(self, why: str) -> None:
        """The session is down: no answer will come."""
        for question in list(self._open.values()):
            self._fail(question, why)

    # -- answers by kind

    def _status(self, message: Message) -> bool:
        get = message.get
        question = self._open.get(get(t.MASS_STATUS_REQ_ID) or get(t.ORD_STATUS_REQ_ID) or "")
        if question is None and t.MASS_STATUS_REQ_ID not in message and _is_status(message):
            told = {get(t.CL_ORD_ID), get(t.ORIG_CL_ORD_ID)} - {None}
            asked = [q for q in self._open.values() if q.what == "status" and q.wires & told]
            question = asked[0] if asked else None
        if question is None:
            return False
        question.found.append(message)
        if question.what == "status":
            self._end(question)
        else:
            self._counted(question, message, t.TOT_NUM_REPORTS)
        return True

    def _counted(self, question: Question, message: Message, total: int) -> None:
        told = message.get(total, "")
        if told.isdigit():
            question.total = int(told)
        whole = question.total is not None and len(question.found) >= question.total
        if message.get(t.LAST_RPT_REQUESTED) == "Y" or whole:
            self._end(question)

    def _trade(self, message: Message) -> bool:
        question = self._open.get(message.get(t.TRADE_REQUEST_ID, ""))
        if question is None:
            return False
        question.found.append(message)
        self._counted(question, message, t.TOT_NUM_TRADE_REPORTS)
        return True

    def _trades_ack(self, message: Message) -> bool:
        question = self._open.get(message.get(t.TRADE_REQUEST_ID, ""))
        if question is None:
            return False
        result = message.get(t.TRADE_REQUEST_RESULT, "0")
        if result not in FINE or message.get(t.TRADE_REQUEST_STATUS) == "2":
            self._fail(question, message.get(t.TEXT) or f"749={result}")
        elif message.get(t.TOT_NUM_TRADE_REPORTS, "").isdigit():
            question.total = int(message[t.TOT_NUM_TRADE_REPORTS])
            if len(question.found) >= question.total:
                self._end(question)
        return True

    def _positions_ack(self, message: Message) -> bool:
        question = self._open.get(message.get(t.POS_REQ_ID, ""))
        if question is None:
            return False
        result = message.get(t.POS_REQ_RESULT, "0")
        if result not in ("0", NONE_THERE) or message.get(t.POS_REQ_STATUS) == "2":
            self._fail(question, message.get(t.TEXT) or f"728={result}")
        elif result == NONE_THERE or message.get(t.TOTAL_NUM_POS_REPORTS) == "0":
            self._end(question)
        elif message.get(t.TOTAL_NUM_POS_REPORTS, "").isdigit():
            question.total = int(message[t.TOTAL_NUM_POS_REPORTS])
        return True

    def _position(self, message: Message) -> bool:
        question = self._open.get(message.get(t.POS_REQ_ID, ""))
        if question is None:
            return False
        if message.get(t.POS_REQ_RESULT, "0") == "0" or t.NO_POSITIONS in message:
            question.found.append(message)
        self._counted(question, message, t.TOTAL_NUM_POS_REPORTS)
        return True

    def _cash(self, message: Message) -> bool:
        question = self._open.get(message.get(t.COLL_INQUIRY_ID, ""))
        if question is None:
            return False
        if t.CASH_OUTSTANDING in message:
            question.found.append(message)
        last = message.get(t.LAST_RPT_REQUESTED) == "Y"
        if last or message.get(t.TOT_NUM_REPORTS, "1") in ("0", str(len(question.found))):
            self._end(question)
        return True

    def _cash_ack(self, message: Message) -> bool:
        question = self._open.get(message.get(t.COLL_INQUIRY_ID, ""))
        if question is None:
            return False
        if message.get(t.COLL_INQUIRY_RESULT, "0") not in FINE:
            self._fail(question, message.get(t.TEXT) or f"946={message[t.COLL_INQUIRY_RESULT]}")
        return True

    def _mass_canceled(self, message: Message) -> bool:
        question = self._open.get(message.get(t.CL_ORD_ID, ""))
        if question is None:
            return False
        question.found.append(message)
        self._end(question)
        return True

    def _listed(self, message: Message) -> bool:
        question = self._open.get(message.get(t.SECURITY_REQ_ID, ""))
        if question is None:
            return False
        result = message.get(t.SECURITY_REQUEST_RESULT, "0")
        if result not in ("0", "2"):
            self._fail(question, message.get(t.TEXT) or f"560={result}")
            return True
        question.found.append(message)
        if message.get(t.LAST_FRAGMENT, "Y") == "Y":
            self._end(question)
        return True

    def _end(self, question: Question) -> None:
        if not question.done.done():
            question.done.set_result(question.found)

    def _fail(self, question: Question, why: str) -> None:
        if not question.done.done():
            said = f"the venue does not answer the question for its {question.what}: {why}"
            question.done.set_exception(VenueUnavailable(said))


def _is_status(message: Message) -> bool:
    return message.get(t.EXEC_TYPE) == "I" or message.get(t.EXEC_TRANS_TYPE) == "3"
