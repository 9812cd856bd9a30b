"""What the steps after pytest in a CI job get: the run's id in a file, a summary, outputs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .hookspecs import Run
from .settings.model import Settings
from .summary import SHOWN, Line, Page, shortened

if TYPE_CHECKING:
    from .delivery.transport import Leftovers


class JobFiles:
    """The files that a session writes for its job, as far as the settings or the job ask for them.

    Args:
        settings: the session's.
        tell: takes a line for the user, about a file that cannot be written.
    """

    def __init__(self, settings: Settings, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._tell = tell
        # The sources of paths of which it is said that they cannot be written.
        self._told: set[str] = set()

    def write_runs(self, runs: Sequence[Run]) -> None:
        """Write id and link of the runs as JSON, for the jobs that come after this one."""
        given = self._settings.run_file
        if given is None or not runs:
            return
        from .delivery.system import System

        entries = [{"project": run.project, "id": run.id, "url": run.url} for run in runs]
        document = entries[0] if len(entries) == 1 else {"runs": entries}
        lost = "the job that waits for it does not get the run's id"
        self._write(given.value, "w", System.dumps(document) + "\n", str(given.source), lost)

    def write_summary(
        self,
        left: Leftovers,
        lines: Sequence[Line],
        runs: Callable[[], Mapping[Run, str | None]],
        page: Page,
    ) -> None:
        """Write the summary for the job's page, and the outputs for its next steps.

        Args:
            left: how far delivery came.
            lines: of the summary in the terminal; those that are not good are among the text.
            runs: gives the runs with their titles; called only if there is a place to write to.
            page: gives the page of a result.
        """
        github = self._settings.ci.value == "auto" and bool(os.environ.get("GITHUB_ACTIONS"))
        given = self._settings.job_summary
        places = [(given.value, "w", str(given.source))] if given else []
        if github and os.environ.get("GITHUB_STEP_SUMMARY"):
            places.append((Path(os.environ["GITHUB_STEP_SUMMARY"]), "a", "GITHUB_STEP_SUMMARY"))
        if not places and not github:
            return
        titles = runs()
        text = _markdown(left, titles, lines, page, self._settings.tokens.scrubbed)
        for path, mode, source in places:
            self._write(path, mode, text, source, "the job has no summary of this session")
        created = [run for run in titles if run.id is not None]
        if github and created and os.environ.get("GITHUB_OUTPUT"):
            ids, urls = ",".join(str(run.id) for run in created), ",".join(run.url for run in created)
            outputs = f"run-id={ids}\nrun-url={urls}\n"
            path, lost = Path(os.environ["GITHUB_OUTPUT"]), "the steps after this one do not get the run's id"
            self._write(path, "a", outputs, "GITHUB_OUTPUT", lost)

    def _write(self, path: Path, mode: str, text: str, source: str, lost: str) -> None:
        """Write a file; that it cannot be written is said once, with what is lost by that."""
        from .delivery.system import System

        try:
            with System.open_file(path, mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            if source not in self._told:
                self._told.add(source)
                self._tell(
                    f"{source} names {path}, which cannot be written ({error.strerror}): {lost}. Choose "
                    "another path."
                )


def _markdown(
    left: Leftovers,
    titles: Mapping[Run, str | None],
    lines: Sequence[Line],
    page: Page,
    scrubbed: Callable[[str], str],
) -> str:
    # Before it is escaped, which a token is no more recognised after.
    links = [f"[{_escaped(scrubbed(title or 'run'))}]({scrubbed(run.url)})" for run, title in titles.items()]
    text = [f"### Famacase: {', '.join(links)}", "", "| status | results |", "|---|---:|"]
    text += [f"| {status} | {count} |" for status, count in sorted(left.statuses.items()) if status]
    if left.failed:
        text += ["", "Did not pass:", ""]
    for entry in left.failed[:SHOWN]:
        where = scrubbed(page(entry.project, entry.run_id, entry.result_id))
        text.append(f"- [{_escaped(shortened(scrubbed(entry.title)))}]({where})")
    if len(left.failed) > SHOWN:
        text.append(f"- and {len(left.failed) - SHOWN} more")
    for line in lines:
        if not line.good:
            text += ["", f"> {_escaped(scrubbed(line.text))}"]
    return "\n".join(text) + "\n"


def _escaped(text: str) -> str:
    """A text as Markdown that shows it as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!~])", r"\\\1", " ".join(text.split()))
