"""A signer's whole round as a process, on the SQLite log that the environment names."""

from __future__ import annotations

from bot import logs
from bot.audit.journal import Journal
from bot.audit.patrol import Patrol
from bot.audit.rounds import Rounds
from bot.audit.signing import LogSigner
from bot.settings import Settings
from bot.storage.engine import Database

logs.set_up()
settings = Settings.read(_env_file=None)
database = Database(settings.database_url)
journal = Journal(database, "signer")
signer = LogSigner(settings, database, journal)
Rounds(signer, database, journal, Patrol(signer.read, lambda: signer.last().frontier)).make()
