"""`python -m famacase_pytest.cli` is the `famacase` command."""

from __future__ import annotations

import sys

from .main import main

if __name__ == "__main__":
    sys.exit(main())
