"""Writes `settings.md` and `famacase.config.schema.json` from the table of settings.

    python docs/settings_reference.py

A test checks that both are up to date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from famacase_pytest.settings.table import FAMACASE_FILE, OWN, ROWS, UPSTREAM, Row

_INTRODUCTION = """\
# Settings

<!-- Generated from settings/table.py by `python docs/settings_reference.py`. -->

Every setting can be given by a variable, by a flag or in a file. An empty variable, flag or key counts as
not set.

## Where reporting goes

The session reports to Famacase when an address is known, from the first of:

1. `--famacase-api-url`
2. `--famacase-testops-api-host`
3. `FAMACASE_API_URL`
4. `FAMACASE_TESTOPS_API_HOST`
5. `"famacase": {"apiUrl": ...}` in `famacase.config.json`
6. `"testops": {"api": {"host": ...}}` in `famacase.config.json`

`famacase.client.class` (`FAMACASE_CLIENT_CLASS`) names another back end and stands for an address, whatever
address is set; see [a back end of your own](backends.md).

The address may be a bare host (https is assumed, http if the host is this machine), a host with a port, a
URL, or a URL that ends in `/api/v1/reporter/v1`. An address of `qase.io` or below it is refused.

`FAMACASE_ENABLED=false` switches off whatever else is set. `FAMACASE_ENABLED=true` takes the address from
`--qase-testops-api-host`, `QASE_TESTOPS_API_HOST` or `qase.config.json` too, unless it belongs to
`qase.io`. `--qase-testops-api-host` beats every Famacase address, unless it names a host of `qase.io`: then
the session stops before the first test and says how to switch off.

Without an address nothing is changed, and results go to Qase as if the package were not installed. If
Famacase settings are present all the same, a warning names them as ignored where `QASE_MODE` reports to
Qase; where only they ask for `testops`, the session stops with an error.

What was meant and cannot be done is said in one line:

- an address is set, but no mode;
- a mode asks for Famacase, but `qase-pytest` takes no part in the session (`-p no:qase_pytest`, or plugin
  autoload is off and `-p qase_pytest` is missing);
- settings for Famacase are made after `qase-pytest` has read its configuration, such as in the
  `pytest_configure` of a conftest below the root directory, or of a plugin given by `-p`;
- no Famacase setting is present, but `QASE_TESTOPS_API_HOST` looks like a Famacase back end: its name
  contains `famacase`, or the token begins with `rep_`. A host outside `qase.io` may also be a company's own
  Qase, and nobody is asked over the network before the session is known to be for Famacase, so a back end
  of another name is not recognised.

If plugin autoload is off and `-p famacase` is missing too, this package is not loaded and can say nothing.

## Precedence

| layer | order within the layer |
|---|---|
| command line, strongest | `--qase-*` over its `--famacase-*` twin |
| environment | `FAMACASE_X` over `QASE_X` |
| files | `famacase.config.json` over `qase.config.json`, merged key by key, lists replaced whole |

The values of one setting are never added up: the strongest source gives all of it.

Address and token are the exception: any from Famacase's sources beats any from Qase's. A token that only
Qase's sources hold is used, with a warning.

## Tokens

A token belongs to one project. Within a layer `REPORTER_TOKEN` beats `REPORTER_TOKEN_FILE`, and that beats
`TESTOPS_API_TOKEN`. A token for a project (`FAMACASE_REPORTER_TOKENS`, or `"famacase": {"tokens": {...}}`)
beats one for all. Tokens are shown in no message, and qase-pytest never sees them.
"""

_OWN_INTRODUCTION = """\
## Settings of famacase-pytest

The keys stand in `famacase.config.json`.
"""

_TWINS_INTRODUCTION = """\
## Settings of qase-pytest

Each has a `FAMACASE_*` variable and a `--famacase-*` flag beside its `QASE_*` variable and its `--qase-*`
flag; the table leaves the prefixes out. The keys are the same in `famacase.config.json` and
`qase.config.json`. What an older qase-pytest does not read has no effect there. A variable that a newer one
adds has its `FAMACASE_*` twin at once.
"""


def markdown() -> str:
    """The text of `docs/settings.md`."""
    own = _table(
        ("variable", "flag", "key", "value", "default", "purpose"),
        (
            (f"`FAMACASE_{row.name}`", _code(row.flag, "--famacase-"), f"`{row.path}`", *_meaning(row))
            for row in OWN
        ),
    )
    twins = _table(
        ("`FAMACASE_`, `QASE_`", "`--famacase-`, `--qase-`", "key", "value", "default", "purpose"),
        (
            (_code(row.name if row.in_environment else ""), _code(row.flag), _code(row.path), *_meaning(row))
            for row in UPSTREAM
            if row.purpose
        ),
    )
    return f"{_INTRODUCTION}\n{_OWN_INTRODUCTION}\n{own}\n{_TWINS_INTRODUCTION}\n{twins}"


def schema() -> dict[str, Any]:
    """The JSON schema of `famacase.config.json`."""
    root: dict[str, Any] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": FAMACASE_FILE,
        "type": "object",
        "properties": {"$schema": {"type": "string"}},
    }
    for row in ROWS:
        if not (row.path and row.purpose):
            continue
        *blocks, last = row.path.split(".")
        node = root
        for key in blocks:
            block = {"type": ["object", "null"], "properties": {}}
            node = node["properties"].setdefault(key, block)
        node["properties"][last] = {
            "description": row.purpose,
            "anyOf": [row.kind.schema, {"enum": [None, ""]}],
        }
    return root


def schema_text() -> str:
    """The text of `docs/famacase.config.schema.json`."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _meaning(row: Row) -> tuple[str, str, str]:
    return row.kind.must, row.default, re.sub(r"\b([\w-]+\.md)\b", r"[\1](\1)", row.purpose)


def _code(text: str, prefix: str = "") -> str:
    return f"`{prefix}{text}`" if text else ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    here = Path(__file__).parent
    (here / "settings.md").write_text(markdown(), encoding="utf-8")
    (here / "famacase.config.schema.json").write_text(schema_text(), encoding="utf-8")
