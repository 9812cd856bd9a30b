"""Gives each page a place in the navigation of the site, also one that mkdocs.yml does not list yet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Appends the pages that are not listed; mkdocs calls it before it reads the navigation."""
    listed = set(re.findall(r"[\w-]+\.md", str(config["nav"])))
    pages = sorted(page.name for page in Path(config["docs_dir"]).glob("*.md"))
    rest = [page for page in pages if page not in listed]
    if rest:
        config["nav"].append({"More": rest})
    return config
