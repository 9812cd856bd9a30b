"""What a channel reads of a run."""

from __future__ import annotations

import pytest

from famacase_pytest.integrations import slack
from famacase_pytest.integrations.http import Failed
from famacase_pytest.integrations.slack import Slack

from .played import Service, result


@pytest.fixture
def service(monkeypatch):
    service = Service({"ok": True, "ts": "12.3"})
    monkeypatch.setattr(slack, "post", service.post)
    return service


def told(service, *results, context=None, run_id=None, seconds=61.6, **options):
    """Ends a run for a bot; returns the texts that were posted."""
    options = options or {"token": "xoxb", "channel": "C1"}
    Slack(**options).on_run_end(list(results), run_id, seconds, context=context)
    return [one.json()["text"] for one in service.posted]


@pytest.mark.parametrize(
    ("options", "is_enough"),
    [
        ({}, False),
        ({"token": "x"}, False),
        ({"channel": "x"}, False),
        ({"token": "x", "channel": "y"}, True),
        ({"webhook_url": "x"}, True),
    ],
)
def test_there_has_to_be_somewhere_to_post_to(monkeypatch, options, is_enough):
    def start(slack):
        if is_enough:
            return slack.on_run_start()
        with pytest.raises(ValueError, match="set SLACK_WEBHOOK_URL, or SLACK_BOT_TOKEN and SLACK_CHANNEL"):
            slack.on_run_start()

    start(Slack(**options))
    names = {"token": "SLACK_BOT_TOKEN", "channel": "SLACK_CHANNEL", "webhook_url": "SLACK_WEBHOOK_URL"}
    for name, value in options.items():
        monkeypatch.setenv(names[name], value)
    start(Slack())


def test_a_run_that_passed_is_one_message(service):
    context = {"famacase_run_url": "http://h/runs/7"}
    texts = told(
        service, result(), result(status="skipped"), result(status="xfailed"), context=context, run_id=7
    )
    assert texts == [":white_check_mark: <http://h/runs/7|Run 7>: 1 passed, 1 skipped, 1 xfailed in 62 s"]
    [posted] = service.posted
    assert posted.url == "https://slack.com/api/chat.postMessage"
    assert posted.headers["Authorization"] == "Bearer xoxb"
    assert posted.json()["channel"] == "C1"


@pytest.mark.parametrize(
    ("context", "run_id", "heading"),
    [
        (None, None, ":x: The run: 1 error in 62 s"),
        ({}, 7, ":x: Run 7: 1 error in 62 s"),
        ({"testrail_run_id": 5}, None, ":x: The run: 1 error in 62 s\nTestRail: 5"),
        (
            {"testrail_run_id": 5, "testrail_run_url": "http://t/5"},
            None,
            ":x: The run: 1 error in 62 s\nTestRail: http://t/5",
        ),
    ],
)
def test_a_heading_tells_what_there_is_to_tell(service, context, run_id, heading):
    assert told(service, result(status="error"), context=context, run_id=run_id)[0] == heading


def test_a_run_of_nothing(service):
    assert told(service, run_id=None) == [":white_check_mark: The run: no tests in 62 s"]


def test_failures_are_named_in_the_thread_the_first_of_them_and_in_short(service):
    failures = [result(f"test_{n}", "failed", message=f"<a> & {n} " + "x" * 500) for n in range(12)]
    _, details = told(service, *failures, result("test_b", "xpassed"))
    lines = details.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("• `test_a.py::test_0`: &lt;a&gt; &amp; 0 xxx")
    assert len(lines[0]) < 350
    assert lines[-1] == "and 2 more"
    assert [one.json().get("thread_ts") for one in service.posted] == [None, "12.3"]


def test_a_failure_that_says_nothing_is_named_by_its_status(service):
    assert told(service, result(status="error"))[1] == "• `test_a.py::test_a`: error"


def test_a_webhook_knows_no_threads(service):
    texts = told(
        service, result(), result("test_b", "failed"), webhook_url="https://hooks/x", token="x", channel="y"
    )
    assert texts == [":x: The run: 1 passed, 1 failed in 62 s\n• `test_a.py::test_b`: failed"]
    assert (service.posted[0].url, dict(service.posted[0].headers)) == ("https://hooks/x", {})


@pytest.mark.parametrize(
    ("option", "variable", "is_quiet"),
    [(True, "", True), (None, "True", True), (None, "on", True), (None, "no", False), (False, "true", False)],
)
def test_a_run_without_failures_may_be_passed_over(service, monkeypatch, option, variable, is_quiet):
    monkeypatch.setenv("SLACK_ONLY_ON_FAILURE", variable)
    options = {"webhook_url": "x", "only_on_failure": option}
    assert len(told(service, result(), result(status="xpassed"), **options)) == (0 if is_quiet else 1)
    told(service, result(status="error"), **options)
    assert service.posted[-1].json()["text"].startswith(":x:")


@pytest.mark.parametrize(
    ("answer", "said"), [({"ok": False, "error": "not_in_channel"}, "not_in_channel"), (None, "no JSON")]
)
def test_a_refusal_in_an_answer_that_looks_well_is_one(monkeypatch, answer, said):
    service = Service(answer)
    monkeypatch.setattr(slack, "post", service.post)
    with pytest.raises(Failed, match=f"Slack refused: {said}"):
        told(service, result(status="failed"))
    # Without its first message there is no thread.
    assert len(service.posted) == 1


def test_another_address_of_the_api_may_end_in_a_slash(service):
    told(service, result(), token="x", channel="y", api_url="https://slack.example/api/")
    assert service.posted[0].url == "https://slack.example/api/chat.postMessage"
