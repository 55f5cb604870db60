"""A worker that is killed between sending a batch and noting it: `python -m tests.sinks.dying DATABASE_URL FILE`."""

from __future__ import annotations

import os
import signal
import sys

from bot.audit.journal import Journal
from bot.sinks import Batch
from bot.sinks.file import FileSink
from bot.sinks.stream import Stream
from bot.storage.engine import Database


class DeadlySink(FileSink):
    def send(self, batch: Batch, seconds: float) -> None:
        super().send(batch, seconds)
        os.kill(os.getpid(), signal.SIGKILL)


database = Database(sys.argv[1])
Stream(database, Journal(database, "dying"), DeadlySink(sys.argv[2]), "the-sink", claim_seconds=0.5).step()
