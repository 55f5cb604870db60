"""Wires the simulator together: the world, the blueprints, who may talk to it, how refusals are told."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException

from bot.simulator import resources
from bot.simulator.control import control
from bot.simulator.errors import ControlError, not_found
from bot.simulator.inbox import inbox
from bot.simulator.model import API_VERSION
from bot.simulator.page import page
from bot.simulator.payment_routes import payment_routes
from bot.simulator.rest import rest
from bot.simulator.sound import sound
from bot.simulator.studio_routes import studio_routes
from bot.simulator.tools import tools
from bot.simulator.world import World

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def create_app(world: World, host: str) -> Flask:
    """The WSGI application around a world; ``host`` is what it listens on, and may be called by."""
    app = Flask(__name__)
    app.extensions["simulator"] = world
    for blueprint in (rest, payment_routes, studio_routes, control, tools, sound, inbox, page):
        app.register_blueprint(blueprint)
    app.before_request(lambda: _guard(host))
    app.after_request(_harden)
    app.register_error_handler(ControlError, _refused)
    app.register_error_handler(HTTPException, _unrouted)
    return app


def _guard(host: str) -> None:
    """The control API and the page are for programs and browsers on this machine, not for pages from elsewhere."""
    if request.path.startswith(f"/{API_VERSION}/"):
        return
    name = _hostname(request.environ.get("HTTP_HOST", ""))
    if name not in (*_LOOPBACK, host):
        raise ControlError(403, "foreign Host")
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{request.environ.get('HTTP_HOST')}":
        raise ControlError(403, "foreign Origin")


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _harden(response: Response) -> Response:
    if not request.path.startswith(f"/{API_VERSION}/"):
        response.headers.update(_HEADERS)
    return response


def _refused(error: ControlError) -> Response:
    if request.path.startswith("/sim/") or request.method == "GET":
        return Response(json.dumps({"error": error.message}), error.http, mimetype="application/json")
    return Response(render_template("refused.html", message=error.message), error.http)


def _unrouted(error: HTTPException) -> Response:
    """Paths and methods that do not exist, and failures, in the form of whoever asked."""
    if request.path.startswith(f"/{API_VERSION}"):
        return Response(json.dumps(resources.error(not_found(request.path))), 404, mimetype="application/json")
    return Response(json.dumps({"error": error.name}), error.code or 500, mimetype="application/json")
