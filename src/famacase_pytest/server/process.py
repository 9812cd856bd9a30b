"""The local back end in a process of its own, for tests and for ``famacase demo``.

Nothing of the back end is imported into the process that starts it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from ..errors import FamacaseError

_READY = "export FAMACASE_API_URL="
_TIMEOUT = 30.0  # seconds that a start or an end may take


class ServerDidNotStart(FamacaseError):
    """The back end ended, or said nothing, before it answered calls. Its output, in the message, says why."""


class ServerProcess:
    """A local back end that runs beside this process and ends with it, or with a ``with`` block.

    Attributes:
        data: the directory in which it keeps everything.
        url: its base URL, such as ``http://127.0.0.1:40123``.
        port: its port.
        log: what it wrote to standard error, known once it has ended.
    """

    def __init__(
        self,
        data: Path,
        *,
        projects: Mapping[str, str] | None = None,
        environments: Iterable[tuple[str, str]] = (),
        plans: Iterable[tuple[str, int, Sequence[int]]] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        arguments: Sequence[str] = (),
    ) -> None:
        """Describes the process; `launch` starts it.

        Args:
            data: directory in which it keeps everything; created if it is not there.
            projects: token by project code, beside SMOKE with rep_local.
            environments: pairs of project code and environment slug to have.
            plans: project code, plan id and case ids to have.
            host: address to listen on.
            port: port to listen on; 0 takes a free one, and a restart takes the same again.
            arguments: further ones of ``famacase serve``.
        """
        self.data = data.absolute()
        self.port = port
        self.url = ""
        self.log = ""
        self._arguments = [f"--data={self.data}", f"--host={host}", "--stop-with-stdin", *arguments]
        self._arguments += [f"--project={code}:{token}" for code, token in (projects or {}).items()]
        self._arguments += [f"--environment={code}:{slug}" for code, slug in environments]
        for code, plan_id, cases in plans:
            self._arguments.append(f"--plan={code}:{plan_id}={','.join(map(str, cases))}")
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    @classmethod
    def start(cls, data: Path, **options: object) -> ServerProcess:
        """Launches a back end; the arguments are those of the class."""
        server = cls(data, **options)  # type: ignore[arg-type]
        server.launch()
        return server

    def launch(self) -> None:
        """Starts the process and waits until it answers calls; ServerDidNotStart if it does not."""
        self.data.mkdir(parents=True, exist_ok=True)
        # Kept apart from standard output, which is read up to the line that says "ready" and no further.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        self._process = subprocess.Popen(
            [sys.executable, "-m", "famacase_pytest.server", f"--port={self.port}", *self._arguments],
            # A directory without Python files, since `-m` puts it first among those that are searched.
            cwd=self.data,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # Ctrl-C is for the one who started it, who then ends it in good order.
            start_new_session=True,
        )
        said = self._wait_until_ready(self._process)
        if not self.url:
            self.kill()
            raise ServerDidNotStart(
                f"The local back end did not start within {_TIMEOUT:g} s. It said:\n{said}{self.log}"
            )
        self.port = int(self.url.rpartition(":")[2])

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> str:
        """Reads standard output until it names the URL or ends; returns what it read."""
        assert process.stdout is not None
        said: list[str] = []
        self.url = ""
        # Too late, it is killed, which ends its output.
        late = threading.Timer(_TIMEOUT, process.kill)
        late.daemon = True
        late.start()
        for raw in process.stdout:
            said.append(raw.decode("utf-8", "replace"))
            if said[-1].startswith(_READY):
                self.url = said[-1][len(_READY) :].strip().strip("'")
                break
        late.cancel()
        return "".join(said)

    @property
    def pid(self) -> int:
        """The id of the process, which must run."""
        assert self._process is not None
        return self._process.pid

    def terminate(self) -> int:
        """Ends the process when calls under way are answered; returns its exit code, 0 if it does not run."""
        if self._process is None:
            return 0
        self._process.terminate()
        return self._wait(self._process)

    def kill(self) -> None:
        """Ends the process at once, with SIGKILL where there are signals."""
        if self._process is not None:
            self._process.kill()
            self._wait(self._process)

    def restart(self) -> None:
        """Ends the process, if it runs, and starts it again on the same port and data."""
        self.terminate()
        self.launch()

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        try:
            code = process.wait(_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        assert self._log is not None
        self._log.seek(0)
        self.log = self._log.read().decode("utf-8", "replace")
        self._log.close()
        self._process = self._log = None
        return code

    def __enter__(self) -> ServerProcess:
        """Starts the process, if it does not run."""
        if self._process is None:
            self.launch()
        return self

    def __exit__(self, *_raised: object) -> None:
        """Ends the process in good order."""
        self.terminate()
