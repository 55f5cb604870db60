"""The limits under which cases are played: so wide that a slow machine meets none but those that a fault is to meet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from openapi_core import OpenAPI

from bot.control import PATIENCE_SECONDS, CallControl
from bot.messages import Policy
from bot.telephony.twilio_gateway import TwilioGateway
from bot.web.reports import Reports
from tests.simulator.process import Simulator
from tests.web.bench import Bench
from tests.web.conftest import bench_of, settings_of

TIMEOUT_SECONDS = 2.5
PATIENCE = {**PATIENCE_SECONDS, "api": 10.0}
"""Four times the time limit, so that each of two recordings is tried even if the first try meets a limit."""

CLAIM = timedelta(seconds=10)
"""A process so busy that it has too little left of its claim would not send the command."""

LATE = timedelta(seconds=3)
AT_ONCE_MAX = 100


@contextmanager
def patient_bench(simulator: Simulator, database_url: str, folder: Path, document: OpenAPI) -> Iterator[Bench]:
    """The whole application, its control with these limits."""
    settings = settings_of(simulator.url, database_url, folder, twilio_timeout_seconds=TIMEOUT_SECONDS)
    with bench_of(settings, simulator.client, document) as bench:
        control = CallControl(
            bench.services.database,
            bench.services.journal,
            TwilioGateway(settings, connections=2 * AT_ONCE_MAX),
            Policy(node=bench.services.journal.node, claim=CLAIM, late=LATE),
            settings.twilio_account_sid,
            admitted_max=AT_ONCE_MAX,
            commanding_max=AT_ONCE_MAX,
            patience_seconds=PATIENCE,
        )
        services = replace(bench.services, control=control, reports=Reports(control))
        bench.app.extensions["bot"] = services
        try:
            yield replace(bench, services=services)
        finally:
            services.reports.close()
            control.close()
