"""A view differs in what it replaces alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from famacase_pytest.upstream.views import View


def test_only_what_is_replaced_differs():
    real = SimpleNamespace(name="real", calls=[])
    view = View(real, name="seen")
    assert (view.name, real.name) == ("seen", "real")
    view.calls.append(1)
    assert real.calls == [1]
    with pytest.raises(AttributeError, match="missing"):
        _ = view.missing


def test_what_upstream_writes_is_there_afterwards():
    """A view is thrown away: what is set on it belongs to the item that pytest goes on with."""
    real = SimpleNamespace(name="real")
    view = View(real, name="seen")
    view.added = 1
    view.name = "changed"
    assert (real.added, real.name) == (1, "changed")
    assert view.added == 1


def test_a_view_of_a_view():
    real = SimpleNamespace(a=1, b=2, c=3)
    view = View(View(real, a=10, b=20), a=100)
    assert (view.a, view.b, view.c) == (100, 20, 3)
