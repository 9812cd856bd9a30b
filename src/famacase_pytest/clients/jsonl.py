"""A back end in a folder: runs, results and files, for people and scripts to read."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..delivery.api.base import ReportingClient
from ..delivery.api.multipart import PartUnreadable
from ..delivery.models import Part, reason_of
from ..errors import Refused, Rejected, Unreachable


@dataclass(frozen=True)
class JsonlConfig:
    """The configuration of `JsonlClient`.

    Attributes:
        folder: is made if it is not there; relative to where pytest is started.
    """

    folder: str

    def __post_init__(self) -> None:
        if not isinstance(self.folder, str) or not self.folder.strip():
            raise ValueError("folder: it must be a path")


class JsonlClient(ReportingClient):
    """Keeps everything below one folder, a directory for each project in it::

        SHOP/runs/1/run.json          the run
        SHOP/runs/1/results.jsonl     a result in each line; of one id the last line counts
        SHOP/files/<id>/<name>        files, by the ids that results have
        SHOP/keys/<key>.json          what a request with this key was answered

    Args:
        config: where.
    """  # noqa: D415 (it ends with a table)

    CONFIG_CLASS = JsonlConfig

    def __init__(self, config: JsonlConfig) -> None:
        super().__init__(config)
        self._folder = Path(config.folder).absolute()
        # Uploads come from several threads; other processes than the one that delivers only read.
        self._lock = threading.Lock()

    def get_project(self, code: str) -> dict[str, Any]:
        """The project, which is there once it is asked for."""
        with self._writing():
            self._project(code).mkdir(parents=True, exist_ok=True)
        return {"code": code}

    def create_run(self, code: str, body: Mapping[str, Any], key: str) -> int:
        """Make the directory of a run, under the next number."""
        with self._writing():
            known = self._answered(code, key)
            if known is not None:
                return int(known)
            runs = self._project(code) / "runs"
            runs.mkdir(parents=True, exist_ok=True)
            run_id = 1 + max((int(path.name) for path in runs.iterdir() if path.name.isdecimal()), default=0)
            _write(runs / str(run_id) / "run.json", {"id": run_id, "status": "in_progress", **body})
            self._answer(code, key, run_id)
            return run_id

    def get_run(self, code: str, run_id: int) -> dict[str, Any]:
        """The run as it was written."""
        try:
            run: dict[str, Any] = json.loads(self._run(code, run_id).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Refused(
                f"{self._folder} has no run {run_id} of project {code}: its results are kept. Check "
                "FAMACASE_TESTOPS_RUN_ID.",
                status=404,
                detail="no such run",
            ) from None
        except OSError as error:
            raise _unreachable(error) from error
        return run

    def post_results(self, code: str, run_id: int, results: Sequence[str]) -> None:
        """Append results, in one write."""
        for text in results:
            self._check(text)
        with self._writing():
            if self.get_run(code, run_id)["status"] == "completed":
                raise Refused(
                    f"Run {run_id} of project {code} is complete: its results are kept. Send them to another "
                    "run, with 'famacase resend --to-run'.",
                    status=409,
                    detail="the run is complete",
                )
            path = self._run(code, run_id).with_name("results.jsonl")
            lines = "".join(f"{text}\n" for text in results).encode("utf-8", "replace")
            with path.open("ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())

    def upload(self, code: str, parts: Sequence[Part], key: str) -> list[str]:
        """Write files below ids of their own."""
        with self._writing():
            known = self._answered(code, key)
            if known is not None:
                return list(known)
            contents = [_content(part) for part in parts]
            ids = []
            for part, content in zip(parts, contents):
                ids.append(str(uuid.uuid4()))
                path = self._project(code) / "files" / ids[-1] / part.file_name
                path.parent.mkdir(parents=True)
                path.write_bytes(content)
            self._answer(code, key, ids)
            return ids

    def complete_run(self, code: str, run_id: int) -> None:
        """Write that the run is complete."""
        with self._writing():
            _write(self._run(code, run_id), {**self.get_run(code, run_id), "status": "completed"})

    @classmethod
    def run_url(cls, config: JsonlConfig, code: str, run_id: int | None) -> str:
        """The run's directory."""
        runs = Path(config.folder).absolute() / code / "runs"
        return str(runs / str(run_id) if run_id else runs)

    def results(self, code: str, run_id: int) -> list[dict[str, Any]]:
        """The results of a run, in the order in which their ids came first; to read them back."""
        path = self._run(code, run_id).with_name("results.jsonl")
        found = {}
        if path.exists():
            with path.open(encoding="utf-8") as lines:
                for result in map(json.loads, lines):
                    found[result["id"]] = result
        return list(found.values())

    def content(self, code: str, file_id: str) -> bytes:
        """The bytes of a file; to read them back."""
        (path,) = (self._project(code) / "files" / file_id).iterdir()
        return path.read_bytes()

    def _project(self, code: str) -> Path:
        if code in ("", "..") or Path(code).name != code:
            raise Refused(f"{code!r} cannot be a directory, so there is no such project.", status=404)
        return self._folder / code

    def _run(self, code: str, run_id: int) -> Path:
        return self._project(code) / "runs" / str(run_id) / "run.json"

    def _answered(self, code: str, key: str) -> Any:
        path = self._project(code) / "keys" / f"{key}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def _answer(self, code: str, key: str, answer: object) -> None:
        _write(self._project(code) / "keys" / f"{key}.json", answer)

    def _check(self, text: str) -> None:
        try:
            result = json.loads(text)
            missing = [name for name in ("id", "title", "execution") if not result.get(name)]
        except (ValueError, AttributeError, RecursionError):
            missing = ["JSON"]
        if missing or "\n" in text:
            detail = f"no {', '.join(missing)}" if missing else "a line break"
            raise Rejected(f"A result has {detail}: it is kept.", status=422, detail=detail)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except OSError as error:
                raise _unreachable(error) from error


def _write(path: Path, document: object) -> None:
    """Write a document whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spare = path.with_name(f"{path.name}.{uuid.uuid4()}")
    spare.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    spare.replace(path)


def _content(part: Part) -> bytes:
    try:
        with part.open() as file:
            content = file.read()
    except OSError as error:
        raise PartUnreadable(part, reason_of(error)) from error
    if hashlib.sha256(content).hexdigest() != part.sha256:
        raise PartUnreadable(part, "the file has changed")
    return content


def _unreachable(error: OSError) -> Unreachable:
    return Unreachable(
        f"The folder cannot be used ({error}): results are kept. See to it, and send them with "
        "'famacase resend'.",
        detail=str(error),
    )
