"""The other system: where results of payments are posted to. Twilio has no such thing; it is here so that a demo and a
test need no further process. It keeps what came in, in memory, and refuses it when told to.
"""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Response, request

from bot.simulator.errors import ControlError
from bot.simulator.exchange import the_world

inbox = Blueprint("inbox", __name__)

_SECRET_SHOWN = 4
_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
Json = dict[str, Any]


@inbox.post("/results")
def receive() -> Response:
    """204, or what the setting ``results`` says: 500 as if that system were broken."""
    world, body = the_world(), request.get_json(silent=True)
    if not isinstance(body, dict):
        raise ControlError(400, "the body must be a JSON object")
    with world.lock:
        if world.settings.results == "refuse":
            return Response(status=500)
        headers = {name: request.headers.get(name, "") for name in _HEADERS}
        world.results.append({"at": time.time(), "headers": headers, "body": body})
    return Response(status=204)


@inbox.get("/sim/results")
def show() -> Json:
    world = the_world()
    with world.lock:
        return {"results": list(world.results)}


def shown(result: Json) -> Json:
    """One result for the page: of a token only the end."""
    data = result["body"].get("data")
    data = data if isinstance(data, dict) else {}
    secret = str(data.get("token") or data.get("confirmation_code") or "")
    return {
        "type": str(result["body"].get("type")),
        "call": str(data.get("call")),
        "amount": f"{data['amount']} {data.get('currency')}" if data.get("amount") else "no charge",
        "what": "token" if data.get("token") else "confirmation code",
        "end": secret[-_SECRET_SHOWN:],
    }
