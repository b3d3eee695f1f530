"""Our own dictionaries agree with the public ones, but for differences that are listed here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from onetape.errors import SettingsError
from onetape_fix.spec import Dictionary, GroupSpec, Members, shipped
from onetape_fix.wire.tags import NAMES

from .shared import PUBLIC, needs_shared, public

# One list of fields serves all versions: where an older version had no type of its own for a count,
# a number or a list, it has the later one here, which reads the same text.
LATER_TYPES = {
    ("SEQNUM", "INT"),
    ("LENGTH", "INT"),
    ("NUMINGROUP", "INT"),
    ("PERCENTAGE", "FLOAT"),
    ("UTCDATEONLY", "UTCDATE"),
    ("MULTIPLECHARVALUE", "MULTIPLEVALUESTRING"),
    ("MULTIPLESTRINGVALUE", "MULTIPLEVALUESTRING"),
}
KNOWN = {
    "FIX.4.2": {
        "139: type STRING, theirs CHAR": "later versions have fee types of two characters",
        "291: type MULTIPLECHARVALUE, theirs CHAR": "later versions allow several",
        "292: type MULTIPLECHARVALUE, theirs CHAR": "later versions allow several",
        "394: theirs has no values": "the standard closes this list",
        "429: theirs has no values": "the standard closes this list",
        "431: theirs has no values": "the standard closes this list",
        "P: called AllocationACK, theirs AllocationInstructionAck": "its name in 4.2",
    },
    "FIX.4.4": {},
    "FIXT.1.1": {
        "384: not theirs": "their copy leaves the list of message types in the Logon empty",
        "385: not theirs": "the same",
        "1410: not theirs": "the same",
        "A: 384 is not theirs": "the same",
        "1130: theirs has no values": "the standard closes this list",
        "1137: theirs has no values": "the standard closes this list",
    },
    "FIX.5.0SP2": {
        "b: called MassQuoteAcknowledgement, theirs MassQuoteAck": "its name before it was cut",
    },
}
# What a broker may extend at will has no list of values here, so that none is too short.
OPEN_ENDED = {167, 22, 452, 447, 460}


def fields(ours: Dictionary, theirs: Dictionary) -> Iterator[str]:
    for tag, spec in ours.fields.items():
        other = theirs.fields.get(tag)
        if other is None:
            yield f"{tag}: not theirs"
            continue
        if spec.name != other.name:
            yield f"{tag}: called {spec.name}, theirs {other.name}"
        if spec.type != other.type and (spec.type, other.type) not in LATER_TYPES:
            yield f"{tag}: type {spec.type}, theirs {other.type}"
        if spec.enums and not other.enums:
            yield f"{tag}: theirs has no values"
        elif spec.enums and not spec.enums.keys() >= other.enums.keys():
            yield f"{tag}: lacks {sorted(other.enums.keys() - spec.enums.keys())}"


def members(path: str, ours: Members | GroupSpec, theirs: Members | GroupSpec) -> Iterator[str]:
    for tag in sorted(ours.tags - theirs.tags):
        yield f"{path}: {tag} is not theirs"
    for tag in sorted((ours.required ^ theirs.required) & theirs.tags):
        yield f"{path}: {tag} is required by {'us' if tag in ours.required else 'them'} only"
    for count, group in ours.groups.items():
        other = theirs.groups.get(count)
        if other is None:
            if count in theirs.tags:
                yield f"{path}: {count} is no group of theirs"
            continue
        inside = f"{path}/{count}"
        if group.first != other.first:
            yield f"{inside}: opens with {group.first}, theirs with {other.first}"
        places = [other.order.index(tag) for tag in group.order if tag in other.tags]
        if places != sorted(places):
            yield f"{inside}: another order than theirs"
        yield from members(inside, group, other)


def differences(ours: Dictionary, theirs: Dictionary) -> Iterator[str]:
    yield from fields(ours, theirs)
    for msg_type, message in ours.messages.items():
        other = theirs.messages.get(msg_type)
        if other is None:
            yield f"{msg_type}: not theirs"
            continue
        if (message.name, message.admin) != (other.name, other.admin):
            yield f"{msg_type}: called {message.name}, theirs {other.name}"
        yield from members(msg_type, message, other)
    yield from members("header", ours.header, theirs.header)
    yield from members("trailer", ours.trailer, theirs.trailer)


@needs_shared
@pytest.mark.parametrize("version", PUBLIC)
def test_ours_agrees_with_the_public_dictionary(version):
    assert sorted(differences(shipped(version), public(version))) == sorted(KNOWN[version])


@needs_shared
def test_values_of_ours_are_values_of_some_version():
    known: dict[int, set[str]] = {}
    for version in PUBLIC:
        for tag, spec in public(version).fields.items():
            known.setdefault(tag, set()).update(spec.enums)
    for version in PUBLIC:
        for tag, spec in shipped(version).fields.items():
            invented = spec.enums.keys() - known[tag] if known.get(tag) else set[str]()
            assert not invented, (version, tag, spec.name)


@needs_shared
@pytest.mark.parametrize("version", PUBLIC)
def test_their_dictionaries_load_whole(version):
    theirs = public(version)
    assert theirs.begin_string == version
    assert len(theirs.messages) >= len(shipped(version).messages)


@needs_shared
def test_the_tags_by_name_are_the_standards():
    everywhere: dict[int, set[str]] = {}
    for version in PUBLIC:
        for tag, spec in public(version).fields.items():
            everywhere.setdefault(tag, set()).add(spec.name)
    assert {tag: name for tag, name in NAMES.items() if name not in everywhere[tag]} == {}


TABLE = {
    "FIX.4.2": "A 0 1 2 3 4 5 D E F G H 8 9 j N V W X Y c d e f g h R S Z i b J P B",
    "FIX.4.4": "A 0 1 2 3 4 5 D E F G H AF q r 8 9 j N V W X Y c d e f g h x y R S Z i b AI "
    "AD AQ AE AR AN AO AP BA BB J P AS AT AK AU B BE BF",
    "FIXT.1.1": "A 0 1 2 3 4 5",
    "FIX.5.0SP2": "D E F G H AF q r 8 9 j N V W X Y c d e f g h x y R S Z i b AI "
    "AD AQ AE AR AN AO AP BA BB J P AS AT AK AU B BE BF",
}


@pytest.mark.parametrize("version", TABLE)
def test_every_message_that_is_sent_or_read_is_there(version):
    assert set(TABLE[version].split()) == set(shipped(version).messages)


def test_a_version_is_known_by_its_application_number_too():
    assert shipped("9").begin_string == "FIX.5.0SP2"
    assert shipped("6") == shipped("FIX.4.4")


def test_another_version_is_a_settings_error_that_says_what_there_is():
    with pytest.raises(SettingsError, match=r"FIX\.4\.1.*FIX\.4\.2.*DataDictionary"):
        shipped("FIX.4.1")


def test_names_are_for_people():
    ours = shipped("FIX.4.4")
    assert ours.name_of(11) == "ClOrdID"
    assert ours.name_of(77_777) == "77777"
    assert ours.tag_of("ClOrdID") == 11
    assert ours.value_name(54, "2") == "Sell"
    assert ours.value_name(54, "?") == "?"
    assert ours.value_name(77_777, "x") == "x"
    assert OPEN_ENDED.isdisjoint(tag for tag, spec in ours.fields.items() if spec.enums)
