"""What a browser gets: the list of runs, the page of a run, and the files that it mentions."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests

from live_api import Backend, new_result, new_step

SCRIPT = '<script type="module" src="/static/page.js">'
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
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    # Nothing inline, which the policy would stop in any case.
    assert re.findall(r"<script[^>]*>", response.text) in ([], [SCRIPT])
    assert not re.search(r"<style|<[^>]+\s(?:style|on[a-z]+)=", response.text)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return response.text


def test_a_run_page_shows_the_run(backend: Backend) -> None:
    run_id = backend.new_run(
        title="Nightly & <b>bold</b>",
        description="Says <i>something</i> of https://ci.example.com/7?a=1&b=2",
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
        '<a href="https://ci.example.com/7?a=1&amp;b=2"',
        "staging",
        "one tag",
        "chromium",
        "running",
        'href="https://jira.example.com/browse/A-1?x=1&amp;y=2"',
        "No results yet.",
    ):
        assert text in page
    assert re.search(r'(src|href)="https?://(?!jira|ci)', page) is None


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


def test_a_result_has_a_page_with_everything_about_it(backend: Backend) -> None:
    run_id, result = backend.new_run(), full_result(backend)
    assert backend.send(run_id, result).status_code == 201
    address = f"/runs/{run_id}/results/{result['id']}"
    line = page_of(backend, f"/runs/{run_id}")
    for text in (address, "Buys &lt;something&gt;", "Shop › Basket", "1 min 5 s", "assert 1 == 2", "#4711"):
        assert text in line, text
    page = page_of(backend, address)
    assert (
        page_of(backend, f"{address.upper().replace('/RUNS', '/runs').replace('/RESULTS', '/results')}")
        == page
    )
    for text in (
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
    assert f'<img src="/files/{drawing}"' in page  # in which a drawing runs no script
    in_suite = re.search(r'href="(/runs/\d+\?suite=[^"]+)">Shop › Basket', page)
    assert in_suite is not None
    assert shown(page_of(backend, in_suite[1])) == ["Buys &lt;something&gt;"]
    part = page_of(backend, f"{address}?part=1")
    assert "<html" not in part
    assert "card 42" in part


def test_what_a_page_shows_is_shown_and_everything_else_is_downloaded(backend: Backend) -> None:
    shown = {"image/png": "image/png", "IMAGE/PNG; x=1": "image/png", "image/webp": "image/webp"}
    shown |= {"image/svg+xml": "image/svg+xml", "video/webm": "video/webm", "audio/ogg": "audio/ogg"}
    saved = ["text/html", "application/pdf", "image/png/x", "nonsense", "text/plain"]
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


def test_only_html_and_pdf_are_shown_in_a_frame(backend: Backend) -> None:
    for mime in ("text/html", "application/pdf", "image/png", "text/plain"):
        number = backend.new_attachment("a", b"<script>alert(1)</script>", mime)
        response = requests.get(f"{backend.url}/files/{number}?show=frame", timeout=60)
        is_shown = mime in ("text/html", "application/pdf")
        assert response.headers["Content-Type"].partition(";")[0] == (
            mime if is_shown else "application/octet-stream"
        )
        policy = response.headers["Content-Security-Policy"]
        assert policy.endswith("sandbox")
        assert "script-src" not in policy  # so that `default-src 'none'` holds


def test_a_page_survives_whatever_the_contract_allows(backend: Backend) -> None:
    run_id = backend.new_run(title="\ud800 \0 \u202e", description="", tags=["\ud800"])
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
    assert "(no title)" in page_of(backend, f"/runs/{run_id}")
    page = page_of(backend, f"/runs/{run_id}/results/{hard['id']}")
    assert page.count("<li><details") == page.count("</details></li>")
    assert page.count("<ol") == page.count("</ol>")
    assert "bottom" in page
    page_of(backend, f"/runs/{run_id}/results/{other['id']}")
    for query in ("q=%00", "q=%ED%A0%80", "q=%25", "suite=%00", "tag=%22", "sort=duration", "cause=x"):
        page_of(backend, f"/runs/{run_id}?{query}")


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
    assert "No results fit." in page_of(backend, f"/runs/{run_id}?status=blocked")
    assert "the good" in page_of(backend, f"/runs/{run_id}?status=nonsense")


def shown(page: str) -> list[str]:
    """The titles of the results, and the messages of the groups, that a list has."""
    return re.findall(r'<span class="name">([^<]*)</span>', page)


def test_a_search_looks_at_all_that_is_said_of_a_result(backend: Backend) -> None:
    run_id = backend.new_run()
    suite = {"suite": {"data": [{"title": "Checkout"}, {"title": "By card"}]}}
    results = [
        new_result(title="Straße ÜBER alles"),
        new_result(title="by suite", relations=suite),
        new_result(title="by message", message="first\nno such ARTICLE"),
        new_result(title="by parameter", params={"browser": "firefox"}),
        new_result(title="by case", testops_ids=[4711]),
        new_result(title="by tag", tags=["nightly"]),
        # What is long leaves room for the rest.
        new_result(title="by address", params={"url": f"https://shop.example/{'a' * 80}/basket"}),
        new_result(title="by last tag", message="words " * 1000, tags=["weekly"], testops_ids=[4712]),
    ]
    backend.send(run_id, *results)
    found = {
        "strasse über": "Straße ÜBER alles",
        "CARD checkout": "by suite",
        "such article": "by message",
        "browser=fire": "by parameter",
        "%234711": "by case",
        "nightly": "by tag",
        "/basket": "by address",
        "weekly %234712": "by last tag",
        "100%25": None,
    }
    for words, title in found.items():
        page = page_of(backend, f"/runs/{run_id}?q={words}")
        assert shown(page) == ([title] if title else []), words


def test_results_are_filtered_by_suite_tag_and_marks(backend: Backend) -> None:
    run_id = backend.new_run()

    def in_suite(*titles: str) -> dict[str, Any]:
        return {"suite": {"data": [{"title": title} for title in titles]}}

    mention = {"id": backend.new_attachment()}
    backend.send(
        run_id,
        new_result(title="deep", relations=in_suite("Shop", "Basket"), tags=['say "hi"']),
        new_result(title="shallow", relations=in_suite("Shop"), muted=True),
        new_result(title="beside", relations=in_suite("Shopping"), fields={"flaky": "true"}),
        new_result(title="with file", steps=[new_step("step", attachments=[mention])]),
    )
    expected = {
        "suite=Shop": ["deep", "shallow"],
        "suite=Shop+%E2%80%BA+Basket": ["deep"],
        "tag=say+%22hi%22": ["deep"],
        "has=muted": ["shallow"],
        "has=flaky": ["beside"],
        "has=files": ["with file"],
        "has=files,muted": [],
        "suite=Shop&has=muted&q=shall": ["shallow"],
    }
    for query, titles in expected.items():
        assert shown(page_of(backend, f"/runs/{run_id}?{query}")) == titles, query
    page = page_of(backend, f"/runs/{run_id}")
    assert re.findall(r'>([^<]*)</a> <span class="count">(\d+)', page) == [
        ("Shop", "2"),
        ("Basket", "1"),
        ("Shopping", "1"),
    ]


def test_results_are_sorted(backend: Backend) -> None:
    run_id = backend.new_run()
    for title, status, duration in (("b", "passed", 30), ("C", "failed", None), ("a", "skipped", 70)):
        backend.send(run_id, new_result(title=title, execution={"status": status, "duration": duration}))
    orders = {"": "Cab", "sort=duration": "abC", "sort=name": "abC", "sort=order": "bCa", "sort=x": "Cab"}
    for query, titles in orders.items():
        assert "".join(shown(page_of(backend, f"/runs/{run_id}?{query}"))) == titles, query


def failure(title: str, message: str | None, **members: object) -> dict[str, Any]:
    return new_result(title=title, message=message, execution={"status": "failed"}, **members)


def test_failures_of_one_cause_are_one_line(backend: Backend) -> None:
    run_id = backend.new_run()
    backend.send(
        run_id,
        failure("alone", "ValueError: no such article"),
        *(failure(f"late {n}", f"TimeoutError: user {n} waited {n * 17} ms at 0x7f{n}a") for n in range(40)),
        failure("silent 1", None),
        failure("silent 2", ""),
        new_result(title="fine"),
    )
    page = page_of(backend, f"/runs/{run_id}")
    assert shown(page) == ["TimeoutError: user 0 waited 0 ms at 0x7f0a", "(no message)", "alone", "fine"]
    assert "40 ×" in page
    cause = re.search(r'href="(/runs/\d+\?cause=[0-9a-f]+)"', page)
    assert cause is not None
    assert shown(page_of(backend, cause[1])) == [f"late {n}" for n in range(40)]


def test_a_run_with_failures_is_never_called_passed(backend: Backend) -> None:
    for status, outcome in (
        ("failed", "failed"),
        ("invalid", "failed"),
        ("passed", "passed"),
        ("skipped", "not run"),
    ):
        run_id = backend.new_run()
        backend.send(run_id, new_result(execution={"status": status, "end_time": 1_790_000_000.0}))
        running = page_of(backend, f"/runs/{run_id}")
        assert '<h1><span class="pill running">' in running
        assert "the latest result ended <time" in running
        assert "2026-09-21 14:13:20 UTC" in running
        backend.post(f"/runs/{run_id}/complete")
        assert "the latest result" not in page_of(backend, f"/runs/{run_id}")
        pill = f'<span class="pill {outcome.replace(" ", "_")}">{outcome}</span>'
        assert f"<h1>{pill}" in page_of(backend, f"/runs/{run_id}")


def test_many_results_are_on_several_pages(backend: Backend) -> None:
    run_id = backend.new_run()
    for start in range(0, 400, 200):
        backend.send(run_id, *(new_result(title=f"number {start + one}.") for one in range(200)))
    pages = [page_of(backend, f"/runs/{run_id}?page={number}") for number in (1, 2, 3)]
    assert [title for page in pages for title in shown(page)] == [f"number {n}." for n in range(400)]
    assert f'href="/runs/{run_id}?page=2"' in pages[0]
    for strange in ("0", "-1", "x", "9" * 40):
        assert shown(page_of(backend, f"/runs/{run_id}?page={strange}")) == shown(pages[0])
    for past in ("4", "99999999999"):  # a link from when there were more
        beyond = page_of(backend, f"/runs/{run_id}?page={past}")
        assert shown(beyond) == shown(pages[2])
        assert "page 3 of 3" in beyond


def test_pages_of_groups_and_results_leave_nothing_out(backend: Backend) -> None:
    run_id = backend.new_run()
    words = [f"{a}{b}" for a in "abcdefghijklmnop" for b in "abcdefghij"]
    for start in range(0, 160, 40):
        some = words[start : start + 40]
        backend.send(run_id, *(failure(f"{word} {n}", f"cause {word}") for word in some for n in range(2)))
    backend.send(run_id, *(new_result(title=f"fine {n}") for n in range(145)))
    lines = [line for n in (1, 2, 3) for line in shown(page_of(backend, f"/runs/{run_id}?page={n}"))]
    assert lines == [f"cause {word}" for word in words] + [f"fine {n}" for n in range(145)]


def test_a_page_that_has_not_changed_is_not_sent_again(backend: Backend) -> None:
    run_id = backend.new_run()

    def tag_of(known: str = "") -> str | None:
        headers = {"If-None-Match": known}
        response = requests.get(f"{backend.url}/runs/{run_id}", headers=headers, timeout=60)
        return response.headers["ETag"] if response.status_code == 200 else None

    first = tag_of()
    assert first
    assert tag_of(first) is None
    result = new_result()
    backend.send(run_id, result)
    second = tag_of(first)
    assert second
    backend.send(run_id, result)
    third = tag_of(second)
    assert third
    backend.post(f"/runs/{run_id}/complete")
    assert tag_of(third)


def test_a_result_sent_again_is_listed_once_as_it_is_now(backend: Backend) -> None:
    run_id, result = backend.new_run(), new_result(title="before", execution={"status": "in_progress"})
    backend.send(run_id, result)
    backend.send(run_id, {**result, "title": "between"}, {**result, "title": "after", "tags": ["x"]})
    assert shown(page_of(backend, f"/runs/{run_id}")) == ["after"]
    assert shown(page_of(backend, f"/runs/{run_id}?tag=x&q=after")) == ["after"]


def run_of(backend: Backend, title: str, statuses: dict[str, tuple[str, int]]) -> int:
    run_id = backend.new_run(title=title)
    results = [
        new_result(title=name, signature=f"{backend.project} {name}", execution={"status": s, "duration": ms})
        for name, (s, ms) in statuses.items()
    ]
    assert backend.send(run_id, *results).status_code == 201
    return run_id


def compared(page: str) -> dict[str, list[str]]:
    """The titles under each heading of a comparison."""
    sections = re.findall(r"<h2>([\w ]+) <span.*?</section>", page, re.DOTALL)
    return {
        name.lower(): shown(re.search(rf"<h2>{name} <span.*?</section>", page, re.DOTALL)[0])  # type: ignore[index]
        for name in sections
    }


def test_a_run_is_compared_with_the_one_before_it(backend: Backend, other: Backend) -> None:
    before = {
        "breaks": ("passed", 5),
        "stays": ("failed", 5),
        "heals": ("failed", 5),
        "goes": ("passed", 5),
        "drags": ("passed", 100),
        "hurries": ("passed", 10),
    }
    after = {
        "breaks": ("failed", 5),
        "stays": ("invalid", 5),
        "heals": ("passed", 5),
        "comes": ("passed", 5),
        "drags": ("passed", 250),
        "hurries": ("passed", 30),
    }
    first = run_of(backend, "Compared 2026-01-01 build 9", before)
    run_of(backend, "Something else", after)
    run_of(other, "Compared 2026-01-01 build 9", after)
    second = run_of(backend, "Compared 2026-01-02 build 10", after)
    page = page_of(backend, f"/runs/{second}/comparison")
    assert compared(page) == {
        "newly failing": ["breaks"],
        "still failing": ["stays"],
        "mended": ["heals"],
        "new": ["comes"],
        "gone": ["goes"],
        "slower": ["drags"],
    }
    assert f"/runs/{first}/results/" in page  # of the one that is gone
    assert re.findall(r"was \d+ ms", page) == ["was 100 ms"]
    assert f'data-src="/runs/{second}/comparison?with={first}&amp;part=1"' in page_of(
        backend, f"/runs/{second}"
    )
    figures = page_of(backend, f"/runs/{second}/comparison?with={first}&part=1")
    assert "newly failing <b>1</b>" in figures
    # What is not in a run that goes on may still come.
    assert "gone" not in figures
    backend.post(f"/runs/{second}/complete")
    assert "gone <b>1</b>" in page_of(backend, f"/runs/{second}/comparison?with={first}&part=1")
    with_itself = compared(page_of(backend, f"/runs/{second}/comparison?with={second}"))
    assert with_itself["still failing"] == ["breaks", "stays"]
    assert sum(map(len, with_itself.values())) == 2
    assert "There is no earlier run" in page_of(backend, f"/runs/{first}/comparison")
    page_of(backend, f"/runs/{first}/comparison?with=999999", 404)


def test_a_result_shows_what_its_test_did_in_earlier_runs(backend: Backend) -> None:
    runs = [
        run_of(backend, f"History {n}", {"steady": ("failed" if n % 2 else "passed", 10 * n)})
        for n in range(35)
    ]
    results = backend.stored(runs[-1])
    page = page_of(backend, f"/runs/{runs[-1]}/results/{results[0]['id']}")
    strip = re.findall(r'href="/runs/(\d+)/results/[0-9a-f-]+"( aria-current)?[^>]*>', page)
    assert [int(number) for number, _ in strip] == runs[5:]
    assert strip[-1][1]
    assert f"Run {runs[33]}: failed, 330 ms" in page


def test_a_project_has_its_runs_and_the_tests_that_stand_out(backend: Backend, other: Backend) -> None:
    steady = {"steady": ("passed", 10), "slow one": ("passed", 9_000_000)}
    runs = [
        run_of(other, f"Trend {n}", {**steady, "swings": (s, 1)}) for n, s in enumerate(("passed", "failed"))
    ]
    tagged = other.new_run(
        title="Tagged", tags=["release"], environment_id=other.get("/environments").json()[0]["id"]
    )
    page = page_of(other, "/projects/OTHER")
    flaky, slow = (
        re.search(rf"<h2>{name}</h2>.*?</section>", page, re.DOTALL) for name in ("Most flaky", "Slowest")
    )
    assert flaky is not None
    assert slow is not None
    assert 'swings</a> <span class="muted">1 failed, 1 passed' in flaky[0]
    assert "steady" not in flaky[0]
    assert slow[0].index("slow one") < slow[0].index("steady")
    assert all(f'href="/runs/{run_id}"' in page for run_id in (*runs, tagged))

    def listed(query: str) -> list[int]:
        rows = re.search(r"<tbody>.*</tbody>", page_of(other, f"/projects/OTHER?{query}"), re.DOTALL)
        return [int(number) for number in re.findall(r'href="/runs/(\d+)"', rows[0])] if rows else []

    assert 'href="/projects/OTHER?tag=release">release' in page_of(backend, f"/runs/{tagged}")
    assert listed("title=trend+1") == [runs[1]]
    assert listed("tag=release") == [tagged]
    assert listed("environment=staging") == [tagged]
    assert listed("environment=nowhere") == []
    page_of(backend, "/projects/NONE", 404)


def test_the_front_page_lists_runs_newest_first(backend: Backend, other: Backend) -> None:
    first = backend.new_run(title="the first of two")
    second = other.new_run(title="the second of two")
    backend.send(first, new_result(execution={"status": "blocked"}))
    page = page_of(backend, "/")
    assert page.index(f"/runs/{second}") < page.index(f"/runs/{first}")
    assert "1 blocked" in page
    assert f"/runs/{first}" in page_of(backend, "/?title=the+first+of+two&page=99999")


@pytest.mark.parametrize(
    "path",
    [
        *("/runs/999999999", "/runs/x", "/runs/" + "9" * 19, "/runs/" + "9" * 30, "/files/x", "/nothing"),
        *("/runs/1/results/x", "/runs/1/results/123e4567-e89b-42d3-a456-426614174000", "/runs/x/comparison"),
    ],
)
def test_what_is_not_there_is_said_on_a_page(backend: Backend, path: str) -> None:
    page = page_of(backend, path, 404)
    assert "Not found" in page
    assert "<p>There is no " in page


def test_the_style_sheet_is_served_and_nothing_beside_it(backend: Backend) -> None:
    assert (
        requests.get(f"{backend.url}/static/page.css", timeout=60)
        .headers["Content-Type"]
        .startswith("text/css")
    )
    assert requests.get(f"{backend.url}/static/icon.svg", timeout=60).status_code == 200
    script = requests.get(f"{backend.url}/static/page.js", timeout=60)
    assert script.headers["Content-Type"].startswith("text/javascript")
    for path in ("/static/../pages.py", "/static/%2e%2e%2fpages.py", "/static/x"):
        assert requests.get(backend.url + path, timeout=60).status_code == 404


def test_pages_answer_head(backend: Backend) -> None:
    for path in ("/", "/runs", f"/runs/{backend.new_run()}", f"/files/{backend.new_attachment()}"):
        assert requests.head(backend.url + path, timeout=60).status_code == 200
    assert requests.post(backend.url + "/", timeout=60).status_code == 405
