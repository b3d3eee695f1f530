"""Control: a process's door for its own user, JSON lines over a unix socket.

    {"what": "stop", "args": {"flatten": true}}     asked, one line
    {"answer": {...}}                               answered, or
    {"error": "RunError", "message": "..."}

Private   The socket is 0600 before anybody can connect to it, in a folder that is 0700.
Long      The system allows about 100 bytes for a socket's path. A longer one is reached through a
          link in a fresh folder of our own, gone again once bound or connected.
Raises    RunError where nobody answers, saying why that may be; what a handler raised comes to
          the asker as the same error.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import tempfile
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from inspect import isawaitable
from pathlib import Path
from typing import Any

import msgspec

from onetape import errors
from onetape.errors import OnetapeError, RunError

LONGEST = 100  # bytes of a path; Linux allows 107, macOS 103
LINE = 1 << 22  # bytes of a request or an answer
LAST_WORDS = 2.0  # seconds that a closing door gives to answers under way
Answer = dict[str, Any]
Handler = Callable[[dict[str, Any]], Awaitable[Answer] | Answer]
_log = logging.getLogger(__name__)


class Request(msgspec.Struct):
    """What is asked."""

    what: str
    args: dict[str, Any] = {}


class Reply(msgspec.Struct, omit_defaults=True):
    """What is answered; `error` is the name of an error of the family."""

    answer: Answer | None = None
    error: str = ""
    message: str = ""


class Door:
    """An open door; `close` shuts it and takes the socket away."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self.path = path
        self._handlers = handlers
        self._answering: set[asyncio.Future[Reply]] = set()
        self._asking: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._server: asyncio.Server | None = None
        self._inode = 0

    async def open(self) -> None:
        """Begin to listen."""
        sock = socket.socket(socket.AF_UNIX)
        with _reachable(self.path) as short:
            sock.bind(str(short))
        self.path.chmod(0o600)
        self._inode = self.path.stat().st_ino
        self._server = await asyncio.start_unix_server(self._attend, sock=sock, limit=LINE)

    async def close(self) -> None:
        """Take no more questions, and answer those under way."""
        if self._server is None:
            return
        self._server.close()
        if self._answering:
            await asyncio.wait(self._answering, timeout=LAST_WORDS)
            await asyncio.sleep(0)  # the answers are written in the next turn of the loop
        for writer in self._asking:
            writer.close()
        if gone := [task for task in self._asking.values() if task is not None]:
            await asyncio.wait(gone, timeout=LAST_WORDS)
        with suppress(FileNotFoundError):
            if self.path.stat().st_ino == self._inode:  # not the one of who came after
                self.path.unlink()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._asking[writer] = asyncio.current_task()
        try:
            while line := await reader.readline():
                answering = asyncio.ensure_future(_answered(line, self._handlers))
                self._answering.add(answering)
                answering.add_done_callback(self._answering.discard)
                writer.write(msgspec.json.encode(await answering) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # who asked has gone, or sent no line
            pass
        finally:
            del self._asking[writer]
            writer.close()


async def serve(path: Path, handlers: Mapping[str, Handler]) -> Door:
    """Open a door; each handler gets the arguments of a question and returns its answer.

    Raises RunError when another process answers there.
    """
    if answers(path):
        raise RunError(f"another process answers at {path}; stop that one first")
    path.unlink(missing_ok=True)
    door = Door(path, handlers)
    await door.open()
    return door


async def _answered(line: bytes, handlers: Mapping[str, Handler]) -> Reply:
    try:
        request = msgspec.json.decode(line, type=Request)
    except msgspec.MsgspecError as err:
        return Reply(error="RunError", message=f"a question that cannot be read: {err}")
    handler = handlers.get(request.what)
    if handler is None:
        known = ", ".join(sorted(handlers))
        return Reply(error="RunError", message=f"nobody knows {request.what!r} here, only {known}")
    try:
        answer = handler(request.args)
        return Reply(answer=await answer if isawaitable(answer) else answer)
    except OnetapeError as err:
        return Reply(error=type(err).__name__, message=str(err))
    except Exception as err:  # a wrong question must not end who trades; the asker is told
        _log.exception("%s could not be answered", request.what)
        return Reply(error="RunError", message=f"{request.what}: {type(err).__name__}: {err}")


def ask(path: Path, what: str, timeout: float = 5.0, **args: Any) -> Answer:
    """Ask the process behind a door; `timeout` in seconds.

    Raises RunError where nobody answers (in time), else what the handler raised.
    """
    question = msgspec.json.encode(Request(what, args)) + b"\n"
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout)
            with _reachable(path) as short:
                sock.connect(str(short))
            sock.sendall(question)
            with sock.makefile("rb") as answers_:
                line = answers_.readline(LINE)
    except TimeoutError:
        raise RunError(
            f"no answer to {what!r} within {timeout:g} s at {path}: the process there is busy or "
            "stuck; its log is log.txt beside it, kill works without it"
        ) from None
    except OSError as err:
        raise _nobody(path, what, err) from err
    if not line.endswith(b"\n"):
        raise RunError(f"the process at {path} ended before it answered {what!r}")
    reply = msgspec.json.decode(line, type=Reply)
    if reply.error:
        raise _raised(reply)
    return reply.answer or {}


def answers(path: Path) -> bool:
    """Tell whether a process listens at a door."""
    try:
        with socket.socket(socket.AF_UNIX) as sock, _reachable(path) as short:
            return sock.connect_ex(str(short)) == 0
    except OSError:
        return False


def _nobody(path: Path, what: str, err: OSError) -> RunError:
    if isinstance(err, FileNotFoundError):
        why = "it has not opened its door yet, or has ended"
    elif isinstance(err, ConnectionRefusedError):
        why = "it was killed"
    else:
        why = err.strerror or str(err)
    return RunError(
        f"nobody answers at {path} ({why}), so {what!r} was not done; "
        "onetape live list shows what runs"
    )


def _raised(reply: Reply) -> OnetapeError:
    kind = getattr(errors, reply.error, None)
    if isinstance(kind, type) and issubclass(kind, OnetapeError):
        try:
            return kind(reply.message)
        except TypeError:  # one that is made of more than its message
            return RunError(reply.message)
    return RunError(reply.message)


@contextmanager
def _reachable(path: Path) -> Generator[Path]:
    """Give a path of a socket that is short enough for the system."""
    if len(os.fsencode(path)) <= LONGEST:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="ot-") as made:  # 0700, of a name nobody can guess
        link = Path(made) / "s"
        link.symlink_to(path.parent.absolute())
        yield link / path.name
