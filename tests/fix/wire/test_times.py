"""Timestamps and nanoseconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape_fix.wire import format_utc, names, parse_utc
from onetape_fix.wire.msgtypes import type_name

FAR = 4_102_444_800  # seconds; the year 2100


@given(st.integers(0, FAR * 10**9 - 1), st.sampled_from([0, 3, 6, 9]))
def test_a_time_is_read_back_as_far_as_it_was_written(ns, digits):
    unit = 10 ** (9 - digits)
    assert parse_utc(format_utc(ns, digits)) == ns // unit * unit


@given(st.integers(0, FAR * 10**9 - 1))
def test_later_is_later_as_text_too(ns):
    assert format_utc(ns, 9) <= format_utc(ns + 1, 9)


def test_known_times():
    assert format_utc(0, 0) == "19700101-00:00:00"
    assert format_utc(1_787_313_600_123_456_789, 9) == "20260821-12:00:00.123456789"
    assert format_utc(1_787_313_600_123_456_789) == "20260821-12:00:00.123"
    assert parse_utc("20260821-12:00:00.123456") == 1_787_313_600_123_456_000
    assert parse_utc("20260821-12:00:00.123456789999") == 1_787_313_600_123_456_789


def test_a_leap_second_is_the_first_of_the_next_day_and_a_year_ends():
    assert parse_utc("20161231-23:59:60") == parse_utc("20170101-00:00:00")
    assert parse_utc("20161231-23:59:60.5") == parse_utc("20170101-00:00:00.500")
    assert parse_utc("20261231-23:59:59.999") + 1_000_000 == parse_utc("20270101-00:00:00")
    assert parse_utc("20240229-00:00:00") + 86_400 * 10**9 == parse_utc("20240301-00:00:00")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20260821",
        "20260821-12:00",
        "20260821-24:00:00",
        "20260821-12:60:00",
        "20260821-12:00:60",
        "20260821-23:58:60",
        "20260821-12:00:61",
        "20260230-12:00:00",
        "20261301-12:00:00",
        "00000000-00:00:00",
        "2026821-12:00:00",
        "20260821 12:00:00",
        "20260821-12:00:00.",
        "20260821-12:00:00.1234567890123",
        "20260821-12:00:00Z",
        "２０２６0821-12:00:00",
        " 20260821-12:00:00",
    ],
)
def test_what_is_no_timestamp_is_refused(text):
    with pytest.raises(ValueError, match=r"no|60|day|month|year"):
        parse_utc(text)


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_a_value_error(text):
    try:
        parse_utc(text)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("ns", "digits", "text"),
    [(0, 9, "19700101-00:00:00.000000000"), (7_000_123, 6, "19700101-00:00:00.007000"),
     (-1, 3, "19691231-23:59:59.999")],
)  # fmt: skip
def test_the_first_second_and_what_was_before_it_have_all_their_digits(ns, digits, text):
    assert format_utc(ns, digits) == text


def test_other_digits_are_refused():
    with pytest.raises(ValueError, match="0, 3, 6 or 9"):
        format_utc(0, 4)


def test_tags_and_types_have_names_for_people():
    assert [names(tag) for tag in (34, 11, 268, 461, 77_777)] == [
        "MsgSeqNum",
        "ClOrdID",
        "NoMDEntries",
        "CFICode",
        "77777",
    ]
    assert (type_name("8"), type_name("U7")) == ("ExecutionReport", "U7")
