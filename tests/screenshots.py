"""Pictures of the pages for README and docs, of the runs that the tests use: `make screenshots`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from browser import open_browser, open_page
from example_runs import nightly
from famacase_pytest.server.process import ServerProcess
from live_api import reach

OUT = Path(__file__).parents[1] / "docs" / "screenshots"


def main() -> None:
    """Writes run.png, result.png and project.png into docs/screenshots."""
    OUT.mkdir(exist_ok=True)
    folder = tempfile.TemporaryDirectory()
    with folder, ServerProcess.start(Path(folder.name)) as process, open_browser() as browser:
        run_id = nightly(reach(process), runs=12)[-1]
        page = browser.new_page(viewport={"width": 1200, "height": 820}, timezone_id="UTC", locale="en-GB")
        open_page(page, f"{process.url}/runs/{run_id}")
        page.locator("#comparison .chip").first.wait_for()
        page.screenshot(path=OUT / "run.png")
        page.goto(f"{process.url}/runs/{run_id}?q=basket+is+right")
        address = page.locator("#list .row").get_attribute("href")
        page.set_viewport_size({"width": 1200, "height": 1250})
        open_page(page, f"{process.url}{address}")
        for picture in page.locator(".versus img").all():
            picture.evaluate("one => one.decode()")
        page.screenshot(path=OUT / "result.png")
        page.set_viewport_size({"width": 1200, "height": 820})
        open_page(page, f"{process.url}/projects/SMOKE")
        page.screenshot(path=OUT / "project.png")


if __name__ == "__main__":
    main()
