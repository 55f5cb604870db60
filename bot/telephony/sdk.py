"""The Twilio SDK's client as this program uses it: over our pooled HTTP client, with the settings' credentials."""

from __future__ import annotations

from twilio.rest import Client

from bot.settings import Settings
from bot.telephony.http_client import PooledHttpClient


def connect(settings: Settings, connections: int) -> tuple[Client, PooledHttpClient]:
    """An API key is used where there is one, else the auth token. Nothing is sent yet."""
    http = PooledHttpClient(
        timeout_seconds=settings.twilio_timeout_seconds,
        connections=connections,
        base_url=settings.twilio_api_base_url,
    )
    key, secret = settings.twilio_api_key_sid, settings.twilio_api_key_secret
    token = settings.twilio_auth_token.get_secret_value()
    client = Client(
        username=key or settings.twilio_account_sid,
        password=secret.get_secret_value() if key and secret else token,
        account_sid=settings.twilio_account_sid,
        region=settings.twilio_region,
        edge=settings.twilio_edge,
        http_client=http,
    )
    return client, http
