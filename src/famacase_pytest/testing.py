"""For who writes a back end of their own: tests that hold it to what delivery relies on."""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Mapping
from functools import partial
from io import BytesIO
from typing import Any

import pytest

from .delivery.api.base import ReportingClient
from .delivery.models import Part
from .errors import Refused, Rejected

# A number that no run has.
_NO_RUN = 2**40


class ClientConformance:
    """Subclass it in a test module, as ``TestOwnClient``, and overwrite `client`, `results` and `content`.

    Attributes:
        project: code of a project that can be reported to.
    """

    project = "SMOKE"

    @pytest.fixture
    def client(self) -> ReportingClient:
        """The client under test, connected to a back end that may be written to."""
        raise NotImplementedError("overwrite the fixture 'client'")

    def results(self, client: Any, run_id: int) -> list[Mapping[str, Any]]:
        """What the back end holds of a run, in order."""
        raise NotImplementedError("overwrite 'results'")

    def content(self, client: Any, file_id: str) -> bytes:
        """What the back end holds of a file."""
        raise NotImplementedError("overwrite 'content'")

    @pytest.fixture
    def run_id(self, client: ReportingClient) -> int:
        """A run for one test."""
        return client.create_run(self.project, _run("a run"), str(uuid.uuid4()))

    def test_the_project_can_be_asked_for(self, client: ReportingClient) -> None:
        """So delivery finds out whether the back end is there."""
        assert isinstance(client.get_project(self.project), Mapping)
        assert isinstance(
            client.with_limits(timeout=5, attempts=1, total=5).get_project(self.project), Mapping
        )

    def test_a_run_is_created_once_for_a_key(self, client: ReportingClient) -> None:
        """The answer may have been lost, and the process with it."""
        key = str(uuid.uuid4())
        first = client.create_run(self.project, _run("once"), key)
        assert isinstance(first, int)
        assert first > 0
        assert client.create_run(self.project, _run("once"), key) == first
        assert client.create_run(self.project, _run("once"), str(uuid.uuid4())) != first

    def test_a_run_can_be_read(self, client: ReportingClient, run_id: int) -> None:
        """What is asked of a run that results are appended to."""
        run = client.get_run(self.project, run_id)
        assert (run["id"], run["title"], run["status"]) == (run_id, "a run", "in_progress")

    def test_results_are_kept_in_order(self, client: ReportingClient, run_id: int) -> None:
        """Over several calls too."""
        ids = [str(uuid.uuid4()) for _ in range(6)]
        client.post_results(self.project, run_id, [_result(id_) for id_ in ids[:3]])
        client.post_results(self.project, run_id, [_result(id_) for id_ in ids[3:]])
        assert [result["id"] for result in self.results(client, run_id)] == ids

    def test_a_result_is_replaced_by_its_id(self, client: ReportingClient, run_id: int) -> None:
        """Whatever is sent twice is stored once."""
        first, second = str(uuid.uuid4()), str(uuid.uuid4())
        client.post_results(self.project, run_id, [_result(first), _result(second)])
        client.post_results(self.project, run_id, [_result(first, title="again"), _result(second)])
        titles = {result["id"]: result["title"] for result in self.results(client, run_id)}
        assert titles == {first: "again", second: "a test"}
        assert len(self.results(client, run_id)) == 2

    def test_letters_of_all_scripts_arrive(self, client: ReportingClient, run_id: int) -> None:
        """Results are JSON in UTF-8."""
        client.post_results(self.project, run_id, [_result(str(uuid.uuid4()), title="Größe ☃ 漢字")])
        assert [result["title"] for result in self.results(client, run_id)] == ["Größe ☃ 漢字"]

    def test_wrong_content_is_rejected_whole(self, client: ReportingClient, run_id: int) -> None:
        """Delivery then sends the others again, without the one in question."""
        good = _result(str(uuid.uuid4()))
        with pytest.raises(Rejected) as caught:
            client.post_results(self.project, run_id, [good, json.dumps({"id": str(uuid.uuid4())})])
        assert caught.value.status in (400, 413, 422)
        assert list(self.results(client, run_id)) == []
        client.post_results(self.project, run_id, [good])
        assert len(self.results(client, run_id)) == 1

    def test_what_is_not_there_is_refused(self, client: ReportingClient) -> None:
        """Its results are then kept, and none of them is tried alone."""
        for call in (
            lambda: client.get_run(self.project, _NO_RUN),
            lambda: client.post_results(self.project, _NO_RUN, [_result(str(uuid.uuid4()))]),
            lambda: client.complete_run(self.project, _NO_RUN),
        ):
            with pytest.raises(Refused) as caught:
                call()
            assert caught.value.status == 404

    def test_files_have_ids_in_order(self, client: ReportingClient) -> None:
        """Results name their files by these ids."""
        contents = [b"first", b"", "third ☃".encode()]
        ids = client.upload(self.project, [_part(content) for content in contents], str(uuid.uuid4()))
        assert all(isinstance(id_, str) and id_ for id_ in ids)
        assert [self.content(client, id_) for id_ in ids] == contents

    def test_files_are_stored_once_for_a_key(self, client: ReportingClient) -> None:
        """The answer may have been lost."""
        key, parts = str(uuid.uuid4()), [_part(b"one"), _part(b"two")]
        ids = client.upload(self.project, parts, key)
        assert client.upload(self.project, parts, key) == ids

    def test_several_threads_upload_at_a_time(self, client: ReportingClient) -> None:
        """As the setting attachmentWorkers says."""
        contents = [f"content {number}".encode() for number in range(8)]
        stored: dict[bytes, str] = {}

        def store(content: bytes) -> None:
            (stored[content],) = client.upload(self.project, [_part(content)], str(uuid.uuid4()))

        threads = [threading.Thread(target=store, args=(content,)) for content in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {content: self.content(client, id_) for content, id_ in stored.items()} == {
            content: content for content in contents
        }

    def test_a_run_is_completed_and_stays_so(self, client: ReportingClient, run_id: int) -> None:
        """Completing it again does no harm."""
        client.post_results(self.project, run_id, [_result(str(uuid.uuid4()))])
        client.complete_run(self.project, run_id)
        client.complete_run(self.project, run_id)
        assert client.get_run(self.project, run_id)["status"] == "completed"


def _run(title: str) -> dict[str, Any]:
    return {"title": title, "is_autotest": True}


def _result(result_id: str, title: str = "a test") -> str:
    return json.dumps(
        {"id": result_id, "title": title, "execution": {"status": "passed"}}, ensure_ascii=False
    )


def _part(content: bytes) -> Part:
    sha256 = hashlib.sha256(content).hexdigest()
    return Part("file.txt", "text/plain", len(content), partial(BytesIO, content), sha256)
