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
from types import TracebackType
from typing import IO

from famacase_pytest.errors import FamacaseError

_READY = "export FAMACASE_API_URL="


class ServerDidNotStart(FamacaseError):
    """The back end ended, or said nothing, before it answered calls. Its output, in the message, says why."""


class ServerProcess:
    """A local back end that runs beside this process. As a context manager it ends with the block.

    It stops by itself when this process dies, unless it was told to outlive it.

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
        environment: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        outlive: bool = False,
    ) -> None:
        """Describes the process; `launch` starts it.

        Args:
            data: directory in which it keeps everything; created if it is not there.
            projects: token by project code, beside SMOKE with rep_local.
            environments: pairs of project code and environment slug to have.
            plans: project code, plan id and case ids to have.
            host: address to listen on.
            port: port to listen on; 0 takes a free one, and a restart takes the same again.
            environment: its environment variables; those of this process if None.
            timeout: seconds that a start may take.
            outlive: go on when this process ends.
        """
        self.data = data.absolute()
        self.port = port
        self.url = ""
        self.log = ""
        self._host = host
        self._environment = None if environment is None else dict(environment)
        self._timeout = timeout
        self._outlive = outlive
        self._arguments = [f"--project={code}:{token}" for code, token in (projects or {}).items()]
        self._arguments += [f"--environment={code}:{slug}" for code, slug in environments]
        self._arguments += [
            f"--plan={code}:{plan_id}={','.join(map(str, cases))}" for code, plan_id, cases in plans
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    @classmethod
    def start(
        cls,
        data: Path,
        *,
        projects: Mapping[str, str] | None = None,
        environments: Iterable[tuple[str, str]] = (),
        plans: Iterable[tuple[str, int, Sequence[int]]] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        environment: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        outlive: bool = False,
    ) -> ServerProcess:
        """Starts a back end and waits until it answers calls. The arguments are those of the class.

        Raises:
            ServerDidNotStart: with what it printed.
        """
        server = cls(
            data,
            projects=projects,
            environments=environments,
            plans=plans,
            host=host,
            port=port,
            environment=environment,
            timeout=timeout,
            outlive=outlive,
        )
        server.launch()
        return server

    def launch(self) -> None:
        """Starts the process and waits until it answers calls.

        Raises:
            ServerDidNotStart: with what it printed.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "famacase_pytest.server", *self._arguments]
        command += [f"--host={self._host}", f"--port={self.port}", f"--data={self.data}"]
        if not self._outlive:
            command.append("--stop-with-stdin")
        # Kept apart from standard output, which is read up to the line that says "ready" and no further.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        self._process = subprocess.Popen(
            command,
            # A directory without Python files, since `-m` puts it first among those that are searched.
            cwd=self.data,
            env=self._environment,
            stdin=subprocess.DEVNULL if self._outlive else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # Ctrl-C is for the one who started it, who then ends it in good order.
            start_new_session=True,
        )
        said = self._wait_until_ready()
        if not self.url:
            self.kill()
            raise ServerDidNotStart(
                f"The local back end did not start within {self._timeout:g} s. It said:\n{said}{self.log}"
            )
        self.port = int(self.url.rpartition(":")[2])

    def _wait_until_ready(self) -> str:
        """Reads standard output until it names the URL, ends, or time is up; returns what it read."""
        assert self._process is not None
        assert self._process.stdout is not None
        output = self._process.stdout
        said: list[str] = []
        self.url = ""

        def read() -> None:
            for raw in iter(output.readline, b""):
                line = raw.decode("utf-8", "replace")
                said.append(line)
                if line.startswith(_READY):
                    self.url = line[len(_READY) :].strip().strip("'")
                    return

        # A pipe cannot be read with a time limit on every system; a thread can be waited for on all of them.
        reader = threading.Thread(target=read, name="server-start", daemon=True)
        reader.start()
        reader.join(self._timeout)
        if reader.is_alive():
            self._process.kill()
            reader.join()
        return "".join(said)

    @property
    def pid(self) -> int:
        """The id of the process. Raises RuntimeError if it does not run."""
        if self._process is None:
            raise RuntimeError("The local back end does not run.")
        return self._process.pid

    def terminate(self) -> int:
        """Ends the process in good order; it answers the calls under way first.

        Returns:
            Its exit code, 0 if all is well. 0 too if it does not run.
        """
        if self._process is None:
            return 0
        self._process.terminate()
        return self._wait()

    def kill(self) -> None:
        """Ends the process at once, with SIGKILL where there are signals."""
        if self._process is not None:
            self._process.kill()
            self._wait()

    def restart(self) -> None:
        """Ends the process, if it runs, and starts it again on the same port and data."""
        self.terminate()
        self.launch()

    def _wait(self) -> int:
        assert self._process is not None
        try:
            code = self._process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        assert self._log is not None
        self._log.seek(0)
        self.log = self._log.read().decode("utf-8", "replace")
        self._log.close()
        self._process = self._log = None
        return code

    def __enter__(self) -> ServerProcess:
        if self._process is None:
            self.launch()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.terminate()
