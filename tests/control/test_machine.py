"""The state machine, played on both databases.

`MACHINE_EXAMPLES` asks for a long run from a seed by chance, which a failure prints; `MACHINE_SEED` plays one again.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from structlog.testing import capture_logs

from bot.audit.check import verify_database
from bot.messages import Policy
from bot.settings import Settings
from bot.simulator.client import SimulatorClient
from bot.storage.engine import Database
from tests.conftest import Person
from tests.control.clock import movable_clock
from tests.control.machine import Machine
from tests.control.world import World

IS_LONG = "MACHINE_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "16"))
SEED = int(os.environ.get("MACHINE_SEED") or (secrets.randbelow(2**32) if IS_LONG else 1))
SHRINKS = bool(os.environ.get("MACHINE_SHRINKS"))
STEPS = 30
SECONDS_FOR_ONE = 30
"""A generous limit for one run, so that a hang is found."""
LIMIT_SECONDS = 3.0
"""So long that no reply of the simulator is ever late on a slow machine: only the machine makes it so."""


@pytest.fixture
def world(settings: Settings, twilio: SimulatorClient, database: Database, cast: tuple[Person, ...]) -> Iterator[World]:
    assert cast
    own = settings.model_copy(update={"twilio_timeout_seconds": LIMIT_SECONDS})
    policy = Policy(claim=timedelta(seconds=own.claim_seconds))
    with movable_clock(database) as clock:
        world = World(twilio, own, policy, Database(own.database_url), clock)
        yield world
        world.close()


@pytest.mark.timeout(SECONDS_FOR_ONE * EXAMPLES)
def test_invariants_hold_whatever_happens(world: World, database: Database) -> None:
    def machine() -> Machine:
        return Machine(world)

    played = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        database=None,
        deadline=None,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink) if SHRINKS else (Phase.generate,),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    try:
        with capture_logs() as logs:
            run_state_machine_as_test(seed(SEED)(machine), settings=played)  # type: ignore[arg-type]  # any maker of one
    except BaseException as failure:
        failure.add_note("\n".join(world.failures[:1]))
        failure.add_note(f"To play it again: MACHINE_SEED={SEED} MACHINE_EXAMPLES={played.max_examples}")
        raise
    assert [one for one in logs if one["event"] == "converge.failed"] == []
    assert verify_database(database, None).problems == ()
