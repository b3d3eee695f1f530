# pyright: standard
"""The master key: what wraps the keys of all subjects, kept apart from the database.

`master` finds it by reference; `encrypted` and `decrypted` are AES-256-GCM with a random nonce in
front, bound to a place. A key is never shown: `Master.name` is a digest of it.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from onetape.errors import SettingsError

REFERENCE = "ONETAPE_VAULT_KEY"
FILE = "vault.key"
KEY, NONCE = 32, 12  # bytes


@dataclass(frozen=True, slots=True)
class Master:
    """The key that wraps the keys of all subjects; never shown, named by a digest of it."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != KEY:
            raise SettingsError(f"a master key of {len(self.key)} bytes found, {KEY} expected")

    @property
    def name(self) -> str:
        """The first 16 characters of the key's SHA-256."""
        return sha256(b"onetape.vault/1" + self.key).hexdigest()[:16]


def master(folder: str | Path, environment: Mapping[str, str] | None = None) -> Master:
    """Return the master key that ONETAPE_VAULT_KEY refers to, else that of the file in `folder`.

    A reference is a file's path, or "env:NAME" for a variable with the key in base64. The file
    in the folder is made on first use, readable by its owner only; one that is referred to must
    be there. Keep a copy apart from the database's backups: without it nobody opens anything.

    Raises SettingsError for a key that is missing, malformed or readable by others.
    """
    given = os.environ if environment is None else environment
    reference = given.get(REFERENCE, "")
    if reference.startswith("env:"):
        name = reference.removeprefix("env:")
        if name not in given:
            raise SettingsError(f"{REFERENCE} refers to {name}, which is not set")
        return Master(_decoded(given[name], f"the variable {name}"))
    path = Path(reference or Path(folder) / FILE)
    if not reference and not path.exists():
        _make(path)
    return _read(path)


def _make(path: Path) -> None:
    """Write a new key, whole or not at all; of two who do so at once, one makes it."""
    made = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(base64.b64encode(secrets.token_bytes(KEY)) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        with suppress(FileExistsError):
            os.link(made, path)
        made.unlink()
    except OSError as err:
        raise SettingsError(f"the master key {path} cannot be made: {err}") from err


def _read(path: Path) -> Master:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        said = path.read_text("ascii", "replace")
    except OSError as err:
        raise SettingsError(f"the master key {path} cannot be read: {err}") from err
    if mode & 0o077:
        raise SettingsError(
            f"the master key {path} has mode {mode:o}: others may read it, 600 expected; "
            f"run chmod 600 {path}, and think about who has read it"
        )
    return Master(_decoded(said, str(path)))


def _decoded(said: str, where: str) -> bytes:
    try:
        return base64.b64decode(said.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise SettingsError(f"{where} holds no key; {KEY} bytes in base64 expected") from None


def encrypted(key: bytes, plain: bytes, bound: bytes) -> bytes:
    """Return nonce and ciphertext of `plain`, which opens only with the same `bound`."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound)


def decrypted(key: bytes, raw: bytes, bound: bytes) -> bytes:
    """Return the plain bytes; ValueError for any that were not encrypted so, for this place."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(raw[:NONCE], raw[NONCE:], bound)
    except InvalidTag:
        raise ValueError("not under this key, or not for this place") from None
