"""Loaded with -p: the rows that COMPAT_WITHOUT names, separated by "|", are left out of the table of patches.

Shows that a guard is what keeps its defect away.
"""

import os

from famacase_pytest.upstream import imports

# As `-p famacase` does it.
imports.load_sparing_clients()

from famacase_pytest.upstream import patches  # noqa: E402

_LEFT_OUT = set(os.environ["COMPAT_WITHOUT"].split("|"))
_REMAINING = tuple(row for row in patches.TABLE if row.name not in _LEFT_OUT)
_original = patches.Installation.__init__

assert {row.name for row in patches.TABLE} >= _LEFT_OUT, _LEFT_OUT


def _init(self, bindings, *, speedups=True, table=_REMAINING):
    _original(self, bindings, speedups=speedups, table=table)


patches.Installation.__init__ = _init
patches.TABLE = _REMAINING
