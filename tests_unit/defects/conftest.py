"""The package of the tracker's clients needs Python 3.10."""

from __future__ import annotations

import sys

collect_ignore = (
    ["test_filing.py", "test_session.py", "test_tracker.py"] if sys.version_info < (3, 10) else []
)
