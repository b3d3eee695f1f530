"""Trade capture reports (35=AE), read: each side of each as an execution of one order.

Id        17 for good; a replay has a new 571 and the same 17. Two sides of one trade in one report
          share it: each side is then the id and its side, unless 1506 names its own execution.
New, bust, correct   487=0, 1 and 2; 3 and 4 (release, reverse) are busts too when 150=H.
"""

from __future__ import annotations

from msgspec.structs import replace

from onetape_fix.profiles import Profile, SymbolMap
from onetape_fix.trade.reading import LONGEST_ID, Execution, What, digest, execution, trade_id
from onetape_fix.trade.words import LIQUIDITY, SIDES, members, number
from onetape_fix.wire import Body, Message, rows_of
from onetape_fix.wire import tags as t

SIDE_EXEC_ID, SIDE_LIQUIDITY, SIDE_LAST_QTY = 1506, 1444, 1009
SIDE_ROW = members(
    "54 37 198 11 526 66 453 448 447 452 802 523 803 1 660 581 81 575 576 577 578 "
    "579 821 15 376 377 528 529 582 40 18 483 336 625 943 12 13 479 497 381 157 230 "
    "158 159 738 920 921 922 238 237 118 119 155 156 77 58 354 355 752 518 519 520 "
    "521 136 137 138 139 891 825 826 591 70 78 79 661 736 467 756 80 797 852 853 "
    "1005 1006 1007 1008 1009 1057 1444 1506 1427 1428 1429 59 44 99 38 "
)
KINDS: dict[str, What] = {"0": "fill", "1": "bust", "2": "correct", "3": "fill", "4": "bust"}
EXECUTED: dict[str, What] = {"F": "fill", "H": "bust", "G": "correct"}


def sides(message: Message, profile: Profile, symbols: SymbolMap, now: int = 0) -> list[Execution]:
    """Return each side of a report as an execution."""
    whole = execution(message, profile, symbols, now)
    what = KINDS.get(message.get(t.TRADE_REPORT_TRANS_TYPE, "0"), "fill")
    what = EXECUTED.get(message.get(t.EXEC_TYPE, ""), what) if what == "fill" else what
    # not 571, which is another one each time that the same is told
    exec_id = whole.exec_id or trade_id(message, message.get(t.TRADE_ID, ""), profile)
    ref = whole.exec_ref or exec_id
    rows = [dict(reversed(row)) for row in rows_of(message.fields, t.NO_SIDES, t.SIDE, SIDE_ROW)]
    found: list[Execution] = []
    for row in rows:
        own = trade_id(message, row.get(SIDE_EXEC_ID, ""), profile)
        suffix = f".{row[t.SIDE]}" if len(rows) > 1 and not own else ""
        quantity = number(row.get(SIDE_LAST_QTY))
        last = whole.last
        if last is not None and quantity is not None:
            last = (quantity, last[1])
        found.append(
            replace(
                whole, what=what, wire=row.get(t.CL_ORD_ID, ""), orig="",
                venue_id=row.get(t.ORDER_ID, ""), exec_id=_of_side(own or exec_id, suffix),
                exec_ref=_of_side(own or ref, suffix), status="", account=row.get(t.ACCOUNT, ""),
                side=SIDES.get(row[t.SIDE]), last=last, cum=None, leaves=None, quantity=None,
                message=_flat(message, row),
            )
        )  # fmt: skip
    return found


def _of_side(told: str, suffix: str) -> str:
    fits = not told or len(told) + len(suffix) <= LONGEST_ID
    return (told + suffix if told else "") if fits else digest(told) + suffix


def _flat(message: Message, row: dict[int, str]) -> Message:
    """Return the report as it would be, had it this side alone."""
    kept = [(tag, value) for tag, value in message.fields if tag not in row and tag != t.ACCOUNT]
    liquidity = row.get(SIDE_LIQUIDITY)
    if liquidity in LIQUIDITY:
        kept.append((t.LAST_LIQUIDITY_IND, liquidity))
    return Message(message.raw, [*kept, *row.items()], message.type)


def acknowledged(message: Message) -> Body:
    """Return the body of the acknowledgement (35=AR) of a report that was not asked for."""
    body: list[tuple[int, str]] = [(t.TRADE_REPORT_ID, message.get(t.TRADE_REPORT_ID, "0"))]
    told = (t.TRADE_REPORT_TRANS_TYPE, t.TRADE_REPORT_TYPE)
    body += [(tag, message[tag]) for tag in told if tag in message]
    body.append((t.EXEC_TYPE, message.get(t.EXEC_TYPE, "F")))
    body.append((t.TRD_RPT_STATUS, "0"))
    if t.EXEC_ID in message:
        body.append((t.EXEC_ID, message[t.EXEC_ID]))
    named = (t.SYMBOL, t.SECURITY_ID, t.SECURITY_ID_SOURCE, t.SECURITY_EXCHANGE)
    body += [(tag, message[tag]) for tag in named if tag in message]
    return body
