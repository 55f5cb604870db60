"""Studio's webhook, as webhooks.twilio.com has it, and the control API's route that loads a flow."""

from __future__ import annotations

import re

from flask import Blueprint, Response, request

from bot.simulator import studio, studio_definition
from bot.simulator.body import Body
from bot.simulator.errors import ControlError
from bot.simulator.exchange import the_world

studio_routes = Blueprint("studio", __name__)


@studio_routes.put("/sim/studio/flows/<sid>")
def load(sid: str) -> dict[str, str]:
    """Load a flow, or load it anew: calls that are in it begin again if they come back."""
    world, given = the_world(), Body().everything()
    if not re.fullmatch("FW[0-9a-fA-F]{32}", sid):
        raise ControlError(400, "a flow's SID is FW and 32 hexadecimal digits")
    if set(given) != {"definition"}:
        raise ControlError(400, "the body must have a definition, and nothing else")
    flow = studio_definition.load(sid, given["definition"])
    with world.lock:
        world.flows[sid] = flow
        world.executions = {key: one for key, one in world.executions.items() if key[0] != sid}
    return {"flow": sid, "url": studio.address(request.host_url.rstrip("/"), world.account, sid)}


@studio_routes.route("/v1/Accounts/<account>/Flows/<sid>", methods=["GET", "POST"])
def webhook(account: str, sid: str) -> Response:
    """A call comes in, or comes back with a ``FlowEvent`` and more. One that nobody knows begins at the beginning."""
    world, given = the_world(), request.values.to_dict()
    event, call = given.pop(studio.EVENT, None), given.get("CallSid", "")
    with world.lock:
        flow = world.flows.get(sid)
        if flow is None or account != world.account or call not in world.calls:
            raise ControlError(404, "no such flow, account or call")
        execution = world.executions.get((sid, call))
        if event is None or execution is None:
            execution, document = studio.begin(flow, given, request.base_url)
            world.executions[sid, call] = execution
        else:
            document = studio.go_on(flow, execution, event, given, request.base_url)
    return Response(document, mimetype="text/xml")
