"""What a pytest session in the current directory would be made of, found out without running a test.

`famacase doctor` runs it as a process of its own: conftest files and plugins are loaded into it.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

# Distributions that decide on what a session does.
_DISTRIBUTIONS = ("pytest", "qase-pytest", "qase-python-commons")


class _Probe:
    """Takes the place of the session itself, once command line, files and plugins have been read."""

    def __init__(self) -> None:
        self.found: dict[str, Any] | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        from . import environment_names, modes

        given = {
            name: value
            for name, value in vars(config.option).items()
            if name.startswith(("famacase_", "qase_")) and isinstance(value, (str, int))
        }
        defaults = config.hook.pytest_famacase_defaults()
        names = {getattr(plugin, "__name__", "") for plugin in config.pluginmanager.get_plugins()}
        order = [getattr(plugin, "__name__", "") for _, plugin in config.pluginmanager.list_name_plugin()]
        self.found = {
            "options": given,
            "defaults": defaults if isinstance(defaults, dict) else None,
            "defaults_of": [
                impl.plugin_name for impl in reversed(config.hook.pytest_famacase_defaults.get_hookimpls())
            ],
            "order": [name for name in order if name in names],
            "rootdir": str(config.rootpath),
            "known": sorted(environment_names()),
            "modes": modes(),
            "versions": {name: version(name) for name in _DISTRIBUTIONS},
            "rows": _rows(),
        }
        return 0


def main() -> None:
    """Write what was found to the file that the first argument names, as JSON; the others are pytest's."""
    probe = _Probe()
    code = pytest.main(["-q", *sys.argv[2:]], plugins=[probe])
    if probe.found is not None:
        Path(sys.argv[1]).write_text(json.dumps(probe.found, default=str), encoding="utf-8")
    sys.exit(int(code))


def _rows() -> list[dict[str, Any]]:
    """The patches for the installed release, and whether each fits."""
    from . import client, plan_loader
    from .config_reader import ConfigReader
    from .patches import Bindings, Installation, mismatch

    nobody: Any = None
    bindings = Bindings(
        client=client.bound_to(nobody),
        plan_loader=plan_loader.bound_to(nobody),
        transport=lambda: None,
        reader=ConfigReader({}, {}, None, None),
        run_file=None,
    )
    return [
        {
            "name": row.name,
            "path": row.path,
            "required": row.required,
            "problem": mismatch(row, bindings),
        }
        for row in Installation(bindings).rows
    ]


if __name__ == "__main__":
    main()
