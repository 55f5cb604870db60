"""gunicorn's settings: many threads in few processes, because a pause mostly waits for Twilio."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

    from bot.life.process import Life

bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8000')}"  # noqa: S104 - a platform's router must reach it
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "bot.gunicorn_worker.QuietWorker"
threads = int(os.environ.get("WEB_THREADS", "400"))
backlog = 2048
timeout = 60
graceful_timeout = 20
keepalive = 30
control_socket_disable = True
limit_request_field_size = 65_536  # an over-long signature is ours to refuse, with 403
accesslog = None
lives: list[Life] = []


def post_worker_init(worker: Worker) -> None:
    """The application is loaded; from now on this process can write the log."""
    from bot.life.process import Life  # noqa: PLC0415 - the master needs none of it

    services = getattr(worker, "wsgi").extensions["bot"]  # noqa: B009 - the stubs know it as any callable
    life = Life(services.journal, "web", services.settings)
    life.beat_beside()
    lives.append(life)


def worker_exit(_server: Arbiter, worker: Worker) -> None:
    """Requests are answered by now; what webhooks began beside them comes to its end, too, within the graceful time.

    A worker that never had an application has nothing to close; nor has the master's picture of one.
    """
    application = getattr(worker, "wsgi", None)
    if application is not None:
        services = application.extensions["bot"]
        services.payments.close()
        services.control.close()
        for life in lives:
            life.end()
        services.database.close()
