"""The tour of the documentation, as somebody would take it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import requests

from famacase_pytest.server.process import ServerProcess
from live_api import reach

TOUR = Path(__file__).parents[1] / "docs" / "tour.md"


def test_the_tour_leads_where_it_says(
    own_process: ServerProcess, tmp_path: Path, session_environ: dict[str, str]
) -> None:
    text = TOUR.read_text(encoding="utf-8")
    suite = re.search(r'```python title="test_shop.py"\n(.*?)```', text, re.DOTALL)
    assert suite is not None
    exports = dict(re.findall(r"^export (\w+)=(.*)$", text, re.MULTILINE))
    assert len(exports) == 4
    environ = {**session_environ, **exports, "FAMACASE_API_URL": own_process.url}
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_shop.py").write_text(suite[1], encoding="utf-8")

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    assert "1 failed, 2 passed" in run("pytest", "-q")
    failed = next(one for one in reach(own_process).stored(1) if one["execution"]["status"] == "failed")
    page = requests.get(f"{own_process.url}/runs/1/results/{failed['id']}", timeout=60).text
    assert "the card was refused" in page
    assert "report.html: 3 results" in run(
        "famacase_pytest.cli", "report", "1", "-o", "report.html", "--data", str(own_process.data)
    )
    own_process.terminate()
    assert "wait" in run("pytest", "-q")
    own_process.launch()
    assert "delivered" in run("famacase_pytest.cli", "resend")
    assert len(reach(own_process).stored(2)) == 3
