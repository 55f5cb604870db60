"""What is measured, and for how long."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

DELAY_SECONDS = 0.15
CLIENTS_MAX = 2_000
SECONDS_MAX = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of the three loads. `rounds` is how often the burst is repeated, after one that is not counted."""

    databases: tuple[str, ...] = ("sqlite", "postgresql")
    singles: int = 30
    burst: int = 100
    rounds: int = 10
    naive_rounds: int = 2
    clients: int = 500
    seconds: float = 10.0
    capacity_clients: int = 1_000
    is_quick: bool = False


def parse(arguments: Sequence[str] | None = None) -> Plan:
    """The command line as a plan; ends the process with a usage message if it is wrong."""
    parser = argparse.ArgumentParser(prog="bench", description="How fast a pause is, beside a naive bot and the floor.")
    parser.add_argument("--quick", action="store_true", help="small and short: shows that it works, not how fast it is")
    parser.add_argument("--seconds", type=float, help="length of each closed loop (10)")
    parser.add_argument("--clients", type=int, help="clients in the closed loop (500)")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    given = parser.parse_args(arguments)
    quick = Plan(singles=3, burst=10, rounds=1, naive_rounds=1, clients=10, seconds=0.5, capacity_clients=50)
    base = quick if given.quick else Plan()
    seconds = base.seconds if given.seconds is None else given.seconds
    clients = base.clients if given.clients is None else given.clients
    if not 0 < seconds <= SECONDS_MAX:
        parser.error(f"--seconds is more than 0 and at most {SECONDS_MAX:g}")
    if not 1 <= clients <= CLIENTS_MAX:
        parser.error(f"--clients is from 1 to {CLIENTS_MAX}")
    return Plan(
        databases=base.databases if given.database == "both" else (given.database,),
        singles=base.singles,
        burst=base.burst,
        rounds=base.rounds,
        naive_rounds=base.naive_rounds,
        clients=clients,
        seconds=seconds,
        capacity_clients=base.capacity_clients,
        is_quick=given.quick,
    )
