"""`python -m bench` for pauses, `python -m bench log` for the log; `--help` lists the options of each.

Exit codes: 0 measured, 2 something could not be started.
"""

from __future__ import annotations

import sys

from bench.log.run import main as log
from bench.run import main as pauses

sys.exit(log(sys.argv[2:]) if sys.argv[1:2] == ["log"] else pauses())
