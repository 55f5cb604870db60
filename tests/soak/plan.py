"""How long a run is, and of what."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.conftest import DATABASES

KILLS_MAX = 10_000
CLIENTS_MAX = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """One run on each of the databases. Kills come in rounds; after each round everything must settle.

    `seconds` is the limit of the kills of one database: a run that reaches it ends with fewer kills.
    """

    databases: tuple[str, ...] = DATABASES
    kills: int = 300
    kills_of_a_round: int = 25
    pace_seconds: float = 1.2
    seconds: float = 3600.0
    clients: int = 12
    settle_seconds: float = 10.0
    seed: int = 0

    def chance(self, *what: object) -> Random:
        """Chance of its own for each thing that needs it, the same in every run with this seed."""
        return Random(f"{self.seed} {what}")  # noqa: S311 - no secret


def parse(arguments: Sequence[str] | None = None) -> Plan:
    """The command line as a plan; ends the process with a usage message if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="SIGKILL of web and worker processes at random moments under load. Exit code 0 if nothing was "
        "wrong, 1 if something was, 2 if it could not be run.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    usual = Plan()
    parser.add_argument("--database", choices=(*DATABASES, "both"), default="both", help="what the bot runs on")
    parser.add_argument("--kills", type=int, default=usual.kills, help="how many on each database")
    parser.add_argument("--round", type=int, default=usual.kills_of_a_round, help="kills before each rest")
    parser.add_argument("--pace", type=float, default=usual.pace_seconds, help="mean seconds between two kills")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="limit for the kills on each database")
    parser.add_argument("--clients", type=int, default=usual.clients, help="how many act at the same time")
    parser.add_argument("--settle", type=float, default=usual.settle_seconds, help="limit for every call to settle")
    parser.add_argument("--seed", type=int, help="of what is left to chance (default: a new one)")
    given = parser.parse_args(arguments)
    if not 1 <= given.kills <= KILLS_MAX or given.round < 1:
        parser.error(f"--kills is from 1 to {KILLS_MAX}, --round from 1")
    if not 1 <= given.clients <= CLIENTS_MAX:
        parser.error(f"--clients is from 1 to {CLIENTS_MAX}")
    if min(given.pace, given.seconds, given.settle) <= 0:
        parser.error("--pace, --seconds and --settle are more than 0")
    return Plan(
        databases=DATABASES if given.database == "both" else (given.database,),
        kills=given.kills,
        kills_of_a_round=given.round,
        pace_seconds=given.pace,
        seconds=given.seconds,
        clients=given.clients,
        settle_seconds=given.settle,
        seed=secrets.randbelow(1_000_000) if given.seed is None else given.seed,
    )
