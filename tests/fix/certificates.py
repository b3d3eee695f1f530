"""Certificates for tests: a good authority, a foreign one, and what peers may show."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from onetape_fix.door.certificates import Authority, Pair


class Certificates(NamedTuple):
    """`authority` signed all but `foreign`; `wrong_host` is for another name than localhost."""

    authority: Authority
    server: Pair
    client: Pair
    wrong_host: Pair
    named: Pair  # for venue.example only
    expired: Pair
    early: Pair
    foreign_authority: Authority
    foreign: Pair


def certificates(folder: Path) -> Certificates:
    """All kinds, in files of `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    ours, foreign = Authority(folder), Authority(folder, "foreign-authority")
    return Certificates(
        ours,
        ours.issue("server"),
        ours.issue("client", ()),
        ours.issue("wrong-host", ["other.example"]),
        ours.issue("named", ["venue.example"]),
        ours.issue("expired", since=-9, until=-1),
        ours.issue("early", since=1),
        foreign,
        foreign.issue("foreign"),
    )
