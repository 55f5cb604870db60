"""Which settings differ from the last start, without any secret in the entry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.audit.entry import Draft
from bot.life.changes import fingerprint, settings_changed
from bot.settings import Settings

SECRET = "a token that nobody may see"


def change(settings: Settings, before: dict[str, Any], after: dict[str, Any]) -> Draft | None:
    def seen(values: dict[str, Any]) -> dict[str, str]:
        given = {name: value for name, value in settings if name in settings.model_fields_set}
        return fingerprint(Settings.read(_env_file=None, **(given | values)))

    return settings_changed(seen(before), seen(after), "web")


def test_same_settings_are_no_news(settings: Settings) -> None:
    assert change(settings, {}, {}) is None
    assert change(settings, {}, {"pause_max_seconds": 300}) is None, "the default, said or not"


def test_harmless_setting_is_shown_before_and_after(settings: Settings) -> None:
    draft = change(settings, {"pause_max_seconds": 60}, {"pause_expiry": "alert"})
    assert draft is not None
    assert (draft.type, draft.outcome) == ("settings.changed", "success")
    assert draft.detail == {
        "kind": "web",
        "changed": ["PAUSE_EXPIRY", "PAUSE_MAX_SECONDS"],
        "before": {"PAUSE_EXPIRY": "default", "PAUSE_MAX_SECONDS": "60"},
        "after": {"PAUSE_EXPIRY": "alert", "PAUSE_MAX_SECONDS": "default"},
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("twilio_auth_token", SECRET),
        ("audit_sink_token", SECRET),
        ("database_url", f"postgresql://bot:{SECRET.replace(' ', '-')}@db/bot"),
        ("audit_sink", f"https://siem.example/?token={SECRET.replace(' ', '-')}"),
        ("voice_fallback", "+4930123456"),
    ],
)
def test_secret_and_what_may_hold_one_is_named_and_not_shown(name: str, value: str, settings: Settings) -> None:
    draft = change(settings, {}, {name: value})
    assert draft is not None
    assert draft.detail == {"kind": "web", "changed": [name.upper()], "before": {}, "after": {}}


def test_what_is_kept_to_compare_with_holds_no_secret(settings: Settings) -> None:
    kept = json.dumps(fingerprint(settings))
    for secret in (settings.secret_key, settings.twilio_auth_token):
        assert secret.get_secret_value() not in kept


def test_new_secret_key_leaves_other_secrets_unknown(settings: Settings) -> None:
    draft = change(settings, {}, {"secret_key": "another secret of the tests"})
    assert draft is not None
    assert draft.detail is not None
    assert draft.detail["changed"] == ["SECRET_KEY"]
    unknown = draft.detail["unknown"]
    assert isinstance(unknown, list)
    assert "TWILIO_AUTH_TOKEN" in unknown
