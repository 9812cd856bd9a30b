"""The pages as somebody uses them: with a mouse, with the keyboard, in light and dark, while a suite runs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from browser import open_page, ready
from example_runs import nightly
from famacase_pytest.server.process import ServerProcess
from live_api import Backend, new_result, new_step, reach

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[tuple[Backend, list[int]]]:
    """A back end with some nightly runs, whose ids come with it."""
    with ServerProcess.start(tmp_path_factory.mktemp("shop")) as process:
        backend = reach(process)
        yield backend, nightly(backend, runs=4)


@pytest.fixture
def run_url(shop: tuple[Backend, list[int]]) -> str:
    """The address of the latest run."""
    backend, runs = shop
    return f"{backend.url}/runs/{runs[-1]}"


def names(page: Page) -> list[str]:
    # Not their inner texts: those of rows that are not painted yet are empty.
    return page.locator("#list > li > .row .name").all_text_contents()


def query_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def open_first(page: Page) -> Any:
    """Opens the first line of a list and returns what it shows."""
    page.locator("#list .row").first.click()
    inside = page.locator("#list .inside").first
    inside.locator("section, li").first.wait_for()
    return inside


def test_a_search_answers_as_one_types_and_is_in_the_address(page: Page, run_url: str) -> None:
    open_page(page, run_url)
    assert "Error: " in names(page)[0]
    page.get_by_role("searchbox").press_sequentially("basket is right")
    page.wait_for_url("**q=basket+is+right")
    assert names(page) == ["The total of the basket is right"]
    assert query_of(page) == {"q": ["basket is right"]}
    page.reload()
    ready(page)
    assert names(page) == ["The total of the basket is right"]
    assert page.get_by_role("searchbox").input_value() == "basket is right"


def test_filters_go_together_and_back_undoes_the_last(page: Page, run_url: str) -> None:
    open_page(page, run_url)
    page.get_by_role("link", name="API", exact=True).click()
    page.wait_for_url("**suite=API")
    passed = page.locator(".filters .chip.passed")
    passed.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**status=passed**")
    assert passed.evaluate("one => one === document.activeElement")  # the keyboard goes on from here
    assert query_of(page) == {"suite": ["API"], "status": ["passed"]}
    assert (
        page.locator("#list .pill").all_text_contents().count("passed") == page.locator("#list > li").count()
    )
    page.get_by_label("Sort").select_option("name")
    page.wait_for_url("**sort=name**")
    assert query_of(page) == {"suite": ["API"], "status": ["passed"], "sort": ["name"]}
    assert names(page) == sorted(names(page))
    page.go_back()
    page.wait_for_url(lambda url: "status" not in url)
    assert query_of(page) == {"suite": ["API"]}


def test_the_search_is_emptied_by_a_link_that_drops_it(page: Page, run_url: str) -> None:
    open_page(page, f"{run_url}?q=nothing+is+called+so&sort=name")
    page.get_by_role("link", name="Show all").click()
    page.locator("#list .row").first.wait_for()
    assert query_of(page) == {}
    assert page.get_by_role("searchbox").input_value() == ""
    assert page.get_by_label("Sort").input_value() == "status"


def test_the_list_of_runs_is_turned(page: Page, backend: Backend) -> None:
    for number in range(101):
        backend.new_run(title=f"Turned {number}.")
    open_page(page, f"{backend.url}/?title=Turned")
    page.get_by_role("link", name="next").click()
    page.wait_for_url("**page=2")
    assert page.locator(".runs .title bdi").all_inner_texts() == ["Turned 0."]
    page.go_back()
    page.get_by_text("page 1 of 2").wait_for()
    assert page.locator(".runs .title").count() == 100


def test_a_result_opens_in_place_with_all_that_is_known(page: Page, run_url: str) -> None:
    open_page(page, f"{run_url}?q=basket+is+right")
    inside = open_first(page)
    assert "costs 1190, expected 1290" in inside.locator(".message pre").inner_text()
    assert "adapter.send" in inside.locator(".library").inner_text()
    assert inside.get_by_text("Pay with the card").is_visible()  # the failed branch is open
    assert not inside.get_by_text("Sign in").is_visible()
    pictures = inside.locator(".versus img")
    assert [one.evaluate("one => one.complete && one.naturalWidth") for one in pictures.all()] == [320, 320]
    page.locator("#list .row").first.click()
    assert page.locator("#list .inside").count() == 0


def test_pictures_are_compared_and_enlarged(page: Page, run_url: str) -> None:
    open_page(page, f"{run_url}?q=basket+is+right")
    inside = open_first(page)
    slider = inside.locator("input[type=range]")
    expected = inside.locator(".versus .picture").first
    slider.fill("20")
    assert expected.evaluate("one => one.style.clipPath") == "inset(0px 80% 0px 0px)"
    inside.locator(".versus .picture").nth(1).click(position={"x": 250, "y": 20})
    dialog = page.get_by_role("dialog")
    page.set_viewport_size({"width": 300, "height": 600})
    enlarged = dialog.locator("img")
    assert enlarged.evaluate("one => one.width") < 300
    dialog.get_by_role("button", name="Full size").press("Enter")
    assert enlarged.evaluate("one => one.width") == 320
    page.keyboard.press("Escape")
    assert dialog.count() == 0


def test_files_are_shown_where_they_are(page: Page, run_url: str) -> None:
    open_page(page, f"{run_url}?q=basket+is+right")
    inside = open_first(page)

    def view(name: str) -> Any:
        found = inside.locator(f".view[data-name='{name}']").last
        found.locator("summary").first.click()
        return found

    log = view("browser.log").locator("pre")
    log.wait_for()
    assert "POST /order 409" in log.inner_text()
    order = view("order.json").locator(".json")
    order.wait_for()
    assert order.get_by_text("7312").is_visible()
    assert not order.get_by_text('"tea"').is_visible()
    order.locator("summary").last.click()
    order.get_by_text('"tea"').wait_for()
    prices = view("prices.csv").locator("table")
    prices.wait_for()
    assert prices.locator("td").all_inner_texts() == ["tea, green", "430", "coffee", "690"]
    frame = view("page.html").locator("iframe")
    frame.wait_for()
    assert frame.get_attribute("sandbox") == ""
    assert frame.content_frame.get_by_role("heading").inner_text() == "Basket"
    with page.expect_download() as download:
        inside.get_by_role("link", name="a.zip").click()
    assert download.value.suggested_filename == "a.zip"


def test_a_group_opens_in_place_and_its_results_in_it(page: Page, run_url: str) -> None:
    open_page(page, run_url)
    group = page.locator("li.group").first
    count = int(group.locator(".pill").inner_text().split()[0])
    group.locator(".row").click()
    group.locator(".inner > li").first.wait_for()
    assert group.locator(".inner > li").count() == count
    group.locator(".inner .row").first.click()
    assert group.locator(".inner .message").inner_text()


def test_a_result_has_its_own_page_with_history_and_attempts(page: Page, run_url: str) -> None:
    open_page(page, f"{run_url}?q=webhook+is+delivered")
    page.goto(
        page.locator("#list .row").first.get_attribute("href")
        and page.evaluate("document.querySelector('#list .row').href")
    )
    ready(page)
    assert page.get_by_role("heading", level=1).inner_text().endswith("A webhook is delivered")
    attempts = page.locator(".attempt")
    assert attempts.count() == 2
    first, second = (attempts.nth(number).bounding_box() for number in range(2))
    assert first
    assert second
    assert first["y"] == second["y"]
    assert first["x"] < second["x"]
    assert "the first failure" in attempts.first.inner_text()
    assert page.locator(".history a").count() == 4
    page.locator(".history a").first.click()
    ready(page)
    assert page.locator(".history a").count() == 0  # there was no run before this one


def test_a_run_is_compared_with_the_one_before_and_with_any_other(page: Page, run_url: str) -> None:
    open_page(page, run_url)
    page.locator("#comparison .chip").first.click()
    ready(page)
    assert "Newly failing" in page.get_by_role("heading", level=2).all_inner_texts()[0]
    assert "The total of the basket is right" in page.locator("#newly-failing .name").all_inner_texts()
    page.get_by_label("With").select_option(index=2)
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**with=*")
    ready(page)
    page.locator("#newly-failing .row").first.click()
    page.locator("#newly-failing .inside .message").wait_for()


def test_the_keyboard_is_enough(page: Page, run_url: str) -> None:
    open_page(page, run_url)
    page.keyboard.press("f")
    page.wait_for_url("**status=failed**")
    page.keyboard.press("/")
    page.keyboard.type("basket is right")
    page.locator("#list > li").nth(1).wait_for(state="detached")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.locator("#list .inside .message").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    page.keyboard.press("Enter")
    page.locator("#list .inside").wait_for(state="detached")
    open_page(page, run_url)
    for _ in range(3):
        page.keyboard.press("j")
    page.keyboard.press("k")
    focused = page.evaluate("[...document.querySelectorAll('.row')].indexOf(document.activeElement)")
    assert focused == 1


def test_an_open_run_grows_and_leaves_what_is_open_as_it_is(page: Page, backend: Backend) -> None:
    run_id = backend.new_run(title="Growing")
    running = new_result(title="still at it", execution={"status": "in_progress"})
    read = new_result(
        title="being read",
        execution={"status": "failed"},
        message="boom",
        steps=[new_step("outer", new_step("inner"))],
    )
    backend.send(run_id, running, read, *(new_result(title=f"fine {n}") for n in range(60)))
    open_page(page, f"{backend.url}/runs/{run_id}")
    assert "Took" not in page.locator("#facts").inner_text()
    inside = open_first(page)
    inside.locator(".steps summary").first.click()
    line = page.locator("#list > li", has_text="fine 40")
    line.evaluate("one => one.scrollIntoView({block: 'start'})")
    before = line.bounding_box()
    assert before
    more = [
        new_result(title=f"late {n}", execution={"status": "invalid"}, message=f"x{'y' * n}")
        for n in range(5)
    ]
    backend.send(run_id, {**running, "execution": {"status": "passed"}}, *more)
    page.locator("#list .name", has_text="late 4").wait_for(state="attached")
    after = line.bounding_box()
    assert after
    assert abs(after["y"] - before["y"]) < 2
    assert inside.get_by_text("inner").is_visible()
    assert page.locator("#list > li.in_progress").count() == 0
    assert "6 failing" in page.locator("#outcome").inner_text()
    backend.post(f"/runs/{run_id}/complete")
    page.locator("#outcome .pill.failed").wait_for(state="attached")
    assert "Took" in page.locator("#facts").inner_text()


def test_an_open_result_grows_as_its_test_goes_on(page: Page, backend: Backend) -> None:
    run_id = backend.new_run(title="Soaking")
    steps = [new_step("warm up", new_step("light the fire"), duration=5)]
    running = new_result(title="a day", execution={"status": "in_progress", "duration": 1000}, steps=steps)
    backend.send(run_id, running)
    open_page(page, f"{backend.url}/runs/{run_id}")
    inside = open_first(page)
    inside.locator(".steps summary").first.click()
    steps.append(new_step("measure", status="failed", duration=7))
    backend.send(run_id, {**running, "execution": {"status": "in_progress", "duration": 2000}})
    inside.get_by_text("measure").wait_for()
    assert inside.get_by_text("light the fire").is_visible()  # it stays open
    backend.send(
        run_id, {**running, "execution": {"status": "failed", "duration": 3000}, "message": "too cold"}
    )
    inside.locator(".message", has_text="too cold").wait_for()


SUITE = """
import pathlib, time, pytest

@pytest.mark.parametrize("number", range(4))
def test_that_waits(number):
    while not pathlib.Path(f"go{number}").exists():
        time.sleep(0.02)
    assert number != 1, "boom"
"""


def test_a_run_is_read_while_its_suite_goes_on(
    page: Page, backend: Backend, tmp_path: Path, session_environ: dict[str, str]
) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE, encoding="utf-8")
    run_id = backend.new_run(title="Goes on")
    settings = {
        "MODE": "testops",
        "API_URL": backend.url,
        "REPORTER_TOKEN": backend.token,
        "TESTOPS_PROJECT": backend.project,
        "TESTOPS_RUN_ID": str(run_id),
        "FLUSH_INTERVAL": "0.1",
    }
    surroundings = {**session_environ, **{f"FAMACASE_{name}": value for name, value in settings.items()}}
    for number in range(2):
        (tmp_path / f"go{number}").touch()
    command = [sys.executable, "-m", "pytest", "-q"]
    with subprocess.Popen(command, cwd=tmp_path, env=surroundings, stdout=subprocess.PIPE) as suite:
        open_page(page, f"{backend.url}/runs/{run_id}")
        page.locator("#list > li.failed .row").click()
        message = page.locator("#list .inside .message pre")
        message.wait_for()
        (tmp_path / "go2").touch()
        page.locator("#list > li.passed", has_text="number=2").wait_for()
        (tmp_path / "go3").touch()
        page.locator("#list > li.passed", has_text="number=3").wait_for()
        assert suite.wait(60) == 1
    assert page.locator("#list > li").count() == 4
    assert "boom" in message.inner_text()


def test_times_are_those_of_the_reader_and_utc_on_hover(browser: Browser, run_url: str) -> None:
    with browser.new_context(timezone_id="Asia/Tokyo", locale="en-GB") as context:
        page = context.new_page()
        open_page(page, f"{run_url}?q=basket+is+right")
        time = open_first(page).locator("time")
        assert time.get_attribute("title") == "2026-09-21 14:13:20 UTC"
        assert re.search(r"21 Sept? 2026,? (at )?23:13:20", time.inner_text())


def test_the_pages_work_without_a_script(browser: Browser, run_url: str) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(run_url)
        page.get_by_role("searchbox").fill("basket is right")
        page.get_by_role("button", name="Search").click()
        page.wait_for_url("**q=basket**")
        assert names(page) == ["The total of the basket is right"]
        page.locator("#list .row").first.click()
        page.wait_for_url("**/results/**")
        assert "costs 1190" in page.locator(".message").inner_text()


# What axe finds depends on the width or on the colours, not on both.
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_axe_finds_nothing_serious(
    browser: Browser, shop: tuple[Backend, list[int]], scheme: Any, width: int
) -> None:
    backend, runs = shop
    paths = ["/", "/projects/SMOKE", f"/runs/{runs[-1]}/comparison", f"/runs/{runs[-1]}", "/runs/999"]
    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}) as context:
        page = context.new_page()
        for path in paths:
            page.goto(backend.url + path)
            ready(page)
            assert serious_findings(page) == [], path
        for search in ("basket is right", "webhook is delivered"):
            open_page(page, f"{backend.url}/runs/{runs[-1]}?q={search}")
            inside = open_first(page)
            for view in inside.locator(".view:visible > summary").all():
                view.click()
            for kind in (".json", "table", "iframe"):
                if search.startswith("basket"):
                    inside.locator(kind).first.wait_for()
            assert serious_findings(page) == []
        # Nothing is cut off, or to be scrolled to the side, but tables in a region of their own.
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def serious_findings(page: Page) -> list[str]:
    """What axe-core calls serious or worse, as texts."""
    import axe_playwright_python

    script = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    page.evaluate(script)
    found = page.evaluate("axe.run(document, {iframes: false})")
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]


HOSTILE = "\"><img src=x onerror=alert(1)><script>alert(2)</script><svg/onload=alert(3)>'--></style>{{7*7}}"


def hostile_result(backend: Backend) -> dict[str, Any]:
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(4)"><script>alert(5)</script></svg>'
    document = (
        b"<script>alert(6); top.document.title = 'owned'</script><img src=x onerror=alert(7)><p>shown</p>"
    )
    uploads = [
        ("drawing.svg", drawing, "image/svg+xml"),
        ("page.html", document, "text/html"),
        ("not a picture.png", document, "image/png"),
        ("not a document.pdf", document, "application/pdf"),
        ("data.json", b'{"<img src=x onerror=alert(8)>": "<script>alert(9)</script>"}', "application/json"),
        ("rows.csv", b"<img src=x onerror=alert(10)>,b\n<script>alert(11)</script>,2\n", "text/csv"),
        ("log.txt", b"<script>alert(12)</script>", "text/plain"),
        (f"{HOSTILE}.zip", b"PK", "application/zip"),
    ]
    mentions = [{"id": one["id"]} for one in backend.upload(*uploads).json()["attachments"]]
    step = new_step(HOSTILE, status="failed")
    step["data"].update(expected_result=HOSTILE, input_data=HOSTILE)
    return new_result(
        title=HOSTILE,
        execution={"status": "failed", "stacktrace": HOSTILE, "thread": HOSTILE},
        message=HOSTILE,
        params={HOSTILE: HOSTILE},
        fields={HOSTILE: HOSTILE},
        tags=[HOSTILE],
        signature=HOSTILE,
        attachments=mentions,
        steps=[new_step("Attempt 1 of 2", step, status="failed"), new_step("Attempt 2 of 2")],
        relations={"suite": {"data": [{"title": HOSTILE}, {"title": "javascript:alert(13)"}]}},
    )


def test_nothing_that_a_test_sent_runs_script(browser: Browser, backend: Backend) -> None:
    run_id = backend.new_run(
        title=HOSTILE,
        description=HOSTILE,
        tags=[HOSTILE],
        configurations=[{"name": HOSTILE, "value": HOSTILE}],
    )
    result = hostile_result(backend)
    for _ in range(2):
        assert backend.send(run_id, {**result, "id": new_result()["id"]}).status_code == 201
    assert backend.send(run_id, result).status_code == 201
    with browser.new_context() as context:
        page = context.new_page()
        dialogs: list[str] = []
        context.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(f"{backend.url}/runs/{run_id}")
        ready(page)
        open_first(page)
        page.goto(f"{backend.url}/runs/{run_id}/results/{result['id']}")
        ready(page)
        for view in page.locator(".view > summary").all():
            view.click()
        frame = page.locator("[data-view=html] iframe")
        frame.wait_for()
        page.locator("[data-view=pdf] iframe").wait_for()
        assert frame.content_frame.get_by_text("shown").is_visible()
        page.locator(".json").wait_for()
        page.locator("table").wait_for()
        assert page.title().startswith('">')
        for number in (one["id"] for one in result["attachments"]):
            for address in (f"/files/{number}", f"/files/{number}?show=frame"):
                # Opened by itself, outside of any frame; what is to be saved ends in no page.
                tab = context.new_page()
                answer = context.request.get(backend.url + address)
                if "attachment" not in answer.headers["content-disposition"]:
                    tab.goto(backend.url + address)
                tab.close()
        for path in ("/", "/projects/SMOKE", f"/runs/{run_id}/comparison", f"/runs/{run_id}?q=%3Cscript%3E"):
            page.goto(backend.url + path)
            ready(page)
        assert page.locator("script:not([src])").count() == 0
        assert dialogs == []
