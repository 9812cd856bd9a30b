"""`famacase doctor`: whether a session in this directory could report, step by step, and what to mend."""

from __future__ import annotations

import argparse
import email.utils
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from .. import __version__, wiring
from ..errors import ApiError, Refused, SettingsError, Unreachable
from ..settings.address import host_of
from ..settings.kinds import NEEDS_BACKEND
from ..settings.model import Settings
from ..settings.resolve import DEFAULT, Effective, effective, resolve
from ..settings.sources import ConfigFiles, Defaults, Inputs, Value
from ..summary import counted, telling

if TYPE_CHECKING:
    from ..delivery.api.base import ReportingClient
    from ..delivery.api.client import Attempt

# The releases of qase-pytest and qase-python-commons that the matrix runs; a test compares them with it.
TESTED = (
    ("6.3.0", "3.4.0"),
    ("6.3.2", "3.4.4"),
    ("6.3.10", "3.5.7"),
    ("7.0.0", "4.0.1"),
    ("7.0.7", "4.1.6"),
    ("7.0.8", "4.1.10"),
    ("8.0.2", "5.0.7"),
    ("8.3.1", "5.1.2"),
    ("9.0.0", "5.1.6"),
)

# Seconds that one call to the back end may take, and that loading the suite's plugins may.
_CALL = 10.0
_LOADING = 120.0

# Seconds that two clocks may differ: results bear this machine's time.
_CLOCK = 30.0

_CLIENTS = "import time; began = time.perf_counter(); import qase.api_client_v1, qase.api_client_v2; "
_CLIENTS += "print(time.perf_counter() - began)"

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "FAILED", "skipped"


class Check(NamedTuple):
    """One thing that was looked at.

    Attributes:
        section: the heading that it stands under.
        name: what was looked at.
        status: OK, WARNING, FAILED or SKIPPED.
        text: what was found, and what to do about it.
    """

    section: str
    name: str
    status: str
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `doctor`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--all", action="store_true", help="show the settings that no source gives, too")
    parser.add_argument("--offline", action="store_true", help="ask no back end")
    parser.add_argument(
        "pytest_arguments",
        nargs="*",
        metavar="ARGUMENT",
        help="arguments that pytest is called with, after --, if they matter (such as --famacase-mode)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Look at everything, and print it.

    Returns:
        0 if a run could be reported (with `--offline`: as far as can be told), else 1.
    """
    with telling("loading pytest's plugins and conftest files"):
        found, problem = _probe(arguments.pytest_arguments)
    checks = list(_versions(found))
    if problem:
        checks.append(Check("pytest", "plugins", FAILED, problem))
    checks += _patches(found)
    files = ConfigFiles(Path.cwd())
    document = found.get("defaults")
    givers = " or ".join(found.get("defaults_of", ()))
    defaults = Defaults(document, f"pytest_famacase_defaults of {givers}") if document else Defaults()
    options = found.get("options", {})
    settings = None
    try:
        resolution = resolve(os.environ, options, files, found.get("known", ()), defaults=defaults)
    except SettingsError as error:
        checks += [Check("settings", "values", FAILED, line) for line in str(error).splitlines()]
    else:
        settings = resolution.settings
        checks += [Check("settings", "values", WARNING, line) for line in resolution.warnings]
        checks += _reports(settings, resolution.reason)
    effects = effective(Inputs(os.environ, options, files, defaults), settings)
    # What keeps a session from reporting is known: no question to the back end would change it.
    if settings is not None and settings.needs_backend and settings.api_url is not None:
        if arguments.offline:
            checks += _SKIPPED
        else:
            with telling(f"waiting for {settings.base_url}"):
                checks += _back_end(settings)
        checks += _waiting(settings, Path(found.get("rootdir", Path.cwd())))
        checks = [check._replace(text=settings.tokens.scrubbed(check.text)) for check in checks]
    good = all(check.status != FAILED for check in checks)
    if arguments.json:
        print(json.dumps(_document(good, effects, checks), indent=2))
    else:
        for line in (*_settings(effects, arguments.all), *_page(good, checks, arguments.offline)):
            print(line)
    return 0 if good else 1


_SKIPPED = [Check("back end", "questions", SKIPPED, "--offline")]


# What a session here would be made of


def _probe(arguments: list[str]) -> tuple[dict[str, Any], str]:
    """What pytest finds in this directory, and why it finds nothing."""
    with tempfile.TemporaryDirectory(prefix="famacase-doctor-") as directory:
        path = Path(directory, "found.json")
        command = [sys.executable, "-m", "famacase_pytest.upstream.probe", str(path), *arguments]
        # The working directory is on the path of `python -m pytest`, but not of `pytest`: as the latter.
        environ = {**os.environ, "PYTHONSAFEPATH": "1"}
        try:
            done = subprocess.run(
                command, env=environ, capture_output=True, text=True, timeout=_LOADING, check=False
            )
            return json.loads(path.read_text(encoding="utf-8")), ""
        except subprocess.TimeoutExpired:
            return {}, f"pytest did not load its plugins within {_LOADING:.0f} s. Look at conftest.py."
        except OSError:
            said = (done.stdout + done.stderr).strip().splitlines() or [f"exit code {done.returncode}"]
            return {}, f"pytest does not start here: {said[-1]}. Run: pytest --version --version"


def _versions(found: Mapping[str, Any]) -> Iterator[Check]:
    yield Check("versions", "famacase-pytest", OK, __version__)
    yield Check("versions", "Python", OK, f"{platform.python_version()} on {platform.system()}")
    installed = found.get("versions") or {
        name: version(name) for name in ("pytest", "qase-pytest", "qase-python-commons")
    }
    yield Check("versions", "pytest", OK, installed["pytest"])
    pair = (installed["qase-pytest"], installed["qase-python-commons"])
    text = f"{pair[0]} with qase-python-commons {pair[1]}"
    if pair in TESTED:
        yield Check("versions", "qase-pytest", OK, f"{text}, a tested pair")
    else:
        newest = " with qase-python-commons ".join(TESTED[-1])
        what = f"{text}: the tests have not seen this pair; the newest of theirs is {newest}."
        yield Check("versions", "qase-pytest", WARNING, what)


def _patches(found: Mapping[str, Any]) -> Iterator[Check]:
    rows = found.get("rows", ())
    for row in rows:
        name = f"{row['name']} ({row['path']})"
        if row["problem"] is None:
            yield Check("patches", name, OK, "fits")
        elif row["required"]:
            what = f"{row['problem']}: no result is reported. Install a newer famacase-pytest."
            yield Check("patches", name, FAILED, what)
        else:
            what = f"{row['problem']}: it is left out. A newer famacase-pytest may know it."
            yield Check("patches", name, WARNING, what)
    order = found.get("order", [])
    ours, theirs = "famacase_pytest.plugin", "qase.pytest.conftest"
    if rows and theirs not in order:
        what = "qase-pytest's plugin is not loaded: nothing is reported. Remove -p no:qase_pytest."
        yield Check("pytest", "plugins", FAILED, what)
    elif rows and order.index(ours) < order.index(theirs):
        yield Check("pytest", "plugins", OK, "famacase is loaded before qase_pytest")
    elif rows:
        cost = subprocess.run([sys.executable, "-c", _CLIENTS], capture_output=True, text=True, check=False)
        saved = f" {float(cost.stdout):.1f} s here" if cost.stdout else ""
        what = (
            "qase_pytest is loaded before famacase, and with it Qase's API clients. Put -p famacase into "
            f"addopts to save the time that takes,{saved} in each session."
        )
        yield Check("pytest", "plugins", WARNING, what)


# What the settings say


def _reports(settings: Settings | None, reason: str) -> Iterator[Check]:
    """Whether a session would report to a back end at all."""
    if settings is None:
        what = f"nothing is reported to Famacase: {reason}. Set FAMACASE_API_URL."
        yield Check("settings", "address", FAILED, what)
        return
    if settings.mode.value not in NEEDS_BACKEND:
        what = (
            f"{settings.mode.source} is {settings.mode.value}: no run is reported. Set FAMACASE_MODE=testops."
        )
        yield Check("settings", "mode", FAILED, what.replace("default is", "the mode is"))
        return
    yield Check("settings", "mode", OK, f"{settings.mode.value} ({settings.mode.source})")
    if settings.client_class is not None:
        return  # It has neither address nor token.
    assert settings.api_url is not None
    yield Check("settings", "address", OK, f"{settings.api_url.value} ({settings.api_url.source})")
    for code in settings.projects:
        yield Check("settings", f"token of {code}", OK, f"*** ({settings.tokens.source_for(code)})")


def _waiting(settings: Settings, rootdir: Path) -> Iterator[Check]:
    base = wiring.outbox_base(settings, rootdir)
    said: list[str] = []
    waiting, more = wiring.waiting_sessions(base, said.append)
    for line in said:
        yield Check("outbox", "sessions", WARNING, line)
    if waiting:
        what = f"{counted(sum(waiting), 'result')} of {counted(len(waiting), 'session')} in {base}."
        beyond = f" {more} more were not looked at." if more else ""
        what += f"{beyond} Send them with: famacase resend --dir {base}"
        yield Check("outbox", "waiting", WARNING, what)
    else:
        yield Check("outbox", "waiting", OK, f"nothing, in {base}")


# What the back end says


def _back_end(settings: Settings) -> Iterator[Check]:
    if settings.client_class is not None:
        yield from _own_client(settings)
        return
    host = host_of(settings.base_url)
    proxy = _proxy(settings.base_url, host)
    yield proxy
    if proxy.text == "none":
        name = _name(host)
        yield name
        if name.status == FAILED:
            return
    seen: list[Attempt] = []
    with wiring.open_api(settings, seen.append, timeout=_CALL, attempts=1) as opened:
        api = opened.with_limits(total=_CALL)
        for code in settings.projects:
            reached, *checks = _project(api, code, settings.base_url)
            yield reached
            yield from checks
            if reached.status == FAILED:
                return
            if checks[-1].status == OK and settings.mode.value == "testops":
                yield from _target(api, code, settings)
    yield from _clock(seen[-1].date if seen else "")


def _own_client(settings: Settings) -> Iterator[Check]:
    """A back end of the team's own: whether it can be made, and takes the project."""
    assert settings.client_class is not None
    name = settings.client_class.value
    try:
        with wiring.open_api(settings) as api:
            yield Check("back end", "client", OK, name)
            for code in settings.projects:
                checked = _asked(f"project {code}", partial(_accepted, api, code))
                yield checked
                if checked.status == OK and settings.mode.value == "testops":
                    yield from _target(api, code, settings)
    except SettingsError as error:
        yield Check("back end", "client", FAILED, str(error))


def _accepted(api: ReportingClient, code: str) -> str:
    api.get_project(code)
    return "accepted"


def _proxy(url: str, host: str) -> Check:
    proxies = {} if urllib.request.proxy_bypass(host) else urllib.request.getproxies()
    scheme = url.partition("://")[0]
    found = proxies.get(scheme) or proxies.get("all")
    if not found:
        return Check("back end", "proxy", OK, "none")
    # Without its user and password.
    return Check("back end", "proxy", OK, found.rpartition("@")[2])


def _name(host: str) -> Check:
    import socket

    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError as error:
        what = f"{host} cannot be resolved ({error.strerror or error}). Correct FAMACASE_API_URL, or the DNS."
        return Check("back end", "name", FAILED, what)
    return Check("back end", "name", OK, f"{host} is {', '.join(sorted(map(str, addresses)))}")


def _project(api: ReportingClient, code: str, url: str) -> Iterator[Check]:
    """The connection, then token and project, which one call tells."""
    tls = url.startswith("https://")
    name = "connection and TLS" if tls else "connection"
    try:
        api.get_project(code)
    except Unreachable as error:
        yield Check("back end", name, FAILED, str(error))
        return
    except ApiError as error:
        yield Check("back end", name, OK, url)
        what = {401: "token", 404: "project"}.get(error.status or 0, "token and project")
        yield Check(
            "back end", f"{what} {code}" if what != "token" else f"token of {code}", FAILED, str(error)
        )
        return
    trusted = f", its certificate is trusted by {_bundle()}" if tls else ""
    yield Check("back end", name, OK, f"{url}{trusted}")
    yield Check("back end", f"token and project {code}", OK, "accepted")


def _bundle() -> str:
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if os.environ.get(variable):
            return f"{variable} ({os.environ[variable]})"
    return "the certificates of certifi"


def _target(api: ReportingClient, code: str, settings: Settings) -> Iterator[Check]:
    """Environment, plan and run, as far as they are set."""
    slug = settings.environment
    if slug is not None and not slug.value.isdecimal():
        yield _asked(f"environment {slug.value}", lambda: _environment(api, code, slug.value))
    plan = settings.plan_id
    if plan is not None:
        cases: Callable[[], str] = lambda: counted(len(api.plan_cases(code, plan.value)), "case")  # noqa: E731
        yield _asked(f"plan {plan.value}", cases)
    run_id = settings.run_id
    if run_id is not None:
        yield _asked(f"run {run_id.value}", lambda: _open_run(api, code, run_id))


def _environment(api: ReportingClient, code: str, slug: str) -> str:
    found = api.environment_id(code, slug)
    if found is None:
        raise SettingsError(
            f"Project {code} has no environment with this slug: runs have none. Correct FAMACASE_ENVIRONMENT."
        )
    return f"number {found}"


def _open_run(api: ReportingClient, code: str, run_id: Value[int]) -> str:
    try:
        run = api.get_run(code, run_id.value)
    except Refused as error:
        if error.status != 404:
            raise
        raise SettingsError(f"Project {code} has no such run. Correct {run_id.source}.") from None
    if run.get("status") == "completed":
        raise SettingsError(f"It is completed: it takes no more results. Correct {run_id.source}.")
    return str(run.get("title") or "open")


def _asked(name: str, ask: Callable[[], str]) -> Check:
    try:
        return Check("back end", name, OK, ask())
    except (ApiError, SettingsError) as error:
        return Check("back end", name, FAILED, str(error))


def _clock(date: str) -> Iterator[Check]:
    try:
        theirs = email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        yield Check("back end", "clock", SKIPPED, "its answers bear no date")
        return
    ahead = time.time() - theirs
    if abs(ahead) <= _CLOCK:
        yield Check("back end", "clock", OK, "agrees with this machine's")
        return
    how = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'}"
    what = f"this machine's is {how} the server's, so results bear a wrong time. Set it (NTP)."
    yield Check("back end", "clock", WARNING, what)


# How it is shown


def _settings(effects: list[Effective], all_: bool) -> Iterator[str]:
    given = [entry for entry in effects if entry.source != DEFAULT]
    yield "settings" if all_ else "settings that are given"
    for entry in effects if all_ else given:
        over = f" (over {', '.join(entry.over)})" if entry.over else ""
        source = "by default" if entry.source == DEFAULT else f"from {entry.source}"
        yield (
            f"  {entry.name} = {entry.value}  {source}{over}" if entry.value else f"  {entry.name} is not set"
        )
    if not all_:
        yield f"  {len(effects) - len(given)} others have their defaults, or are not set (--all shows them)"


def _page(good: bool, checks: list[Check], offline: bool) -> Iterator[str]:
    section = ""
    for check in _shortened(checks):
        if check.section != section:
            section = check.section
            yield f"\n{section}"
        yield f"  {check.status:<7}  {check.name}: {check.text}"
    yield ""
    if good:
        yield "As far as can be told offline, a run can be reported." if offline else "A run can be reported."
    else:
        yield "A run cannot be reported: see what FAILED."


def _shortened(checks: list[Check]) -> Iterator[Check]:
    """All rows that fit as one line."""
    fitting = [check for check in checks if check.section == "patches" and check.status == OK]
    for check in checks:
        if check not in fitting:
            yield check
        elif check is fitting[0]:
            yield Check("patches", "rows", OK, f"{len(fitting)} fit")


def _document(good: bool, effects: list[Effective], checks: list[Check]) -> dict[str, Any]:
    return {
        "ok": good,
        "settings": [entry._asdict() for entry in effects],
        "checks": [check._asdict() for check in checks],
    }
