"""The composition root: the only place where things are wired."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import timedelta
from pathlib import Path

import structlog
from flask import Flask

from bot import logs
from bot.audit.alarm import Alarm
from bot.audit.anchors.choice import chosen
from bot.audit.anchors.desk import Desk
from bot.audit.check import archived
from bot.audit.journal import Journal
from bot.audit.loop import Loop, Part
from bot.audit.patrol import Patrol
from bot.audit.rounds import Rounds
from bot.audit.signing import LogSigner
from bot.audit.unsigned import Unsigned
from bot.control import CallControl
from bot.delivery import ResultPost
from bot.keypad import Payments
from bot.messages import Finding, Policy
from bot.settings import Settings, signing_key
from bot.storage import rights
from bot.storage.engine import Database
from bot.telephony.payment_sessions import PaymentSessions
from bot.telephony.signature import SignatureCheck
from bot.telephony.twilio_gateway import TwilioGateway
from bot.web import (
    agent,
    agent_payment,
    api,
    auth,
    errors,
    flow,
    health,
    menu,
    pay,
    pay_status,
    present,
    review,
    security,
    steps,
    webhooks,
)
from bot.web.reports import Reports
from bot.web.services import Services

log = structlog.get_logger(__name__)

ROOT = Path(__file__).resolve().parent.parent
THREADS_KEPT_FREE = 0.2
"""The share of the threads that never waits for Twilio, but serves webhooks, pages and health checks."""


STOP_AFTER_SECONDS = 5.0
"""How long a pause may stay unproven where PAUSE_FAILURE is `stop`: within the patience of whoever asked for it."""

ANCHOR_LOOK_SECONDS = 1.0
"""How often it is looked whether an anchor's time has come."""

UNSIGNED_SECONDS = 60.0
"""How much longer than the time between two checkpoints an entry may stay without one."""

COMMANDING_MAX = 64
"""How many requests of one process command Twilio at the same time."""


def create_app(settings: Settings | None = None) -> Flask:
    """The Flask application. Raises `SettingsInvalid` naming every bad variable."""
    logs.set_up()
    settings = settings or Settings.read()
    app = Flask(__name__, template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "bot" / "static"))
    app.extensions["bot"] = wire(settings)
    warn_of_what_is_absent(settings)
    security.set_up(app, settings)
    errors.set_up(app)
    rights.warn(app.extensions["bot"].database)
    rooms = (auth, agent, agent_payment, webhooks, steps, flow, menu, pay, pay_status, api, review, health)
    for room in rooms:
        app.register_blueprint(room.blueprint)
    app.jinja_env.globals.update(
        current_user=auth.current_user,
        beat=lambda: secrets.token_hex(4),
        trouble=present.trouble,
        holder_name=present.holder_name,
    )
    return app


def wire(settings: Settings, kind: str = "web") -> Services:
    """Everything that works on calls, for the web and the worker alike."""
    database = Database(settings.database_url)
    journal = Journal(database, node_name(kind))
    threads = settings.web_threads
    control = CallControl(
        database,
        journal,
        TwilioGateway(settings, connections=4 * COMMANDING_MAX),
        Policy(
            node=journal.node,
            claim=timedelta(seconds=settings.claim_seconds),
            late=timedelta(seconds=settings.twilio_late_seconds),
            pause_max=timedelta(seconds=settings.pause_max_seconds),
            hard_max=timedelta(seconds=settings.pause_hard_max_seconds),
            expiry=settings.pause_expiry,
            stop_after=timedelta(seconds=STOP_AFTER_SECONDS) if settings.pause_failure == "stop" else None,
        ),
        settings.twilio_account_sid,
        admitted_max=max(1, int(threads * (1 - THREADS_KEPT_FREE))),
        commanding_max=min(COMMANDING_MAX, threads),
    )
    signature = SignatureCheck(settings.twilio_auth_token.get_secret_value(), settings.public_base_url)
    reports = Reports(control)
    secret = settings.payment_result_secret
    post = ResultPost(settings.payment_result_url, signing_key(secret.get_secret_value()) if secret else None)
    payments = Payments(control, PaymentSessions(settings), post, settings, reports.keep)
    return Services(settings, database, journal, control, signature, reports, payments)


def signing_loop(services: Services) -> Loop:
    """The signer with all that it does, for the worker or a process of its own. Raises `KeyFileError`."""
    settings, database, journal = services.settings, services.database, services.journal
    signer = LogSigner(settings, database, journal)
    patrol = Patrol(signer.read, lambda: signer.last().frontier, start=lambda: archived(database))
    rounds = Rounds(signer, database, journal, patrol)
    desks = [Desk(anchor, lambda: signer.vkey, database, journal) for anchor in chosen(settings)]
    Alarm(database, journal).end_others(Finding.LOG_NOT_ANCHORED, {desk.mark for desk in desks})
    return Loop(
        [
            Part("signer", settings.audit_checkpoint_seconds, rounds.make),
            *(Part("anchor", ANCHOR_LOOK_SECONDS, desk.look) for desk in desks),
        ]
    )


def signer_watch(services: Services) -> Loop:
    """For the worker beside a signer that is a process of its own: it says so if nothing signs."""
    limit = timedelta(seconds=services.settings.audit_checkpoint_seconds + UNSIGNED_SECONDS)
    watch = Unsigned(services.database, services.journal, limit)
    return Loop([Part("unsigned", services.settings.audit_checkpoint_seconds, watch.look)])


def warn_of_what_is_absent(settings: Settings) -> None:
    """What can be done without, but not in production."""
    if settings.is_https and not settings.audit_anchors:
        log.warning("audit.no_anchor", why="AUDIT_ANCHORS is not set: nobody outside could tell that the log was cut")


def node_name(kind: str) -> str:
    """Which process did it: host, kind and process id."""
    return f"{socket.gethostname()[:60]}-{kind}-{os.getpid()}"
