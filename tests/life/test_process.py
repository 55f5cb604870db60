"""Starts, ends and deaths of processes, jumps of the clock, on both databases. Nothing here waits for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import pytest
from sqlalchemy import update

from bot.audit.journal import Journal, Transaction
from bot.errors import DatabaseUnavailable
from bot.life.process import LOST_SECONDS, Life
from bot.settings import Settings
from bot.storage import entries, migrate, schema
from bot.storage.engine import Database

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@dataclass
class Clocks:
    """What every process of a test goes by."""

    steady: float = 1_000.0
    jumped: float = 0.0

    def wall(self, _transaction: Transaction) -> datetime:
        return START + timedelta(seconds=self.steady + self.jumped)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


class World:
    def __init__(self, database: Database, settings: Settings, clocks: Clocks) -> None:
        self.database = database
        self.clocks = clocks
        self._settings = settings

    def life(
        self,
        name: str = "here-web-1",
        kind: str = "web",
        wall: Callable[[Transaction], datetime] | None = None,
        **settings: Any,
    ) -> Life:
        changed = self._settings.model_copy(update=settings)
        journal, steady = Journal(self.database, name), lambda: self.clocks.steady
        return Life(journal, kind, changed, steady=steady, wall=wall or self.clocks.wall)

    def silence(self, node: str) -> None:
        """Its last heartbeat is long ago, by the database's clock."""
        long_ago = datetime.now(UTC) - timedelta(seconds=LOST_SECONDS + 1)
        with self.database.write() as connection:
            connection.execute(update(schema.nodes).where(schema.nodes.c.node == node).values(seen_at=long_ago))

    def log(self) -> list[dict[str, Any]]:
        with self.database.read() as connection:
            return [one.fields for one in entries.oldest(connection, entries.Filter(), None, 1_000)]

    def told(self) -> list[str]:
        return [fields["type"] for fields in self.log()]


@pytest.fixture
def world(database: Database, settings: Settings, clocks: Clocks) -> World:
    return World(database, settings, clocks)


def test_start_and_end_are_told_once(world: World) -> None:
    life = world.life("here-worker-7", "worker")
    with life.living():
        life.beat()
        life.beat()
    started, stopped = world.log()
    assert (started["type"], stopped["type"]) == ("process.started", "process.stopped")
    assert started["node"] == stopped["node"] == "here-worker-7"
    named = {"kind": "worker", "version": version("pci-pause-bot")}
    assert stopped["detail"] == {**named, "orderly": True}
    assert named.items() <= started["detail"].items()
    assert datetime.fromisoformat(started["detail"]["began"]) <= datetime.fromisoformat(started["at"])


def test_error_that_ends_a_process_is_named(world: World) -> None:
    life = world.life()

    def run() -> None:
        with life.living():
            life.beat()
            raise ValueError("of no use to anybody")

    with pytest.raises(ValueError, match="of no use"):
        run()
    stopped = world.log()[-1]
    assert (stopped["outcome"], stopped["reason"], stopped["detail"]["orderly"]) == ("failure", "ValueError", False)


def test_process_that_never_reached_the_database_tells_no_end(world: World) -> None:
    world.life().end()
    assert world.told() == []


def test_start_is_told_when_the_database_is_there(settings: Settings, database_url: str) -> None:
    database = Database(database_url)
    life = Life(Journal(database, "here-web-1"), "web", settings)
    with pytest.raises(DatabaseUnavailable):
        life.beat()
    migrate.upgrade(database)
    life.beat()
    with database.read() as connection:
        (started,) = entries.oldest(connection, entries.Filter(type="process.started"), None, 10)
    assert started.fields["detail"]["began"] < started.fields["at"]
    database.close()


def test_thread_that_beats_ends_with_the_life(world: World) -> None:
    life = world.life()
    life.beat_beside()
    while "process.started" not in world.told():
        pass
    life.end()
    assert world.told() == ["process.started", "process.stopped"]


def test_process_that_died_is_told_by_another_one_once(world: World, clocks: Clocks) -> None:
    dead, one, other = world.life("dead", "web"), world.life("one", "worker"), world.life("other")
    dead.beat()
    with beating(one, other, clocks):
        world.silence("dead")
    assert world.told().count("process.lost") == 1
    (lost,) = (fields for fields in world.log() if fields["type"] == "process.lost")
    assert (lost["outcome"], lost["detail"]["process"], lost["detail"]["kind"]) == ("failure", "dead", "web")
    assert "last_seen" in lost["detail"]


@contextmanager
def beating(one: Life, other: Life, clocks: Clocks) -> Iterator[None]:
    """Both of them for longer than it takes to give up a third; the block runs at the end of that time."""
    for _ in range(7):
        one.beat()
        other.beat()
        clocks.steady += 5
    yield
    one.beat()
    other.beat()


def test_nobody_is_given_up_while_the_database_was_away_for_all(world: World, clocks: Clocks) -> None:
    """Whoever could not beat itself could hear nobody else."""
    silent, judge = world.life("silent"), world.life("judge", "worker")
    silent.beat()
    judge.beat()
    clocks.steady += 600
    world.silence("silent")
    judge.beat()
    silent.beat()
    assert world.told() == ["process.started", "process.started"]


def test_next_process_of_the_same_name_tells_that_the_last_one_died(world: World) -> None:
    """In a container the process ids are the same at every start."""
    world.life().beat()
    world.life().beat()
    assert world.told() == ["process.started", "process.lost", "process.started"]


def test_process_that_did_not_hear_of_its_own_start_is_not_lost(
    world: World, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first heartbeat took longer than it waited, and was written all the same."""

    def slow(transaction: Transaction) -> datetime:
        time.sleep(0.5)
        return clocks.wall(transaction)

    life = world.life(wall=slow)
    with monkeypatch.context() as impatient:
        impatient.setattr("bot.audit.journal.WRITE_SECONDS", 0.1)
        with pytest.raises(DatabaseUnavailable):
            life.beat()
    life.beat()
    life.end()
    assert world.told().count("process.started") == world.told().count("process.stopped") == 1
    assert "process.lost" not in world.told()


def test_process_that_ended_in_good_order_is_not_lost(world: World, clocks: Clocks) -> None:
    ended, one, other = world.life("ended"), world.life("one"), world.life("other")
    with ended.living():
        ended.beat()
    with beating(one, other, clocks):
        world.silence("ended")
    assert "process.lost" not in world.told()


def test_process_that_was_given_up_says_that_it_is_back(world: World, clocks: Clocks) -> None:
    frozen, one, other = world.life("frozen"), world.life("one"), world.life("other")
    frozen.beat()
    with beating(one, other, clocks):
        world.silence("frozen")
    frozen.beat()
    frozen.beat()
    frozen.end()
    of_it = [fields["type"] for fields in world.log() if fields["node"] == "frozen"]
    assert of_it == ["process.started", "process.returned", "process.stopped"]


@pytest.mark.parametrize("seconds", [3_600.0, -3_600.0])
def test_jump_of_the_clock_is_told_with_its_size(seconds: float, world: World, clocks: Clocks) -> None:
    life = world.life("here-worker-1", "worker")
    life.beat()
    clocks.steady += 5
    life.beat()
    clocks.steady += 5
    clocks.jumped = seconds
    life.beat()
    life.beat()
    assert world.told() == ["process.started", "clock.jumped"]
    assert (world.log()[-1]["outcome"], world.log()[-1]["detail"]) == ("failure", {"milliseconds": seconds * 1000})


def test_jump_is_left_to_the_workers_to_tell(world: World, clocks: Clocks) -> None:
    life = world.life("here-web-1", "web")
    life.beat()
    clocks.jumped = 60
    life.beat()
    assert world.told() == ["process.started"]


def test_settings_are_compared_with_the_last_start_of_that_kind(world: World) -> None:
    world.life("a", "web").beat()
    world.life("b", "worker", pause_max_seconds=60).beat()
    assert world.told() == ["process.started", "process.started"]
    world.life("c", "web", pause_max_seconds=60).beat()
    world.life("d", "web", pause_max_seconds=60).beat()
    assert world.told()[2:] == ["process.started", "settings.changed", "process.started"]
    detail = world.log()[3]["detail"]
    assert (detail["before"], detail["after"]) == ({"PAUSE_MAX_SECONDS": "default"}, {"PAUSE_MAX_SECONDS": "60"})
