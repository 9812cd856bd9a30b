"""The settings of a session, typed and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ..errors import SettingsError
from .kinds import NEEDS_BACKEND
from .overlay import Overlay
from .sources import Value
from .switch import HOW_TO_SET
from .tokens import Tokens


class Defects(NamedTuple):
    """Where defects are filed.

    Attributes:
        client_class, client_config: of the tracker's client; or
        config: a file of the TestBench Defect Service.
        project: the tracker's; None: called as the project of the results.
        close: whether the defect of a test that passes again is closed.
    """

    client_class: Value[str] | None
    client_config: Value[dict[str, Any]] | None
    config: Value[Path] | None
    project: Value[str] | None
    close: bool


class Settings(NamedTuple):
    """The settings of a session that uses Famacase. Where the source matters the field is a `Value`.

    Attributes:
        api_url: `scheme://host[:port][/prefix]`; None if FAMACASE_ENABLED=true stands alone, in a mode
            that needs no back end.
        mode, fallback: off, report, testops or testops_multi.
        debug: whether upstream logs verbosely.
        project: code of the project of mode testops.
        projects: codes of all projects that the session reports to; empty if it reports to none.
        tokens: by project, never shown.
        timeout: seconds for one HTTP call.
        retry_attempts: attempts in all.
        attachment_workers: upload requests at a time.
        drain_timeout: seconds that the end of the session waits for delivery; 0: not at all.
        start_timeout: seconds that the start of the session waits for the back end, in all.
        directory: where relative names begin: that of the config files.
        strict: whether a wrong target stops the session, and what is left over fails it.
        flush_interval: seconds that a result waits for others.
        outbox_dir: where results wait; None: the default place.
        outbox_max_mb: size of the outbox in MiB beyond which files are dropped.
        reruns: merge or all; whether the attempts at a test are one result.
        ci: auto or off: whether what a CI service says is used.
        job_summary: where to write a summary in Markdown.
        run_file: where to write id and URL of the run.
        client_class, client_config: the team's own back end, and its configuration.
        speedups: whether slow parts of upstream are replaced.
        mask, mask_env: names whose values are masked in results, and variables whose values are.
        attachments: all, failed (none of tests that passed) or none.
        muted_status: of a muted failure; None: it stays.
        batch_size: results in one request, 1 to 200.
        run_id, plan_id: None if not given (or 0).
        run_source: where the runs stand that exist already; "" if none is given.
        environment: slug or number of the environment.
        run_title, run_description, run_tags: of a run that is created.
        defects: where defects are filed; None: nowhere.
        overlay: what upstream reads in place of its own sources.
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
    start_timeout: Value[float]
    strict: Value[bool]
    directory: Path
    flush_interval: Value[float]
    outbox_dir: Value[Path] | None
    outbox_max_mb: Value[int]
    reruns: Value[str]
    ci: Value[str]
    job_summary: Value[Path] | None
    run_file: Value[Path] | None
    client_class: Value[str] | None
    client_config: Value[dict[str, Any]] | None
    speedups: Value[bool]
    mask: Value[list[Any]]
    mask_env: Value[list[Any]]
    attachments: Value[str]
    muted_status: Value[str] | None
    batch_size: Value[int]
    run_id: Value[int] | None
    plan_id: Value[int] | None
    run_source: str
    environment: Value[str] | None
    run_title: Value[str] | None
    run_description: Value[str] | None
    run_tags: Value[list[Any]] | None
    defects: Defects | None
    overlay: Overlay

    @property
    def needs_backend(self) -> bool:
        """Whether the mode or the fallback talks to a back end."""
        return bool({self.mode.value, self.fallback.value} & NEEDS_BACKEND)

    @property
    def masks(self) -> bool:
        """Whether anything in results is secret."""
        return bool(self.mask.value or self.mask_env.value)

    @property
    def screens(self) -> bool:
        """Whether results are changed before they are stored."""
        return self.masks or self.attachments.value != "all" or self.muted_status is not None

    @property
    def base_url(self) -> str:
        """The address as text.

        Raises:
            SettingsError: none is known; impossible if `needs_backend`.
        """
        if self.api_url is None:
            raise SettingsError(f"No Famacase address is set: there is nowhere to send to. {HOW_TO_SET}.")
        return self.api_url.value


class Resolution(NamedTuple):
    """Whether the session uses Famacase, and its settings if it does.

    Attributes:
        reason: why it does not, for diagnostics; "" if it does.
        settings: None if it does not.
        warnings: for the user, one line each.
        is_switched_off: whether it does not since a setting says so.
    """

    reason: str = ""
    settings: Settings | None = None
    warnings: tuple[str, ...] = ()
    is_switched_off: bool = False

    @property
    def active(self) -> bool:
        """Whether the session uses Famacase."""
        return self.settings is not None
