"""The one table of settings: it serves environment, flags, files, schema, messages and documentation.

A setting that upstream adds reaches upstream without a row, since the prefixes are exchanged whatever the
name. A row gives it a kind, so that a wrong value is found before upstream sees it.
"""

from __future__ import annotations

from typing import NamedTuple

from .kinds import (
    BOOLEAN,
    CONFIGURATIONS,
    LINK_TYPE,
    MODE,
    OBJECT,
    PATH,
    PROFILERS,
    STATUS_MAPPING,
    STATUSES,
    TEXT,
    TOKENS,
    Kind,
    choice,
    integer,
    listing,
    seconds,
)
from .multi import PROJECTS

FAMACASE_FILE = "famacase.config.json"
QASE_FILE = "qase.config.json"
BLOCK = "famacase"
"""The key in `famacase.config.json` under which our own settings stand."""


class Row(NamedTuple):
    """One setting.

    Attributes:
        name: of the variable, without `FAMACASE_` or `QASE_`; in lower case: a setting of files alone.
        path: the keys that lead to it in a file, joined by dots; "" if no file has it.
        kind: of its values.
        purpose: for the documentation; "" for what is accepted, since Qase's files have it, without effect.
        default: for the documentation.
        flag: without `--famacase-` or `--qase-`; "" if there is none today.
        dest: of the flag, without prefix, where it differs from the name.
        secret: whether its value is a token.
    """

    name: str
    path: str
    kind: Kind
    purpose: str
    default: str
    flag: str
    dest: str
    secret: bool

    @property
    def destination(self) -> str:
        """The dest of the flag without its prefix; also of a flag that upstream may add to the variable."""
        return self.dest or self.name.lower()

    @property
    def own(self) -> bool:
        """Whether the setting is our own, without a twin in upstream."""
        return self.path.startswith(f"{BLOCK}.")

    @property
    def in_environment(self) -> bool:
        """Whether a variable can give it."""
        return self.name.isupper()


def _row(
    name: str,
    path: str,
    kind: Kind,
    purpose: str,
    default: str = "",
    *,
    flag: str | None = None,
    dest: str = "",
    secret: bool = False,
) -> Row:
    """A setting; its flag is spelt like the variable (None) unless said otherwise."""
    spelt = name.lower().replace("_", "-") if flag is None else flag
    return Row(name, path, kind, purpose, default, spelt, dest, secret)


UPSTREAM: tuple[Row, ...] = (
    _row("MODE", "mode", MODE, "Where results go; `report` writes local files", "off"),
    _row("FALLBACK", "fallback", MODE, "The mode to fall back to if `testops` fails", "off"),
    _row("ENVIRONMENT", "environment", TEXT, "Slug or number of the environment"),
    _row("ROOT_SUITE", "rootSuite", TEXT, "A suite above all others"),
    _row("DEBUG", "debug", BOOLEAN, "Verbose log, and a line for each request", "false"),
    _row("PROFILERS", "profilers", listing(PROFILERS, objects=True), "Profilers: `network`, `db`, `sleep`"),
    _row(
        "PROFILER_NETWORK_EXCLUDE_HOSTS",
        "",
        listing(),
        "Hosts whose requests become no steps (in a file: `excludeHosts` of the profiler)",
        flag="",
    ),
    _row("EXCLUDE_PARAMS", "excludeParams", listing(), "Parameters that are left out of results"),
    _row("STATUS_MAPPING", "statusMapping", STATUS_MAPPING, "Statuses to replace by others"),
    # Upstream reads it, and does nothing with it.
    _row("EXECUTION_PLAN_PATH", "executionPlan.path", TEXT, ""),
    _row("TESTOPS_API_HOST", "testops.api.host", TEXT, "The address; `FAMACASE_API_URL` beats it"),
    _row(
        "TESTOPS_API_TOKEN",
        "testops.api.token",
        TEXT,
        "The token; `FAMACASE_REPORTER_TOKEN` beats it",
        secret=True,
    ),
    _row(
        "TESTOPS_API_TIMEOUT",
        "testops.api.timeout",
        seconds(3600),
        "Seconds for one HTTP call; `FAMACASE_TIMEOUT` beats it",
        flag="",
    ),
    # The relay has retries of its own.
    _row("TESTOPS_API_RETRIES", "testops.api.retries", integer(0), "", flag=""),
    _row("TESTOPS_API_RETRY_BACKOFF", "testops.api.retryBackoff", seconds(3600, zero=True), "", flag=""),
    _row("TESTOPS_PROJECT", "testops.project", TEXT, "Code of the project"),
    _row("TESTOPS_DEFECT", "testops.defect", BOOLEAN, "Create a defect for a failed result", "false"),
    _row("TESTOPS_PLAN_ID", "testops.plan.id", integer(0), "Run only what this plan holds"),
    _row("TESTOPS_RUN_ID", "testops.run.id", integer(0), "Append to this run instead of creating one"),
    _row("TESTOPS_RUN_TITLE", "testops.run.title", TEXT, "Title of the run"),
    _row("TESTOPS_RUN_DESCRIPTION", "testops.run.description", TEXT, "Description of the run"),
    _row("TESTOPS_RUN_COMPLETE", "testops.run.complete", BOOLEAN, "Complete the run at the end", "true"),
    _row("TESTOPS_RUN_TAGS", "testops.run.tags", listing(), "Tags of the run"),
    _row(
        "TESTOPS_RUN_EXTERNAL_LINK_URL", "testops.run.externalLink.link", TEXT, "The external link of the run"
    ),
    _row("TESTOPS_RUN_EXTERNAL_LINK_TYPE", "testops.run.externalLink.type", LINK_TYPE, "Kind of that link"),
    _row("TESTOPS_BATCH_SIZE", "testops.batch.size", integer(1, 200), "Results in one request", "200"),
    _row(
        "TESTOPS_CONFIGURATIONS_VALUES",
        "testops.configurations.values",
        CONFIGURATIONS,
        "Configurations of the run",
    ),
    # A run is created with its configurations, and the contract has no place for this.
    _row(
        "TESTOPS_CONFIGURATIONS_CREATE_IF_NOT_EXISTS",
        "testops.configurations.createIfNotExists",
        BOOLEAN,
        "",
    ),
    _row("TESTOPS_STATUS_FILTER", "testops.statusFilter", listing(STATUSES), "Statuses that are not sent"),
    _row(
        "TESTOPS_SHOW_PUBLIC_REPORT_LINK",
        "testops.showPublicReportLink",
        BOOLEAN,
        "Make a public link to the run at its end",
        "false",
    ),
    # There is one driver.
    _row("REPORT_DRIVER", "report.driver", choice("local"), ""),
    _row(
        "REPORT_CONNECTION_PATH",
        "report.connection.path",
        TEXT,
        "Directory of the local report",
        "./build/qase-report",
        flag="report-connection-local-path",
        dest="report_connection_local_path",
    ),
    _row(
        "REPORT_CONNECTION_FORMAT",
        "report.connection.format",
        choice("json", "jsonp"),
        "Format of the local report",
        "json",
        flag="report-connection-local-format",
        dest="report_connection_local_format",
    ),
    _row("PYTEST_CAPTURE_LOGS", "framework.pytest.captureLogs", BOOLEAN, "Attach logs to results", "false"),
    _row(
        "PYTEST_XFAIL_STATUS_XFAIL",
        "framework.pytest.xfailStatus.xfail",
        TEXT,
        "Status of a test that fails as expected",
        "skipped",
        dest="pytest_xfail_status",
    ),
    _row(
        "PYTEST_XFAIL_STATUS_XPASS",
        "framework.pytest.xfailStatus.xpass",
        TEXT,
        "Status of a test that passes though it was expected to fail",
        "passed",
        dest="pytest_xpass_status",
    ),
    _row("LOGGING_CONSOLE", "logging.console", BOOLEAN, "Log to the console", "true"),
    _row("LOGGING_FILE", "logging.file", BOOLEAN, "Log to a file", "as `debug`"),
    _row(
        "default_project", "testops_multi.default_project", TEXT, "Project of tests that name none", flag=""
    ),
    _row("projects", "testops_multi.projects", PROJECTS, "The projects of mode `testops_multi`", flag=""),
)

OWN: tuple[Row, ...] = (
    _row(
        "API_URL", "famacase.apiUrl", TEXT, "The address of the back end; it switches reporting to Famacase"
    ),
    _row("REPORTER_TOKEN", "famacase.reporterToken", TEXT, "The project's reporter token", secret=True),
    _row("REPORTER_TOKEN_FILE", "famacase.reporterTokenFile", TEXT, "A file that holds the token"),
    _row("REPORTER_TOKENS", "famacase.tokens", TOKENS, "Tokens of several projects", flag="", secret=True),
    _row(
        "ENABLED",
        "famacase.enabled",
        BOOLEAN,
        "`false` switches off; `true` takes the address from `QASE_*` settings too",
    ),
    _row("TIMEOUT", "famacase.timeout", seconds(3600), "Seconds for one HTTP call", "30"),
    _row(
        "RETRY_ATTEMPTS", "famacase.retryAttempts", integer(0, 100), "Attempts at one HTTP call; 0: one", "3"
    ),
    _row("ATTACHMENT_WORKERS", "famacase.attachmentWorkers", integer(1, 256), "Uploads at a time", "4"),
    _row(
        "DRAIN_TIMEOUT",
        "famacase.drainTimeout",
        seconds(86400, zero=True),
        "Seconds that the end of the session waits for delivery; 0: not at all",
        "300",
    ),
    _row(
        "START_TIMEOUT",
        "famacase.startTimeout",
        seconds(3600),
        "Seconds that the start of the session waits for the back end, in all",
        "10",
    ),
    _row(
        "STRICT",
        "famacase.strict",
        BOOLEAN,
        "Stop before the first test if token, project, run, plan or environment is wrong, and end with 1 if "
        "results are left over",
        "false",
    ),
    _row(
        "FLUSH_INTERVAL",
        "famacase.flushInterval",
        seconds(60, zero=True),
        "Seconds that a result may wait for others before it is sent",
        "1",
    ),
    _row("OUTBOX_DIR", "famacase.outboxDir", PATH, "Directory for results that wait", "`.famacase/outbox`"),
    _row(
        "OUTBOX_MAX_MB",
        "famacase.outboxMaxMb",
        integer(1),
        "Size in MiB beyond which files are dropped",
        "2048",
    ),
    _row(
        "RERUNS",
        "famacase.reruns",
        choice("merge", "all"),
        "A test that is repeated is one result, with its attempts as steps; `all`: each attempt is a result",
        "merge",
    ),
    _row(
        "CI",
        "famacase.ci",
        choice("auto", "off"),
        "`auto`: a run without title or description gets them from the CI build; on GitHub Actions the job's "
        "summary and outputs are written",
        "auto",
    ),
    _row("JOB_SUMMARY", "famacase.jobSummary", PATH, "Write a summary in Markdown to this file"),
    _row("RUN_FILE", "famacase.runFile", PATH, "Write id and URL of the run to this file as JSON"),
    _row(
        "INTEGRATIONS",
        "famacase.integrations",
        listing(),
        "Integrations: names, dotted paths or files; see integrations.md",
    ),
    _row(
        "CLIENT_CLASS",
        "famacase.client.class",
        TEXT,
        "Another back end in the place of an address: a file or the path of a class; see backends.md",
    ),
    _row("CLIENT_CONFIG", "famacase.client.config", OBJECT, "Its configuration", secret=True),
    _row(
        "SPEEDUPS",
        "famacase.speedups",
        BOOLEAN,
        "Replace slow parts of qase-pytest by equal, faster ones",
        "true",
    ),
    _row("MASK", "famacase.mask", listing(), "Names whose values are masked in results, such as `password`"),
    _row("MASK_ENV", "famacase.maskEnv", listing(), "Variables whose values are masked in results"),
    _row(
        "ATTACHMENTS",
        "famacase.attachments",
        choice("all", "failed", "none"),
        "Files that are sent; with `failed` those of tests that passed are not",
        "all",
    ),
    _row(
        "MUTED_STATUS",
        "famacase.mutedStatus",
        choice(*STATUSES),
        "The status of a muted test that fails, such as `blocked`",
        "the failure's",
    ),
    _row(
        "DEFECTS_CLIENT_CLASS",
        "famacase.defects.client_class",
        TEXT,
        "The client of the team's tracker: a file, or the dotted path of a class",
    ),
    _row(
        "DEFECTS_CLIENT_CONFIG",
        "famacase.defects.client_config",
        OBJECT,
        "The configuration of that client",
        secret=True,
    ),
    _row(
        "DEFECTS_CONFIG",
        "famacase.defects.config",
        PATH,
        "A `config.toml` of a TestBench Defect Service, in the place of those two",
    ),
    _row(
        "DEFECTS_PROJECT", "famacase.defects.project", TEXT, "The tracker's project", "as `testops.project`"
    ),
    _row(
        "DEFECTS_CLOSE",
        "famacase.defects.close",
        BOOLEAN,
        "Close the defect of a test that passes again; otherwise it gets a note",
        "false",
    ),
)

ROWS = UPSTREAM + OWN
BY_NAME = {row.name: row for row in ROWS}

_BY_DESTINATION = {row.destination: row for row in ROWS}


def by_destination(dest: str) -> Row | None:
    """The row of a flag's dest without its prefix, or None if the table has none."""
    return _BY_DESTINATION.get(dest)


def flag_of(dest: str) -> str:
    """The spelling of a flag without its prefix, from its dest without its prefix."""
    row = by_destination(dest)
    return row.flag if row and row.flag else dest.replace("_", "-")
