"""Cutting a stream into messages: however it arrives, and whatever stands between them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape_fix.wire import Encoder, Framer, Garbled, checksum

from .drawn import ENCODER, SENT, bodies, chopped


def sealed(body: bytes, length: str | None = None, total: str | None = None) -> bytes:
    head = b"8=FIX.4.4\x019=%b\x01" % (length or str(len(body))).encode()
    whole = head + body
    return whole + b"10=%b\x01" % (total or f"{sum(whole) & 255:03d}").encode()


def fed(*pieces: bytes) -> list[bytes | str]:
    framer = Framer()
    return [x.reason if isinstance(x, Garbled) else x for p in pieces for x in framer.feed(p)]


def messages(*pieces: bytes) -> list[bytes]:
    return [x for x in fed(*pieces) if isinstance(x, bytes)]


BEAT = sealed(b"35=0\x0134=1\x01")
TEST = sealed(b"35=1\x0134=2\x01112=x\x01")


def test_two_messages_in_one_packet_and_one_in_two():
    assert messages(BEAT + TEST) == [BEAT, TEST]
    assert messages(BEAT[:9], BEAT[9:] + TEST[:-1], TEST[-1:]) == [BEAT, TEST]


def test_one_byte_at_a_time():
    assert messages(*[bytes((b,)) for b in BEAT + TEST]) == [BEAT, TEST]


def test_a_zero_padded_length_counts():
    padded = sealed(b"35=0\x0134=1\x01", length="000010")
    assert messages(padded) == [padded]


@given(st.data(), st.lists(bodies, min_size=1, max_size=3), st.binary(max_size=30))
def test_how_bytes_are_chopped_up_changes_nothing(data, drawn, junk):
    stream = junk.join(ENCODER.encode("8", n, SENT, body) for n, body in enumerate(drawn))
    stream += junk
    assert fed(*data.draw(chopped(stream))) == fed(stream)


@given(st.data(), st.binary(max_size=200))
def test_damaged_streams_read_the_same_however_chopped(data, noise):
    at = data.draw(st.integers(0, len(BEAT + TEST)))
    stream = (BEAT + TEST)[:at] + noise + (BEAT + TEST)[at:] + BEAT
    whole = fed(stream)
    assert fed(*data.draw(chopped(stream))) == whole
    assert fed(*[bytes((b,)) for b in stream]) == whole


@given(st.integers(1, len(TEST) - 1))
def test_a_truncated_message_waits_and_harms_nothing(cut):
    framer = Framer()
    assert framer.feed(TEST[:cut]) == []
    assert framer.pending == cut
    assert framer.feed(TEST[cut:]) == [TEST]
    assert framer.pending == 0


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_garbage_never_raises(pieces):
    framer = Framer()
    for piece in pieces:
        framer.feed(piece)
        framer.feed(b"8=FIX.4.4\x019=" + piece)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (sealed(b"35=0\x0134=1\x01", total="000"), "checksum is"),
        (sealed(b"35=0\x0134=1\x01", total="0x1"), "three digits"),
        (sealed(b"35=0\x0134=1\x01", length="5"), "does not lead"),
        (sealed(b"35=0\x0134=1\x01", length="12"), "does not lead"),
        (sealed(b"35=0\x0134=1\x01", length="x"), "in this order"),
        (sealed(b"35=0\x0134=1\x01", length="-1"), "in this order"),
        (sealed(b"34=1\x0135=0\x01"), "in this order"),
        (b"8=FIX.4.4\x0135=0\x0134=1\x0110=000\x01", "in this order"),
        (b"8=FIX" + b"x" * 60, "in this order"),
        (b"8=FIX.4.4\x019=99999999999\x0135=0\x01", "limit"),
        (b"GET / HTTP/1.1\r\n\r\n", "belong to no message"),
        (b"\n", "belong to no message"),
    ],
)
def test_what_is_garbled_is_told_once_and_the_next_message_is_read(bad, reason):
    found = fed(bad + TEST + TEST)
    assert reason in str(found[0])
    assert found[1:] in ([TEST, TEST], [TEST])  # a length too long may swallow what follows
    assert sum(isinstance(x, str) for x in found) == 1


def test_a_length_too_long_swallows_what_it_claims_and_no_more():
    long = sealed(b"35=0\x0134=1\x01", length=str(10 + 7 + 6))
    found = fed(long + BEAT + TEST)
    assert isinstance(found[0], str)
    assert found[1:] == [TEST]


def test_a_message_over_the_limit_is_garbled_and_not_kept():
    framer = Framer(limit=100)
    big = ENCODER.encode("B", 1, SENT, [(58, "x" * 200)])
    kept = 0
    found: list[bytes | Garbled] = []
    for at in range(0, len(big), 7):
        found += framer.feed(big[at : at + 7])
        kept = max(kept, framer.pending)
    assert len(found) == 1
    assert isinstance(found[0], Garbled)
    assert kept < 100
    assert framer.feed(BEAT) == [BEAT]


def test_endless_garbage_is_not_kept():
    framer = Framer()
    for _ in range(200):
        framer.feed(b"8=FI" * 1_000 + b"\x01" * 1_000)
        assert framer.pending < 64


def test_a_megabyte_comes_through_in_any_pieces():
    big = ENCODER.encode("B", 1, SENT, [(95, 1 << 20), (96, "8=FIX.4.4\x019=5\x01x" * 65_536)][:1])
    text = ("8=FIX.4.4\x019=5\x0135=x" * 60_000)[: 1 << 20]
    big = ENCODER.encode("B", 1, SENT, [(95, len(text)), (96, text)])
    framer = Framer()
    found: list[bytes | Garbled] = []
    for at in range(0, len(big), 1_000):
        found += framer.feed(big[at : at + 1_000])
    assert found == [big]


def test_a_slow_megabyte_costs_time_in_proportion():
    text = "y" * (1 << 20)
    big = ENCODER.encode("B", 1, SENT, [(58, text)])
    framer = Framer()
    began = time.process_time()
    found: list[bytes | Garbled] = []
    for at in range(0, len(big), 8):
        found += framer.feed(big[at : at + 8])
    assert found == [big]
    assert time.process_time() - began < 2  # seconds; quadratic work would take minutes


@given(st.binary(max_size=2_000))
def test_the_checksum_is_the_sum_of_all_bytes(data):
    assert checksum(data) == sum(data) & 255


def test_the_checksum_of_the_largest_bytes_is_exact():
    assert checksum(b"\xff" * 100_001) == 100_001 * 255 & 255


def test_fixt_and_other_versions_are_framed_alike():
    raw = Encoder("FIXT.1.1", [(49, "A"), (56, "B")]).encode("0", 1, SENT, [])
    assert messages(raw) == [raw]
