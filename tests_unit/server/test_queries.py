"""What the pages ask for: which results and runs, in which order, and how often."""

from __future__ import annotations

import itertools

import pytest

from famacase_pytest.server import queries
from famacase_pytest.server.database import LARGEST_ID
from famacase_pytest.server.queries import CHANGES, Filter, Group, RunFilter

from .in_process import result_of


def listed(data, run, limit=100, offset=0, **wanted):
    """The number of lines, and a page of them: titles of results; of a group its size and its first."""
    chosen = Filter(**wanted)
    with data.store.reading() as session:
        fitting = [one for one in queries.facets(session, run.id, chosen) if one.fits(chosen)]
        total, lines = queries.page(session, run.id, chosen, fitting, limit, offset)
    return total, [(one.count, one.first.title) if isinstance(one, Group) else one.title for one in lines]


def test_failures_of_one_cause_are_one_line_and_the_largest_group_comes_first(data):
    failure = "AssertionError: order {} is not paid"
    run = data.run(
        result_of(title="fine"),
        result_of("failed", title="alone", message="KeyError: there is no such customer"),
        *(result_of("failed", title=f"pay {n}", message=failure.format(n)) for n in (1, 2, 3)),
        result_of("skipped", title="later"),
    )
    assert listed(data, run) == (4, [(3, "pay 1"), "alone", "later", "fine"])
    # A reader who sorts, or looks into a cause, wants to see each result.
    assert listed(data, run, sort="order")[0] == 6
    with data.store.reading() as session:
        cause = queries.page(session, run.id, Filter(), [], 1, 0)
    assert cause == (0, [])


def test_pages_that_begin_among_groups_and_end_among_results_leave_nothing_out(data):
    failures = [
        result_of("failed", title=f"f{cause}{n}", message=f"Error: the {'abc'[cause]} went wrong by itself")
        for cause in range(3)
        for n in range(cause + 1)
    ]
    run = data.run(*failures, *(result_of(title=f"p{n}") for n in range(4)))
    total, everything = listed(data, run)
    assert (total, everything) == (7, [(3, "f20"), (2, "f10"), "f00", "p0", "p1", "p2", "p3"])
    for size in (1, 2, 3, 4):
        pages = [listed(data, run, size, offset)[1] for offset in range(0, total, size)]
        assert list(itertools.chain(*pages)) == everything
    assert listed(data, run, 2, total) == (7, [])
    assert listed(data, run, 2, 10**30, sort="order") == (10, [])


def test_results_are_sorted_as_asked(data):
    run = data.run(
        result_of(title="b", duration=5),
        result_of("failed", title="C"),
        result_of("skipped", title="a", duration=30),
    )
    assert listed(data, run, sort="duration")[1] == ["a", "b", "C"]
    assert listed(data, run, sort="name")[1] == ["a", "b", "C"]
    assert listed(data, run, sort="order")[1] == ["b", "C", "a"]


def test_a_search_wants_every_word_somewhere_and_knows_no_wildcards(data):
    run = data.run(
        result_of(title="Straße 100%", suite="Shop"),
        result_of(title="strasse 100", testops_ids=[12]),
        result_of("failed", title="other", message="100 times\nthe STRASSE"),
    )
    titles = {
        "STRASSE 100": ["Straße 100%", "strasse 100", "other"],
        "100% ": ["Straße 100%"],
        "shop strasse": ["Straße 100%"],
        "#12": ["strasse 100"],
        "_": [],
    }
    assert {q: listed(data, run, q=q, sort="order")[1] for q in titles} == titles


def test_what_is_counted_is_what_is_listed_whatever_the_filter(data):
    statuses, suites, tags = (
        ("passed", "failed", "skipped"),
        ("", "A", "A/B", "AB"),
        ([], ["x"], ['x"y', "x"]),
    )
    results = [
        result_of(
            status, title=f"{n}", suite=suite, tags=given, muted=n % 2 == 0, fields={"flaky": str(n % 3 == 0)}
        )
        for n, (status, suite, given) in enumerate(itertools.product(statuses, suites, tags))
    ]
    run = data.run(*results)
    sizes = {}
    for suite, tag, chosen, marks in itertools.product(
        ("", "A", "A › B", "B"),
        ("", "x", 'x"y', "y"),
        ((), ("failed", "passed")),
        ((), ("muted",), ("flaky", "muted")),
    ):
        wanted = {"suite": suite, "tag": tag, "statuses": chosen, "marks": marks}
        total, titles = listed(data, run, sort="order", **wanted)
        assert total == len(titles), wanted
        sizes[suite, tag, chosen, marks] = total
    assert sizes["", "", (), ()] == 36
    # Neither AB is in A, nor y in x"y.
    assert sizes["A", "", (), ()] == 18
    assert sizes["", "y", (), ()] == 0
    assert sizes["", 'x"y', (), ()] == 12


def test_a_history_has_the_worst_of_each_run_and_ends_with_the_run_that_is_looked_at(data):
    def run(*statuses, **options):
        return data.run(*(result_of(status, signature="t") for status in statuses), **options)

    first, _, second, last, _ = (
        run("passed"),
        run("failed", project=data.other),
        run("passed", "failed", "passed"),
        run("skipped"),
        run("failed"),
    )
    with data.store.reading() as session:
        rows = queries.history(session, last, "t")
        assert [(row.run_id, row.rank) for row in rows] == [(last.id, 4), (second.id, 0), (first.id, 7)]
        assert [row.run_id for row in queries.history(session, last, "t", runs=1)] == [last.id]


def test_the_run_before_is_the_last_one_of_its_kind_in_its_project(data):
    data.run(title="Nightly 1")
    wanted = data.run(title="Nightly 2")
    data.run(title="Smoke")
    data.run(title="Nightly 3", project=data.other)
    run = data.run(title="Nightly 4")
    data.run(title="Nightly 5")
    with data.store.reading() as session:
        assert queries.run_before(session, run).id == wanted.id
        assert queries.run_before(session, data.store.run(1)) is None


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        ([("passed", 1)], [("failed", 1)], "newly failing"),
        ([("skipped", 1)], [("blocked", 1)], "newly failing"),
        # Of several results of one test the worst counts, in both runs.
        ([("passed", 1), ("failed", 1)], [("passed", 1), ("invalid", 1)], "still failing"),
        ([("failed", 1)], [("passed", 1)], "mended"),
        ([("failed", 1)], [("skipped", 1)], None),
        ([("failed", 1)], [("passed", 1), ("failed", 1)], "still failing"),
        ([], [("failed", 1)], "new"),
        ([], [("passed", 9999)], "new"),
        ([("failed", 1)], [], "gone"),
        ([("passed", 100)], [("passed", 201)], "slower"),
        ([("passed", 100)], [("passed", 200)], None),
        ([("passed", 10)], [("passed", 99)], None),
        ([("passed", 100)], [("failed", 201)], "newly failing"),
        ([("passed", None)], [("passed", 5000)], None),
        ([("passed", 5000)], [("passed", None)], None),
    ],
)
def test_a_test_has_at_most_one_change_from_run_to_run(data, before, now, change):
    def results(told):
        took = [{"duration": duration} if duration is not None else {} for _, duration in told]
        return [result_of(status, signature="t", **more) for (status, _), more in zip(told, took)]

    # A test that is the same in both, so that no run is empty.
    other, run = (data.run(result_of(signature="u"), *results(told)) for told in (before, now))
    with data.store.reading() as session:
        found = queries.comparison(session, run.id, other.id, 10)
    assert [name for name in CHANGES if found[name][0]] == ([change] if change else [])
    if change:
        assert found[change][0] == len(found[change][1]) == 1
        assert found[change][1][0].took_before == (100 if change == "slower" else None)


def test_a_comparison_counts_all_and_lists_some(data):
    other, run = data.run(), data.run(*(result_of(title=f"{n}") for n in range(5)))
    with data.store.reading() as session:
        assert [len(rows) for _, rows in queries.comparison(session, run.id, other.id, 3).values()] == [
            *(0, 0, 0),
            *(3, 0, 0),
        ]
        found = queries.comparison(session, run.id, other.id, 0)
    assert found["new"] == (5, [])


def runs(data, limit=10, offset=0, **chosen):
    with data.store.reading() as session:
        total, page = queries.runs_page(session, RunFilter(**chosen), limit, offset)
    return total, [run.body["title"] for run in page]


def test_runs_are_found_by_project_title_environment_and_tag(data):
    data.run(title="Übernahme NACHT", tags=["a", "b"], environment_id=1)
    data.run(title="Nightly 100%", environment_id=1.0)
    data.run(title="Third", project=data.other, environment_id=2, tags=["ab"])
    assert runs(data) == (3, ["Third", "Nightly 100%", "Übernahme NACHT"])
    assert runs(data, project=data.other) == (1, ["Third"])
    assert runs(data, environments=(1,))[1] == ["Nightly 100%", "Übernahme NACHT"]
    assert runs(data, environments=()) == (0, [])
    assert runs(data, tag="a")[1] == ["Übernahme NACHT"]
    for title in ("Übernahme", "nacht"):
        assert runs(data, title=title)[1] == ["Übernahme NACHT"], title
    assert runs(data, title="%")[1] == ["Nightly 100%"]
    assert runs(data, 1, 1) == (3, ["Nightly 100%"])
    assert runs(data, 1, LARGEST_ID * 10) == (3, [])


def test_a_test_is_unsteady_if_it_both_failed_and_passed_or_if_it_is_said(data):
    def run(**statuses):
        return data.run(
            *(
                result_of(status, title=name, fields={"flaky": name == "said"})
                for name, status in statuses.items()
            )
        )

    ids = [
        run(both="failed", said="passed", broken="failed", worse="failed", fine="passed").id,
        run(both="passed", said="passed", broken="failed", worse="passed").id,
        run(worse="failed").id,
        run(worse="passed").id,
    ]
    run(fine="failed")
    with data.store.reading() as session:
        found = [(row.title, row.failed, row.passed, row.flaky) for row in queries.unsteady(session, ids)]
        assert found == [("worse", 2, 2, 0), ("said", 0, 2, 2), ("both", 1, 1, 0)]
        assert len(queries.unsteady(session, ids, limit=1)) == 1
        # With the address of its latest result.
        assert queries.unsteady(session, ids)[2].run_id == ids[1]


def test_the_slowest_tests_are_those_that_take_longest_on_average(data):
    def run(**durations):
        given = {name: {"duration": took} if took is not None else {} for name, took in durations.items()}
        return data.run(*(result_of(title=name, **more) for name, more in given.items()))

    ids = [run(once=50, often=100, never=None).id, run(often=20, never=None).id]
    run(once=9000)
    with data.store.reading() as session:
        found = [(row.title, row.mean, row.run_id) for row in queries.slowest(session, ids)]
    assert found == [("often", 60, ids[1]), ("once", 50, ids[0])]
