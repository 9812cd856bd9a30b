"""What a browser gets: the list of runs, the page of a run, and the files that it mentions."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests

from live_api import Backend, new_result, new_step

PICTURE = b"\x89PNG\r\n\x1a\n and so on"


@pytest.fixture(autouse=True)
def only_local(local_backend: Backend) -> None:
    """Pages are the local back end's."""


def page_of(backend: Backend, path: str, status: int = 200) -> str:
    """The text of a page, asked for without a token."""
    response = requests.get(backend.url + path, timeout=60)
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return response.text


def test_a_run_page_shows_the_run(backend: Backend) -> None:
    run_id = backend.new_run(
        title="Nightly & <b>bold</b>",
        description="Says <i>something</i>",
        environment_id=1,
        plan_id=5,
        tags=["one tag"],
        configurations=[{"name": "browser", "value": "chromium"}],
        external_link={"type": "jiraCloud", "link": "https://jira.example.com/browse/A-1?x=1&y=2"},
    )
    page = page_of(backend, f"/runs/{run_id}")
    for text in (
        "Nightly &amp; &lt;b&gt;bold&lt;/b&gt;",
        "Says &lt;i&gt;something&lt;/i&gt;",
        "staging",
        "one tag",
        "chromium",
        "in progress",
        'href="https://jira.example.com/browse/A-1?x=1&amp;y=2"',
        "No results yet.",
    ):
        assert text in page
    assert "<script" not in page
    assert re.search(r'(src|href)="https?://(?!jira)', page) is None


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "http://[", "x y"]
)
def test_only_web_addresses_become_links(backend: Backend, link: str) -> None:
    page = page_of(backend, f"/runs/{backend.new_run(external_link={'link': link})}")
    assert link in page
    assert f'href="{link}' not in page


def full_result(backend: Backend) -> dict[str, Any]:
    files = backend.upload(
        ("screen.png", PICTURE, "image/png"),
        ("browser.log", b"log", "text/plain"),
        ("x.svg", b"<svg/>", "image/svg+xml"),
    ).json()["attachments"]
    mention = [{"id": one["id"], "file_name": one["file_name"]} for one in files]
    inner = new_step("pay <now>", attachments=mention[:1], status="failed", duration=1500)
    inner["data"].update(expected_result="paid", input_data="card 42")
    return new_result(
        title="Buys <something>",
        execution={
            "status": "failed",
            "duration": 65_000,
            "stacktrace": "Traceback\n  <frame>",
            "thread": "T-1",
        },
        message="assert 1 == 2\nmore",
        testops_ids=[4711],
        params={"browser": "firefox"},
        fields={"severity": "critical", "list": [1, "ü"]},
        tags=["smoke"],
        attachments=mention,
        muted=True,
        steps=[new_step("outer", inner), new_step("leaf")],
        relations={"suite": {"data": [{"title": "Shop"}, {"title": "Basket"}]}},
    )


def test_a_run_page_shows_everything_about_a_result(backend: Backend) -> None:
    run_id, result = backend.new_run(), full_result(backend)
    assert backend.send(run_id, result).status_code == 201
    page = page_of(backend, f"/runs/{run_id}")
    for text in (
        f'id="{result["id"]}"',
        "Buys &lt;something&gt;",
        "Shop › Basket",
        "1 min 5 s",
        "Traceback\n  &lt;frame&gt;",
        "assert 1 == 2\nmore",
        "#4711",
        "browser",
        "firefox",
        "critical",
        "[1, &#34;ü&#34;]",
        "smoke",
        "muted",
        "T-1",
        "outer",
        "pay &lt;now&gt;",
        "paid",
        "card 42",
        "1.50 s",
        "leaf",
        "screen.png",
        "browser.log",
    ):
        assert text in page, text
    picture, log, drawing = (one["id"] for one in result["attachments"])
    assert f'<img src="/files/{picture}"' in page
    assert f'<img src="/files/{log}"' not in page
    assert f'<img src="/files/{drawing}"' not in page
    assert f'href="/files/{drawing}"' in page


def test_pictures_are_shown_and_everything_else_is_downloaded(backend: Backend) -> None:
    shown = {"image/png": "image/png", "IMAGE/PNG; x=1": "image/png", "image/webp": "image/webp"}
    saved = ["image/svg+xml", "text/html", "application/pdf", "image/png/x", "nonsense", "text/plain"]
    for mime, media_type in shown.items():
        number = backend.new_attachment("a.png", PICTURE, mime)
        response = requests.get(f"{backend.url}/files/{number}", timeout=60)
        assert response.headers["Content-Type"] == media_type
        assert response.headers["Content-Disposition"].startswith("inline")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    for mime in saved:
        number = backend.new_attachment("a.svg", b"<svg/>", mime)
        response = requests.get(f"{backend.url}/files/{number}", timeout=60)
        assert response.content == b"<svg/>"
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert response.headers["Content-Disposition"] == 'attachment; filename="a.svg"'
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in response.headers["Content-Security-Policy"]


def test_a_page_survives_whatever_the_contract_allows(backend: Backend) -> None:
    run_id = backend.new_run(title="\ud800 \0 \u202e", description="")
    deep = new_step("bottom")
    for _ in range(199):
        deep = new_step("\ud800\0", deep)
    hard = new_result(
        title="",
        testops_ids=[10**4000, 1.0],
        execution={"status": None, "start_time": 1e300, "end_time": -1e300, "duration": 10**4000},
        fields={"\ud800": None, "": {"a": [1e308]}},
        params={"\0": "\ud800"},
        signature="",
        message="\r\n\r\n",
        steps=[deep, {"execution": {"status": None, "duration": -5, "x": []}, "steps": []}],
        relations={},
    )
    other = new_result(
        execution={"status": "passed", "duration": 1e300}, relations={"suite": {}}, testops_ids=None
    )
    assert backend.send(run_id, hard, other).status_code == 201
    page = page_of(backend, f"/runs/{run_id}")
    assert page.count("<li><details") == page.count("</details></li>")
    assert page.count("<ol") == page.count("</ol>")
    assert "bottom" in page
    assert "(no title)" in page


def test_results_are_filtered_by_status(backend: Backend) -> None:
    run_id = backend.new_run()
    titles = {"passed": "the good", "failed": "the bad", None: "the ugly"}
    backend.send(run_id, *(new_result(title=title, execution={"status": s}) for s, title in titles.items()))
    everything = page_of(backend, f"/runs/{run_id}")
    failed = page_of(backend, f"/runs/{run_id}?status=failed")
    untested = page_of(backend, f"/runs/{run_id}?status=untested")
    assert all(title in everything for title in titles.values())
    assert [title for title in titles.values() if title in failed] == ["the bad"]
    assert [title for title in titles.values() if title in untested] == ["the ugly"]
    assert "No blocked results." in page_of(backend, f"/runs/{run_id}?status=blocked")
    assert "the good" in page_of(backend, f"/runs/{run_id}?status=nonsense")


def test_many_results_are_on_several_pages(backend: Backend) -> None:
    run_id = backend.new_run()
    for start in range(0, 600, 200):
        backend.send(run_id, *(new_result(title=f"number {start + one}.") for one in range(200)))
    first, second = page_of(backend, f"/runs/{run_id}"), page_of(backend, f"/runs/{run_id}?page=2")
    assert first.count('<details class="result') == 500
    assert second.count('<details class="result') == 100
    assert "number 499." in first
    assert "number 500." in second
    assert f'href="/runs/{run_id}?page=2"' in first
    for strange in ("0", "-1", "x", "99999999999", "9" * 40):
        page_of(backend, f"/runs/{run_id}?page={strange}")


def test_a_page_refreshes_while_the_run_goes_on(backend: Backend) -> None:
    run_id = backend.new_run()
    assert 'http-equiv="refresh"' in page_of(backend, f"/runs/{run_id}")
    assert 'http-equiv="refresh"' not in page_of(backend, f"/runs/{run_id}?refresh=off")
    backend.post(f"/runs/{run_id}/complete")
    assert 'http-equiv="refresh"' not in page_of(backend, f"/runs/{run_id}")


def test_the_front_page_lists_runs_newest_first(backend: Backend, other: Backend) -> None:
    first = backend.new_run(title="the first of two")
    second = other.new_run(title="the second of two")
    backend.send(first, new_result(execution={"status": "blocked"}))
    page = page_of(backend, "/")
    assert page.index(f"/runs/{second}") < page.index(f"/runs/{first}")
    assert "1 blocked" in page
    page_of(backend, "/?page=99999")


@pytest.mark.parametrize("path", ["/runs/999999999", "/runs/x", "/runs/" + "9" * 30, "/files/x", "/nothing"])
def test_what_is_not_there_is_said_on_a_page(backend: Backend, path: str) -> None:
    assert "Not found" in page_of(backend, path, 404)


def test_the_style_sheet_is_served_and_nothing_beside_it(backend: Backend) -> None:
    assert (
        requests.get(f"{backend.url}/static/page.css", timeout=60)
        .headers["Content-Type"]
        .startswith("text/css")
    )
    assert requests.get(f"{backend.url}/static/icon.svg", timeout=60).status_code == 200
    for path in ("/static/../pages.py", "/static/%2e%2e%2fpages.py", "/static/x"):
        assert requests.get(backend.url + path, timeout=60).status_code == 404


def test_pages_answer_head(backend: Backend) -> None:
    for path in ("/", f"/runs/{backend.new_run()}", f"/files/{backend.new_attachment()}"):
        assert requests.head(backend.url + path, timeout=60).status_code == 200
    assert requests.post(backend.url + "/", timeout=60).status_code == 405
