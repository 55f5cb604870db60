"""Health: `/healthz` (this process lives), `/readyz` (it can do its work), `/metrics` (Prometheus text)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from sqlalchemy import func, select

from bot.errors import DatabaseUnavailable
from bot.messages import Finding
from bot.sinks.address import sink_name
from bot.storage import anchors, checkpoints, entries, migrate, nodes, rights, schema, sinks
from bot.web.proof import PROOF_SECONDS
from bot.web.services import services

WORKER_MISSING_AFTER = timedelta(seconds=30)
TOLD = (Finding.OUTAGE, Finding.CREDENTIALS, Finding.LOG_DOES_NOT_EXTEND, Finding.LOG_NOT_SIGNED)
CANNOT_BE_WRITTEN = "can be read, but not written: is its disk full?"

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    return jsonify({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """503 while the database is away, not migrated, may not or cannot be written. A missing worker only warns: pausing
    works without it.
    """
    try:
        with services().database.read() as connection:
            lacking = rights.lacking(connection)
            is_current = not lacking and migrate.is_current(connection)
            seen = nodes.last_seen(connection, "worker") if is_current else None
    except DatabaseUnavailable:
        return jsonify({"status": "unavailable", "database": "unavailable"}), 503
    if lacking:
        missing = f"rights are missing on {', '.join(lacking)}: run `bot grant-sql`"
        return jsonify({"status": "unavailable", "database": missing}), 503
    if not is_current:
        return jsonify({"status": "unavailable", "database": "not migrated: run `bot init-db`"}), 503
    try:
        services().journal.prove(PROOF_SECONDS)
    except DatabaseUnavailable:
        return jsonify({"status": "unavailable", "database": CANNOT_BE_WRITTEN}), 503
    is_working = seen is not None and datetime.now(UTC) - seen < WORKER_MISSING_AFTER
    return jsonify({"status": "ready", "database": "ok", "worker": "ok" if is_working else "missing"}), 200


@blueprint.get("/metrics")
def metrics() -> Response:
    """Read from the database, so that every process tells the same."""
    registry = CollectorRegistry()
    with services().database.read() as connection:
        size = entries.read_head(connection).size
        latest = checkpoints.latest(connection)
        paused = connection.execute(
            select(func.count())
            .select_from(schema.calls)
            .where(schema.calls.c.is_over.is_(False), schema.calls.c.desired == "paused")
        ).scalar_one()
        live = connection.execute(
            select(func.count()).select_from(schema.calls).where(schema.calls.c.is_over.is_(False))
        ).scalar_one()
        seen = nodes.last_seen(connection, "worker")
        sink = services().settings.audit_sink
        lag = sinks.lag(connection, sink_name(sink), size, datetime.now(UTC)) if sink else None
        anchored = anchors.last_received(connection)
    _gauge(registry, "bot_log_entries", "Entries in the audit log", size)
    _gauge(
        registry, "bot_log_unsigned_entries", "Entries after the last checkpoint", size - (latest[0] if latest else 0)
    )
    _gauge(registry, "bot_calls_live", "Calls that are not over", live)
    _gauge(registry, "bot_calls_wanted_paused", "Live calls with an open hold", paused)
    if lag is not None:
        _gauge(registry, "bot_log_sink_lag_entries", "Entries that the second copy has not received", lag.entries)
        _gauge(registry, "bot_log_sink_lag_seconds", "Age of the oldest of them; 0 if there is none", lag.seconds)
    for what in TOLD:
        name = f"bot_{what.value.replace('-', '_')}"
        _gauge(registry, name, "1 while this is so, as told in the log", what in services().control.outage.known())
    age = (datetime.now(UTC) - seen).total_seconds() if seen else -1
    _gauge(registry, "bot_worker_heartbeat_age_seconds", "Since a worker was last alive; -1 if never", age)
    ages = Gauge(
        "bot_log_anchor_age_seconds", "Since an anchor last received a checkpoint", ["anchor"], registry=registry
    )
    for anchor, at in anchored.items():
        ages.labels(anchor).set((datetime.now(UTC) - at).total_seconds())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _gauge(registry: CollectorRegistry, name: str, text: str, value: float) -> None:
    Gauge(name, text, registry=registry).set(value)
