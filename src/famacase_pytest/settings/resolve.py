"""From all sources to the settings of a session, or to everything that is wrong with them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import SettingsError
from . import address, ci, multi, names, overlay
from .kinds import MODES, NEEDS_BACKEND, Unfit, names_in
from .model import Defects, Resolution, Settings
from .sources import (
    BY_DEFAULT,
    COMMAND_LINE,
    FAMACASE,
    QASE,
    ConfigFiles,
    Defaults,
    Inputs,
    Value,
    broken_blocks,
    candidates,
    strongest,
)
from .switch import HOW_TO_SET, Decision, decide
from .table import BY_NAME, FAMACASE_FILE, ROWS, Row
from .tokens import Tokens, read_tokens

_LONGEST_SHOWN = 80

DEFAULT = str(BY_DEFAULT)

ELSEWHERE = frozenset(
    {
        "API_URL",
        "TESTOPS_API_HOST",
        "ENABLED",
        "REPORTER_TOKEN",
        "REPORTER_TOKEN_FILE",
        "REPORTER_TOKENS",
        "TESTOPS_API_TOKEN",
        "INTEGRATIONS",
    }
)
"""Settings that `switch`, `tokens` and `integrations` read: they differ in precedence, or when they hold."""


class Preview(NamedTuple):
    """What environment and files say before the command line is known, which may say otherwise.

    Attributes:
        active: whether the session is going to report to Famacase; False when in doubt.
        needs_backend: whether, if so, the mode or the fallback talks to a back end.
    """

    active: bool = False
    needs_backend: bool = False


def preview(
    environ: Mapping[str, str], files: ConfigFiles, options: Mapping[str, object] | None = None
) -> Preview:
    """Look at environment and files; what is wrong with them is left to `resolve`.

    Args:
        environ: the process environment.
        files: not read if there is neither a Famacase variable nor flag nor a `famacase.config.json`.
        options: the namespace of pytest's command line as a mapping, as far as it is known.
    """
    flags = {name: value for name, value in (options or {}).items() if name.startswith("famacase_") and value}
    if (
        not flags
        and not any(name.startswith("FAMACASE_") for name in environ)
        and not files.exists(FAMACASE_FILE)
    ):
        return Preview()
    inputs = Inputs(environ, options or {}, files)
    try:
        decision = decide(inputs)
    except SettingsError:
        return Preview()
    if not decision.active or decision.problem:
        return Preview()
    found = (strongest(BY_NAME[name], inputs) for name in ("MODE", "FALLBACK"))
    modes = {str(value.value).strip().lower() for value in found if value is not None}
    return Preview(active=True, needs_backend=bool(modes & NEEDS_BACKEND))


def resolve(
    environ: Mapping[str, str],
    options: Mapping[str, object],
    files: ConfigFiles,
    known_upstream: Collection[str] = (),
    modes: Collection[str] = MODES,
    defaults: Defaults = Defaults(),  # noqa: B008 (a value)
) -> Resolution:
    """Gather and check the settings of a session. Nothing but the config files and a token file is read.

    Args:
        environ: the process environment; not changed.
        options: the namespace of pytest's command line, as a mapping; not changed.
        files: the config files.
        known_upstream: the `QASE_*` names that the installed upstream reads; if empty, those of all
            supported releases count as known.
        modes: those that the installed upstream has.
        defaults: what a plugin gives.

    Raises:
        SettingsError: with one line for each problem found. In a session that does not use Famacase only
            what `switch.decide` finds is a problem.
    """
    inputs = Inputs(environ, options, files, defaults)
    decision = decide(inputs)
    if not decision.active:
        return Resolution(
            decision.reason,
            warnings=(decision.warning,) if decision.warning else (),
            # Were it true, the session would be active.
            is_switched_off=decision.enabled is not None,
        )
    tokens = read_tokens(inputs)
    findings = _read_values(inputs, modes)
    built = (
        ci.build(environ) if findings.values.get("CI", Value("auto", BY_DEFAULT)).value == "auto" else None
    )
    for name, value in zip(("TESTOPS_RUN_TITLE", "TESTOPS_RUN_DESCRIPTION"), built or ()):
        if value.value and strongest(BY_NAME[name], inputs) is None:
            findings.values[name] = value
    settings = _settings(inputs, decision, findings.values, tokens)
    problems = [decision.problem] if decision.problem else []
    problems += [*findings.problems, *_missing(decision, settings, findings)]
    misspelt = names.warnings(inputs, known_upstream)
    if problems:
        # What is missing may be there under a misspelt name, or with a wrong value.
        said = [*problems, *findings.passed_over, *misspelt]
        raise SettingsError(tokens.scrubbed("\n".join(dict.fromkeys(said))))
    doubtful = [*findings.passed_over, *findings.warnings, *misspelt]
    warnings = [*_exposed(settings), *_unmasked(settings), *doubtful]
    return Resolution(settings=settings, warnings=tuple(map(tokens.scrubbed, warnings)))


class Effective(NamedTuple):
    """A setting, and where it comes from.

    Attributes:
        name: of the variable; of a setting that only files have, the path of the key.
        value: as it is shown; a token is not. "" if it is not set and has no default.
        source: where it stands; `DEFAULT` if no source gives it.
        over: the sources with other values that it beats.
    """

    name: str
    value: str
    source: str
    over: tuple[str, ...] = ()


def effective(inputs: Inputs, settings: Settings | None) -> list[Effective]:
    """Every setting, with what it beats, as far as both can be told without effort.

    Address and token have a precedence of their own: what counts of them is in the `Settings`.

    Args:
        inputs: all sources.
        settings: what was made of them; the build of a CI service gives some. None if nothing could be.
    """
    of_build = {}
    if settings is not None:
        of_build = {
            "TESTOPS_RUN_TITLE": settings.run_title,
            "TESTOPS_RUN_DESCRIPTION": settings.run_description,
        }
    found = []
    for row in ROWS:
        name = f"FAMACASE_{row.name}" if row.in_environment else row.path
        # Any of Famacase's sources beats any of Qase's.
        orders = ((FAMACASE,), (QASE,)) if row.name in ELSEWHERE else ((),)
        values = [value for products in orders for _, value in candidates((row,), inputs, *products)]
        values = values or list(filter(None, [of_build.get(row.name)]))
        if not values:
            found.append(Effective(name, row.default.replace("`", ""), DEFAULT))
            continue
        first, *rest = values
        text = "***" if row.secret else shown(first.value)
        found.append(Effective(name, text, str(first.source), tuple(str(value.source) for value in rest)))
    return found


def single(name: str, inputs: Inputs) -> Value[Any] | None:
    """One setting by itself: a session that reports to nobody has it too, or the others cannot be used.

    Args:
        name: of its row in the table.
        inputs: all sources.

    Returns:
        None if no source gives it.

    Raises:
        SettingsError: the value is none that it may have.
    """
    row = BY_NAME[name]
    found = strongest(row, inputs)
    if found is None:
        return None
    wrong, value = _read_value(row, found, ())
    if wrong:
        raise SettingsError(f"{wrong} Correct or remove it.")
    return Value(value, found.source)


@dataclass
class _Findings:
    """The winning values, parsed, by the name of their row, and what is wrong or doubtful in them.

    Attributes:
        values: by the name of their row.
        problems: stop the session.
        wrong: the rows that have a problem.
        passed_over: what is said of values of Qase's sources that are wrong.
        warnings: what else is said.
    """

    values: dict[str, Value[Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    wrong: set[str] = field(default_factory=set)
    passed_over: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def _read_values(inputs: Inputs, modes: Collection[str]) -> _Findings:
    """Parse the winning value of each row. A value that loses is not looked at: upstream will not see it."""
    findings = _Findings(problems=list(broken_blocks(inputs)), passed_over=inputs.files.passed_over())
    for row in ROWS:
        found = None if row.name in ELSEWHERE else _winner(row, inputs, modes, findings)
        if found is None:
            continue
        findings.values[row.name] = found
        findings.warnings += [
            f"{found.source} names {shown(name)}, which is not among {', '.join(sorted(row.kind.familiar))}"
            f"; qase-pytest gets it as it is.{names.nearest(name, row.kind.familiar)}"
            for name in (names_in(found.value) if row.kind.familiar else ())
            if name not in row.kind.familiar
        ]
    return findings


def _winner(row: Row, inputs: Inputs, modes: Collection[str], findings: _Findings) -> Value[Any] | None:
    """The strongest value, parsed; one of Qase's that is wrong is no reason to stop a session."""
    for _, found in candidates((row,), inputs):
        wrong, value = _read_value(row, found, modes)
        if not wrong:
            return Value(value, found.source)
        if found.source.kind == COMMAND_LINE or not found.source.of_qase:
            findings.problems.append(f"{wrong} Correct or remove it.")
            findings.wrong.add(row.name)
            break
        # qase-pytest runs the session without it.
        findings.passed_over.append(f"{wrong} It is passed over, as if it were not set.")
    return None


def _read_value(row: Row, found: Value[Any], modes: Collection[str]) -> tuple[str, Any]:
    """What is wrong with a value, or "", and what it means."""
    try:
        value = row.kind.parse(found.value)
    except (ValueError, OverflowError) as error:  # OverflowError: 1e999 as a whole number
        return _wrong(row, found, error), None
    if row.name in ("MODE", "FALLBACK") and value not in modes:
        return f"{found.source} is {value}, a mode that the installed qase-pytest does not have.", None
    return "", value


def _wrong(row: Row, found: Value[Any], error: Exception) -> str:
    # Python's own texts ("invalid literal for int()") say less than what the value must be.
    detail = f" ({error})" if isinstance(error, Unfit) else ""
    text = "***" if row.secret else shown(found.value)
    return f"{found.source} is {text}: it must be {row.kind.must}{detail}."


def shown(value: object) -> str:
    """A value as it is shown in a message: short, and without what may be a password."""
    plain = address.scrubbed(value) if isinstance(value, str) else value
    text = json.dumps(plain, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def _settings(
    inputs: Inputs, decision: Decision, values: Mapping[str, Value[Any]], tokens: Tokens
) -> Settings:
    def of(name: str, default: object) -> Value[Any]:
        return values.get(name, Value(default, BY_DEFAULT))

    def path(name: str) -> Value[Any] | None:
        found = values.get(name)
        return Value(inputs.files.directory / found.value, found.source) if found else None

    def positive(name: str) -> Value[int] | None:
        # To upstream 0 means that no id is given.
        found = values.get(name)
        return found if found and found.value else None

    mode, fallback = of("MODE", "off"), of("FALLBACK", "off")
    projects: list[str] = []
    if "testops" in (mode.value, fallback.value) and "TESTOPS_PROJECT" in values:
        projects.append(values["TESTOPS_PROJECT"].value)
    if "testops_multi" in (mode.value, fallback.value):
        projects += multi.codes(of("projects", []).value)
    run = values.get("projects" if mode.value == "testops_multi" else "TESTOPS_RUN_ID")
    return Settings(
        api_url=decision.address,
        mode=mode,
        fallback=fallback,
        debug=of("DEBUG", False),
        project=values.get("TESTOPS_PROJECT"),
        projects=tuple(dict.fromkeys(projects)),
        tokens=tokens,
        timeout=values.get("TIMEOUT") or of("TESTOPS_API_TIMEOUT", 30.0),
        retry_attempts=Value(max(1, of("RETRY_ATTEMPTS", 3).value), of("RETRY_ATTEMPTS", 3).source),
        attachment_workers=of("ATTACHMENT_WORKERS", 4),
        drain_timeout=of("DRAIN_TIMEOUT", 300.0),
        start_timeout=of("START_TIMEOUT", 10.0),
        strict=of("STRICT", False),
        directory=inputs.files.directory,
        flush_interval=of("FLUSH_INTERVAL", 1.0),
        outbox_dir=path("OUTBOX_DIR"),
        outbox_max_mb=of("OUTBOX_MAX_MB", 2048),
        reruns=of("RERUNS", "merge"),
        ci=of("CI", "auto"),
        job_summary=path("JOB_SUMMARY"),
        run_file=path("RUN_FILE"),
        client_class=values.get("CLIENT_CLASS"),
        client_config=values.get("CLIENT_CONFIG"),
        speedups=of("SPEEDUPS", True),
        mask=of("MASK", []),
        mask_env=of("MASK_ENV", []),
        attachments=of("ATTACHMENTS", "all"),
        muted_status=values.get("MUTED_STATUS"),
        batch_size=of("TESTOPS_BATCH_SIZE", 200),
        run_id=positive("TESTOPS_RUN_ID"),
        plan_id=positive("TESTOPS_PLAN_ID"),
        run_source=str(run.source) if run else "",
        environment=values.get("ENVIRONMENT"),
        run_title=values.get("TESTOPS_RUN_TITLE"),
        run_description=values.get("TESTOPS_RUN_DESCRIPTION"),
        run_tags=values.get("TESTOPS_RUN_TAGS"),
        defects=_defects(values, path("DEFECTS_CONFIG")),
        overlay=overlay.build(inputs, values, decision.address, tokens),
    )


def _defects(values: Mapping[str, Value[Any]], config: Value[Any] | None) -> Defects | None:
    wanted = values.get("TESTOPS_DEFECT")
    client = values.get("DEFECTS_CLIENT_CLASS")
    if not (wanted and wanted.value) or not (client or config):
        return None
    close = values.get("DEFECTS_CLOSE")
    return Defects(
        client,
        values.get("DEFECTS_CLIENT_CONFIG"),
        config,
        values.get("DEFECTS_PROJECT"),
        bool(close and close.value),
    )


def _missing(decision: Decision, settings: Settings, findings: _Findings) -> Iterator[str]:
    """A message for each thing that the selected modes need and no source has."""

    def is_missing(name: str) -> bool:
        # A value that is there and wrong has a message of its own already.
        found = findings.values.get(name)
        return not found.value if found else name not in findings.wrong

    selecting = [value for value in (settings.mode, settings.fallback) if value.value in NEEDS_BACKEND]
    if not selecting:
        return
    if settings.api_url is None and not decision.problem:
        hint = f" ({decision.reason})" if decision.reason else ""
        by = f"{decision.enabled.source} switches on and " if decision.enabled else ""
        yield (
            f"{by}{selecting[0].source} is {selecting[0].value}, but no address is set{hint}: the results "
            f"would go nowhere. {HOW_TO_SET}."
        )
    for value in selecting:
        if value.value == "testops" and is_missing("TESTOPS_PROJECT"):
            yield (
                f"{value.source} is testops, but no project is set: results belong to a project. Set "
                'FAMACASE_TESTOPS_PROJECT, --famacase-testops-project or "testops": {"project": ...} in '
                "famacase.config.json; their QASE twins count too."
            )
        if value.value == "testops_multi" and is_missing("projects"):
            yield (
                f"{value.source} is testops_multi, but no projects are set: results belong to a project. Set "
                '"testops_multi": {"projects": [{"code": ...}]} in famacase.config.json or qase.config.json.'
            )
    for code in () if settings.client_class else settings.projects or ("",):
        # Without a project only the general token can be judged; there may be one for each project instead.
        if code or not settings.tokens or settings.tokens.source_for(""):
            try:
                settings.tokens.for_project(code)
            except SettingsError as error:
                yield str(error)


def _unmasked(settings: Settings) -> Iterator[str]:
    """Warnings about what qase-pytest itself writes, in which nothing is masked."""
    secret = settings.mask if settings.mask.value else settings.mask_env
    if not secret.value:
        return
    for found in (settings.mode, settings.fallback):
        if found.value == "report":
            yield (
                f"{secret.source} masks nothing in the local report that {found.source} asks for: "
                "qase-pytest writes it. Keep it where only those may read it who may know the secrets."
            )
    if settings.debug.value:
        yield (
            f"{secret.source} masks nothing in the debug log that {settings.debug.source} asks for: "
            "qase-pytest writes whole results into it. Switch it off."
        )


def _exposed(settings: Settings) -> Iterator[str]:
    """Warnings about the token: sent unencrypted, or meant for Qase."""
    if settings.api_url is None:
        return
    url = settings.api_url.value
    if url.startswith("http://") and not address.is_loopback(address.host_of(url)):
        yield (
            f"{settings.api_url.source} is {url}: over http anybody on the way can read the token and "
            "the results. Use https."
        )
    beginning = re.search(r"/api(/v1(/reporter)?)?$", url)
    if beginning:
        yield (
            f"{settings.api_url.source} ends in {beginning[0]}, and {address.REPORTER_PATH} is added to it. "
            f"If the back end answers 404, take {beginning[0]} off."
        )
    sources = {settings.tokens.source_for(code) for code in settings.projects}
    for source in sorted(str(source) for source in sources if source and source.of_qase):
        yield (
            f"The token comes from {source}, since no Famacase setting holds one. If it is a token of "
            "Qase, Famacase will refuse it: set FAMACASE_REPORTER_TOKEN."
        )
