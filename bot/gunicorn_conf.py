"""gunicorn's settings: many threads in few processes, because a pause mostly waits for Twilio."""

import os

bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8000')}"  # noqa: S104 - a platform's router must reach it
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = int(os.environ.get("WEB_THREADS", "400"))
backlog = 2048
timeout = 60
graceful_timeout = 20
keepalive = 30
control_socket_disable = True
limit_request_field_size = 65_536  # an over-long signature is ours to refuse, with 403
accesslog = None
