"""Servers and processes for tests: Debian's PostgreSQL 15, other processes, other users."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from onetape.tape.installation import identity_for

OLD = Path("/usr/lib/postgresql/15/bin")


def until(done: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition, at most so long."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@contextmanager
def old_server(folder: Path) -> Iterator[str]:
    """A PostgreSQL 15 as Debian packs it; yields the URL of its database `postgres`."""
    if not OLD.exists():
        pytest.skip(f"no PostgreSQL 15 in {OLD}")
    identity = identity_for(folder)
    if identity.user is not None and identity.group is not None:
        os.chown(folder, identity.user, identity.group)

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [OLD / program, "-D", folder / "old", *arguments], cwd=folder, check=True,
            user=identity.user, group=identity.group, extra_groups=identity.groups,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    run("pg_ctl", "-w", "start", "-o", f"-c listen_addresses='' -k {folder}")
    try:
        yield f"postgresql://postgres@/postgres?host={folder}"
    finally:
        run("pg_ctl", "-w", "-m", "immediate", "stop")


@contextmanager
def process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another Python that runs `code` with sys.argv[1:]; ended at the end."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    one = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield one
    finally:
        one.kill()
        one.communicate()


def line(one: subprocess.Popen[str]) -> str:
    """Return the next line that a process says."""
    assert one.stdout is not None
    return one.stdout.readline().strip()


def in_child(work: Callable[[], str], user: int | None = None) -> tuple[int, Callable[[], str]]:
    """Fork, as `user` if named; return the child's pid and what gives its answer."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            answer = work()
        except BaseException:
            answer = traceback.format_exc()
        os.write(theirs, answer.encode())
        os._exit(0)
    os.close(theirs)

    def answer() -> str:
        with os.fdopen(ours, "rb") as pipe:
            said = pipe.read().decode()
        os.waitpid(pid, 0)
        return said

    return pid, answer
