from __future__ import annotations

from pathlib import Path

import pytest

from bot.audit.journal import Journal
from bot.settings import Settings
from bot.storage.engine import Database
from tests.audit.bench import Bench


@pytest.fixture
def log_settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a bot that needs no Twilio here."""
    return Settings.read(
        _env_file=None,
        secret_key="a secret of the tests",
        public_base_url="http://127.0.0.1:8000",
        twilio_account_sid="AC" + "0" * 32,
        twilio_auth_token="token",
        audit_origin="example.org/log",
        audit_signing_key_file=tmp_path / "keys" / "signing-key.pem",
        database_url=database_url,
    )


@pytest.fixture
def bench(log_settings: Settings, database: Database, journal: Journal) -> Bench:
    return Bench(log_settings, database, journal)
