"""`.env.example` and `Settings` name the same variables, and a bad environment is reported whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bot
from bot.errors import SettingsInvalid
from bot.settings import Settings

EXAMPLE = Path(bot.__file__).resolve().parent.parent / ".env.example"
LINE = re.compile(r"(?P<optional># )?(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)")
REQUIRED = {
    "SECRET_KEY",
    "PUBLIC_BASE_URL",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "AUDIT_ORIGIN",
    "AUDIT_SIGNING_KEY_FILE",
}
GOOD = {
    "secret_key": "sixteen characters or more",
    "public_base_url": "https://pause.example.com/",
    "twilio_account_sid": "AC" + "1" * 32,
    "twilio_auth_token": "token",
    "audit_origin": "pause.example.com/log",
    "audit_signing_key_file": "key.pem",
}


@pytest.fixture
def web_bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of ours, and no `.env`."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def _example() -> list[re.Match[str]]:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    return [found for line in lines if (found := LINE.fullmatch(line))]


def test_example_names_exactly_the_settings_each_once() -> None:
    assert sorted(found["name"] for found in _example()) == sorted(name.upper() for name in Settings.model_fields)


def test_example_leaves_in_what_is_required_and_comments_out_the_rest() -> None:
    required = {name.upper() for name, field in Settings.model_fields.items() if field.is_required()}
    assert {found["name"] for found in _example() if not found["optional"]} == required == REQUIRED


def test_example_shows_the_defaults() -> None:
    for found in _example():
        default = Settings.model_fields[found["name"].lower()].default
        if found["optional"] and found["name"] != "DATABASE_URL":
            assert found["value"] == _shown(default), found["name"]


def _shown(default: object) -> str:
    if default in (None, ()):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


@pytest.mark.usefixtures("web_bare")
def test_defaults_are_those_of_the_design() -> None:
    settings = Settings.read(**GOOD)
    assert settings.database_url.startswith("sqlite:///")
    assert "/instance/" in settings.database_url
    assert (settings.twilio_timeout_seconds, settings.twilio_late_seconds) == (3, 15)
    assert (settings.pause_behavior, settings.pause_max_seconds, settings.pause_expiry) == ("skip", 300, "resume")
    assert (settings.trusted_proxies, settings.audit_checkpoint_seconds, settings.twilio_api_base_url) == (0, 10, None)


@pytest.mark.usefixtures("web_bare")
def test_everything_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        Settings.read()
    assert {problem.split(":")[0] for problem in caught.value.problems} == REQUIRED


@pytest.mark.usefixtures("web_bare")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("secret_key", "short"),
        ("public_base_url", "pause.example.com"),
        ("public_base_url", "ftp://pause.example.com"),
        ("public_base_url", "https://pause.example.com/?a=1"),
        ("public_base_url", "https://"),
        ("twilio_account_sid", "AC1"),
        ("twilio_account_sid", "SK" + "1" * 32),
        ("twilio_api_key_sid", "SK1"),
        ("twilio_api_base_url", "twilio"),
        ("twilio_region", "us1/../x"),
        ("twilio_timeout_seconds", "0"),
        ("twilio_timeout_seconds", "60"),
        ("twilio_timeout_seconds", "nan"),
        ("twilio_late_seconds", "-1"),
        ("pause_behavior", "mute"),
        ("pause_expiry", "never"),
        ("pause_max_seconds", "0"),
        ("pause_max_seconds", "1.5"),
        ("trusted_proxies", "-1"),
        ("database_url", "mysql://x"),
        ("audit_origin", "two words"),
        ("audit_checkpoint_seconds", "0"),
        ("audit_sink", "copy.jsonl"),
        ("audit_sink", "file:copy.jsonl"),
        ("audit_sink", "syslog://"),
        ("audit_sink", "syslog://host?max_bytes=1"),
        ("audit_sink", "syslog+udp://host?max_bytes=479"),
        ("audit_sink", "syslog://host:port"),
        ("audit_sink", "syslog://host:99999"),
        ("audit_sink", "syslog://host:0"),
        ("audit_sink", "syslog://:601"),
        ("audit_sink", "https://[::1/"),
        ("audit_sink", "https://user:password@host/"),
        ("audit_sink", "ftp://host/"),
        ("audit_retention_months", "11"),
        ("web_threads", "1"),
        ("voice_fallback", "desk"),
        ("voice_fallback", "client:"),
        ("voice_fallback", "+49 30 123456"),
        ("voice_fallback", "client:the desk"),
        ("dtmf_pause_code", "7"),
        ("dtmf_pause_code", "**"),
        ("dtmf_pause_code", "*78"),
        ("dtmf_resume_code", "#8"),
        ("dtmf_resume_code", "*7"),
    ],
)
def test_bad_value_is_named_without_itself(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for known, good in GOOD.items():
        monkeypatch.setenv(known.upper(), good)
    monkeypatch.setenv(name.upper(), value)
    with pytest.raises(SettingsInvalid) as caught:
        Settings.read()
    (problem,) = caught.value.problems
    assert problem.startswith(f"{name.upper()}: ")
    if name == "secret_key":
        assert value not in str(caught.value)


@pytest.mark.usefixtures("web_bare")
def test_half_an_api_key_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="TWILIO_API_KEY_SECRET"):
        Settings.read(**GOOD, twilio_api_key_sid="SK" + "1" * 32)


@pytest.mark.usefixtures("web_bare")
def test_code_that_pauses_and_resumes_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="DTMF_RESUME_CODE: must differ"):
        Settings.read(**GOOD, dtmf_pause_code="*8")
    assert Settings.read(**GOOD, dtmf_pause_code="*8", dtmf_resume_code="*7").dtmf_pause_code == "*8"


@pytest.mark.usefixtures("web_bare")
def test_secrets_do_not_show() -> None:
    shown = repr(Settings.read(**GOOD)) + str(Settings.read(**GOOD))
    assert GOOD["secret_key"] not in shown
    assert "twilio_auth_token=SecretStr" in shown
