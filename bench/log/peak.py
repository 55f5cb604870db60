"""`python -m bench.log.peak …` is `bot …`, and at its end a line with the peak of its resident set in KiB.

The process tells it itself: what the kernel reports to a parent includes the parent's own size at the fork. `rich`,
which structlog loads where it finds it, comes with the test tools only and is kept out.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

sys.modules["rich"] = None  # type: ignore[assignment]

try:
    importlib.import_module("bot.cli").main()
finally:
    found = re.search(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    print(f"\n{found[1] if found else 0}", file=sys.stdout)
