"""Personal data: sealed on the tape, opened while its key is there, gone with it for good."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onetape.errors import BrokenTape, SettingsError, TapeError, TapeForbidden, TapeUnavailable
from onetape.tape import kinds
from onetape.tape.archive import archive
from onetape.tape.event import Event
from onetape.tape.kinds import Personal
from onetape.tape.personal import ERASED, Master, Vault, master, personal_fields
from onetape.tape.postgres import PostgresTape
from onetape.tape.retention import hold, release
from onetape.tape.server import connect

from .partitions import small


class Known(kinds.Fact, frozen=True, gc=False, tag="test.known"):
    subject: str
    name: Personal
    contact: Personal | None = None
    country: str = "CH"


class Other(kinds.Fact, frozen=True, gc=False, tag="test.other"):
    subject: str
    name: Personal


class Nobody(kinds.Fact, frozen=True, gc=False, tag="test.nobody"):
    name: Personal


SMITH = Known("client-17", "Ada Smith", "ada@example.org")


@pytest.fixture
def key(tmp_path: Path) -> Master:
    return master(tmp_path, {})


@pytest.fixture
def vault(database: str, key: Master) -> Iterator[Vault]:
    with Vault(database, key) as made:
        yield made


def test_personal_fields_are_those_that_are_marked() -> None:
    assert personal_fields(Known) == ("name", "contact")
    assert personal_fields(kinds.CashDeposited) == ()


def test_a_sealed_fact_tells_nothing_and_opens_to_what_it_was(vault: Vault) -> None:
    sealed = vault.seal(SMITH)
    raw = msgspec.json.encode(sealed)
    assert b"Ada" not in raw
    assert b"example.org" not in raw
    assert (sealed.subject, sealed.country) == ("client-17", "CH")
    assert sealed.name.startswith("sealed:v1:")
    assert vault.opened(msgspec.json.decode(raw, type=Known)) == SMITH


def test_a_fact_without_personal_fields_stays_as_it_is(vault: Vault) -> None:
    fact = kinds.RunClosed("completed")
    assert vault.seal(fact) is fact
    assert vault.opened(fact) is fact


def test_an_absent_field_stays_absent(vault: Vault) -> None:
    for absent in (None, ""):
        bare = Known("client-17", "Ada Smith", absent)
        assert vault.seal(bare).contact == absent
        assert vault.opened(vault.seal(bare)) == bare


def test_sealing_twice_gives_other_bytes_and_sealing_what_is_sealed_changes_nothing(
    vault: Vault,
) -> None:
    once = vault.seal(SMITH)
    assert once != vault.seal(SMITH)
    assert vault.seal(once) == once


def test_an_erased_person_is_gone_and_others_are_not(vault: Vault) -> None:
    one, other = vault.seal(SMITH), vault.seal(Known("client-18", "Bo Li"))
    told = vault.erase("client-17", "dpo", "request of 2026-11-20")
    assert (told.subject, told.who, told.reason) == ("client-17", "dpo", "request of 2026-11-20")
    assert vault.opened(one) == Known("client-17", ERASED, ERASED)
    assert vault.opened(other).name == "Bo Li"
    assert vault.opened(vault.seal(Known("client-18", "Bo Li"))).name == "Bo Li"


def test_nothing_more_is_sealed_for_who_was_erased(vault: Vault) -> None:
    vault.seal(SMITH)
    vault.erase("client-17", "dpo", "request")
    with pytest.raises(TapeError, match="a new relation takes a new subject"):
        vault.seal(SMITH)
    with pytest.raises(TapeError, match="was erased before"):
        vault.erase("client-17", "dpo", "request")
    with pytest.raises(TapeError, match="nothing was ever sealed"):
        vault.erase("client-99", "dpo", "request")


def test_another_process_sees_the_erasure_once_its_key_is_no_longer_fresh(
    vault: Vault, key: Master
) -> None:
    sealed = vault.seal(SMITH)
    with Vault(vault.url, key, fresh_s=0) as other:
        assert other.opened(sealed) == SMITH
        vault.erase("client-17", "dpo", "request")
        assert other.opened(sealed).name == ERASED


def table_bytes(url: str) -> bytes:
    with connect(url) as connection:
        connection.execute("CHECKPOINT")
        asked = """SELECT pg_read_binary_file(pg_relation_filepath(c.oid)) FROM pg_class c
            WHERE c.oid IN ('onetape.subject_key'::regclass,
                            'onetape.subject_key_pkey'::regclass, 'pg_statistic'::regclass)"""
        return b"".join(bytes(raw) for (raw,) in connection.execute(asked).fetchall())


def test_no_page_keeps_an_erased_key_even_while_an_old_snapshot_is_open(vault: Vault) -> None:
    for number in range(50):
        vault.seal(Known(f"client-{number}", "Ada Smith"))
    with connect(vault.url) as connection:
        asked = "SELECT wrapped FROM onetape.subject_key WHERE subject = %s"
        gone, stays = (
            bytes(connection.execute(asked, [s]).fetchone()[0])  # type: ignore[index]
            for s in ("client-17", "client-18")
        )
        connection.execute("ANALYZE onetape.subject_key")
    assert gone in table_bytes(vault.url)
    with connect(vault.url, autocommit=False) as looking:
        looking.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        looking.execute("SELECT count(*) FROM onetape.event")
        vault.erase("client-17", "dpo", "request")
        with connect(vault.url) as connection:
            connection.execute("ANALYZE onetape.subject_key")
        told = table_bytes(vault.url)
    assert gone not in told
    assert stays in told


def test_a_locked_table_leaves_the_key_and_says_so(vault: Vault) -> None:
    sealed = vault.seal(SMITH)
    with connect(vault.url, autocommit=False) as reading:
        reading.execute("SELECT count(*) FROM onetape.subject_key")
        hasty = Vault(vault.url, vault._master, patience_s=0.05)
        with hasty, pytest.raises(TapeUnavailable):
            hasty.erase("client-17", "dpo", "request")
    assert vault.opened(sealed) == SMITH


def test_who_is_under_a_legal_hold_is_not_erased(vault: Vault) -> None:
    sealed = vault.seal(SMITH)
    for scope in ({"subject": "client-17"}, {}):
        placed = hold(vault.url, "Smith v. Firm", **scope)
        with pytest.raises(TapeError, match=r"Smith v\. Firm"):
            vault.erase("client-17", "dpo", "request")
        assert vault.opened(sealed) == SMITH
        release(vault.url, placed.id, "counsel")
    hold(vault.url, "matter", subject="client-18")
    vault.erase("client-17", "dpo", "request")


def test_a_sealed_text_opens_only_where_it_was_sealed(vault: Vault) -> None:
    sealed = vault.seal(SMITH)
    vault.seal(Known("client-18", "Bo Li"))
    moved = (
        msgspec.structs.replace(sealed, name=sealed.contact),
        msgspec.structs.replace(sealed, subject="client-18"),
        Other(sealed.subject, sealed.name),
        msgspec.structs.replace(sealed, name="sealed:v1:AAAA"),
        msgspec.structs.replace(sealed, name="sealed:v1:not base64"),
    )
    for fact in moved:
        with pytest.raises(BrokenTape, match="was not sealed for subject"):
            vault.opened(fact)


def test_a_fact_without_a_subject_cannot_be_sealed(vault: Vault) -> None:
    with pytest.raises(SettingsError, match="no subject"):
        vault.seal(Nobody("Ada Smith"))
    with pytest.raises(SettingsError, match="no subject"):
        vault.seal(Known("", "Ada Smith"))


def test_another_master_key_is_named_and_nothing_is_sealed_under_it(
    vault: Vault, tmp_path: Path
) -> None:
    sealed = vault.seal(SMITH)
    with Vault(vault.url, master(tmp_path / "other", {})) as wrong:
        with pytest.raises(SettingsError, match="are under master"):
            wrong.opened(sealed)
        with pytest.raises(SettingsError, match="are under master"):
            wrong.seal(Known("client-18", "Bo Li"))


def test_the_keys_in_the_database_are_wrapped_and_bound_to_their_subject(vault: Vault) -> None:
    sealed = vault.seal(SMITH)
    vault.seal(Known("client-18", "Bo Li"))
    with connect(vault.url) as connection:
        connection.execute(
            "UPDATE onetape.subject_key SET wrapped = (SELECT wrapped FROM onetape.subject_key "
            "WHERE subject = 'client-18') WHERE subject = 'client-17'"
        )
    with Vault(vault.url, vault._master) as fresh, pytest.raises(BrokenTape, match="client-17"):
        fresh.opened(sealed)


def test_many_threads_share_one_key_for_a_subject(vault: Vault, key: Master) -> None:
    vaults = [vault, Vault(vault.url, key)]
    made: list[Known] = []

    def work(at: int) -> None:
        made.extend(vaults[at % 2].seal(Known(f"s{n}", f"name {n}")) for n in range(20))

    threads = [threading.Thread(target=work, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Vault(vault.url, key) as fresh:
        assert {fresh.opened(one).name for one in made} == {f"name {n}" for n in range(20)}
    assert len(made) == 160
    vaults[1].close()


def test_cached_keys_are_bounded(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onetape.tape.personal.CACHED", 4)
    made = [vault.seal(Known(f"s{n}", f"name {n}")) for n in range(10)]
    assert len(vault._keys) == 4
    assert [vault.opened(one).name for one in made] == [f"name {n}" for n in range(10)]


def test_a_lost_connection_is_made_anew(vault: Vault) -> None:
    sealed = vault.seal(SMITH)
    with connect(vault.url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert vault.opened(vault.seal(Known("client-18", "Bo Li"))).name == "Bo Li"
    assert vault.opened(sealed) == SMITH


def test_secrets_are_not_shown(vault: Vault, key: Master, tmp_path: Path) -> None:
    said = (tmp_path / "vault.key").read_text().strip()
    assert base64.b64decode(said) == key.key
    for shown in (repr(vault), repr(key), str(key)):
        assert said not in shown
        assert repr(key.key) not in shown
    with connect(vault.url) as connection:
        told = connection.execute("SELECT count(*) FROM onetape.subject_key").fetchone()
    assert told == (0,)


def test_a_master_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    first = master(tmp_path / "new", {})
    path = tmp_path / "new" / "vault.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["vault.key"]
    assert master(tmp_path / "new", {}) == first
    assert master(tmp_path, {"ONETAPE_VAULT_KEY": str(path)}) == first
    told = {"ONETAPE_VAULT_KEY": "env:THE_KEY", "THE_KEY": path.read_text()}
    assert master(tmp_path, told) == first


def test_a_master_key_that_will_not_do_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    master(tmp_path, {})
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        master(tmp_path, {})
    path.chmod(0o600)
    path.write_text("bm90IGEga2V5")
    with pytest.raises(SettingsError, match="9 bytes found, 32 expected"):
        master(tmp_path, {})
    path.write_text("!")
    with pytest.raises(SettingsError, match="holds no key"):
        master(tmp_path, {})
    for reference in ("env:NOT_SET", str(tmp_path / "not there")):
        with pytest.raises(SettingsError):
            master(tmp_path, {"ONETAPE_VAULT_KEY": reference})


def test_who_does_not_own_the_table_may_not_erase(vault: Vault, key: Master) -> None:
    from psycopg.conninfo import make_conninfo

    vault.seal(SMITH)
    role = "personal_stranger"
    with connect(vault.url) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN IN ROLE onetape_writer")
    try:
        with Vault(make_conninfo(vault.url, user=role), key) as writer:
            assert writer.opened(writer.seal(SMITH)) == SMITH
            with pytest.raises(TapeForbidden):
                writer.erase("client-17", "me", "a try")
    finally:
        with connect(vault.url) as connection:
            connection.execute(f"DROP ROLE {role}")


def test_the_chain_and_the_archive_stay_valid_when_a_person_is_erased(
    vault: Vault, tmp_path: Path
) -> None:
    small(vault.url, 5, 30)
    known = [
        kinds.PersonKnown(f"client-{n}", f"Ada Smith {n}", "ada@example.org") for n in range(7)
    ]
    with PostgresTape(vault.url, partition=5) as tape:
        for seq, fact in enumerate(known, 1):
            tape.append("people", [Event(seq, seq, seq, "people", vault.seal(fact))])
        archive(vault.url, tmp_path / "archive", drop=True)
        assert b"Ada" not in next((tmp_path / "archive").iterdir()).read_bytes()
        before = tape.recording("people")
        assert [vault.opened(event.fact) for event in before] == known
        told = vault.erase("client-3", "dpo", "request")
        said = kinds.PersonErased(told.subject, told.who, told.reason)
        tape.append("people", [Event(8, 8, 8, "people", said)])
        after = tape.recording("people")
        assert after.raws[:7] == before.raws
        assert [vault.opened(event.fact).name for event in after[:7]] == [
            ERASED if n == 3 else f"Ada Smith {n}" for n in range(7)
        ]
        assert tape.verify()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(), contact=st.none() | st.text(), subject=st.sampled_from(["a", "b", "ü/1"]))
def test_any_text_comes_back(vault: Vault, name: str, contact: str | None, subject: str) -> None:
    fact = Known(subject, name, contact)
    assert vault.opened(vault.seal(fact)) == fact
