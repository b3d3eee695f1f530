"""TLS: who is let in, who is not, and what is said of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization

from fix.certificates import Certificates, certificates
from fix.session.sockets import Hands, StandIn, config, until
from onetape.errors import SettingsError
from onetape_fix.door.certificates import Pair, demo_certificates
from onetape_fix.session.acceptor import Acceptor
from onetape_fix.session.secrets import Secret
from onetape_fix.session.settings import Tls
from onetape_fix.session.tls import client_context, server_context
from onetape_fix.session.transport import Dialer

LOCAL = ("127.0.0.1", 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


def of_server(pair: Pair, **more: Any) -> Tls:
    return Tls(certificate=pair.certificate, key=pair.key, **more)


@asynccontextmanager
async def met(server: Tls, client: Tls | None) -> AsyncIterator[tuple[StandIn, StandIn, Dialer]]:
    """An acceptor and a dialer that tries once; the one of the acceptor, ours, and the dialer."""
    theirs = StandIn(config(role="acceptor"))
    acceptor = Acceptor(LOCAL, lambda _: theirs, tls=server)
    await acceptor.start()
    ours = StandIn(config((("127.0.0.1", acceptor.address[1]),), tls=client))
    hands = Hands()
    hands.stop_after = 1
    dialer = Dialer(ours, sleep=hands.sleep)
    dialer.start()
    try:
        await until(lambda: theirs.heard or hands.slept)
        yield theirs, ours, dialer
    finally:
        await dialer.stop()
        await acceptor.stop()


def test_a_peer_with_a_good_certificate_is_met(made: Certificates) -> None:
    async def walk() -> None:
        client = Tls(authorities=made.authority.path)
        async with met(of_server(made.server), client) as (theirs, ours, dialer):
            assert b"35=A" in theirs.heard
            assert ours.state == "logon"
            assert dialer.last_error == ""
            found = dialer.peer_certificate
            assert found == ssl.PEM_cert_to_DER_cert(made.server.certificate.read_text())
            socket = dialer.connection.extra("ssl_object")  # type: ignore[union-attr]
            assert socket.version() == "TLSv1.3"  # type: ignore[attr-defined]

    asyncio.run(walk())


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ("foreign", "not accepted: unable to get local issuer certificate"),
        ("wrong_host", "not accepted: IP address mismatch, certificate is not valid for"),
        ("expired", "not accepted: certificate has expired"),
        ("early", "not accepted: certificate is not yet valid"),
    ],
)
def test_a_certificate_that_will_not_do_is_refused_before_a_word_is_said(
    made: Certificates, shown: str, told: str
) -> None:
    async def walk() -> None:
        client = Tls(authorities=made.authority.path)
        async with met(of_server(getattr(made, shown)), client) as (theirs, ours, dialer):
            assert theirs.heard == b""
            assert ours.lost == []  # it never was connected
            assert told in dialer.last_error

    asyncio.run(walk())


def test_without_an_authority_of_ones_own_only_the_systems_are_trusted(made: Certificates) -> None:
    async def walk() -> None:
        async with met(of_server(made.server), Tls()) as (theirs, _, dialer):
            assert theirs.heard == b""
            assert "certificate is not accepted" in dialer.last_error

    asyncio.run(walk())


def test_the_name_to_expect_may_be_another_than_the_hosts_and_is_told_to_the_server(
    made: Certificates,
) -> None:
    async def walk() -> None:
        client = Tls(authorities=made.authority.path, server_name="venue.example")
        async with met(of_server(made.named), client) as (theirs, _, dialer):
            assert theirs.heard
            socket = dialer.connection.extra("ssl_object")  # type: ignore[union-attr]
            assert socket.server_hostname == "venue.example"  # type: ignore[attr-defined]
        wrong = msgspec.structs.replace(client, server_name="other.example")
        async with met(of_server(made.named), wrong) as (theirs, _, dialer):
            assert "Hostname mismatch" in dialer.last_error

    asyncio.run(walk())


def test_a_revoked_certificate_is_refused(made: Certificates) -> None:
    async def walk() -> None:
        for pair, good in ((made.client, True), (made.server, False)):
            listed = made.authority.revoke(pair)
            client = Tls(authorities=made.authority.path, revoked=listed)
            async with met(of_server(made.server), client) as (theirs, _, dialer):
                assert bool(theirs.heard) == good
                assert good or "certificate revoked" in dialer.last_error

    asyncio.run(walk())


@pytest.mark.parametrize(("shown", "good"), [("client", True), ("foreign", False), (None, False)])
def test_an_acceptor_may_ask_for_certificates(
    made: Certificates, shown: str | None, good: bool
) -> None:
    async def walk() -> None:
        server = of_server(made.server, ask="must", authorities=made.authority.path)
        pair = None if shown is None else getattr(made, shown)
        client = Tls(
            authorities=made.authority.path,
            certificate=pair and pair.certificate,
            key=pair and pair.key,
        )
        async with met(server, client) as (theirs, ours, _):
            assert bool(theirs.heard) == good
            if not good:  # the answer comes after the handshake: the connection stood for a moment
                await until(lambda: ours.lost)
                assert "TLS failed" in ours.lost[0] or "closed" in ours.lost[0]

    asyncio.run(walk())


def old(purpose: int, pair: Pair | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(purpose)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_1_1_is_not_spoken_with_a_server(made: Certificates) -> None:
    async def walk() -> None:
        server = await asyncio.start_server(
            lambda _, writer: writer.close(),
            *LOCAL,
            ssl=old(ssl.PROTOCOL_TLS_SERVER, made.server),
        )
        port = server.sockets[0].getsockname()[1]
        ours = StandIn(config((("127.0.0.1", port),), tls=Tls(authorities=made.authority.path)))
        hands = Hands()
        hands.stop_after = 1
        dialer = Dialer(ours, sleep=hands.sleep)
        dialer.start()
        await until(lambda: hands.slept)
        assert "TLS failed" in dialer.last_error or "peer closed" in dialer.last_error
        assert dialer.connections == 0
        _, writer = await asyncio.open_connection(  # it is the version: an old one is let in
            "127.0.0.1", port, ssl=old(ssl.PROTOCOL_TLS_CLIENT)
        )
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.1"
        writer.close()
        await dialer.stop()
        server.close()

    asyncio.run(walk())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_1_1_is_not_spoken_with_a_client(made: Certificates) -> None:
    async def walk() -> None:
        told: list[str] = []
        acceptor = Acceptor(
            LOCAL, lambda _: None, tls=of_server(made.server), turned_away=told.append
        )
        await acceptor.start()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(*acceptor.address, ssl=old(ssl.PROTOCOL_TLS_CLIENT))
        assert acceptor.waiting == 0
        await acceptor.stop()

    asyncio.run(walk())


def test_a_peer_that_does_not_read_is_cut_off_under_tls_too(made: Certificates) -> None:
    class Deaf(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.pause_reading()

    async def walk() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Deaf, *LOCAL, ssl=server_context(of_server(made.server)))
        port = server.sockets[0].getsockname()[1]
        ours = StandIn(config((("127.0.0.1", port),), tls=Tls(authorities=made.authority.path)))
        dialer = Dialer(ours, write_limit=1 << 16)
        dialer.start()
        await until(lambda: ours.link)
        link, most = dialer.connection, 0
        assert link is not None
        for _ in range(2_000):
            link.write(b"x" * 10_000)
            most = max(most, link.waiting)
            await asyncio.sleep(0)
            if link.why:
                break
        assert "does not read" in link.why
        assert most < (1 << 16) + 20_000
        await dialer.stop()
        server.close()

    asyncio.run(walk())


def test_a_peer_without_tls_reaches_nobody_and_harms_nobody(made: Certificates) -> None:
    async def walk() -> None:
        async with met(of_server(made.server), None) as (theirs, ours, _):
            await until(lambda: ours.lost)
            assert theirs.heard == b""

    asyncio.run(walk())


def test_no_older_version_and_no_unchecked_peer_can_be_set() -> None:
    context = client_context(Tls())
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert client_context(Tls(oldest="1.3")).minimum_version == ssl.TLSVersion.TLSv1_3


def test_a_key_may_have_a_password_which_is_never_asked_for_at_a_terminal(
    made: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = serialization.load_pem_private_key(made.server.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
    )
    tls = Tls(certificate=made.server.certificate, key=locked)
    with pytest.raises(SettingsError, match="cannot be used"):
        server_context(tls)
    monkeypatch.setenv("FIX_TEST_KEY", "hunter2")
    server_context(msgspec.structs.replace(tls, key_password=Secret("env:FIX_TEST_KEY")))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"authorities": "none.pem"}, "none.pem: No such file"),
        ({"authorities": "server.key"}, "holds not a certificate"),
        ({"authorities": "empty"}, "no .pem, .crt or .cer file"),
        ({"certificate": "none.pem"}, "No such file"),
        ({"certificate": "server.pem", "key": "client.key"}, "its own key expected"),
        ({"revoked": "server.key"}, "holds not a revocation list"),
    ],
)
def test_files_that_will_not_do_are_named(
    made: Certificates, wrong: dict[str, str], told: str
) -> None:
    folder = made.authority.folder
    (folder / "empty").mkdir(exist_ok=True)
    with pytest.raises(SettingsError, match=told):
        client_context(Tls(**{name: folder / file for name, file in wrong.items()}))
    with pytest.raises(SettingsError, match="SSLCipherSuite 'nonsense'"):
        client_context(Tls(ciphers="nonsense"))
    with pytest.raises(SettingsError, match="no authority is named"):
        server_context(of_server(made.server, ask="must"))
    with pytest.raises(SettingsError, match="name ServerCertificateFile"):
        server_context(Tls())


def test_a_folder_of_authorities_is_trusted_as_a_whole(made: Certificates, tmp_path: Path) -> None:
    for path in (made.authority.path, made.foreign_authority.path):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    context = client_context(Tls(authorities=tmp_path))
    assert context.cert_store_stats()["x509_ca"] == 2


def test_demo_certificates_are_made_once_and_anew_when_they_are_no_good(tmp_path: Path) -> None:
    demo = demo_certificates(tmp_path / "demo")
    before = demo.server.certificate.read_bytes()
    assert demo_certificates(tmp_path / "demo") == demo
    assert demo.server.certificate.read_bytes() == before
    assert demo.server.key.stat().st_mode & 0o077 == 0
    demo.client.certificate.write_text("spoiled")
    demo_certificates(tmp_path / "demo")
    assert demo.server.certificate.read_bytes() != before

    async def walk() -> None:
        server = of_server(demo.server, ask="must", authorities=demo.authority)
        client = Tls(
            authorities=demo.authority, certificate=demo.client.certificate, key=demo.client.key
        )
        async with met(server, client) as (theirs, _, _dialer):
            assert theirs.heard

    asyncio.run(walk())
