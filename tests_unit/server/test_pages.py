"""What pages make of an address, and what they link to; tests/ looks at each of them."""

from __future__ import annotations

import io
import re

import pytest
from starlette.requests import Request

from famacase_pytest.server import pages
from famacase_pytest.server.database import Attachment
from famacase_pytest.server.models import Problem
from famacase_pytest.server.pages import Links, _filter_of, _number_of, _offered, _pages, _turned_to
from famacase_pytest.server.queries import Facet, Filter

from .in_process import Data, result_of

NOWHERE = "00000000-0000-4000-8000-000000000000"


def asked(query):
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.0", "x", "\u0661", "9" * 19 + "8", "9223372036854775808", "9" * 9999]
)
def test_what_cannot_be_the_number_of_a_run_is_not_found(text):
    with pytest.raises(Problem) as raised:
        _number_of(text)
    assert raised.value.status_code == 404
    assert _number_of("0012") == 12
    assert _number_of("9223372036854775807") == 2**63 - 1


@pytest.mark.parametrize(
    ("query", "page"),
    [
        *[("", 1), ("page=3", 3), ("page=0", 1), ("page=-2", 1), ("page=x", 1), ("page=%D9%A1", 1)],
        # Past the end is the last one, of a number of many digits nothing is made.
        *[("page=4", 3), ("page=99999999999", 3), ("page=999999999999", 1)],
    ],
)
def test_a_page_that_there_cannot_be_is_the_first_or_the_last(query, page):
    lines = list(range(25))

    def find(limit, offset):
        return len(lines), lines[offset : offset + limit]

    first = 10 * (page - 1)
    assert _turned_to(asked(query), find, 10) == (page, 25, lines[first : first + 10])
    assert _turned_to(asked(query), lambda *_: (0, []), 10) == (1, 0, [])


def test_a_filter_is_what_is_known_of_an_address_in_the_order_of_the_page():
    found = _filter_of(
        asked("q=+a+b+&status=passed,exploded,failed&has=muted,flaky,x&sort=size&suite=+A&tag=t&x=1")
    )
    assert found == Filter(
        q="a b", statuses=("failed", "passed"), suite=" A", tag="t", marks=("flaky", "muted"), sort="status"
    )
    assert len(_filter_of(asked(f"q={'x' * 9999}")).q) == 500


def test_the_address_of_a_filter_leads_back_to_it():
    for wanted in (
        Filter(),
        Filter("ä & b", ("failed", "passed"), "A › B", 'x"y', ("flaky", "files"), "c0", "duration"),
    ):
        links = Links("/runs/1", wanted)
        address, _, query = links.to().partition("?")
        assert address == "/runs/1"
        assert _filter_of(asked(query)) == wanted
    assert Links("/runs/1", Filter()).to() == "/runs/1"
    assert links.toggled("flaky") == Links("/runs/1", wanted).to(marks=("files",))
    assert "has=flaky%2Cfiles%2Cmuted" in links.toggled("muted")
    # What has no UTF-8 form becomes a question mark, not an error.
    assert Links("/", Filter(tag="\ud800")).to() == "/?tag=%3F"


@pytest.mark.parametrize(
    ("page", "total", "expected"),
    [
        (1, 0, None),
        (1, 10, None),
        (1, 11, (1, 2, None, "/?page=2")),
        (2, 11, (2, 2, "/?page=1", None)),
        (2, 30, (2, 3, "/?page=1", "/?page=3")),
    ],
)
def test_links_to_other_pages_lead_to_pages_that_are_there(page, total, expected):
    found = _pages("/", {"page": "7"}, page, total, 10)
    assert found == (expected and dict(zip(("number", "last", "before", "after"), expected)))


def test_each_filter_offers_what_it_would_leave_under_the_others():
    facets = [
        Facet("passed", "A", True, False, False, ("x",), 1),
        Facet("failed", "A", False, True, False, ("x", "y"), 2),
        Facet("failed", "B", True, False, False, (), 4),
    ]
    assert _offered(facets, Filter()) == {
        "status": {"failed": 6, "passed": 1},
        "has": {"flaky": 5, "muted": 2},
        "tag": {"x": 3, "y": 2},
    }
    # One status may be exchanged for another, marks are added to each other.
    offered = _offered(facets, Filter(statuses=("failed",), suite="A", marks=("flaky",)))
    assert offered == {"status": {"passed": 1}, "has": {"muted": 2}, "tag": {}}
    assert list(_offered(facets, Filter())["status"]) == ["failed", "passed"]
    many = [Facet("passed", "", False, False, False, tuple(f"t{n:03}" for n in range(150)), 1)]
    assert list(_offered(many, Filter())["tag"]) == [f"t{n:03}" for n in range(100)]


@pytest.fixture
def filled(application):
    """The application, with its data."""
    return application, Data(application.store)


def test_a_page_is_sent_again_only_if_its_run_has_changed(filled):
    application, data = filled
    data.run(result_of())
    first = application.page("/runs/1")
    tag = first.headers["etag"]
    again = application.page("/runs/1", if_none_match=tag)
    assert (first.status, again.status, again.body, again.headers["etag"]) == (200, 304, b"", tag)
    data.store.complete_run(data.project, 1)
    assert application.page("/runs/1", if_none_match=tag).status == 200


def test_an_open_run_says_when_something_came_last_and_a_completed_one_does_not(filled):
    application, data = filled
    late = result_of()
    late["execution"]["end_time"] = 1e9
    data.run(late)
    assert "the latest result ended" in application.page("/runs/1").text
    data.store.complete_run(data.project, 1)
    assert "the latest result ended" not in application.page("/runs/1").text


def test_a_part_of_a_page_is_that_part_alone(filled):
    application, data = filled
    result = result_of("failed", title="Pays")
    data.run(result_of(title="Pays"))
    data.run(result)
    for address in (f"/runs/2/results/{result['id']}", "/runs/2/comparison"):
        whole, part = application.page(address), application.page(f"{address}?part=1")
        assert ("<html" in whole.text, "<html" in part.text) == (True, False)
        assert "1 newly failing" in part.text or "failed" in part.text


def test_a_run_is_compared_with_any_other_and_with_none(filled):
    application, data = filled
    data.run(result_of("failed", title="Pays"), title="Nightly 1")
    data.run(result_of(title="Pays"), title="Smoke")
    alone = application.page("/runs/2/comparison")
    assert (alone.status, "mended" in alone.text) == (200, False)
    assert "Pays" in application.page("/runs/2/comparison?with=1").text
    for wrong in ("9", "x"):
        assert application.page(f"/runs/2/comparison?with={wrong}").status == 404


def test_a_comparison_of_large_runs_is_of_bounded_size(filled):
    application, data = filled
    # Of each kind of change more than are listed: new, newly and still failing, mended, gone, slower.
    kinds = [("failed", "passed"), ("failed", "failed"), ("passed", "failed"), ("passed", "passed")]

    def results(which):  # of the later run, 0, or the earlier one
        for number in range(250):
            for kind in kinds:
                yield result_of(
                    kind[which],
                    title=f"{kind} {number}",
                    params={"browser": "chromium"},
                    message=f"AssertionError: {'x' * 80}",
                    duration=100 + 800 * (which == 0),
                )
            yield result_of(title=f"only in {which}: {number}")

    data.run(*results(1), title="Large 1")
    data.run(*results(0), title="Large 2")
    page = application.page("/runs/2/comparison?with=1").text
    assert page.count("of 250.") >= 5
    assert len(page.encode()) < 500_000


def attach(data, name, mime):
    file = Attachment(file_name=name, mime_type=mime, file_size=1)
    return data.store.put_attachments(
        data.project, {file: io.BytesIO(b"x")}, None, lambda kept: next(iter(kept)).id
    )


@pytest.mark.parametrize(
    ("name", "mime", "alone", "framed"),
    [
        ("a.png", "image/png", "image/png", None),
        ("a.svg", "image/svg+xml; x=y", "image/svg+xml", None),
        ("a.html", "text/html", None, "text/html"),
        ("a.pdf", "application/pdf", None, "application/pdf"),
        ("a.txt", "text/plain", None, None),
        ("a.js", "text/javascript", None, None),
    ],
)
def test_a_file_is_shown_only_where_it_can_do_no_harm(filled, name, mime, alone, framed):
    application, data = filled
    number = attach(data, name, mime)
    for query, shown_as in (("", alone), ("?show=frame", framed)):
        reply = application.page(f"/files/{number}{query}")
        assert reply.body == b"x"
        assert reply.headers["content-type"].partition(";")[0] == (shown_as or "application/octet-stream")
        assert reply.headers["content-disposition"].startswith("inline" if shown_as else "attachment")
        assert "sandbox" in reply.headers["content-security-policy"]


@pytest.mark.parametrize(
    "address",
    [
        *("/runs/9", "/runs/x", "/runs/1/results/x", f"/runs/1/results/{NOWHERE}", "/runs/9/comparison"),
        *("/projects/NONE", "/files/x", f"/files/{NOWHERE}", "/static/page.txt", "/static/report.js"),
    ],
)
def test_what_is_not_there_is_a_page_with_the_status_404(filled, address):
    application, data = filled
    data.run(result_of())
    reply = application.page(address)
    assert (reply.status, "There is no" in reply.text) == (404, True)


def test_runs_are_filtered_and_the_filter_is_kept_from_page_to_page(filled, monkeypatch):
    application, data = filled
    monkeypatch.setattr(pages, "RUNS_ON_A_PAGE", 1)
    for number in range(2):
        data.run(title=f"Nightly {number}", environment_id=1, tags=["a b"])
    data.run(title="Smoke")
    text = application.page("/?title=nightly&environment=staging&tag=a+b").text
    assert re.findall(r"<bdi>(.*?)</bdi>", text) == ["Nightly 1"]
    assert 'href="/?title=nightly&amp;environment=staging&amp;tag=a+b&amp;page=2"' in text
    assert "No run fits" in application.page("/?environment=elsewhere").text


def test_no_page_lets_anything_in_from_elsewhere(filled):
    application, data = filled
    data.run(result_of(title="<script>alert(1)</script>"), title="<script>alert(2)</script>")
    for address in ("/", "/projects/SMOKE", "/runs/1", "/runs/9"):
        reply = application.page(address)
        assert "<script>alert" not in reply.text
        assert reply.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert (reply.headers["referrer-policy"], reply.headers["cache-control"]) == (
            "no-referrer",
            "no-store",
        )
