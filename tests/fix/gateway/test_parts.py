"""Small parts of the gateway, each by itself: frames, certificates, orders read from a journal."""

from __future__ import annotations

import asyncio
import datetime
import time
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from onetape.errors import SettingsError
from onetape_fix.gateway.canceling import fresh_id, working
from onetape_fix.gateway.certificate import expiry, expiry_of_file
from onetape_fix.gateway.exposing import exposed
from onetape_fix.gateway.frames import LENGTH, LIMIT, Framed, Post, ToGateway, _encode, plain
from onetape_fix.gateway.server import listening
from onetape_fix.gateway.status import next_reset
from onetape_fix.profiles import names, profile
from onetape_fix.session import GatewayConfig, MemoryStore, Schedule
from onetape_fix.wire import Encoder

from .peers import Peers, holding, order, run, until

ENCODER = Encoder("FIX.4.4", [(49, "US"), (56, "THEM")])
STAMP = "20260302-14:30:00.000"


def frames_of(data: bytes, cuts: list[int]) -> tuple[list[object], Framed]:
    heard: list[object] = []
    wire = Framed(ToGateway, lambda _, frame: heard.append(frame), lambda _: None)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for begin, end in pairwise(places):
        wire.data_received(data[begin:end])
    return heard, wire


@given(
    st.lists(st.tuples(st.text(max_size=3), st.text(max_size=40)), min_size=1, max_size=20),
    st.lists(st.integers(0, 10_000), max_size=30),
)
def test_frames_come_out_as_they_went_in_however_they_are_cut(posts, cuts) -> None:
    wanted = [Post(1, kind, [[11, ref]], ref) for kind, ref in posts]
    raws = [_encode(post) for post in wanted]
    heard, _ = frames_of(b"".join(len(raw).to_bytes(LENGTH) + raw for raw in raws), cuts)
    assert heard == wanted


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_garbage_on_the_socket_closes_it_and_raises_nothing(data, cuts) -> None:
    frames_of(data, cuts)


def test_a_frame_that_is_too_long_is_not_waited_for() -> None:
    heard, wire = frames_of((LIMIT + 1).to_bytes(LENGTH) + b"x", [])
    assert heard == []
    assert "at most expected" in wire.trouble


def test_decimals_go_over_the_socket_as_fix_writes_them() -> None:
    body = [(44, Decimal("1E+3")), (453, [[(448, "X"), (452, 1)], [(448, "Y")]])]
    assert plain(body) == [[44, "1000"], [453, [[[448, "X"], [452, 1]], [[448, "Y"]]]]]


@pytest.mark.parametrize("year", [2030, 2049, 2050, 2071])
def test_the_end_of_a_certificate_is_read(tmp_path: Path, year: int) -> None:
    until = datetime.datetime(year, 3, 4, 5, 6, 7, tzinfo=datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulated")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    signed = made.not_valid_after(until).sign(key, hashes.SHA256())
    wanted = int(until.timestamp()) * 10**9
    assert expiry(signed.public_bytes(serialization.Encoding.DER)) == wanted
    path = tmp_path / "certificate.pem"
    path.write_bytes(b"key\n" + signed.public_bytes(serialization.Encoding.PEM))
    assert expiry_of_file(path) == wanted


@given(st.binary(max_size=60))
def test_what_is_no_certificate_is_refused_and_nothing_else_is_raised(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"certificate|element|time|data|int|match|character"):
        expiry(data)


def test_a_next_reset_is_told_in_the_venues_zone_over_a_change_of_clocks() -> None:
    schedule = Schedule(zone="America/New_York", start=17 * 3600 + 300, end=17 * 3600)
    winter = datetime.datetime(2026, 3, 6, 12, tzinfo=datetime.UTC)
    summer = datetime.datetime(2026, 3, 9, 12, tzinfo=datetime.UTC)
    told = [next_reset(schedule, int(when.timestamp()) * 10**9) for when in (winter, summer)]
    assert told == ["2026-03-06T17:05:00-05:00", "2026-03-09T17:05:00-04:00"]
    assert next_reset(Schedule(non_stop=True), 0) is None


def test_orders_that_work_are_read_from_what_went_over_the_wire() -> None:
    store, seq = MemoryStore(), 0

    def out(kind: str, body) -> None:
        nonlocal seq
        seq += 1
        store.sent(seq, ENCODER.encode(kind, seq, STAMP, body), seq)

    def back(name: str, what: str, status: str, before: str = "") -> None:
        ids = [(11, name), (37, f"V-{before or name}"), *([(41, before)] if before else [])]
        body = [*ids, (150, what), (39, status), (55, "ABC"), (54, "1"), (38, "10")]
        store.received(1, ENCODER.encode("8", 1, STAMP, body), 1, advance=True)

    for name in ("new", "acked", "filled", "part", "gone", "replaced", "asked", "refused"):
        out("D", order(name))
        if name != "new":
            back(name, "0", "0")
    back("filled", "F", "2")
    back("part", "F", "1")
    back("c-gone", "4", "4", "gone")
    back("r-replaced", "5", "0", "replaced")
    back("c-asked", "6", "6", "asked")
    back("refused", "8", "8")
    back("by hand", "0", "0")
    back("replaced", "I", "4")
    assert sorted(working(store.records())) == [
        "acked", "asked", "by hand", "new", "part", "r-replaced",
    ]  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_ids_of_our_own_keep_the_profiles_rule_and_are_never_used_twice(name: str) -> None:
    ways = profile(name)
    made = [fresh_id(ways, time.time_ns()) for _ in range(2_000)]
    assert len(set(made)) == len(made)
    assert all(ways.ids.allows(one) for one in made)


def test_a_socket_that_a_dead_process_left_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "gw.sock"
    listening(path).close()
    listening(path).close()
    path.unlink()
    path.write_text("somebody's notes")
    with pytest.raises(SettingsError, match="is not a socket"):
        listening(path)
    with pytest.raises(SettingsError, match="longer than"):
        listening(tmp_path / ("x" * 120))


def test_a_socket_where_another_gateway_listens_is_refused(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "gw.sock"
        made = listening(path)
        server = await asyncio.start_unix_server(lambda *_: None, sock=made)
        with pytest.raises(SettingsError, match="another gateway listens"):
            listening(path)
        server.close()

    asyncio.run(test())


def test_numbers_are_told_by_http_and_texts_are_not(tmp_path: Path) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        config = GatewayConfig(socket=tmp_path / "gw.sock", metrics=("127.0.0.1", 0))
        async with holding(peers, tmp_path, gateway=config) as gateway, exposed(gateway) as port:
            await until(lambda: peers.up() == {"a"} and gateway.held("a").up)
            await gateway.ask("disable", session="a", who="ann", why="a word to nobody")

            async def asked(what: bytes) -> str:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET " + what + b" HTTP/1.1\r\nHost: x\r\n\r\n")
                said = (await reader.read()).decode()
                writer.close()
                return said

            told = await asked(b"/metrics")
            assert told.startswith("HTTP/1.1 200")
            assert 'onetape_fix_state{session="a",state="up"} 1' in told
            assert 'onetape_fix_disabled{session="a"} 1' in told
            assert 'onetape_fix_next_out{session="a"} 2' in told
            assert "a word to nobody" not in told
            assert (await asked(b"/secrets")).startswith("HTTP/1.1 404")

    run(test)
