"""One synchronisation with the tracker: one open defect for each test that fails."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NamedTuple

from testbench_defect_service.models.defects import (
    Defect,
    DefectSyncOption,
    DefectWithLocalPk,
    KnownDefect,
    LocalSyncActions,
    Login,
    ProtocolledString,
    RemoteSyncActions,
    Results,
    SyncContext,
    UserDefinedFieldProperties,
)

# The service's clients know "scheduled", "manual" and "partial": only what concerns this session is touched.
SYNC_TYPE = "partial"

# Notes that a description keeps, the newest ones.
_NOTES = 20
_NOTE = "* "
_MARK = re.compile(r"^Test signature: (.+)$", re.MULTILINE)

_CLOSED = ("closed", "done", "resolved", "fixed", "verified", "rejected", "cancelled")
_PREFERRED = {
    "status": ("new", "open", "to do"),
    "priority": ("medium", "normal"),
    "classification": ("bug", "defect", "error"),
}

# The names under which a tracker may have attributes for what is known of a test.
_ATTRIBUTES = {
    "signature": ("signature", "test signature"),
    "case_id": ("case id", "case_id", "test case", "case"),
    "run_url": ("run link", "run", "run url", "run_url", "test run"),
}


class Finding(NamedTuple):
    """What a session says of a test.

    Attributes:
        project: the tracker's.
        signature: the test's.
        failed: whether it failed; if not, it passed.
        detail: why.
        case_id: of its cases, separated by commas.
        run_url: the run's page.
    """

    project: str
    signature: str
    title: str
    failed: bool
    detail: str
    case_id: str
    run_url: str


@dataclass
class Report:
    """What came of it.

    Attributes:
        numbers: of the defects that are open for a failed test, by project of the tracker and signature.
        created, updated: how many.
        lines: for the user.
        left: what is still to be filed, since the tracker failed.
    """

    numbers: dict[tuple[str, str], str] = field(default_factory=dict)
    created: int = 0
    updated: int = 0
    lines: list[str] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)


def check(client: Any, projects: Iterable[str]) -> str | None:
    """Why nothing can be filed by a client, or None. Raises whatever the client does."""
    for project in projects:
        if not client.check_login(project):
            return f"the tracker refuses its login for project {project}"
    settings = client.get_settings()
    return f"the tracker {settings.name} is read-only" if settings.readonly else None


def file(client: Any, findings: Sequence[Finding], report: Report, *, close: bool) -> None:
    """Create, update and close what the findings ask for.

    Args:
        client: the tracker's.
        findings: one for each signature.
        report: takes what came of it, also if this ends by an exception.
        close: whether the defect of a test that passes again is closed; otherwise it gets a note.
    """
    for project in dict.fromkeys(finding.project for finding in findings):
        own = [finding for finding in findings if finding.project == project]
        try:
            _Synchronisation(client, project, report, close).run(own)
        except Exception as error:  # noqa: BLE001 (a client raises its library's exceptions)
            text = getattr(error, "message", "") or str(error)
            report.lines.append(f"the tracker failed on project {project}: {type(error).__name__}: {text}")
            report.left += [
                one for one in own if one.failed and (project, one.signature) not in report.numbers
            ]


class _Synchronisation:
    def __init__(self, client: Any, project: str, report: Report, close: bool) -> None:
        self._client = client
        self._project = project
        self._report = report
        self._close = close
        self._now = datetime.now(timezone.utc)
        self._context = SyncContext(
            iTBProject=project,
            serverTime=self._now,
            syncOption=DefectSyncOption.FORCE_PUBLISH,
            importNewDefects=False,
        )

    def run(self, findings: Sequence[Finding]) -> None:
        self._note(self._client.before_sync(self._project, SYNC_TYPE, self._context))
        try:
            self._apply(self._planned(findings))
        finally:
            self._note(self._client.after_sync(self._project, SYNC_TYPE, self._context))

    def _planned(self, findings: Sequence[Finding]) -> Results:
        """What is to be done, as the client corrects it."""
        self._fields = self._client.get_control_fields(self._project)
        known = {
            one.name.lower(): one.name for one in self._client.get_user_defined_attributes(self._project)
        }
        self._attributes = {
            ours: next(known[name] for name in names if name in known)
            for ours, names in _ATTRIBUTES.items()
            if any(name in known for name in names)
        }
        found = self._client.get_defects(self._project, self._context)
        open_ = {
            self._signature_of(defect): defect
            for defect in found.value
            if str(defect.status).lower() not in _CLOSED
        }
        create, update = [], []
        for finding in findings:
            defect = open_.get(finding.signature)
            if defect is not None:
                changed = self._changed(defect, finding)
                update += [changed] if changed is not None else []
            elif finding.failed:
                create.append(self._new(finding))
        if not create and not update:
            return Results()
        wanted = Results(
            local=LocalSyncActions(), remote=RemoteSyncActions(create=create, update=update, delete=[])
        )
        return self._client.correct_sync_results(self._project, wanted)

    def _apply(self, results: Results) -> None:
        remote = results.remote or RemoteSyncActions()
        for new in remote.create or ():
            defect = Defect(**new.model_dump(exclude={"localPk"}))
            answer: ProtocolledString = self._client.create_defect(self._project, defect, self._context)
            if not self._note(answer.protocol) and answer.value:
                self._report.created += 1
                self._report.numbers[self._project, new.localPk] = answer.value
        for known in remote.update or ():
            defect = Defect(**known.model_dump(exclude={"localPk", "id"}))
            number = known.id.root
            if not self._note(self._client.update_defect(self._project, number, defect, self._context)):
                self._report.updated += 1
                self._report.numbers[self._project, known.localPk] = number

    def _new(self, finding: Finding) -> DefectWithLocalPk:
        parts = (finding.detail, f"Run: {finding.run_url}", f"Test signature: {finding.signature}")
        return DefectWithLocalPk(
            localPk=finding.signature,
            title=f"{finding.title} fails",
            description="\n\n".join(filter(None, parts)),
            reporter="famacase-pytest",
            **{name: self._value(name) for name in _PREFERRED},
            userDefinedFields=[
                UserDefinedFieldProperties(name=name, value=str(getattr(finding, ours)))
                for ours, name in self._attributes.items()
            ],
            lastEdited=self._now,
            references=[finding.run_url],
            principal=Login(username="", password=""),
        )

    def _changed(self, defect: Any, finding: Finding) -> KnownDefect | None:
        """A defect with a note of what happened; None if its last note says the same."""
        what = "failed again" if finding.failed else "passed again"
        lines = (defect.description or "").splitlines()
        notes = [line for line in lines if line.startswith(_NOTE)]
        status = defect.status
        if not finding.failed:
            if self._close:
                allowed = self._fields.get("status") or ["Closed"]
                status = next((name for name in allowed if name.lower() in _CLOSED), status)
            if notes and what in notes[-1] and status == defect.status:
                return None
        notes.append(f"{_NOTE}{self._now:%Y-%m-%d %H:%M} UTC: {what} in {finding.run_url}")
        text = [line for line in lines if not line.startswith(_NOTE)]
        content = {
            **defect.model_dump(),
            "localPk": finding.signature,
            "description": "\n".join([*text, *notes[-_NOTES:]]),
            "status": status,
            "lastEdited": self._now,
        }
        return KnownDefect(**content)

    def _signature_of(self, defect: Any) -> str | None:
        name = self._attributes.get("signature")
        for attribute in defect.userDefinedFields or ():
            if attribute.name == name and attribute.value:
                return str(attribute.value)
        match = _MARK.search(defect.description or "")
        return match[1].strip() if match else None

    def _value(self, name: str) -> str:
        allowed = self._fields.get(name) or []
        preferred = (value for wanted in _PREFERRED[name] for value in allowed if value.lower() == wanted)
        return next(preferred, allowed[0] if allowed else _PREFERRED[name][0].capitalize())

    def _note(self, protocol: Any) -> bool:
        """Pass on what a client warns of; returns whether it tells of an error."""
        groups = [protocol.generalWarnings, *(protocol.warnings or {}).values()]
        failed = [protocol.generalErrors, *(protocol.errors or {}).values()]
        for entry in (entry for group in (*groups, *failed) for entry in group or ()):
            line = f"the tracker says of project {self._project}: {entry.message or entry.code}"
            if line not in self._report.lines:
                self._report.lines.append(line)
        return any(failed)
