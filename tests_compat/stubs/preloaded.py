"""Runs pytest in children of a process that has imported what takes long and stays the same.

A script. A line of standard input is a session, as JSON: its directory, its environment, the place that is
searched first, its arguments and the file for its output. A line of standard output is its exit code.
"""

import json
import os
import sys
import traceback

import pytest


def _serve():
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status), flush=True)


def _run(session):
    code = 70
    try:
        os.chdir(session["directory"])
        os.environ.clear()
        os.environ.update(session["environ"])
        output = os.open(session["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        # The package is looked for again; its generated clients are what they were.
        sys.modules.pop("qase", None)
        sys.path.insert(0, session["place"])
        code = int(pytest.main(session["arguments"]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
