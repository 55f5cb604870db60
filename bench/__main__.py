"""`python -m bench`; `--help` lists the options. Exit codes: 0 measured, 2 something could not be started."""

from __future__ import annotations

import sys

from bench.run import main

sys.exit(main())
