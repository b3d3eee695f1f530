"""The door as the counterpart of other venues: what each does in its own way."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from onetape_fix.profiles import authenticate, profile
from onetape_fix.session import Secret, SessionConfig
from onetape_fix.wire import Encoder, format_utc

from .bench import Client, at_door, client, config, door, quote, show, values
from .test_orders import run

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def secret(place: Path, name: str, text: str) -> Secret:
    """A secret in a file of the test's own."""
    file = place / name
    file.write_text(text)
    file.chmod(0o600)
    return Secret(f"file:{file}")


def dialed(config: SessionConfig, **extra: Any) -> SessionConfig:
    """The same session as its initiator has it."""
    made = {"sender": config.target, "target": config.sender, "role": "initiator"}
    return SessionConfig(
        begin_string=config.begin_string, timestamp_digits=6, profile=config.profile,
        username=config.username, password=config.password, extra=extra, **made,
    )  # fmt: skip


async def say_logon(person: Client, mine: SessionConfig, *more: tuple[int, Any]) -> None:
    """Log on with the proof that the profile wants, over the very time that is sent."""
    now = time.time_ns()
    proof = authenticate(mine, profile(mine.profile), now, seq=1)
    body: list[Any] = [(98, "0"), (108, 30), *more, *proof]
    if person.config.default_appl_ver:
        body.append((1137, person.config.default_appl_ver))
    header = [(49, mine.sender), (56, mine.target)]
    raw = Encoder(mine.begin_string, header).encode("A", 1, format_utc(now, 6), body)
    if person.gone or not person.heard:
        await person.connect()
    person.seq = 2
    person.write(raw)


def binance(place: Path) -> tuple[SessionConfig, SessionConfig]:
    public = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    acceptor = config(
        "CLIENT", profile="binance", username=secret(place, "user", "api-key"),
        extra={"Account": "A", "PublicKey": base64.b64encode(public).decode()},
    )  # fmt: skip
    private = secret(place, "key", base64.b64encode(bytes(range(32))).decode())
    return acceptor, dialed(acceptor, PrivateKey=private)


def coinbase(place: Path) -> tuple[SessionConfig, SessionConfig]:
    shared = secret(place, "secret", base64.b64encode(b"shared").decode())
    acceptor = config(
        "CLIENT", "FIXT.1.1", "coinbase", username=secret(place, "user", "api-key"),
        password=secret(place, "pass", "phrase"), extra={"Account": "A", "ApiSecret": shared},
    )  # fmt: skip
    return acceptor, dialed(acceptor, ApiSecret=shared)


VENUES = {"binance": binance, "coinbase": coinbase}


@pytest.mark.parametrize("name", VENUES)
def test_a_signed_logon_is_believed_and_a_forged_one_is_not(name: str, tmp_path: Path) -> None:
    async def body() -> None:
        acceptor, mine = VENUES[name](tmp_path)
        async with door(acceptor) as made:
            person = Client(acceptor, made.addresses["CLIENT"][1])
            await say_logon(person, mine, (141, "Y"))
            await person.get("A")
            person.buy("C-1", 5)
            await person.report("C-1", "F")
            await person.leave()
        async with door(acceptor) as made:
            person = Client(acceptor, made.addresses["CLIENT"][1])
            await person.connect()
            person.heard.clear()
            wrong = dialed(acceptor, ApiSecret=base64.b64encode(b"other").decode(),
                           PrivateKey=base64.b64encode(bytes(32)).decode())  # fmt: skip
            await say_logon(person, wrong, (141, "Y"))
            assert "not accepted" in (await person.get("5"))[58]
            await person.leave()

    run(body)


@pytest.mark.parametrize("name", VENUES)
def test_a_logon_without_a_reset_is_turned_away(name: str, tmp_path: Path) -> None:
    async def body() -> None:
        acceptor, mine = VENUES[name](tmp_path)
        async with door(acceptor) as made:
            person = Client(acceptor, made.addresses["CLIENT"][1])
            await say_logon(person, mine)
            assert "141=Y" in (await person.get("5"))[58]
            await person.leave()

    run(body)


def test_binance_knows_neither_resend_requests_nor_replaces() -> None:
    async def body() -> None:
        async with door(config(profile="binance")) as made:
            person = Client(made.sessions[0].config, made.addresses["CLIENT"][1])
            await person.log_on((141, "Y"))
            person.send("2", [(7, 1), (16, 0)])
            assert values(await person.get("3"), 372, 373) == ("2", "11")
            person.replace("R-1", "L-1", 5, price="9")
            assert (await person.get("j"))[372] == "G"
            await person.leave()

    run(body)


def test_coinbase_lets_orders_go_with_the_session_and_fills_gaps() -> None:
    async def body() -> None:
        async with door(config("CLIENT", "FIXT.1.1", "coinbase")) as made:
            person = Client(made.sessions[0].config, made.addresses["CLIENT"][1])
            await person.log_on((141, "Y"), (8013, "S"))
            person.buy("L-1", 5, price="9.00")
            await person.report("L-1", "0")
            person.send("2", [(7, 1), (16, 0)])
            assert (await person.get("4"))[123] == "Y"
            assert not [m for m in person.heard if m.possdup and m.type == "8"]
            await person.leave()
            await person.until(lambda: not made.world.core.ledger.working)

    run(body)


def test_lmax_names_instruments_by_id_alone_and_bans_who_is_too_fast() -> None:
    async def body() -> None:
        mine = config(profile="lmax", duties=frozenset(("order", "marketdata")), throttle=4.0)
        async with at_door(mine) as (made, person):
            order = [f for f in person.order("C1", "1", 5) if f[0] not in (55, 207)]
            person.send("D", [*order, (55, "[N/A]"), (48, "4001"), (22, "8")])
            told = await person.report("C1", "F")
            assert values(told, 48, 22, 55, 207) == ("4001", "8", None, None)
            made.world.player.audience._streams |= {("AAA.SIM", "quotes", None)}
            kinds = (267, [[(269, "0")], [(269, "1")]])
            ask = [(262, "M"), (263, "1"), (264, 1), (265, "0"), kinds]
            person.send("V", [*ask, (146, [[(55, "[N/A]"), (48, "4001"), (22, "8")]])])
            assert values(await person.get("W"), 48, 55) == ("4001", None)
            for at in range(5):
                person.send("H", [(11, f"X{at}"), (48, "4001"), (22, "8"), (54, "1")])
            assert "rate limit" in (await person.get("5"))[58]

    run(body)


def test_tt_takes_any_target_and_ends_its_recovery_with_news() -> None:
    async def body() -> None:
        mine = config(profile="tt", check_comp_id=False)
        async with door(mine) as made:
            show(made, quote("10.00", "10.02"))
            person = Client(made.sessions[0].config, made.addresses["CLIENT"][1])
            person.encoder = Encoder("FIX.4.4", [(49, "CLIENT"), (56, "ANYBODY")])
            await person.log_on()
            person.buy("C-1", 5, price="9.00")
            await person.report("C-1", "0")
            person.send("U2", [])
            assert (await person.get("B"))[148] == "Recovery complete"
            assert (await person.report("C-1", "I"))[39] == "0"
            await person.leave()

    run(body)


def test_a_password_is_asked_for_where_the_settings_have_one(tmp_path: Path) -> None:
    async def body() -> None:
        mine = config(
            username=secret(tmp_path, "u", "me"), password=secret(tmp_path, "p", "open sesame")
        )
        async with door(mine) as made:
            async with client(made, wait=False) as person:
                assert "not accepted" in (await person.get("5"))[58]
            person = Client(mine, made.addresses["CLIENT"][1])
            await person.log_on((553, "me"), (554, "open sesame"))
            await person.leave()

    run(body)
