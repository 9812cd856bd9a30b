"""Nothing secret leaves the session, nor gets to its disk."""

from __future__ import annotations

import json

import pytest

from sessions import stored_content
from watched import Watched

SECRETS = [
    "hunter22",
    "a.b*c+(d)[e]?^$|",
    "pässwörd-ключ",
    "with spaces/and slashes::and colons",
]
MASK = {"FAMACASE_MASK": "password,token,api_key"}

SUITE = """
    import json
    import os
    from pathlib import Path

    import pytest
    from qase.pytest import qase

    SECRETS = json.loads(Path("secrets.json").read_text("utf-8"))

    @qase.title("Log in")
    @qase.fields(("api-key", "key-of-fields"), ("owner", "me of key-of-fields"))
    @pytest.mark.parametrize("user, password", [("me", secret) for secret in SECRETS])
    def test_login(user, password, tmp_path):
        path = tmp_path / f"{len(password)} log.txt"
        path.write_text(f"{password} was used", encoding="utf-8")
        qase.attach(str(path))
        path.write_text(f"{password} was used again, {password}", encoding="utf-8")
        qase.attach((f'{{"token": "token of {user}", "n": 1}}', "application/json", f"{user}.json"))
        qase.attach((f"{password} in latin".encode("utf-8"), None, "no type"))
        qase.attach((b"\\x89PNG\\0" + password.encode(), "image/png", "binary.png"))
        with qase.step(f"enter {password!r}", f"{password} is accepted"):
            with qase.step("open https://x.example/?user=me&token=url%20value"):
                qase.attach(("x" * 1024 * 1024 + password, "text/plain", "large.txt"))
        print("printed", password)
        assert password == f"not {password}", "url value, token of me"

    @pytest.mark.parametrize("password", ["behind-an-id"], ids=["weak"])
    def test_id(password):
        raise RuntimeError(f"not with {password}")

    def test_param():
        qase.param("password", "given-in-the-test")
        qase.attach(("given-in-the-test", "text/plain", "of given-in-the-test.txt"))

    def test_variable():
        assert "connect" == os.environ["DB_PASSWORD"]

    def test_free():
        qase.attach(("nothing secret", "text/plain", "free.txt"))
"""


@pytest.fixture
def suite(project):
    project.write(test_secrets=SUITE)
    (project.directory / "secrets.json").write_text(json.dumps(SECRETS), encoding="utf-8")
    return project


HIDDEN = [
    *SECRETS,
    "key-of-fields",
    "token of me",
    "url value",
    "url%20value",
    "behind-an-id",
    "given-in-the-test",
    "value of the variable",
    # As upstream has them in signatures.
    "with_spaces",
    "and_slashes",
    "pässwörd".encode("unicode_escape").decode(),
]


def forms(text):
    return {form.encode(code) for form in (text, json.dumps(text)[1:-1]) for code in ("utf-8", "utf-16-le")}


@pytest.mark.parametrize("workers", ["0", "2"])
def test_nothing_secret_is_sent(suite, layer, server, runs, workers):
    environ = {**MASK, "FAMACASE_MASK_ENV": "DB_PASSWORD", "DB_PASSWORD": "value of the variable"}
    outcome = suite.run(f"-n{workers}", QASE_PYTEST_CAPTURE_LOGS="true", **environ)
    assert outcome.counts == "6 failed, 2 passed", outcome.output
    run = runs.only()
    results = runs.results(run)
    text = json.dumps(results, ensure_ascii=False)
    assert [secret for secret in HIDDEN if secret in text] == []
    for exchange in layer.exchanges("uploadAttachments"):
        for secret in HIDDEN:
            for form in forms(secret):
                assert form not in exchange.body.replace(b"\x89PNG\0" + form, b"")
    logins = [result for result in results if result["title"] == "Log in"]
    assert len(logins) == len(SECRETS)
    for result in logins:
        assert result["params"] == {"user": "me", "password": "***"}
        assert result["fields"]["api-key"] == "***"
        assert result["fields"]["owner"] == "me of ***"
        assert result["signature"].endswith("::{user:me}::{password:***}")
        assert result["message"].startswith("AssertionError: ***, ***")
        (outer,) = result["steps"]
        assert outer["data"]["action"] == "enter '***'"
        assert outer["data"]["expected_result"] == "*** is accepted"
        (inner,) = outer["steps"]
        assert inner["data"]["action"] == "open https://x.example/?user=me&token=***"
        (note,) = inner["steps"]
        assert "large.txt (a text of more than 1 MiB is not masked" in note["data"]["action"]
        assert inner["execution"]["attachments"] == []
        names = {
            file["file_name"]: stored_content(server.url, "SMOKE", file["id"])
            for file in result["attachments"]
        }
        (log,) = (
            content for name, content in names.items() if name.endswith("log.txt") and name != "log.txt"
        )
        assert log == b"*** was used again, ***"
        assert names["me.json"] == b'{"token": "***", "n": 1}'
        assert names["no type"] == b"*** in latin"
        assert names["binary.png"].startswith(b"\x89PNG\0")
        assert names["stdout.txt"] == b"printed ***\n"
    by_title = {result["title"]: result for result in results}
    assert by_title["test_id"]["message"] == "RuntimeError: not with ***"
    assert "[weak]" in by_title["test_id"]["signature"]
    (file,) = by_title["test_param"]["attachments"]
    assert file["file_name"] == "of ***.txt"
    assert by_title["test_variable"]["message"].startswith("AssertionError: assert 'connect' == '***'")
    (file,) = by_title["test_free"]["attachments"]
    assert stored_content(server.url, "SMOKE", file["id"]) == b"nothing secret"


def test_signatures_are_the_same_from_run_to_run(suite, runs):
    found = []
    for workers in ("0", "2"):
        suite.run(f"-n{workers}", **MASK)
        found.append(sorted(result["signature"] for result in runs.results(runs.only())))
    assert found[0] == found[1]


def test_the_disk_never_sees_it(suite):
    """The back end is away, so that everything waits in the outbox."""
    outcome = suite.run(
        FAMACASE_API_URL="http://127.0.0.1:9",
        FAMACASE_MASK_ENV="DB_PASSWORD",
        DB_PASSWORD="value of the variable",
        leaves=None,
        **MASK,
    )
    assert outcome.counts == "6 failed, 2 passed", outcome.output
    files = [path for path in (suite.directory / ".famacase").rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    for path in files:
        content = path.read_bytes()
        for secret in HIDDEN:
            for form in forms(secret):
                assert form not in content.replace(b"\x89PNG\0" + form, b""), (path, secret)


@pytest.mark.parametrize("how", ["worker", "session"])
def test_of_a_test_in_which_the_process_dies(project, runs, how):
    project.write(
        test_dies="""
            import os
            import pytest

            @pytest.mark.parametrize("password", ["hunter22"])
            def test_dies(password):
                os._exit(3)
        """
    )
    project.run(*(["-n1"] if how == "worker" else []), leaves=None, **MASK)
    Watched(project).alone()
    results = runs.results(runs.only())
    assert len(results) == 1
    assert "hunter22" not in json.dumps(results)
    assert results[0]["params"] == {"password": "***"}


def test_attempts_of_a_test_that_is_repeated(project, runs, server):
    """The first one's files are masked too, and what another attempt has made known."""
    project.write(
        conftest="""
            import pytest
            from _pytest.runner import runtestprotocol

            @pytest.hookimpl(tryfirst=True)
            def pytest_runtest_protocol(item, nextitem):
                for attempt in range(2):
                    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
                    item._initrequest()
                    for report in runtestprotocol(item, nextitem=nextitem, log=False):
                        item.ihook.pytest_runtest_logreport(report=report)
                    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
                return True
        """,
        test_repeated="""
            import pytest
            from qase.pytest import qase

            attempts = []

            @pytest.mark.parametrize("password", ["hunter22"])
            def test_repeated(password, tmp_path):
                attempts.append(1)
                path = tmp_path / "log.txt"
                path.write_text(f"{len(attempts)}: {password} and of-the-second")
                qase.attach(str(path))
                if len(attempts) == 2:
                    qase.param("token", "of-the-second")
                assert len(attempts) == 2, f"{password} and of-the-second"
        """,
    )
    project.run(**MASK)
    (result,) = runs.results(runs.only())
    text = json.dumps(result)
    assert "hunter22" not in text
    assert "of-the-second" not in text
    first, second = (step["execution"]["attachments"][0]["id"] for step in result["steps"])
    assert stored_content(server.url, "SMOKE", first) == b"1: *** and ***"
    assert stored_content(server.url, "SMOKE", second) == b"2: *** and ***"
    assert result["message"].startswith("AssertionError: *** and ***")


def test_hooks_see_masked_results_and_what_they_add_is_masked(project, runs):
    project.write(
        conftest="""
            import os
            import pytest

            @pytest.hookimpl(optionalhook=True)
            def pytest_famacase_result(result):
                assert result["params"] == {"password": "***"}
                result["fields"]["token"] = "added-later"
                result["message"] = f"added-later, {os.environ['DB_PASSWORD']}"
        """,
        test_one="""
            import pytest

            @pytest.mark.parametrize("password", ["hunter22"])
            def test_one(password): pass
        """,
    )
    environ = {**MASK, "FAMACASE_MASK_ENV": "DB_PASSWORD", "DB_PASSWORD": "value of the variable"}
    outcome = project.run(**environ)
    assert (outcome.code, outcome.notices) == (0, [])
    (result,) = runs.results(runs.only())
    assert (result["fields"]["token"], result["message"]) == ("***", "***, ***")


def test_names_in_the_file_and_on_the_command_line(project, runs):
    project.write(
        test_one="""
            import pytest

            @pytest.mark.parametrize("password", ["hunter22"])
            def test_one(password): pass
        """
    )
    project.write_json("famacase.config.json", {"famacase": {"mask": ["password"], "maskEnv": "HOME"}})
    assert project.run().code == 0
    assert runs.results(runs.only())[0]["params"] == {"password": "***"}
    # The stronger source has other names.
    assert project.run("--famacase-mask=token").code == 0
    assert runs.results(runs.only())[0]["params"] == {"password": "hunter22"}


@pytest.mark.parametrize("environ", [{"FAMACASE_FALLBACK": "report"}, {"FAMACASE_DEBUG": "true"}])
def test_what_is_not_masked_is_said(project, environ):
    project.write(test_one="def test_one(): pass")
    outcome = project.run(leaves=None, **MASK, **environ)
    (said,) = outcome.notices
    assert said.startswith("famacase: FAMACASE_MASK in the environment masks nothing in the ")


# Files by outcome


FILES = """
    import pytest
    from qase.pytest import qase

    def attach(tmp_path):
        path = tmp_path / "large.bin"
        path.write_bytes(b"large\\0" * 100_000)
        qase.attach(str(path))
        path.unlink()
        with qase.step("one"):
            qase.attach((b"small", "text/plain", "small.txt"))
        print("printed")

    def test_passes(tmp_path):
        attach(tmp_path)

    def test_fails(tmp_path):
        attach(tmp_path)
        assert False
"""


@pytest.mark.parametrize(
    ("which", "passed", "failed"), [("all", True, True), ("failed", False, True), ("none", False, False)]
)
@pytest.mark.parametrize("mask", [{}, MASK], ids=["plain", "masked"])
def test_files_of_which_tests(project, layer, server, runs, which, passed, failed, mask):
    project.write(test_files=FILES)
    environ = {"FAMACASE_ATTACHMENTS": which, "QASE_PYTEST_CAPTURE_LOGS": "true", **mask}
    assert project.run(**environ).code == 1
    results = runs.by_title(runs.only())
    expected = {
        "large.bin": b"large\0" * 100_000,
        "stdout.txt": b"printed\n",
        "small.txt": b"small",
    }
    for title, sent in (("test_passes", passed), ("test_fails", failed)):
        result = results[title]
        (step,) = result["steps"]
        files = [*result["attachments"], *step["execution"]["attachments"]]
        found = {file["file_name"]: stored_content(server.url, "SMOKE", file["id"]) for file in files}
        assert found == (expected if sent else {})
        assert not step["steps"]
    assert bool(layer.exchanges("uploadAttachments")) is (passed or failed)


@pytest.mark.parametrize(("which", "stored"), [("all", True), ("failed", False), ("none", False)])
def test_files_of_tests_that_passed_are_not_stored(project, which, stored):
    project.write(test_files=FILES)
    project.run(
        "-k", "passes", FAMACASE_API_URL="http://127.0.0.1:9", FAMACASE_ATTACHMENTS=which, leaves=None
    )
    files = [path for path in (project.directory / ".famacase").rglob("*") if path.is_file()]
    assert any(b"large\0large" in path.read_bytes() for path in files) is stored
    assert any(b"small.txt" in path.read_bytes() for path in files) is stored


# Muted tests


MUTED = """
    import pytest
    from qase.pytest import qase

    @qase.muted()
    def test_fails(): assert False

    @pytest.fixture
    def broken(): raise RuntimeError("broken")

    @qase.muted()
    def test_broken(broken): pass

    @qase.muted()
    def test_passes(): pass

    def test_not_muted(): assert False
"""


@pytest.mark.parametrize("status", [None, "blocked"])
def test_muted_failures(project, runs, status):
    project.write(test_muted=MUTED)
    assert project.run(FAMACASE_MUTED_STATUS=status).code == 1
    results = runs.by_title(runs.only())
    assert {title: (result["muted"], result["execution"]["status"]) for title, result in results.items()} == {
        "test_fails": (True, status or "failed"),
        "test_broken": (True, status or "invalid"),
        "test_passes": (True, "passed"),
        "test_not_muted": (False, "failed"),
    }


def test_a_muted_test_in_which_a_worker_dies(project, runs):
    project.write(
        test_muted="""
            import os
            from qase.pytest import qase

            @qase.muted()
            def test_dies(): os._exit(3)
        """
    )
    project.run("-n1", FAMACASE_MUTED_STATUS="blocked")
    (result,) = runs.results(runs.only())
    assert (result["muted"], result["execution"]["status"]) == (True, "blocked")
