"""The settings of a session, typed and checked, from every source that may give them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import SettingsError
from . import address, multi, names, overlay, switch
from .checking import Findings, check
from .kinds import MODES, NEEDS_BACKEND
from .sources import BY_DEFAULT, Inputs, Value, read_file, read_files
from .table import FAMACASE_FILE, QASE_FILE
from .tokens import Tokens, read_tokens


@dataclass(frozen=True)
class Settings:
    """What a session that uses Famacase goes by. Where a source matters the field is a `Value`.

    Attributes:
        api_url: `scheme://host[:port][/prefix]`; None in a mode that needs no back end, if
            FAMACASE_ENABLED=true stands alone.
        mode, fallback: off, report, testops or testops_multi.
        debug: whether upstream logs verbosely.
        project: code of the project of mode testops.
        projects: codes of all projects that the session reports to; empty if it reports to none.
        tokens: by project, never shown.
        timeout: seconds for one HTTP call.
        retry_attempts: attempts in all.
        attachment_workers: upload requests at a time.
        drain_timeout: seconds that the end of the session waits for delivery; 0: not at all.
        flush_interval: seconds that a result waits for others.
        outbox_dir: where results wait; None: the default place.
        outbox_max_mb: MiB beyond which files are dropped.
        run_file: where to write id and URL of the run.
        speedups: whether slow parts of upstream are replaced.
        batch_size: results in one request, 1 to 200.
        run_id, plan_id: None if not given (or 0).
        environment: slug or number of the environment.
        run_title, run_description, run_tags: of a run that is created.
        overlay_environ, overlay_file, overlay_options: what upstream reads; see `overlay`.
    """

    api_url: Value[str] | None
    mode: Value[str]
    fallback: Value[str]
    debug: Value[bool]
    project: Value[str] | None
    projects: tuple[str, ...]
    tokens: Tokens
    timeout: Value[float]
    retry_attempts: Value[int]
    attachment_workers: Value[int]
    drain_timeout: Value[float]
    flush_interval: Value[float]
    outbox_dir: Value[Path] | None
    outbox_max_mb: Value[int]
    run_file: Value[Path] | None
    speedups: Value[bool]
    batch_size: Value[int]
    run_id: Value[int] | None
    plan_id: Value[int] | None
    environment: Value[str] | None
    run_title: Value[str] | None
    run_description: Value[str] | None
    run_tags: Value[Any] | None
    overlay_environ: Mapping[str, str] = field(repr=False)
    overlay_file: Mapping[str, Any] = field(repr=False)
    overlay_options: Mapping[str, Any] = field(repr=False)

    @property
    def needs_backend(self) -> bool:
        """Whether the mode or the fallback talks to a back end."""
        return bool({self.mode.value, self.fallback.value} & NEEDS_BACKEND)

    @property
    def base_url(self) -> str:
        """The address as text.

        Raises:
            SettingsError: none is known; impossible if `needs_backend`.
        """
        if self.api_url is None:
            raise SettingsError(
                f"No Famacase address is set: there is nowhere to send to. {switch.HOW_TO_SET}."
            )
        return self.api_url.value


class Resolution(NamedTuple):
    """The answer of the switch, and the settings if it is on.

    Attributes:
        active: whether the session uses Famacase.
        reason: why not, for diagnostics; "" if it does.
        settings: None if not active.
        warnings: for the user, one line each.
    """

    active: bool
    reason: str = ""
    settings: Settings | None = None
    warnings: tuple[str, ...] = ()


def resolve(
    environ: Mapping[str, str],
    options: Mapping[str, object],
    directory: Path,
    known_upstream: Collection[str] = (),
    modes: Collection[str] = MODES,
) -> Resolution:
    """Gather and check the settings of a session. Nothing but the two files and a token file is read.

    Args:
        environ: the process environment; not changed.
        options: the namespace of pytest's command line, as a mapping; not changed.
        directory: where the config files lie and relative paths begin: the current one, as upstream has it.
        known_upstream: the `QASE_*` names that the installed upstream reads (`table.environment_names`); if
            empty, those of all supported releases count as known.
        modes: those that the installed upstream has.

    Raises:
        SettingsError: with one line for each problem found. A session that does not use Famacase raises
            for the switch alone: an unreadable `famacase.config.json`, an unclear FAMACASE_ENABLED, or a mode
            that only Famacase's settings ask for, without an address.
    """
    inputs = Inputs(environ, options, {}, {}, directory)
    on = _enabled(inputs)
    if on is None:
        # The file is read only now: what is switched off outside it may have any content.
        inputs = Inputs(environ, options, _famacase_file(directory), {}, directory)
        on = _enabled(inputs)
    if on is not None and not on.value:
        return Resolution(False, f"{on.source} switches off")

    decision = switch.decide(Inputs(environ, options, inputs.famacase_file, {}, directory), on)
    return _inactive(inputs, on) if not decision.active else _active(inputs, on, known_upstream, modes)


def _famacase_file(directory: Path) -> dict[str, Any]:
    try:
        return read_file(directory, FAMACASE_FILE)
    except SettingsError:
        # What is wrong with the other file is said in the same go.
        return read_files(directory)[0]


def _enabled(inputs: Inputs) -> Value[bool] | None:
    on, problem = switch.enabled(inputs)
    if problem:
        raise SettingsError(problem)
    return on


def _inactive(inputs: Inputs, on: Value[bool] | None) -> Resolution:
    """Qase's session: its file only tells whether it reports; what is wrong in there is upstream's to say."""
    try:
        theirs = read_file(inputs.directory, QASE_FILE)
    except SettingsError:
        theirs = {}
    decision = switch.decide(
        Inputs(inputs.environ, inputs.options, inputs.famacase_file, theirs, inputs.directory), on
    )
    if decision.problem:
        raise SettingsError(decision.problem)
    return Resolution(False, decision.reason, warnings=(decision.warning,) if decision.warning else ())


def _active(
    inputs: Inputs, on: Value[bool] | None, known_upstream: Collection[str], modes: Collection[str]
) -> Resolution:
    ours, theirs = read_files(inputs.directory)
    inputs = Inputs(inputs.environ, inputs.options, ours, theirs, inputs.directory)
    decision = switch.decide(inputs, on)
    tokens = read_tokens(inputs)
    findings = check(inputs, modes)
    if decision.problem:
        findings.problems.insert(0, decision.problem)
    settings = _settings(inputs, decision, findings, tokens)
    findings.problems += _missing(settings, decision, on, findings)
    misspelt = names.warnings(inputs, known_upstream)
    if findings.problems:
        # What is missing may be there, under a name that nobody knows.
        raise SettingsError(tokens.scrubbed("\n".join(dict.fromkeys([*findings.problems, *misspelt]))))
    warnings = [*_exposed(settings), *findings.warnings, *misspelt]
    return Resolution(
        True, settings=settings, warnings=tuple(tokens.scrubbed(warning) for warning in warnings)
    )


def _settings(inputs: Inputs, decision: switch.Switch, findings: Findings, tokens: Tokens) -> Settings:
    values = findings.values

    def of(name: str, default: Any) -> Value[Any]:
        return values.get(name, Value(default, BY_DEFAULT))

    def path(name: str) -> Value[Path] | None:
        found = values.get(name)
        if found is None:
            return None
        try:
            if "\0" in found.value:
                raise ValueError("it has a null character in it")
            return Value(inputs.directory / Path(found.value).expanduser(), found.source)
        except (RuntimeError, ValueError) as error:
            findings.problems.append(
                f"{found.source} is {found.value!r}: it must be a path ({error}). Correct it."
            )
            return None

    host = address.without_scheme(decision.address.value) if decision.address else overlay.NO_HOST
    laid = overlay.build(inputs, values, host, tokens)
    mode, fallback = of("MODE", "off"), of("FALLBACK", "off")
    return Settings(
        api_url=decision.address,
        mode=mode,
        fallback=fallback,
        debug=of("DEBUG", False),
        project=values.get("TESTOPS_PROJECT"),
        projects=tuple(dict.fromkeys(_projects({mode.value, fallback.value}, values))),
        tokens=tokens,
        timeout=values.get("TIMEOUT") or of("TESTOPS_API_TIMEOUT", 30.0),
        retry_attempts=of("RETRY_ATTEMPTS", 3),
        attachment_workers=of("ATTACHMENT_WORKERS", 4),
        drain_timeout=of("DRAIN_TIMEOUT", 300.0),
        flush_interval=of("FLUSH_INTERVAL", 1.0),
        outbox_dir=path("OUTBOX_DIR"),
        outbox_max_mb=of("OUTBOX_MAX_MB", 2048),
        run_file=path("RUN_FILE"),
        speedups=of("SPEEDUPS", True),
        batch_size=of("TESTOPS_BATCH_SIZE", 200),
        run_id=_positive(values.get("TESTOPS_RUN_ID")),
        plan_id=_positive(values.get("TESTOPS_PLAN_ID")),
        environment=values.get("ENVIRONMENT"),
        run_title=values.get("TESTOPS_RUN_TITLE"),
        run_description=values.get("TESTOPS_RUN_DESCRIPTION"),
        run_tags=values.get("TESTOPS_RUN_TAGS"),
        overlay_environ=laid.environ,
        overlay_file=laid.file,
        overlay_options=laid.options,
    )


def _positive(value: Value[int] | None) -> Value[int] | None:
    # To upstream 0 means that no id is given.
    return value if value and value.value else None


def _projects(selected: set[str], values: Mapping[str, Value[Any]]) -> Iterator[str]:
    if "testops" in selected and "TESTOPS_PROJECT" in values:
        yield values["TESTOPS_PROJECT"].value
    if "testops_multi" in selected and "projects" in values:
        yield from multi.codes(values["projects"].value)


def _missing(
    settings: Settings, decision: switch.Switch, on: Value[bool] | None, findings: Findings
) -> Iterator[str]:
    """What the selected modes need and nobody gave."""
    selecting = [value for value in (settings.mode, settings.fallback) if value.value in NEEDS_BACKEND]
    if not selecting:
        return
    if settings.api_url is None and not decision.problem:
        hint = f" ({decision.reason})" if decision.reason else ""
        by = f"{on.source} switches on and " if on else ""
        yield (
            f"{by}{selecting[0].source} is {selecting[0].value}, but no address is set{hint}: the results "
            f"would go nowhere. {switch.HOW_TO_SET}."
        )
    for value in selecting:
        # A value that is there and wrong has a line of its own already.
        if (
            value.value == "testops"
            and settings.project is None
            and "TESTOPS_PROJECT" not in findings.refused
        ):
            yield (
                f"{value.source} is testops, but no project is set: results belong to a project. Set "
                'FAMACASE_TESTOPS_PROJECT, --famacase-testops-project or "testops": {"project": ...} in '
                "famacase.config.json; their QASE twins count too."
            )
        multiple = findings.values.get("projects")
        if (
            value.value == "testops_multi"
            and not (multiple and multiple.value)
            and "projects" not in findings.refused
        ):
            yield (
                f"{value.source} is testops_multi, but no projects are set. Set "
                '"testops_multi": {"projects": [{"code": ...}]} in famacase.config.json or qase.config.json.'
            )
    for code in settings.projects or ("",):
        # Without a project only the general token can be judged; there may be one for each project instead.
        if code or not settings.tokens or settings.tokens.source_for(""):
            try:
                settings.tokens.for_project(code)
            except SettingsError as error:
                yield str(error)


def _exposed(settings: Settings) -> Iterator[str]:
    """Warnings about the token: sent in the clear, or meant for Qase."""
    if settings.api_url is None:
        return
    url = settings.api_url.value
    if url.startswith("http://") and not address.is_loopback(address.host_of(url)):
        yield (
            f"{settings.api_url.source} is {url}: over http anybody on the way can read the token and "
            "the results. Use https."
        )
    sources = {settings.tokens.source_for(code) for code in settings.projects}
    for source in sorted(str(source) for source in sources if source and source.of_qase):
        yield (
            f"The token comes from {source}, since no Famacase setting holds one. If it is a token of "
            "Qase, Famacase will refuse it: set FAMACASE_REPORTER_TOKEN."
        )
