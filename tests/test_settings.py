from __future__ import annotations

import base64
from pathlib import Path

import pytest
from pydantic import ValidationError

from bot.errors import SettingsInvalid
from bot.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
REQUIRED = {
    "SECRET_KEY": "a secret of the tests",
    "PUBLIC_BASE_URL": "https://pause.example.com/",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "the token",
    "AUDIT_ORIGIN": "example.com/log",
    "AUDIT_SIGNING_KEY_FILE": "key.pem",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment with what is required and nothing else, in a folder without `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def problems() -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as caught:
        Settings.read()
    return caught.value.problems


@pytest.mark.usefixtures("environment")
def test_defaults_are_those_of_the_design() -> None:
    settings = Settings.read()
    assert settings.database_url.startswith("sqlite:////")
    assert settings.database_url.endswith("/instance/bot.sqlite3")
    given = {
        "twilio_timeout_seconds": 3.0, "pause_behavior": "skip", "pause_max_seconds": 300, "pause_expiry": "resume",
        "twilio_late_seconds": 15.0, "trusted_proxies": 0, "redirect_hosts": (), "audit_checkpoint_seconds": 10.0,
        "twilio_api_base_url": None, "twilio_api_key_sid": None, "twilio_region": None, "twilio_edge": None,
    }  # fmt: skip
    assert {name: getattr(settings, name) for name in given} == given
    assert (settings.claim_seconds, settings.public_base_url) == (5.0, "https://pause.example.com")
    assert (settings.public_host, settings.is_https) == ("pause.example.com", True)


def test_every_missing_variable_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    for name in REQUIRED:
        environment.delenv(name)
    assert sorted(problems()) == sorted(f"{name}: is missing" for name in REQUIRED)


def test_every_bad_variable_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    bad = {
        "SECRET_KEY": "short", "PUBLIC_BASE_URL": "pause.example.com", "TWILIO_ACCOUNT_SID": "AC1",
        "AUDIT_ORIGIN": "with space", "DATABASE_URL": "mysql://localhost", "TWILIO_TIMEOUT_SECONDS": "0",
        "PAUSE_BEHAVIOR": "loud", "PAUSE_MAX_SECONDS": "many", "PAUSE_EXPIRY": "never", "TWILIO_LATE_SECONDS": "-1",
        "TRUSTED_PROXIES": "-1", "TWILIO_API_BASE_URL": "ftp://x", "TWILIO_API_KEY_SID": "AC1", "TWILIO_REGION": "U S",
        "AUDIT_CHECKPOINT_SECONDS": "0",
    }  # fmt: skip
    for name, value in bad.items():
        environment.setenv(name, value)
    assert {problem.split(":")[0] for problem in problems()} == set(bad)


def test_half_an_api_key_is_named_beside_everything_else(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TWILIO_API_KEY_SID", "SK" + "0" * 32)
    assert any("TWILIO_API_KEY_SECRET" in problem for problem in problems())
    environment.delenv("SECRET_KEY")
    text = " ".join(problems())
    assert "SECRET_KEY: is missing" in text
    assert "TWILIO_API_KEY_SECRET" in text


def test_no_secret_shows_in_an_error_or_a_repr(environment: pytest.MonkeyPatch) -> None:
    assert "the token" not in repr(Settings.read())
    assert "a secret of the tests" not in repr(Settings.read())
    environment.setenv("SECRET_KEY", "s3cr3t-short")
    assert "s3cr3t" not in " ".join(problems())


@pytest.mark.usefixtures("environment")
def test_settings_are_frozen() -> None:
    settings = Settings.read()
    with pytest.raises(ValidationError):
        settings.pause_max_seconds = 5


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
        ("sqlite:///a.sqlite3", "sqlite:///a.sqlite3"),
    ],
)
def test_database_url_is_for_a_driver_that_is_there(environment: pytest.MonkeyPatch, given: str, kept: str) -> None:
    environment.setenv("DATABASE_URL", given)
    assert Settings.read().database_url == kept


SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"PAYMENT_CONNECTOR": "Default"}, {"PAYMENT_RESULT_URL", "PAYMENT_RESULT_SECRET"}),
        ({"PAYMENT_CONNECTOR": "two words"}, {"PAYMENT_CONNECTOR"}),
        ({"PAYMENT_RESULT_URL": "ftp://crm.example.com"}, {"PAYMENT_RESULT_URL"}),
        ({"PAYMENT_RESULT_SECRET": "whsec_c2hvcnQ="}, {"PAYMENT_RESULT_SECRET"}),
        ({"PAYMENT_RESULT_SECRET": SECRET.removeprefix("whsec_")}, {"PAYMENT_RESULT_SECRET"}),
        ({"PAYMENT_AMOUNT": "0"}, {"PAYMENT_AMOUNT"}),
        ({"PAYMENT_AMOUNT": "1.234"}, {"PAYMENT_AMOUNT"}),
        ({"PAYMENT_AMOUNT": "4111111111111111"}, {"PAYMENT_AMOUNT"}),
        ({"PAYMENT_CURRENCY": "US"}, {"PAYMENT_CURRENCY"}),
        ({"PAYMENT_TOKEN_TYPE": "forever"}, {"PAYMENT_TOKEN_TYPE"}),
    ],
)
def test_payments_are_configured_whole_or_not_at_all(
    environment: pytest.MonkeyPatch, given: dict[str, str], named: set[str]
) -> None:
    for name, value in given.items():
        environment.setenv(name, value)
    assert {problem.split(":")[0] for problem in problems()} == named


def test_payments_configured_whole_are_accepted(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PAYMENT_CONNECTOR", "Default")
    environment.setenv("PAYMENT_AMOUNT", "20.45")
    environment.setenv("PAYMENT_RESULT_URL", "https://crm.example.com/payments")
    environment.setenv("PAYMENT_RESULT_SECRET", SECRET)
    settings = Settings.read()
    assert (settings.payment_connector, str(settings.payment_amount)) == ("Default", "20.45")
    assert SECRET not in repr(settings)


def test_redirect_hosts_are_a_list(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIRECT_HOSTS", "a.example.com, B.example.com:8080 ,")
    assert Settings.read().redirect_hosts == ("a.example.com", "b.example.com:8080")


def test_empty_variable_counts_as_unset(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TWILIO_API_BASE_URL", "")
    environment.setenv("PAUSE_MAX_SECONDS", "")
    settings = Settings.read()
    assert (settings.twilio_api_base_url, settings.pause_max_seconds) == (None, 300)


def test_file_beside_the_program_is_read(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.delenv("AUDIT_ORIGIN")
    (tmp_path / ".env").write_text("AUDIT_ORIGIN=from-the-file\nUNKNOWN=1\n")
    assert Settings.read().audit_origin == "from-the-file"


def test_example_names_exactly_the_settings_there_are() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    named = {line.lstrip("# ").split("=")[0] for line in lines if "=" in line and line.lstrip("# ")[:1].isupper()}
    assert {name for name in named if name.isupper() or "_" in name} == {name.upper() for name in Settings.model_fields}
