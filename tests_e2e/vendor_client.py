"""A stand-in for the vendor's client, the distribution FamacasePytest.

It is made as that one is: a copy of qase-pytest in ``famacase.pytest._qase``, whose hooks its own plugin
calls, and a client in the place of Qase's, put there for good. Only its results go elsewhere: into a file.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import textwrap
from pathlib import Path
from typing import Any

FILES = {
    "famacase/__init__.py": """
        from .pytest._qase.decorators import qase

        famacase = qase
    """,
    "famacase/pytest/__init__.py": """
        from .client import FamacaseClient
        from ._qase.decorators import qase

        famacase = qase
    """,
    "famacase/pytest/client.py": """
        import json
        import os

        from qase.commons.client.base_api_client import BaseApiClient


        class FamacaseClient(BaseApiClient):
            def __init__(self, config, logger, **others):
                pass

            def get_project(self, project_code):
                return None

            def get_environment(self, environment, project_code):
                return None

            def create_test_run(self, project_code, title, description, **others):
                return 1

            def check_test_run(self, project_code, run_id):
                return True

            def send_results(self, project_code, run_id, results):
                with open(os.environ["TEST_VENDOR_RESULTS"], "a") as file:
                    file.writelines(json.dumps(result.title) + "\\n" for result in results)

            def complete_run(self, project_code, run_id):
                pass

            def enable_public_report(self, project_code, run_id):
                return None

            def _upload_attachment(self, project_code, attachment):
                return []
    """,
    "famacase/pytest/plugin.py": """
        import os

        import pytest

        from ._qase import conftest as bundled
        from .client import FamacaseClient


        def pytest_addoption(parser):
            bundled.pytest_addoption(parser)


        @pytest.hookimpl(tryfirst=True)
        def pytest_configure(config):
            import qase.commons.client.api_v2_client
            from qase.commons.reporters import testops

            qase.commons.client.api_v2_client.ApiV2Client = testops.ApiV2Client = FamacaseClient
            for name, value in list(os.environ.items()):
                if name.startswith("FAMACASE_"):
                    os.environ.setdefault(name.replace("FAMACASE", "QASE", 1), value)
            os.environ.setdefault("QASE_TESTOPS_API_TOKEN", os.environ["FAMACASE_REPORTER_TOKEN"])
            config.addinivalue_line("markers", "famacase: an alias")
            bundled.pytest_configure(config)
    """,
    "FamacasePytest-0.1.6.dist-info/METADATA": """
        Metadata-Version: 2.1
        Name: FamacasePytest
        Version: 0.1.6
    """,
    "FamacasePytest-0.1.6.dist-info/entry_points.txt": """
        [pytest11]
        famacase_pytest = famacase.pytest.plugin
    """,
}


def install(project: Any) -> None:
    """Have the stand-in on the import path of a project's sessions, as if it were installed."""
    place = project.directory.parent / f"{project.directory.name}-vendor"
    for name, text in FILES.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
    spec = importlib.util.find_spec("qase.pytest")
    assert spec is not None
    assert spec.origin is not None
    shutil.copytree(Path(spec.origin).parent, place / "famacase/pytest/_qase")
    bundled = place / "famacase/pytest/_qase/conftest.py"
    # As the vendor has changed it: both plugins can be registered.
    text = bundled.read_text(encoding="utf-8").replace('name="qase-pytest', 'name="famacase-pytest')
    bundled.write_text(text, encoding="utf-8")
    path_before = os.environ.get("PYTHONPATH")
    project.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(place), path_before]))
    project.environ["TEST_VENDOR_RESULTS"] = str(_results(project))


def reported(project: Any) -> list[str]:
    """The titles of the results that the stand-in has reported."""
    path = _results(project)
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )


def _results(project: Any) -> Path:
    found: Path = project.directory.parent / f"{project.directory.name}-vendor-results"
    return found
