"""TwiML: what a step of a call flow answers (twilio.com/docs/voice/twiml)."""

from __future__ import annotations

from twilio.twiml.voice_response import VoiceResponse


def redirect(url: str) -> str:
    """Go on there; Twilio fetches it with POST."""
    response = VoiceResponse()
    response.redirect(url, method="POST")
    return str(response)
