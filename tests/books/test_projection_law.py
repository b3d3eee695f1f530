"""Tables and folds agree on any story, however it was cut, interrupted or built again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from onetape.books import generations, schema
from onetape.books.projector import Projector
from onetape.tape.server import connect

from .stories import Story, folded, projected, stories, whole

LAW = settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@contextlib.contextmanager
def generation(url: str) -> Iterator[tuple[object, int]]:
    """A generation of tables of its own, removed at the end."""
    with connect(url) as connection:
        number = generations.announce(connection)
        yield connection, number
        connection.execute("SET search_path = onetape, pg_catalog")
        connection.execute("DELETE FROM projection WHERE generation = %s", (number,))
        with connection.transaction():
            schema.drop(connection, number)


@LAW
@given(stories)
def test_the_tables_are_the_folds_row_for_row(database, story):
    told = Story().tell(story)
    tape = told.tape
    with generation(database) as (connection, number), Projector(tape, database, number) as one:
        one.catch_up()
        for book in ("live", "run"):
            assert projected(connection, number, book) == folded(told, book)


@LAW
@given(stories, st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(1, 7))
def test_where_a_projector_stopped_and_went_on_is_not_to_be_seen(database, story, cuts, unit):
    told = Story().tell(story)
    tape = told.tape
    with generation(database) as (connection, at_once), generation(database) as (_, in_parts):
        with Projector(tape, database, at_once) as one:
            one.catch_up()
        seq, turn = 0, 0
        while seq < tape.head().seq:
            with Projector(tape, database, in_parts, unit=unit) as part:
                seq = part.catch_up(seq + cuts[turn % len(cuts)])
            turn += 1
        assert whole(connection, in_parts) == whole(connection, at_once)


class Killed(Exception):
    pass


class Dying:
    """A tape that breaks off while it is read."""

    def __init__(self, tape, after):
        self.tape, self.after = tape, after

    def head(self):
        return self.tape.head()

    def read(self, after=0, upto=None, *, streams=()):
        for entry in self.tape.read(after, upto, streams=streams):
            if entry.seq > self.after:
                raise Killed
            yield entry


@LAW
@given(stories, st.integers(1, 40), st.integers(1, 9))
def test_a_projector_killed_between_batches_leaves_what_the_next_one_needs(
    database, story, after, unit
):
    told = Story().tell(story)
    tape = told.tape
    with generation(database) as (connection, at_once), generation(database) as (_, killed):
        with Projector(tape, database, at_once) as one:
            one.catch_up()
        with (
            contextlib.suppress(Killed),
            Projector(Dying(tape, after), database, killed, unit=unit) as dying,
        ):
            dying.catch_up()
        with Projector(tape, database, killed) as next_one:
            next_one.catch_up()
        assert whole(connection, killed) == whole(connection, at_once)


@pytest.mark.slow
@settings(LAW, max_examples=400)
@given(st.lists(stories, min_size=3, max_size=8))
def test_long_stories_agree_too(database, many):
    told = Story().tell([one for part in many for one in part])
    tape = told.tape
    with generation(database) as (connection, number):
        with Projector(tape, database, number, unit=13) as one:
            one.catch_up()
        for book in ("live", "run"):
            assert projected(connection, number, book) == folded(told, book)
