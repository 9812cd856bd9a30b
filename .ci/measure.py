"""Measures a process, once it imports the package, if ``MEASURE_COVERAGE`` names the project.

`make coverage` copies this and ``measure.pth`` to where each Python that starts in .venv reads them. Most of
thousands of processes are short: those that never import the package, or only fork the relay, pay nothing.
"""

import os
import sys


class _Start:
    """Starts the measuring as a finder, since that sees an import before it happens; finds nothing."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] == "famacase_pytest" and cls in sys.meta_path:
            sys.meta_path.remove(cls)
            import coverage

            os.environ["COVERAGE_PROCESS_START"] = os.environ["MEASURE_COVERAGE"] + "/pyproject.toml"
            coverage.process_startup()
            del os.environ["COVERAGE_PROCESS_START"]
        return None


sys.meta_path.insert(0, _Start)
