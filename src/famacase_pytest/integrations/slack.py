"""Tells a channel of Slack how a run ended."""

from __future__ import annotations

import json
import os
from typing import Any

from .base import STATUSES, Integration, TestResult, totals
from .http import Failed, post

# Failures that are named, and characters of each message.
_NAMED = 10
_MESSAGE = 300


class Slack(Integration):
    """Posts the link of the run and the counts, and in the thread of that message the first failures.

    With an incoming webhook, which knows no threads, all is one message. What is not given is taken from the
    variable that is named.

    Args:
        token: of a bot with the scope ``chat:write`` (SLACK_BOT_TOKEN).
        channel: its id or name (SLACK_CHANNEL).
        webhook_url: of an incoming webhook, in the place of both (SLACK_WEBHOOK_URL).
        only_on_failure: whether a run without failures is passed over (SLACK_ONLY_ON_FAILURE, true or false).
        api_url: of Slack's API (SLACK_API_URL).
    """

    def __init__(
        self,
        token: str | None = None,
        channel: str | None = None,
        *,
        webhook_url: str | None = None,
        only_on_failure: bool | None = None,
        api_url: str | None = None,
    ) -> None:
        self._token = token or os.environ.get("SLACK_BOT_TOKEN")
        self._channel = channel or os.environ.get("SLACK_CHANNEL")
        self._webhook_url = webhook_url or os.environ.get("SLACK_WEBHOOK_URL")
        if only_on_failure is None:
            word = os.environ.get("SLACK_ONLY_ON_FAILURE", "").strip().lower()
            only_on_failure = word in ("true", "1", "yes", "on")
        self._only_on_failure = only_on_failure
        self._api_url = (api_url or os.environ.get("SLACK_API_URL") or "https://slack.com/api").rstrip("/")

    def on_run_start(self) -> None:
        """Check that there is somewhere to post to."""
        if not (self._webhook_url or (self._token and self._channel)):
            raise ValueError("set SLACK_WEBHOOK_URL, or SLACK_BOT_TOKEN and SLACK_CHANNEL")

    def on_run_end(
        self,
        test_results: list[TestResult],
        test_run_id: int | None,
        elapsed_time: float,
        log_path: str | None = None,
        context: dict[str, Any] | None = None,
    ) -> None:
        """Post the messages."""
        failures = [result for result in test_results if result.is_failure]
        if self._only_on_failure and not failures:
            return
        heading = _heading(test_results, test_run_id, elapsed_time, context or {})
        details = _details(failures)
        if self._webhook_url:
            text = f"{heading}\n{details}" if details else heading
            post(self._webhook_url, body=json.dumps({"text": text}).encode())
            return
        thread = self._message(heading)
        if details:
            self._message(details, thread_ts=thread)

    def _message(self, text: str, **more: Any) -> Any:
        """Post a message; returns what its thread is named by."""
        answer = post(
            f"{self._api_url}/chat.postMessage",
            body=json.dumps({"channel": self._channel, "text": text, **more}).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json; charset=utf-8",
            },
        )
        # Slack says with 200, too, that it has not done it.
        if not isinstance(answer, dict) or not answer.get("ok"):
            raise Failed(f"Slack refused: {answer.get('error') if isinstance(answer, dict) else 'no JSON'}")
        return answer.get("ts")


def _heading(results: list[TestResult], run_id: int | None, elapsed: float, context: dict[str, Any]) -> str:
    counts = totals(results)
    named = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    run = f"Run {run_id}" if run_id else "The run"
    url = context.get("famacase_run_url")
    mark = ":x:" if counts["failed"] or counts["error"] else ":white_check_mark:"
    line = f"{mark} {f'<{url}|{run}>' if url else run}: {named or 'no tests'} in {elapsed:.0f} s"
    testrail = context.get("testrail_run_url") or context.get("testrail_run_id")
    return f"{line}\nTestRail: {testrail}" if testrail else line


def _details(failures: list[TestResult]) -> str:
    lines = [
        f"• `{_escaped(result.test_case.nodeid)}`: {_escaped((result.message or result.status)[:_MESSAGE])}"
        for result in failures[:_NAMED]
    ]
    if len(failures) > _NAMED:
        lines.append(f"and {len(failures) - _NAMED} more")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
