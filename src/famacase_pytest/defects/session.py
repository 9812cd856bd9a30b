"""Defects of one session: filed after its last test, and kept for later where the tracker is away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..delivery.models import Item
from ..delivery.system import System
from ..errors import SettingsError
from ..settings.model import Defects
from . import waiting
from .filing import Finding, Report, check, file
from .tracker import Tracker

# Seconds that the end of a session waits for the tracker.
_PATIENCE = 60.0

_FAILED = ("failed", "invalid")

Tell = Callable[[str], None]


class SessionDefects:
    """What a session does about defects. The tracker is asked in threads of their own.

    Args:
        settings: which tracker.
        directory: where pytest was started.
        projects: codes of the projects that the session reports to.

    Raises:
        SettingsError: the settings of the tracker are wrong.
    """

    def __init__(self, settings: Defects, directory: Path, projects: Iterable[str]) -> None:
        self._settings = settings
        self._tracker = Tracker(settings, directory)
        self._projects = list(dict.fromkeys(map(self._project, projects)))
        self._client: Any = None
        self._obstacle: str | None = None
        self._start = System.thread(target=self._open, name="famacase-tracker", daemon=True)

    def begin(self) -> None:
        """See whether the tracker lets us in."""
        self._start.start()

    def file(
        self, items: Sequence[Item], run_url: Callable[[str, int], str], base: Path | None, tell: Tell
    ) -> dict[tuple[str, str], str]:
        """File what the results of the session ask for.

        Args:
            items: the results.
            run_url: gives the page of a run.
            base: where what cannot be filed now waits for `famacase resend`; None: nowhere.
            tell: takes a line for the user.

        Returns:
            The numbers of the defects, by the Famacase project and the signature of the test.
        """
        findings = self._findings(items, run_url)
        if not findings:
            return {}
        report = Report()
        thread = System.thread(
            target=self._file, args=(findings, report), name="famacase-defects", daemon=True
        )
        thread.start()
        thread.join(_PATIENCE)
        if thread.is_alive():
            report = Report(report.numbers.copy(), report.created, report.updated, list(report.lines))
            report.lines.append(f"the tracker did not answer within {_PATIENCE:g} s")
            report.left = [one for one in findings if one.failed and _key(one) not in report.numbers]
        _tell(report, tell)
        if report.left and base is not None:
            path = waiting.keep(base, report.left)
            tell(f"{len(report.left)} defects wait in {path}. File them with: famacase resend")
        codes = {item.project for item in items}
        return {
            (code, signature): number
            for (project, signature), number in report.numbers.items()
            for code in codes
            if self._project(code) == project
        }

    def numbered(
        self, items: Iterable[Item], numbers: Mapping[tuple[str, str], str]
    ) -> Iterator[tuple[Item, dict[str, Any]]]:
        """The results of failed tests that have a defect, with its number in their fields."""
        for item in items if numbers else ():
            payload = System.loads(item.payload)
            number = numbers.get((item.project, payload.get("signature") or ""))
            if number is not None and payload["execution"].get("status") in _FAILED:
                payload["fields"] = {**payload.get("fields", {}), "defect": number}
                yield item, payload

    def _project(self, code: str) -> str:
        return self._settings.project.value if self._settings.project else code

    def _open(self) -> None:
        try:
            self._client = self._tracker.open()
            self._obstacle = check(self._client, self._projects)
        except BaseException as error:  # noqa: BLE001 (the code of others)
            self._obstacle = f"the tracker failed: {type(error).__name__}: {error}"
            self._client = None

    def _file(self, findings: list[Finding], report: Report) -> None:
        self._start.join(_PATIENCE)
        if self._obstacle is not None or self._client is None:
            report.lines.append(f"{self._obstacle or 'the tracker does not answer'}: no defect is filed")
            # A tracker that is read-only stays so; one that is away comes back.
            if self._client is None:
                report.left += [finding for finding in findings if finding.failed]
            return
        file(self._client, findings, report, close=self._settings.close)

    def _findings(self, items: Iterable[Item], run_url: Callable[[str, int], str]) -> list[Finding]:
        """One for each test that failed or passed; of several results of one, a failure counts."""
        found: dict[tuple[str, str], Finding] = {}
        for item in items:
            payload = System.loads(item.payload)
            status, signature = payload["execution"].get("status"), payload.get("signature")
            if not signature or (status not in _FAILED and status != "passed"):
                continue
            finding = self._finding(item, payload, status in _FAILED, run_url(item.project, item.run_id))
            if finding.failed or _key(finding) not in found:
                earlier = found.get(_key(finding))
                found[_key(finding)] = earlier if earlier is not None and earlier.failed else finding
        return list(found.values())

    def _finding(self, item: Item, payload: Mapping[str, Any], failed: bool, url: str) -> Finding:
        parts = (payload.get("message"), payload["execution"].get("stacktrace"))
        return Finding(
            self._project(item.project),
            payload["signature"],
            payload["title"],
            failed,
            "\n\n".join(filter(None, parts)) if failed else "",
            ",".join(map(str, payload.get("testops_ids") or ())),
            url,
        )


def file_waiting(settings: Defects, directory: Path, paths: Iterable[Path], tell: Tell) -> bool:
    """File what earlier sessions could not; whether something is left.

    Args:
        settings: which tracker.
        directory: where the command was called.
        paths: of `waiting.files`.
        tell: takes a line for the user.

    Raises:
        SettingsError: the settings of the tracker are wrong.
    """
    client = None
    left = False
    for path in paths:
        report = Report()
        try:
            findings = [Finding(**entry) for entry in waiting.read(path)]
        except waiting.Unreadable as error:
            tell(str(error))
            left = True
            continue
        try:
            client = client or Tracker(settings, directory).open()
            obstacle = check(client, {finding.project for finding in findings})
        except SettingsError:
            raise
        except Exception as error:  # noqa: BLE001 (the code of others)
            obstacle = f"the tracker failed: {type(error).__name__}: {error}"
        if obstacle is None:
            file(client, findings, report, close=settings.close)
        else:
            report.lines.append(f"{obstacle}: no defect is filed")
            report.left = findings
        _tell(report, tell)
        if report.left:
            left = True
            waiting.keep(path.parent, report.left)
        # Last: to file something twice is better than to lose it.
        path.unlink()
    return left


def _key(finding: Finding) -> tuple[str, str]:
    return (finding.project, finding.signature)


def _tell(report: Report, tell: Tell) -> None:
    if report.created or report.updated:
        tell(f"defects: {report.created} created, {report.updated} updated")
    for line in report.lines:
        tell(line)
