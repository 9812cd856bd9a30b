"""The sample suite arrives, in every detail that its decorators give."""

from __future__ import annotations


def test_every_result_of_the_sample_arrives(sample, runs, api):
    outcome = sample.run()
    assert outcome.code == 1, outcome.output
    run = runs.only()
    assert run["status"] == "completed"
    assert run["stats"] == {"passed": 16, "failed": 3, "skipped": 2, "invalid": 1}
    assert f"Famacase run link: {sample.environ['FAMACASE_API_URL']}/runs/{run['id']}" in outcome.output
    assert outcome.lines("See why this test failed:")
    for line in outcome.lines("See why this test failed:"):
        assert line.endswith(f"{sample.environ['FAMACASE_API_URL']}/runs/{run['id']}")
    assert "rep_local" not in outcome.output
    results = runs.results(run)
    assert "test_ignored" not in [result["title"] for result in results]
