"""The status of a gateway for machines that ask by HTTP: /metrics as text, one number a line.

The form is the plain one that monitoring systems read: a name, labels, a value. Only numbers and
yes or no are told, of texts nothing, so that no secret and no message can be among them. It is
served where the config says `Metrics=host:port`, and nowhere otherwise.

Units    stand in the names, as in `status`.
Raises   SettingsError where the address cannot be had.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from onetape.errors import SettingsError

if TYPE_CHECKING:
    from onetape_fix.gateway.hub import Gateway

PATIENCE_S = 5.0
LONGEST = 8_192  # bytes of a request
STATES = ("down", "logon", "up", "logout")


@asynccontextmanager
async def exposed(gateway: Gateway) -> AsyncGenerator[int]:
    """Serve while the block runs; yields the port, 0 where none is wanted."""
    where = gateway.config.metrics
    if where is None:
        yield 0
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(PATIENCE_S):
                await _answer(gateway, reader, writer)
        writer.close()

    try:
        server = await asyncio.start_server(answer, *where, limit=LONGEST)
    except OSError as err:
        raise SettingsError(
            f"Metrics cannot be served at {where[0]}:{where[1]}: {err.strerror}; set another one"
        ) from err
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _answer(
    gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        asked = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        asked = b""
    fine = asked.startswith((b"GET /metrics ", b"GET / "))
    body = ("\n".join(lines(gateway.status())) + "\n").encode() if fine else b"not found\n"
    status = b"200 OK" if fine else b"404 Not Found"
    size = str(len(body)).encode()
    writer.write(
        b"HTTP/1.1 " + status + b"\r\nContent-Type: text/plain; version=0.0.4\r\n"
        b"Content-Length: " + size + b"\r\nConnection: close\r\n\r\n" + body
    )
    await writer.drain()


def lines(told: dict[str, Any]) -> Iterator[str]:
    """Return a gateway's status as numbers with names."""
    for key in ("up_s", "ready", "up"):
        yield f"onetape_fix_gateway_{key} {told[key]:g}"
    for one in told["sessions"]:
        labels = f'session="{_quoted(one["session"])}"'
        for state in STATES:
            yield f'onetape_fix_state{{{labels},state="{state}"}} {int(one["state"] == state)}'
        yield f"onetape_fix_disabled{{{labels}}} {int(bool(one['disabled']))}"
        for name, value in _numbers(one):
            yield f"onetape_fix_{name}{{{labels}}} {value:.17g}"
        for reason, count in one["rejects"].items():
            yield f'onetape_fix_rejects{{{labels},reason="{_quoted(reason)}"}} {count}'


def _numbers(told: dict[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    for key, value in told.items():
        if key in ("rejects", "types"):
            continue
        if isinstance(value, dict):
            parts: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
            yield from _numbers(parts, f"{before}{key}_")
        elif isinstance(value, bool | int | float):
            yield f"{before}{key}", float(value)


def _quoted(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", " ")
