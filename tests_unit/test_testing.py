"""The conformance tests find what delivery would stumble over: each fault fails the test that is about it."""

from __future__ import annotations

import inspect
import json
import uuid

import pytest

from famacase_pytest.clients import JsonlClient, JsonlConfig
from famacase_pytest.errors import Refused, Rejected
from famacase_pytest.testing import ClientConformance

CHECKS = [name for name in vars(ClientConformance) if name.startswith("test_")]


class Conformance(ClientConformance):
    """The tests by hand, each with a new run; pytest does not collect this class."""

    def results(self, client, run_id):
        return client.results(self.project, run_id)

    def content(self, client, file_id):
        return client.content(self.project, file_id)

    def check(self, name, client):
        method = getattr(self, name)
        more = {}
        if "run_id" in inspect.signature(method).parameters:
            more["run_id"] = client.create_run(self.project, {"title": "a run"}, str(uuid.uuid4()))
        method(client, **more)


class Forgets(JsonlClient):
    """Remembers no key."""

    def _answered(self, code, key):
        return None


class IsNoNumber(JsonlClient):
    def create_run(self, code, body, key):
        return str(super().create_run(code, body, key))


class HasNoTitle(JsonlClient):
    def get_run(self, code, run_id):
        return {**super().get_run(code, run_id), "title": ""}


class Appends(JsonlClient):
    """Takes what is sent again for another result."""

    def results(self, code, run_id):
        path = self._run(code, run_id).with_name("results.jsonl")
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


class Turns(JsonlClient):
    """Has the last result first."""

    def results(self, code, run_id):
        return super().results(code, run_id)[::-1]


class IsAscii(JsonlClient):
    def post_results(self, code, run_id, results):
        super().post_results(code, run_id, [text.encode("ascii", "replace").decode() for text in results])


class TakesSome(JsonlClient):
    """Stores what is right of a batch, and rejects the rest."""

    def post_results(self, code, run_id, results):
        good = [text for text in results if "title" in json.loads(text)]
        super().post_results(code, run_id, good)
        if len(good) < len(results):
            raise Rejected("some are wrong", status=422)


class TakesAll(JsonlClient):
    def _check(self, text):
        pass


class RejectsWithoutStatus(JsonlClient):
    def _check(self, text):
        try:
            super()._check(text)
        except Rejected as error:
            raise Rejected(str(error)) from None


class RefusesWithoutStatus(JsonlClient):
    def get_run(self, code, run_id):
        try:
            return super().get_run(code, run_id)
        except Refused as error:
            raise Refused(str(error)) from None


class MakesRuns(JsonlClient):
    """Makes the run that is not there."""

    def complete_run(self, code, run_id):
        if self._run(code, run_id).exists():
            super().complete_run(code, run_id)


class MixesFiles(JsonlClient):
    def upload(self, code, parts, key):
        return super().upload(code, parts, key)[::-1]


class StaysOpen(JsonlClient):
    def complete_run(self, code, run_id):
        self.get_run(code, run_id)


class CompletesOnce(JsonlClient):
    def complete_run(self, code, run_id):
        if self.get_run(code, run_id)["status"] == "completed":
            raise Refused("it is complete", status=409)
        super().complete_run(code, run_id)


class HasNoProject(JsonlClient):
    def get_project(self, code):
        return None


@pytest.fixture
def make(tmp_path):
    return lambda kind: kind(JsonlConfig(str(tmp_path / "results")))


@pytest.mark.parametrize(
    ("kind", "failing"),
    [
        (JsonlClient, set()),
        (HasNoProject, {"test_the_project_can_be_asked_for"}),
        (Forgets, {"test_a_run_is_created_once_for_a_key", "test_files_are_stored_once_for_a_key"}),
        (IsNoNumber, {"test_a_run_is_created_once_for_a_key", "test_a_run_can_be_read"}),
        (HasNoTitle, {"test_a_run_can_be_read"}),
        (Appends, {"test_a_result_is_replaced_by_its_id"}),
        (Turns, {"test_results_are_kept_in_order"}),
        (IsAscii, {"test_letters_of_all_scripts_arrive"}),
        (TakesSome, {"test_wrong_content_is_rejected_whole"}),
        (TakesAll, {"test_wrong_content_is_rejected_whole"}),
        (RejectsWithoutStatus, {"test_wrong_content_is_rejected_whole"}),
        (RefusesWithoutStatus, {"test_what_is_not_there_is_refused"}),
        (MakesRuns, {"test_what_is_not_there_is_refused"}),
        (MixesFiles, {"test_files_have_ids_in_order"}),
        (StaysOpen, {"test_a_run_is_completed_and_stays_so"}),
        (CompletesOnce, {"test_a_run_is_completed_and_stays_so"}),
    ],
)
def test_a_fault_fails_the_test_that_is_about_it(make, kind, failing):
    failed = set()
    for name in CHECKS:
        try:
            Conformance().check(name, make(kind))
        except (AssertionError, Rejected, Refused, pytest.fail.Exception):
            failed.add(name)
    assert failed == failing


@pytest.mark.parametrize("name", ["results", "content"])
def test_what_is_not_overwritten_is_said(name):
    with pytest.raises(NotImplementedError, match=f"overwrite '{name}'"):
        getattr(ClientConformance(), name)(None, 7)
