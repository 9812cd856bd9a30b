"""How settings become parts of delivery, and what is done if a directory cannot be used."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from famacase_pytest import wiring
from famacase_pytest.delivery.models import CapturedResult, Run
from famacase_pytest.delivery.outbox.database import OutboxUnavailable
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.errors import SettingsError
from famacase_pytest.settings.resolve import resolve
from famacase_pytest.settings.sources import ConfigFiles

from .settings.resolving import COMPLETE

MANY = 1 << 40


class Relay:
    """Stands in for the process."""

    def __init__(self, briefing, environ, link, note_request):
        self.briefing = briefing
        self.trouble = None
        self.losses = 0

    def ensure(self):
        return True

    def end(self, seconds, *, account=False):
        return None

    is_alive = ensure


@pytest.fixture
def settings(tmp_path):
    def settings(famacase=None, **environ):
        if famacase:
            (tmp_path / "famacase.config.json").write_text(json.dumps(famacase), encoding="utf-8")
        return resolve({**COMPLETE, **environ}, {}, ConfigFiles(tmp_path)).settings

    return settings


@pytest.fixture
def told():
    return []


@pytest.fixture
def rootdir(tmp_path):
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The directory for temporary files."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


@pytest.fixture
def controller(settings, rootdir, told, monkeypatch):
    """Makes the transport of a controller; it is closed at the end."""
    monkeypatch.setattr(wiring, "RelayProcess", Relay)
    made = []

    def make(**environ):
        given = (settings(**environ), rootdir, {}, told.append, told.append, told.append)
        made.append(wiring.controller_transport(*given))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


# The outbox


def test_the_outbox_is_below_rootdir(controller, rootdir, told):
    transport = controller()
    assert transport.directory.parent == rootdir / ".famacase" / "outbox"
    with Outbox.open(transport.directory) as outbox:
        meta = outbox.meta()
        # Who is alive holds it, so that nobody else sends what is there.
        assert not outbox.presence_lock().acquire()
    assert (meta["api_url"], meta["projects"]) == ("https://famacase.example.com", ["SMOKE"])
    assert meta["rootdir"] == str(rootdir)
    assert "rep_complete_token" not in json.dumps(meta)
    assert told == []


def test_another_place_is_taken_if_that_cannot_be_written(controller, rootdir, temporary, told):
    (rootdir / ".famacase").write_text("in the way", encoding="utf-8")
    transport = controller()
    assert transport.directory.parent.parent == temporary
    (line,) = told
    assert line.endswith(f"Results of this session go to {transport.directory.parent} instead.")


def test_without_any_place_results_are_held_in_memory(controller, rootdir, temporary, told):
    (rootdir / ".famacase").write_text("in the way", encoding="utf-8")
    for base in wiring.spare_bases():
        base.write_text("in the way", encoding="utf-8")
    transport = controller()
    assert transport.directory is None
    (line,) = told
    assert "Results of this session are held in memory and sent after the last test" in line


def test_of_several_places_that_are_full_the_one_that_was_wanted_is_named(
    controller, rootdir, told, monkeypatch
):
    def is_full(base, meta):
        raise OutboxUnavailable(f"There is no room in {base}.")

    monkeypatch.setattr(wiring.Outbox, "create", is_full)
    controller()
    (line,) = told
    assert line.startswith(f"There is no room in {rootdir / '.famacase' / 'outbox'}. Results of this session")


def test_a_place_of_ones_own_is_named_by_a_setting(controller, tmp_path):
    transport = controller(FAMACASE_OUTBOX_DIR=str(tmp_path / "own"))
    assert transport.directory.parent == tmp_path / "own"


def test_a_worker_writes_into_the_outbox_of_its_controller(controller, settings, told):
    main = controller()
    worker = wiring.worker_transport(
        settings(), {"outbox": str(main.directory), "failed": False}, "gw3", {}, told.append
    )
    payload = {"id": "a", "title": "t", "execution": {"status": "passed"}}
    worker.put("SMOKE", -1, [CapturedResult(payload)])
    worker.close()
    (item,) = main.results()
    assert item.writer.startswith("gw3-")
    assert told == []


@pytest.mark.parametrize("handover", [{}, {"outbox": None}])
def test_a_worker_without_an_outbox_holds_its_results(settings, told, handover):
    worker = wiring.worker_transport(settings(), handover, "gw0", {}, told.append)
    worker.put("SMOKE", -1, [CapturedResult({"id": "a"})])
    assert [entry["run_id"] for entry in worker.unstored()] == [-1]
    assert told == []


def test_a_worker_whose_outbox_is_gone_says_so(settings, told, tmp_path):
    worker = wiring.worker_transport(settings(), {"outbox": str(tmp_path / "gone")}, "gw0", {}, told.append)
    worker.put("SMOKE", -1, [CapturedResult({"id": "a"})])
    assert len(told) == 1
    assert len(worker.unstored()) == 1


# Earlier sessions


def leave(base, *results, rejected=()):
    """A session that has left results behind; its directory."""
    with Outbox.create(base, {"created": "today"}) as outbox:
        outbox.add_run(Run("P", 1))
        writer = outbox.writer("main-1", max_bytes=MANY)
        for result_id in (*results, *rejected):
            writer.put("P", 1, result_id, json.dumps({"id": result_id}), [])
        with outbox.ledger() as ledger:
            for item in outbox.pending(ledger, 99):
                if item.result_id in rejected:
                    ledger.reject(item, "it is wrong")
        return outbox.directory


def test_what_earlier_sessions_have_left_is_counted(tmp_path, told):
    leave(tmp_path / "outbox", "a", "b")
    leave(tmp_path / "outbox")
    leave(tmp_path / "outbox", "c", rejected=["d"])
    waiting, more = wiring.waiting_sessions(tmp_path / "outbox", told.append)
    assert (sorted(waiting), more, told) == ([2, 2], 0, [])


@pytest.mark.parametrize("lock", ["presence_lock", "delivery_lock"])
def test_a_session_that_is_under_way_has_left_nothing(tmp_path, told, lock):
    with Outbox.open(leave(tmp_path / "outbox", "a")) as outbox:
        assert getattr(outbox, lock)().acquire()
        assert wiring.waiting_sessions(tmp_path / "outbox", told.append) == ([], 0)
    assert wiring.waiting_sessions(tmp_path / "outbox", told.append) == ([1], 0)


def test_only_the_newest_are_looked_at(tmp_path, told, monkeypatch):
    monkeypatch.setattr(wiring, "_LOOKED_AT", 2)
    for number in range(5):
        leave(tmp_path / "outbox", str(number))
    assert wiring.waiting_sessions(tmp_path / "outbox", told.append) == ([1, 1], 3)


def test_a_session_that_cannot_be_read_is_named_and_keeps_no_other_back(tmp_path, told):
    leave(tmp_path / "outbox", "a")
    (leave(tmp_path / "outbox", "b") / "session.db").write_bytes(b"no database" * 100)
    assert wiring.waiting_sessions(tmp_path / "outbox", told.append) == ([1], 0)
    assert len(told) == 1


def test_nothing_waits_where_nothing_ever_was(tmp_path, told):
    assert wiring.waiting_sessions(tmp_path / "outbox", told.append) == ([], 0)
    assert told == []


# What others are told


def test_the_briefing_has_a_token_for_each_project(settings, tmp_path):
    with Outbox.create(tmp_path / "outbox", {}) as outbox:
        briefing = wiring.relay_briefing(settings(FAMACASE_TESTOPS_BATCH_SIZE="7"), outbox)
        assert briefing["outbox"] == str(outbox.directory)
    assert (briefing["project"], briefing["tokens"]) == ("SMOKE", {"SMOKE": "rep_complete_token"})
    assert (briefing["client"], briefing["batch_size"]) == (None, 7)
    # It is sent as JSON.
    assert json.loads(json.dumps(briefing)) == briefing


def test_the_projects_may_be_those_of_an_outbox(settings):
    briefing = wiring.relay_briefing(settings(), None, ["BANK", "SHOP"])
    assert (briefing["outbox"], briefing["project"]) == (None, "BANK")
    assert sorted(briefing["tokens"]) == ["BANK", "SHOP"]


def test_a_relay_that_nobody_waits_for_has_a_deadline_of_its_own(settings):
    assert wiring.relay_briefing(settings(FAMACASE_DRAIN_TIMEOUT="0"), None)["drain_timeout"] == 300.0
    assert wiring.relay_briefing(settings(FAMACASE_DRAIN_TIMEOUT="5"), None)["drain_timeout"] == 5.0


def own_client(folder, **more):
    return {
        "famacase": {
            "client": {"class": "famacase_pytest.clients.JsonlClient", "config": {"folder": folder, **more}}
        }
    }


def test_a_back_end_of_ones_own_gets_no_token(settings, tmp_path):
    found = settings(own_client("results"))
    briefing = wiring.relay_briefing(found, None)
    assert briefing["tokens"] == {}
    assert briefing["client"]["class"] == "famacase_pytest.clients.JsonlClient"
    assert (briefing["client"]["directory"], briefing["client"]["config"]) == (
        str(tmp_path),
        {"folder": "results"},
    )
    assert briefing["client"]["setting"] == "famacase.client.class in famacase.config.json"


def test_a_back_end_of_ones_own_is_checked_before_the_first_test(settings):
    wiring.check_client(settings())
    wiring.check_client(settings(own_client("results")))
    with pytest.raises(SettingsError, match=r"client\.config in famacase\.config\.json does not fit"):
        wiring.check_client(settings(own_client("")))


def test_the_page_of_a_run(settings, tmp_path):
    found = settings()
    assert wiring.run_url(found, "SMOKE", 7) == "https://famacase.example.com/runs/7"
    assert wiring.run_url(found, "SMOKE", None) == "https://famacase.example.com/runs"
    own = settings(own_client(str(tmp_path / "results")))
    assert Path(wiring.run_url(own, "SMOKE", 7)) == tmp_path / "results" / "SMOKE" / "runs" / "7"


def test_results_are_screened_only_where_a_setting_asks_for_it(controller):
    assert controller()._screening is None
    screening = controller(FAMACASE_MUTED_STATUS="skipped", FAMACASE_MASK="password")._screening
    assert screening.hidden("password=x") != "password=x"
