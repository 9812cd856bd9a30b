"""One exchange: how it is authenticated, and when it does not begin."""

from __future__ import annotations

import threading

import pytest

from famacase_pytest.delivery.api.http import Bounds, Http, NoAnswer, TokenAuth

TOKEN = "rep_Geheim+token/42"


def test_the_authentication_hides_its_token():
    auth = TokenAuth(TOKEN)
    assert TOKEN not in repr(auth)
    assert auth.scrub(f"a {TOKEN} b //u:p@h/ c@d") == "a *** b //***@h/ c@d"


def test_after_cancelling_nothing_is_sent():
    """The address would fail in another way."""
    cancelled = threading.Event()
    cancelled.set()
    http = Http(1, "test")
    with pytest.raises(NoAnswer, match="cancelled") as caught:
        http.exchange(
            "GET",
            "http://famacase.invalid",
            auth=TokenAuth(TOKEN),
            bounds=Bounds(1, 1, 1, 1),
            cancelled=cancelled,
        )
    assert not caught.value.again
    http.close()
