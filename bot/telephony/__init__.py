"""Twilio: `gateway` (what we ask of it), `twilio_gateway` and `http_client` (how), `signature` and `webhooks` (what it
tells us).

Only this room imports the Twilio SDK.
"""
