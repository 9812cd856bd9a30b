"""A report opened from the disk: everything that a run's page does, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browser import open_page, ready
from example_runs import nightly
from famacase_pytest.server import write_report
from famacase_pytest.server.process import ServerProcess
from live_api import new_result, reach
from test_pages_in_browser import hostile_result, names, open_first, serious_findings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> dict[str, str]:
    """Addresses of a report of an ordinary run and of one of a hostile run; no back end is up any more."""
    folder = tmp_path_factory.mktemp("reports")
    with ServerProcess.start(folder / "data") as process:
        backend = reach(process)
        ordinary = nightly(backend, runs=1)[0]
        hostile = backend.new_run(title="</script><script>alert(0)</script>")
        greek = new_result(title="ΤΟ ΤΕΛΟΣ ΤΗΣ ΟΔΟΥ")  # whose small letters depend on their place
        assert backend.send(hostile, hostile_result(backend), greek).status_code == 201
    for name, run_id in (("ordinary", ordinary), ("hostile", hostile)):
        write_report(str(run_id), folder / f"{name}.html", folder / "data", MIB)
    return {name: (folder / f"{name}.html").as_uri() for name in ("ordinary", "hostile")}


def test_a_report_is_searched_filtered_and_sorted(page: Page, reports: dict[str, str]) -> None:
    open_page(page, reports["ordinary"])
    assert "122 results" in page.locator("#outcome").inner_text()
    assert page.locator("li.group").count() == 3
    page.keyboard.press("f")
    page.wait_for_url("**status=failed")
    assert set(page.locator("#list > li:not(.group) .pill").all_text_contents()) == {"failed"}
    page.get_by_role("link", name="Shop", exact=True).click()
    page.wait_for_url("**suite=Shop**")
    page.get_by_label("Sort").select_option("name")
    page.wait_for_url("**sort=name**")
    assert names(page) == sorted(names(page))
    count = len(names(page))
    page.reload()
    ready(page)
    assert len(names(page)) == count
    assert page.get_by_label("Sort").input_value() == "name"
    page.get_by_role("searchbox").fill("basket is right")
    page.locator("#list > li").nth(1).wait_for(state="detached")
    assert names(page) == ["The total of the basket is right"]
    page.get_by_role("searchbox").fill("nothing is so")
    page.get_by_text("No results fit.").wait_for()
    open_page(page, f"{reports['hostile']}#q=τελος+της")
    assert names(page) == ["ΤΟ ΤΕΛΟΣ ΤΗΣ ΟΔΟΥ"]


def test_a_report_has_steps_pictures_and_files(page: Page, reports: dict[str, str]) -> None:
    open_page(page, f"{reports['ordinary']}#q=basket+is+right")
    inside = open_first(page)
    assert inside.get_by_text("Pay with the card").is_visible()
    pictures = inside.locator(".versus img[src^='blob:']")
    pictures.nth(1).wait_for()
    for one in pictures.all():
        one.evaluate("one => one.decode()")
        assert one.evaluate("one => one.naturalWidth") == 320
    for view in inside.locator(".view:visible > summary").all():
        view.click()
    inside.locator("table").wait_for()
    assert inside.locator("td").first.inner_text() == "tea, green"
    inside.locator(".json").get_by_text("7312").wait_for()
    assert "POST /order 409" in inside.locator(".view pre").first.inner_text()
    assert inside.locator("iframe").content_frame.get_by_role("heading").inner_text() == "Basket"
    with page.expect_download() as download:
        inside.get_by_role("link", name="a.zip").click()
    assert Path(download.value.path()).read_bytes() == b"PK\x03\x04 and so on"


def test_a_group_in_a_report_opens_in_place(page: Page, reports: dict[str, str]) -> None:
    open_page(page, reports["ordinary"])
    group = page.locator("li.group").first
    group.locator(".row").focus()
    page.keyboard.press("Enter")
    group.locator(".inner .row").first.wait_for()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    group.locator(".inner .message").wait_for()


def test_nothing_in_a_report_runs_script(browser: Browser, reports: dict[str, str]) -> None:
    with browser.new_context() as context:
        dialogs: list[str] = []
        context.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page = context.new_page()
        open_page(page, reports["hostile"])
        inside = open_first(page)
        for view in inside.locator(".view > summary").all():
            view.click()
        frame = inside.locator("[data-view=html] iframe")
        frame.wait_for()
        frame.content_frame.get_by_text("shown").wait_for()
        inside.locator(".json").wait_for()
        inside.locator("table").wait_for()
        assert page.title().startswith("</script>")
        assert dialogs == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_a_report(
    browser: Browser, reports: dict[str, str], scheme: Any
) -> None:
    with browser.new_context(color_scheme=scheme, bypass_csp=True) as context:
        page = context.new_page()
        open_page(page, reports["ordinary"])
        assert serious_findings(page) == []
        open_page(page, f"{reports['ordinary']}#q=basket+is+right")
        page.reload()
        ready(page)
        open_first(page)
        assert serious_findings(page) == []
