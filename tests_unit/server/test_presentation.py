"""What a page shows of traces, attempts, suites and files."""

from __future__ import annotations

from typing import Any

import pytest

from famacase_pytest.server.database import Attachment
from famacase_pytest.server.presentation import file_kind, result_view, suite_tree, trace_parts
from famacase_pytest.server.queries import Facet

LONG = """\
    def test_it():
>       requests.get(url)

tests/test_it.py:4:
_ _ _ _ _
    def get(url):
>       send(url)

/venv/lib/python3.11/site-packages/requests/api.py:73:
_ _ _ _ _
    def own():
E       ValueError

shop/own.py:9: ValueError
"""

SHORT = """\
tests/test_it.py:4: in test_it
    requests.get(url)
/usr/lib/python3.11/json/decoder.py:73: in get
    send(url)
shop/own.py:9: in own
    raise ValueError
E   ValueError
"""

NATIVE = """\
Traceback (most recent call last):
  File "tests/test_it.py", line 4, in test_it
    requests.get(url)
  File "/venv/lib/python3.11/site-packages/requests/api.py", line 73, in get
    send(url)
  File "shop/own.py", line 9, in own
    raise ValueError
ValueError: no
"""


@pytest.mark.parametrize("trace", [LONG, SHORT, NATIVE], ids=["long", "short", "native"])
def test_library_frames_are_told_from_own_ones(trace: str) -> None:
    parts = trace_parts(trace)
    assert "".join(part.text for part in parts) == trace
    library = "".join(part.text for part in parts if part.kind == "library")
    own = "".join(part.text for part in parts if part.kind != "library")
    assert "send(url)" in library
    assert "requests.get(url)" in own
    assert "ValueError" in own
    assert "ValueError" not in library
    errors = [part.text for part in parts if part.kind == "error"]
    assert errors == [line for line in trace.splitlines(keepends=True) if line.startswith("E ")]


def test_a_trace_that_ends_in_a_library_tells_the_error_from_it() -> None:
    cut = NATIVE.replace("shop/own.py", "/x/site-packages/own.py")
    own = "".join(part.text for part in trace_parts(cut) if part.kind != "library")
    assert own.endswith("ValueError: no\n")
    assert trace_parts("") == []


def step(action: str, status: str) -> dict[str, Any]:
    return {"data": {"action": action}, "execution": {"status": status}, "steps": []}


def result_of(**members: object) -> dict[str, Any]:
    return {"id": "1", "title": "A test", "execution": {"status": "passed"}, **members}


def test_attempts_stand_side_by_side_and_the_first_failure_is_stressed() -> None:
    steps = [
        step("Attempt 1 of 3", "failed"),
        step("Attempt 2 of 3", "failed"),
        step("Attempt 3 of 3", "passed"),
    ]
    view = result_view(result_of(steps=steps), {})
    assert view.steps == []
    assert [(one.number, one.status, one.is_first_failure) for one in view.attempts] == [
        (1, "failed", True),
        (2, "failed", False),
        (3, "passed", False),
    ]
    mixed = result_view(result_of(steps=[*steps, step("Pay", "passed")]), {})
    assert mixed.attempts == []
    assert len(mixed.steps) == 8


def test_what_a_subtest_said_is_no_expectation() -> None:
    said = step("currency (i=1)", "failed")
    said["data"]["expected_result"] = "assert 1 == 2\nwhere 1 = f()"
    wanted = step("Pay", "failed")
    wanted["data"]["expected_result"] = "The order is paid"
    message = "1 of 2 subtests failed\ncurrency (i=1): assert 1 == 2"
    view = result_view(result_of(steps=[said, wanted], message=message), {})
    told = [(one.expected, one.message) for one, ends in view.steps if not ends]
    assert told == [("", "assert 1 == 2\nwhere 1 = f()"), ("The order is paid", "")]


def facet(suite: str, status: str = "passed", count: int = 1) -> Facet:
    return Facet(status, suite, False, False, False, (), count)


def test_suites_are_counted_with_those_below_them() -> None:
    roots = suite_tree(
        [facet("A › B", "failed", 2), facet("A › B", count=3), facet("A"), facet("AB"), facet("")], ""
    )
    assert [(one.title, one.count, one.failing) for one in roots] == [("A", 6, 2), ("AB", 1, 0)]
    assert [(one.path, one.count) for one in roots[0].children] == [("A › B", 5)]


def test_of_a_large_tree_the_branch_that_was_chosen_is_shown() -> None:
    facets = [facet(f"{outer} › {inner}") for outer in "ABC" for inner in range(10)]
    roots = suite_tree(facets, "B › 3", most=20)
    assert [(one.title, len(one.children)) for one in roots] == [("A", 0), ("B", 10), ("C", 0)]


def test_of_a_large_tree_all_levels_that_fit_are_shown() -> None:
    facets = [facet(f"tests › {outer} › {inner}") for outer in "ABC" for inner in range(10)]
    [root] = suite_tree(facets, "", most=20)
    assert [(one.title, one.count, one.children) for one in root.children] == [
        (outer, 10, []) for outer in "ABC"
    ]


@pytest.mark.parametrize(
    ("name", "mime", "kind"),
    [
        ("a.png", "image/png; x=1", "picture"),
        ("a.svg", "image/svg+xml", "picture"),
        ("a.bmp", "image/bmp", "other"),
        ("a.webm", "video/webm", "video"),
        ("a.mp3", "audio/mpeg", "audio"),
        ("a.html", "text/html", "html"),
        ("a.pdf", "application/pdf", "pdf"),
        ("a.json", "text/plain", "json"),
        ("a", "application/problem+json", "json"),
        ("a.csv", "text/plain", "csv"),
        ("a.log", "application/octet-stream", "text"),
        ("a.zip", "application/zip", "other"),
    ],
)
def test_a_file_is_shown_by_its_type_and_name(name: str, mime: str, kind: str) -> None:
    assert file_kind(Attachment(file_name=name, mime_type=mime, file_size=1)) == kind


def test_expected_and_actual_pictures_are_a_pair() -> None:
    names = ("log", "a-expected.png", "a-actual.png", "b-actual.png", "b-expected.png", "c.png")
    known = {
        name: Attachment(
            id=name, file_name=name, mime_type="image/png" if "." in name else "text/plain", file_size=1
        )
        for name in names
    }
    view = result_view(result_of(attachments=[{"id": name} for name in names]), known)
    # Each is listed once, and what can be seen comes first.
    assert [(one.name, one.pair and one.pair.name) for one in view.files] == [
        ("a-expected.png", "a-actual.png"),
        ("b-expected.png", "b-actual.png"),
        ("c.png", None),
        ("log", None),
    ]


def test_what_is_too_large_or_not_there_is_said() -> None:
    known = {"a": Attachment(id="a", file_name="a.txt", mime_type="text/plain", file_size=11)}
    view = result_view(result_of(attachments=[{"id": "a"}, {"id": "b"}]), known, left_out=10)
    assert [one.kind for one in view.files] == ["left out", "missing"]
