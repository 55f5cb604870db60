"""`python -m bench.log.peak …` is `bot …`, and at its end a line with the peak of its resident set in KiB.

The process tells it itself: what the kernel reports to a parent includes the parent's own size at the fork.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from bot.cli import main

try:
    main()
finally:
    found = re.search(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    print(f"\n{found[1] if found else 0}", file=sys.stdout)
