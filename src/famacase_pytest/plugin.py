"""The pytest plugin: what happens when. What it means stands in ``session.py``.

A session that does not use Famacase passes through here without importing anything beyond this module.
"""

from __future__ import annotations

from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    from .settings.options import add_options, record
    from .upstream import option_registration

    add_options(parser.getgroup("famacase", "reporting to Famacase"), record(option_registration()))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    from .session import begin

    begin(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    from .session import end

    end(config)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    from .session import of

    of(session.config).announce()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    from .session import of

    of(config).summarize(terminalreporter)


class XdistHooks:
    """Registered by an active session where xdist takes part."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        from .session import of

        of(node.config).brief_worker(node.workerinput)
