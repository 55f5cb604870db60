"""Twilio: `gateway` (what we ask of it), `twilio_gateway` and `http_client` (how), `signature`, `webhooks` and `keys`
(what it tells us), `twiml` (what we answer).

Only this room imports the Twilio SDK.
"""
