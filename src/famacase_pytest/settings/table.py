"""The one table of settings: it serves environment, flags, files, schema, messages and documentation.

A row that upstream adds needs no new code to reach upstream (the prefix rule is general); here it gets its
kind, so that a wrong value is found before upstream sees it.
"""

from __future__ import annotations

from types import CodeType
from typing import NamedTuple

from .kinds import (
    BOOLEAN,
    CONFIGURATIONS,
    LINK_TYPE,
    MODE,
    STATUS_MAPPING,
    STATUSES,
    TEXT,
    Kind,
    choice,
    integer,
    listing,
    number,
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
        purpose: for the documentation.
        flag: without `--famacase-` or `--qase-`; "" if there is none today.
        dest: of the flag, without prefix; derived from the name where upstream does so.
        own: whether it is our own: then it has no twin in upstream.
        secret: whether its value must not be shown.
        default: for the documentation.
    """

    name: str
    path: str
    kind: Kind
    purpose: str
    flag: str = ""
    dest: str = ""
    own: bool = False
    secret: bool = False
    default: str = ""

    @property
    def destination(self) -> str:
        """The dest of the flag without its prefix; also of a flag that upstream may add to the variable."""
        return self.dest or self.name.lower()

    @property
    def in_environment(self) -> bool:
        """Whether a variable can give it."""
        return self.name.isupper()


def _row(
    name: str, path: str, kind: Kind, purpose: str, default: str = "", *, flag: str = "=", dest: str = ""
) -> Row:
    """A setting of upstream; its flag is spelt like the variable ("=") unless said otherwise."""
    spelt = name.lower().replace("_", "-") if flag == "=" else flag
    return Row(name, path, kind, purpose, spelt, dest, default=default, secret=name == "TESTOPS_API_TOKEN")


def _own(
    name: str,
    key: str,
    kind: Kind,
    purpose: str,
    default: str = "",
    *,
    flag: bool = True,
    secret: bool = False,
) -> Row:
    spelt = name.lower().replace("_", "-") if flag else ""
    return Row(name, f"{BLOCK}.{key}", kind, purpose, spelt, own=True, secret=secret, default=default)


def _code_to_token(value: object) -> dict[str, object]:
    """Project codes with their tokens; the tokens are checked where they are used."""
    if isinstance(value, dict):
        return {str(code).strip(): token for code, token in value.items() if token is not None}
    if not isinstance(value, str):
        raise ValueError
    found: dict[str, object] = {}
    for part in value.split(","):
        code, sign, token = part.partition("=")
        if sign and code.strip() and token.strip():
            found[code.strip()] = token.strip()
        elif part.strip():
            raise ValueError
    return found


TOKENS = Kind(
    'codes with tokens ("CODE=token,OTHER=token" in the variable, an object in the file)',
    _code_to_token,
    {"type": ["object", "string"], "additionalProperties": {"type": "string"}},
)

UPSTREAM: tuple[Row, ...] = (
    _row(
        "MODE",
        "mode",
        MODE,
        "Where results go: `off`, `report` (local files), `testops`, `testops_multi`",
        "off",
    ),
    _row("FALLBACK", "fallback", MODE, "The mode to fall back to if `testops` fails", "off"),
    _row("ENVIRONMENT", "environment", TEXT, "Slug or number of the environment"),
    _row("ROOT_SUITE", "rootSuite", TEXT, "A suite above all others"),
    _row("DEBUG", "debug", BOOLEAN, "Verbose log", "false"),
    _row(
        "PROFILERS",
        "profilers",
        listing(("network", "db", "sleep"), objects=True),
        "Profilers that add steps: `network`, `db`, `sleep`",
    ),
    _row(
        "PROFILER_NETWORK_EXCLUDE_HOSTS",
        "",
        listing(),
        "Hosts whose requests become no steps (in a file: `excludeHosts` of the profiler)",
        flag="",
    ),
    _row("EXCLUDE_PARAMS", "excludeParams", listing(), "Parameters that are left out of results"),
    _row("STATUS_MAPPING", "statusMapping", STATUS_MAPPING, "Statuses to replace by others"),
    _row("EXECUTION_PLAN_PATH", "executionPlan.path", TEXT, "Path of the execution plan file"),
    _row(
        "TESTOPS_API_HOST",
        "testops.api.host",
        TEXT,
        "The address of the back end, under the name that qase-pytest gives it",
    ),
    _row(
        "TESTOPS_API_TOKEN", "testops.api.token", TEXT, "The token, under the name that qase-pytest gives it"
    ),
    _row(
        "TESTOPS_API_TIMEOUT",
        "testops.api.timeout",
        number("seconds", 3600, zero=False),
        "Time for one HTTP call, in seconds; `FAMACASE_TIMEOUT` beats it",
        flag="",
    ),
    _row(
        "TESTOPS_API_RETRIES",
        "testops.api.retries",
        integer(0),
        "Retries of a batch by qase-pytest itself",
        flag="",
    ),
    _row(
        "TESTOPS_API_RETRY_BACKOFF",
        "testops.api.retryBackoff",
        number("seconds", 3600, zero=True),
        "The wait between those retries, in seconds",
        flag="",
    ),
    _row("TESTOPS_PROJECT", "testops.project", TEXT, "Code of the project"),
    _row("TESTOPS_DEFECT", "testops.defect", BOOLEAN, "Create a defect for a failed result", "false"),
    _row("TESTOPS_PLAN_ID", "testops.plan.id", integer(0), "Run only what this plan holds"),
    _row("TESTOPS_RUN_ID", "testops.run.id", integer(0), "Append to this run instead of creating one"),
    _row("TESTOPS_RUN_TITLE", "testops.run.title", TEXT, "Title of the run"),
    _row("TESTOPS_RUN_DESCRIPTION", "testops.run.description", TEXT, "Description of the run"),
    _row("TESTOPS_RUN_COMPLETE", "testops.run.complete", BOOLEAN, "Complete the run at the end", "true"),
    _row("TESTOPS_RUN_TAGS", "testops.run.tags", listing(), "Tags of the run"),
    _row(
        "TESTOPS_RUN_EXTERNAL_LINK_TYPE",
        "testops.run.externalLink.type",
        LINK_TYPE,
        "Kind of the external link: `jiraCloud` or `jiraServer`",
    ),
    _row(
        "TESTOPS_RUN_EXTERNAL_LINK_URL", "testops.run.externalLink.link", TEXT, "The external link of the run"
    ),
    _row("TESTOPS_BATCH_SIZE", "testops.batch.size", integer(1, 200), "Results in one request", "200"),
    _row(
        "TESTOPS_CONFIGURATIONS_VALUES",
        "testops.configurations.values",
        CONFIGURATIONS,
        "Configurations of the run",
    ),
    _row(
        "TESTOPS_CONFIGURATIONS_CREATE_IF_NOT_EXISTS",
        "testops.configurations.createIfNotExists",
        BOOLEAN,
        "Create configurations that do not exist yet",
        "false",
    ),
    _row(
        "TESTOPS_STATUS_FILTER",
        "testops.statusFilter",
        listing(STATUSES),
        "Statuses whose results are not sent",
    ),
    _row(
        "TESTOPS_SHOW_PUBLIC_REPORT_LINK",
        "testops.showPublicReportLink",
        BOOLEAN,
        "Make a public link to the run at its end",
        "false",
    ),
    _row("REPORT_DRIVER", "report.driver", choice("local"), "Driver of the local report", "local"),
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
        "Format of the local report: `json` or `jsonp`",
        "json",
        flag="report-connection-local-format",
        dest="report_connection_local_format",
    ),
    _row(
        "PYTEST_CAPTURE_LOGS",
        "framework.pytest.captureLogs",
        BOOLEAN,
        "Attach captured logs to results",
        "false",
    ),
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
    _own("API_URL", "apiUrl", TEXT, "The address of the back end; setting it switches reporting to Famacase"),
    _own("REPORTER_TOKEN", "reporterToken", TEXT, "The project's reporter token", secret=True),
    _own("REPORTER_TOKEN_FILE", "reporterTokenFile", TEXT, "A file that holds the token (a mounted secret)"),
    _own(
        "REPORTER_TOKENS",
        "tokens",
        TOKENS,
        "Tokens of several projects: `CODE=token,OTHER=token`",
        flag=False,
        secret=True,
    ),
    _own(
        "ENABLED",
        "enabled",
        BOOLEAN,
        "`false` switches off; `true` takes the address from `QASE_*` settings too",
    ),
    _own(
        "TIMEOUT", "timeout", number("seconds", 3600, zero=False), "Time for one HTTP call, in seconds", "30"
    ),
    _own(
        "RETRY_ATTEMPTS",
        "retryAttempts",
        integer(1, 20),
        "Attempts in all at a call that fails for the moment",
        "3",
    ),
    _own("ATTACHMENT_WORKERS", "attachmentWorkers", integer(1, 32), "Upload requests at a time", "4"),
    _own(
        "DRAIN_TIMEOUT",
        "drainTimeout",
        number("seconds", 86400, zero=True),
        "How long the end of the session waits for delivery, in seconds; 0: not at all",
        "300",
    ),
    _own(
        "FLUSH_INTERVAL",
        "flushInterval",
        number("seconds", 60, zero=True),
        "How long a result may wait for others before it is sent, in seconds",
        "1",
    ),
    _own("OUTBOX_DIR", "outboxDir", TEXT, "Directory for results that wait", "`.famacase/outbox`"),
    _own("OUTBOX_MAX_MB", "outboxMaxMb", integer(1), "Beyond this size, in MiB, files are dropped", "2048"),
    _own("RUN_FILE", "runFile", TEXT, "Write id and URL of the run to this file as JSON"),
    _own("SPEEDUPS", "speedups", BOOLEAN, "Replace slow parts of qase-pytest by equal, faster ones", "true"),
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


TOKEN_VARIABLES = frozenset(
    {
        "FAMACASE_REPORTER_TOKEN",
        "FAMACASE_REPORTER_TOKEN_FILE",
        "FAMACASE_REPORTER_TOKENS",
        "FAMACASE_TESTOPS_API_TOKEN",
        "QASE_TESTOPS_API_TOKEN",
    }
)
"""Variables that carry a token or lead to one; no other process needs to see them."""


def environment_names(code: CodeType) -> frozenset[str]:
    """The `QASE_*` names among the constants of a module's code, its functions and classes included.

    Args:
        code: of the module, for instance from `importlib.util.find_spec(name).loader.get_code(name)`.
    """
    found: set[str] = set()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= environment_names(constant)
        else:
            # Compilers fold several comparisons into one tuple or frozenset.
            values = constant if isinstance(constant, (tuple, frozenset)) else (constant,)
            found |= {value for value in values if isinstance(value, str) and value.startswith("QASE_")}
    return frozenset(name for name in found if name != "QASE_" and name.replace("_", "").isalnum())
