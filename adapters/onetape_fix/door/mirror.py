"""The other side of a broker's session file: what our initiators would log on to, made of it.

    onetape sim --mirror broker.cfg

Each initiator session becomes the acceptor that it dials: the ids change sides, and the schedule,
dictionary, profile and credentials stay, so that the very file that will be used can be tried
against the simulated venue first. The numbers of this side are kept beside the file's store, under
another name.

Raises   SettingsError for a session that dials another machine, or TLS, whose certificate only the
         broker has.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

import msgspec

from onetape.errors import SettingsError
from onetape_fix.session import SessionConfig, Settings, read


def mirrored(path: Path | str) -> Settings:
    """Return the settings of a simulated counterpart of the sessions in a file."""
    found = read(path)
    dialing = [each for each in found.sessions if each.role == "initiator"]
    if not dialing:
        raise SettingsError(
            f"{path} has no initiator session to be the other side of; say --fix for acceptors"
        )
    return msgspec.structs.replace(found, sessions=tuple(other_side(each) for each in dialing))


def other_side(config: SessionConfig) -> SessionConfig:
    """Return the acceptor that an initiator dials."""
    if config.tls is not None:
        raise SettingsError(
            f"session {config.name} uses TLS, and the broker's certificate is not here; take the "
            "TLS keys out of a copy of the file, or use onetape_fix.rehearsal, which makes its own"
        )
    host, port = config.hosts[0]
    if not _local(host):
        raise SettingsError(
            f"session {config.name} dials {host}, another machine; write "
            f"SocketConnectHost=127.0.0.1 into a copy of the file (port {port} may stay)"
        )
    return msgspec.structs.replace(
        config,
        role="acceptor",
        sender=config.target,
        sender_sub=config.target_sub,
        sender_location=config.target_location,
        target=config.sender,
        target_sub=config.sender_sub,
        target_location=config.sender_location,
        hosts=(),
        source=None,
        listen=(host, port),
        throttle=0.0,
        order_ttl=None,
        store=config.store.with_name(f"{config.store.name}-sim"),
    )


def _local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
