"""A real browser for tests of the pages: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

NO_BROWSER = "there is no Chromium (Debian: apt-get install chromium), or no Playwright"

# Without these Chromium looks for its maker's hosts; as root it has no sandbox of its own.
_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Starts the browser of this machine.

    Where there is none, the test is skipped, or fails if `BROWSER_TESTS=required` is set, as `.ci/run` does.
    """
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    path = next((one for one in found if one), None)
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        path = None
    if path is None:
        (pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip)(NO_BROWSER)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """What a page does that it should not: errors, dialogs, requests to hosts that are not its own."""

    def __init__(self, page: Page) -> None:
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self._fault(f"error: {error}"))
        page.on("dialog", self._dismiss)
        page.on(
            "console", lambda said: self._fault(f"console: {said.text}") if said.type == "error" else None
        )
        page.on("request", lambda request: self._look_at(request.url))

    def _fault(self, text: str) -> None:
        self.faults.append(text)

    def _dismiss(self, dialog: Dialog) -> None:
        self._fault(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _look_at(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            self._fault(f"request: {url}")


def open_page(page: Page, url: str) -> None:
    """Opens a page and waits until its script is ready."""
    page.goto(url)
    ready(page)


def ready(page: Page) -> None:
    """Waits until the script of the page is ready."""
    page.wait_for_selector("html[data-ready]", state="attached")
