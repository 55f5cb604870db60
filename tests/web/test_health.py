"""Health: for load balancers and for Prometheus, without a key and without anybody's data."""

from __future__ import annotations

from pathlib import Path

import pytest
from openapi_core import OpenAPI
from prometheus_client.parser import text_string_to_metric_families

from bot.audit.entry import Draft
from bot.settings import Settings
from bot.simulator.client import SimulatorClient
from bot.storage import nodes
from tests.simulator.process import Simulator
from tests.web.bench import PUBLIC, Bench
from tests.web.conftest import bench_of, settings_of

PATHS = ("/healthz", "/readyz", "/metrics")


def _metrics(bench: Bench) -> dict[str, float]:
    reply = bench.app.test_client().get("/metrics", base_url=PUBLIC)
    assert (reply.status_code, reply.mimetype) == (200, "text/plain")
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
        if sample.name.startswith("bot_")
    }


def test_process_that_lives_says_so(web_bench: Bench) -> None:
    reply = web_bench.app.test_client().get("/healthz")
    assert (reply.status_code, reply.get_json()) == (200, {"status": "ok"})


def test_ready_without_a_worker_only_warns(web_bench: Bench) -> None:
    reply = web_bench.app.test_client().get("/readyz")
    assert (reply.status_code, reply.get_json()) == (200, {"status": "ready", "database": "ok", "worker": "missing"})


def test_ready_with_a_worker_says_so(web_bench: Bench) -> None:
    web_bench.services.journal.write(lambda transaction: nodes.beat(transaction, "a-worker", "worker"))
    assert web_bench.app.test_client().get("/readyz").get_json()["worker"] == "ok"


@pytest.mark.parametrize("what", ["away", "not migrated"])
def test_not_ready_without_its_database(what: str, simulator: Simulator, web_bench: Bench, tmp_path: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none" if what == "away" else f"sqlite:///{tmp_path / 'empty'}"
    with bench_of(settings_of(simulator.url, url, tmp_path), web_bench.twilio, web_bench.document) as bench:
        client = bench.app.test_client()
        ready = client.get("/readyz")
        assert (ready.status_code, ready.get_json()["status"]) == (503, "unavailable")
        assert client.get("/healthz").status_code == 200
        assert client.get("/metrics").status_code == 503


def test_metrics_count_calls_and_entries(web_bench: Bench) -> None:
    before = _metrics(web_bench)
    assert (before["bot_calls_live"], before["bot_calls_wanted_paused"]) == (0, 0)
    assert before["bot_worker_heartbeat_age_seconds"] == -1
    one, other = web_bench.place_call(), web_bench.place_call()
    web_bench.api().pause(one)
    web_bench.twilio.hang_up(other)
    web_bench.deliver(other)
    after = _metrics(web_bench)
    assert (after["bot_calls_live"], after["bot_calls_wanted_paused"]) == (1, 1)
    assert after["bot_log_entries"] == after["bot_log_unsigned_entries"] == len(web_bench.entries())


@pytest.mark.parametrize("path", PATHS)
def test_health_names_nobody_and_changes_nothing(path: str, web_bench: Bench) -> None:
    call = web_bench.place_call()
    told = len(web_bench.entries())
    web_bench.twilio.clear_requests()
    reply = web_bench.app.test_client().get(path)
    assert call not in reply.text
    assert web_bench.services.settings.twilio_account_sid not in reply.text
    assert "Set-Cookie" not in reply.headers
    assert len(web_bench.entries()) == told
    assert web_bench.twilio.requests() == []


@pytest.mark.parametrize("path", PATHS)
def test_health_is_only_read(path: str, web_bench: Bench) -> None:
    assert web_bench.app.test_client().head(path).status_code == 200
    assert web_bench.app.test_client().delete(path).status_code in {400, 405}


def test_metrics_tell_how_far_the_second_copy_is_behind(
    web_settings: Settings, twilio: SimulatorClient, web_document: OpenAPI
) -> None:
    with bench_of(web_settings.model_copy(update={"audit_sink": "syslog:"}), twilio, web_document) as bench:
        bench.services.journal.append(Draft(type="tested"))
        shown = _metrics(bench)
    assert shown["bot_log_sink_lag_entries"] == 1
    assert "bot_log_sink_lag_seconds" in shown
