"""Everything the environment (or a file `.env` beside it) decides, read once into one frozen object (twelve-factor,
III).

`Settings.read` reports all bad variables at once, so that a deployment is mended in one go. Secrets are
`SecretStr`: they do not show in a repr, a log line or a traceback.
"""

from __future__ import annotations

import base64
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.errors import SettingsInvalid

INSTANCE = Path(__file__).resolve().parent.parent / "instance"
CONTACT_PATTERN = r"^(client:[^\s\"<>]{1,121}|\+[1-9][0-9]{5,14}|sips?:[^\s\"<>]{3,250})$"
CODE_PATTERN = r"^\*[0-9]$"
SINK_PATTERN = (
    r"^(file:/.+|syslog:(/[^\s?/][^\s?]*)?(\?max_bytes=[0-9]{3,5})?"
    r"|syslog(\+udp)?://[^\s/?@]+(\?max_bytes=[0-9]{3,5})?|https?://[^\s/?@]+(/\S*)?)$"
)
SYSLOG_BYTES_MIN = 480
"""What every receiver takes (RFC 5424, 6.1): room enough for what stands in for a long entry."""

WEBHOOK_KEY_BYTES_MIN = 24
AccountSid = Annotated[str, Field(pattern=r"^AC[0-9a-fA-F]{32}$")]


class Settings(BaseSettings):
    """The settings. Units are in the names; see `.env.example` for one line about each."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_file=".env", env_ignore_empty=True, hide_input_in_errors=True
    )

    secret_key: SecretStr = Field(min_length=16)
    public_base_url: str
    twilio_account_sid: AccountSid
    twilio_auth_token: SecretStr = Field(min_length=1)
    audit_origin: str = Field(min_length=1, max_length=200, pattern=r"^[^\s+]+$")
    audit_signing_key_file: Path

    database_url: str = f"sqlite:///{INSTANCE / 'bot.sqlite3'}"
    twilio_api_key_sid: str | None = Field(default=None, pattern=r"^SK[0-9a-fA-F]{32}$")
    twilio_api_key_secret: SecretStr | None = Field(default=None, validate_default=True)
    twilio_region: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$")
    twilio_edge: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$")
    twilio_api_base_url: str | None = None
    twilio_timeout_seconds: float = Field(default=3.0, gt=0, le=6)
    twilio_late_seconds: float = Field(default=15.0, ge=0, le=300)
    pause_behavior: Literal["skip", "silence"] = "skip"
    pause_max_seconds: int = Field(default=300, ge=1, le=3600)
    pause_expiry: Literal["resume", "alert"] = "resume"
    pause_hard_max_seconds: int = Field(default=900, ge=1, le=14_400, validate_default=True)
    pause_failure: Literal["keep-trying", "stop"] = "keep-trying"
    trusted_proxies: int = Field(default=0, ge=0, le=10)
    redirect_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    voice_fallback: str | None = Field(default=None, pattern=CONTACT_PATTERN)
    dtmf_pause_code: str = Field(default="*7", pattern=CODE_PATTERN)
    dtmf_resume_code: str = Field(default="*8", pattern=CODE_PATTERN, validate_default=True)
    payment_connector: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    payment_amount: Decimal | None = Field(default=None, gt=0, lt=1_000_000, max_digits=8, decimal_places=2)
    payment_currency: str = Field(default="usd", pattern=r"^[a-z]{3}$")
    payment_token_type: Literal["one-time", "reusable", "payment-method"] = "reusable"  # noqa: S105 - a kind of token, not one
    payment_security_code: bool = True
    payment_postal_code: bool = True
    payment_result_url: str | None = Field(default=None, validate_default=True)
    payment_result_secret: SecretStr | None = Field(default=None, validate_default=True)
    audit_checkpoint_seconds: float = Field(default=10.0, gt=0, le=3600)
    audit_signer: Literal["worker", "process"] = "worker"
    audit_anchor_seconds: float = Field(default=60.0, ge=1, le=86_400)
    audit_smtp_url: SecretStr | None = None
    audit_tsa_ca_file: Path | None = None
    audit_anchors: Annotated[tuple[str, ...], NoDecode] = Field(default=(), repr=False)
    audit_sink: str | None = Field(default=None, pattern=SINK_PATTERN, max_length=500)
    audit_sink_token: SecretStr | None = Field(default=None, min_length=1)
    audit_retention_months: int = Field(default=84, ge=12, le=1200)
    web_threads: int = Field(default=400, ge=8, le=2000)

    @field_validator("payment_result_url", "payment_result_secret")
    @classmethod
    def _goes_with_the_connector(cls, value: str | SecretStr | None, info: ValidationInfo) -> str | SecretStr | None:
        """A token that nobody receives is a payment that nobody can find again."""
        if info.data.get("payment_connector") and value is None:
            raise ValueError("must be set where PAYMENT_CONNECTOR is")
        return value

    @field_validator("audit_sink")
    @classmethod
    def _is_a_place(cls, value: str | None) -> str | None:
        if value is None or value.startswith("file:"):
            return value
        parts = urlsplit(value)  # which raises ValueError, as `port` does
        if "://" in value and not (parts.hostname and parts.port != 0):
            raise ValueError("must name a host, and a port from 1 to 65535 if any")
        limits = parse_qs(parts.query).get("max_bytes") if parts.scheme.startswith("syslog") else None
        if limits and int(limits[0]) < SYSLOG_BYTES_MIN:
            raise ValueError(f"must have a max_bytes of at least {SYSLOG_BYTES_MIN}")
        return value

    @field_validator("payment_result_url")
    @classmethod
    def _is_result_url(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname):
            raise ValueError("must be an http or https URL")
        return value

    @field_validator("payment_result_secret")
    @classmethod
    def _is_webhook_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and signing_key(value.get_secret_value()) is None:
            raise ValueError("must be whsec_ and at least 24 bytes in base64")
        return value

    @field_validator("public_base_url", "twilio_api_base_url")
    @classmethod
    def _is_http_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an http or https URL without query or fragment")
        return value.rstrip("/")

    @field_validator("pause_hard_max_seconds")
    @classmethod
    def _is_the_longer_limit(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("pause_max_seconds", 0):
            raise ValueError("must be at least PAUSE_MAX_SECONDS")
        return value

    @field_validator("dtmf_resume_code")
    @classmethod
    def _is_another_code(cls, value: str, info: ValidationInfo) -> str:
        if value == info.data.get("dtmf_pause_code"):
            raise ValueError("must differ from DTMF_PAUSE_CODE")
        return value

    @field_validator("redirect_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return (
            tuple(host.strip().lower() for host in value.split(",") if host.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("audit_smtp_url")
    @classmethod
    def _is_smtp_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = urlsplit(value.get_secret_value())
            if parts.scheme != "smtp" or not parts.hostname:
                raise ValueError("must be smtp://user:password@host:port")
        return value

    @field_validator("audit_anchors", mode="before")
    @classmethod
    def _split_anchors(cls, value: object) -> object:
        """Each once, in the order given."""
        if not isinstance(value, str):
            return value
        return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))

    @field_validator("audit_anchors")
    @classmethod
    def _are_anchors(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not all(_is_anchor(one) for one in value):
            raise ValueError("each must begin with file:/, https://, http://, mailto: or rfc3161:https://")
        if any(one.startswith("mailto:") for one in value) and info.data.get("audit_smtp_url") is None:
            raise ValueError("mailto: needs AUDIT_SMTP_URL")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_known_database(cls, value: str) -> str:
        value = value.replace("postgres://", "postgresql://", 1) if value.startswith("postgres://") else value
        scheme = value.split(":", 1)[0]
        if scheme not in {"sqlite", "postgresql", "postgresql+psycopg"}:
            raise ValueError("must begin with sqlite:///, postgresql:// or postgresql+psycopg://")
        return value.replace("postgresql://", "postgresql+psycopg://", 1)

    @field_validator("twilio_api_key_secret")
    @classmethod
    def _pair_is_whole(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "twilio_api_key_sid" in info.data and (info.data["twilio_api_key_sid"] is None) != (value is None):
            raise ValueError("goes together with TWILIO_API_KEY_SID: set both or neither")
        return value

    @classmethod
    def read(cls, **overrides: Any) -> Settings:
        """Read the environment. Raises `SettingsInvalid` naming every missing or bad variable."""
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise SettingsInvalid(tuple(_sentence(item) for item in error.errors(include_input=False))) from None

    @property
    def public_host(self) -> str:
        """Host, with the port where it is not the scheme's own, as a browser sends it."""
        return urlsplit(self.public_base_url).netloc.lower()

    @property
    def is_https(self) -> bool:
        return self.public_base_url.startswith("https://")

    @property
    def claim_seconds(self) -> float:
        """How long a claim lasts: the Twilio limit and 2 s; anything shorter was measured to overlap."""
        return self.twilio_timeout_seconds + 2.0

    @property
    def vkey_file(self) -> Path:
        """The log's public key: all of the key that the web process ever reads."""
        return Path(f"{self.audit_signing_key_file}.vkey")

    @property
    def signer_state_file(self) -> Path:
        return Path(f"{self.audit_signing_key_file}.state")


def _is_anchor(text: str) -> bool:
    if text.startswith("mailto:"):
        return re.fullmatch(r"[^\s@<>]+@[^\s@<>]+", text.removeprefix("mailto:")) is not None
    if text.startswith("file:"):
        return text.removeprefix("file:").startswith("/")
    parts = urlsplit(text.removeprefix("rfc3161:"))
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def signing_key(secret: str) -> bytes | None:
    """The bytes of a secret as Standard Webhooks writes it: `whsec_` and base64; None if it is not one."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return None
    return key if secret.startswith("whsec_") and len(key) >= WEBHOOK_KEY_BYTES_MIN else None


def _sentence(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"]).upper()
    if item["type"] == "missing":
        return f"{name}: is missing"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}" if name else message
