"""Twilio's JSON shapes: one function a resource. Every field is there, null where Twilio has null."""

from __future__ import annotations

from typing import Any

from bot.simulator.clock import rfc2822
from bot.simulator.errors import TwilioError
from bot.simulator.model import API_VERSION, Call, Conference, Recording

MORE_INFO = "https://www.twilio.com/docs/errors/"


def base(account: str) -> str:
    """The path under which everything of an account lies."""
    return f"/{API_VERSION}/Accounts/{account}"


def error(refusal: TwilioError) -> dict[str, Any]:
    return {
        "code": refusal.code,
        "message": refusal.message,
        "more_info": f"{MORE_INFO}{refusal.code}",
        "status": refusal.http,
    }


def recording(account: str, found: Recording, now: float, status: str | None = None) -> dict[str, Any]:
    """A recording. ``status`` is what a command was answered with; a GET gives the listed one instead."""
    done = status is None and found.listed_status != "processing"
    owner = f"Conferences/{found.conference}" if found.conference else f"Calls/{found.call}"
    path = f"{base(account)}/{owner}/Recordings/{found.sid}"
    return {
        "account_sid": account,
        "api_version": API_VERSION,
        "call_sid": found.call,
        "conference_sid": found.conference,
        "channels": found.plan.channels,
        "date_created": rfc2822(found.started_at),
        "date_updated": rfc2822(found.updated_at),
        "start_time": rfc2822(found.started_at),
        "price": None,
        "price_unit": None,
        "duration": str(int(found.seconds(now))) if done and found.state == "completed" else None,
        "sid": found.sid,
        "source": found.plan.source,
        "status": status or found.listed_status,
        "error_code": found.error_code if done else None,
        "track": found.plan.track,
        "uri": f"{path}.json",
        "encryption_details": None,
    }


def call(account: str, found: Call) -> dict[str, Any]:
    path = f"{base(account)}/Calls/{found.sid}"
    duration = None if found.ended_at is None else str(int(found.ended_at - (found.answered_at or found.ended_at)))
    return {
        "sid": found.sid,
        "date_created": rfc2822(found.created_at),
        "date_updated": rfc2822(found.updated_at),
        "parent_call_sid": found.parent,
        "account_sid": account,
        "to": found.to,
        "to_formatted": found.to,
        "from": found.from_,
        "from_formatted": found.from_,
        "phone_number_sid": None,
        "status": found.status,
        "start_time": None if found.answered_at is None else rfc2822(found.answered_at),
        "end_time": None if found.ended_at is None else rfc2822(found.ended_at),
        "duration": duration,
        "price": None,
        "price_unit": "USD",
        "direction": found.direction,
        "answered_by": None,
        "annotation": None,
        "api_version": API_VERSION,
        "forwarded_from": None,
        "group_sid": None,
        "caller_name": None,
        "queue_time": "0",
        "trunk_sid": None,
        "uri": f"{path}.json",
        "subresource_uris": {"recordings": f"{path}/Recordings.json"},
    }


def conference(account: str, found: Conference) -> dict[str, Any]:
    path = f"{base(account)}/Conferences/{found.sid}"
    return {
        "account_sid": account,
        "api_version": API_VERSION,
        "call_sid_ending_conference": found.ended_by,
        "date_created": rfc2822(found.created_at),
        "date_updated": rfc2822(found.updated_at),
        "friendly_name": found.name,
        "reason_conference_ended": found.why_ended,
        "region": "us1",
        "sid": found.sid,
        "status": found.status,
        "uri": f"{path}.json",
        "subresource_uris": {
            "participants": f"{path}/Participants.json",
            "recordings": f"{path}/Recordings.json",
        },
    }


def participant(account: str, found: Conference, leg: str) -> dict[str, Any]:
    since = rfc2822(found.participants[leg])
    return {
        "account_sid": account,
        "call_sid": leg,
        "label": None,
        "call_sid_to_coach": None,
        "coaching": False,
        "conference_sid": found.sid,
        "date_created": since,
        "date_updated": since,
        "end_conference_on_exit": leg in found.enders,
        "muted": False,
        "hold": False,
        "start_conference_on_enter": leg not in found.patient,
        "status": "connected",
        "queue_time": "0",
        "uri": f"{base(account)}/Conferences/{found.sid}/Participants/{leg}.json",
    }
