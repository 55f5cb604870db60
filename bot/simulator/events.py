"""The parameters of Twilio's webhooks, under Twilio's names. Pure: what is given is what is sent."""

from __future__ import annotations

from bot.simulator.clock import rfc2822
from bot.simulator.model import API_VERSION, Call, Conference, Recording


def call_event(account: str, call: Call, status: str, now: float) -> dict[str, str]:
    """One call progress event. ``CallDuration`` comes with the end, and counts from the answer."""
    params = {
        "AccountSid": account,
        "ApiVersion": API_VERSION,
        "CallSid": call.sid,
        "CallStatus": status,
        "CallbackSource": "call-progress-events",
        "Called": call.to,
        "Caller": call.from_,
        "Direction": call.direction,
        "From": call.from_,
        "SequenceNumber": str(call.sequence),
        "Timestamp": rfc2822(now),
        "To": call.to,
    }
    if call.parent:
        params["ParentCallSid"] = call.parent
    if call.ended_at is not None:
        params["CallDuration"] = str(int(call.ended_at - (call.answered_at or call.ended_at)))
    return params


def recording_event(account: str, recording: Recording, now: float) -> dict[str, str]:
    """One recording event. That of a conference's recording names the conference and no call, as documented."""
    params = {
        "AccountSid": account,
        "RecordingSid": recording.sid,
        "RecordingUrl": f"https://api.twilio.com/{API_VERSION}/Accounts/{account}/Recordings/{recording.sid}",
        "RecordingStatus": recording.state,
        "RecordingChannels": str(recording.plan.channels),
        "RecordingStartTime": rfc2822(recording.started_at),
        "RecordingSource": recording.plan.source,
        "RecordingTrack": recording.plan.track,
    }
    if recording.conference:
        params["ConferenceSid"] = recording.conference
    else:
        params["CallSid"] = recording.call or ""
    if recording.state == "completed":
        params["RecordingDuration"] = str(int(recording.seconds(now)))
    if recording.error_code is not None:
        params["ErrorCode"] = str(recording.error_code)
    return params


def voice_request(account: str, call: Call) -> dict[str, str]:
    """What every request for TwiML says of the call."""
    return {
        "AccountSid": account,
        "ApiVersion": API_VERSION,
        "CallSid": call.sid,
        "CallStatus": call.status,
        "Called": call.to,
        "Caller": call.from_,
        "Direction": call.direction,
        "From": call.from_,
        "To": call.to,
    }


def conference_event(account: str, conference: Conference, event: str, leg: str | None, now: float) -> dict[str, str]:
    """One conference event; ``leg`` is who joined or left, and on ``conference-end`` who ended it by leaving."""
    params = {
        "AccountSid": account,
        "ConferenceSid": conference.sid,
        "FriendlyName": conference.name,
        "SequenceNumber": str(conference.sequence),
        "StatusCallbackEvent": event,
        "Timestamp": rfc2822(now),
    }
    if event == "conference-end":
        params["ReasonConferenceEnded"] = conference.why_ended or ""
        if leg:
            params["CallSidEndingConference"] = leg
    elif leg:
        params |= {
            "CallSid": leg,
            "Coaching": "false",
            "EndConferenceOnExit": "true" if leg in conference.enders else "false",
            "Hold": "false",
            "Muted": "false",
            "StartConferenceOnEnter": "false" if leg in conference.patient else "true",
        }
    return params
