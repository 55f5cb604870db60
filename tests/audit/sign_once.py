"""A signer as a process that signs 8 entries and prints the note: `sign_once.py STATE [rewritten]`."""

from __future__ import annotations

import sys
from pathlib import Path

from bot.audit.signer import Signer
from bot.errors import LogError
from tests.audit.examples import KEY, ORIGIN, bodies

log = bodies(8)
if sys.argv[2:] == ["rewritten"]:
    log[6] = b"{}"
try:
    sys.stdout.write(Signer(ORIGIN, KEY, Path(sys.argv[1]), lambda start, stop: log[start:stop]).sign_up_to(8))
except LogError as error:
    sys.exit(f"refused: {error}")
