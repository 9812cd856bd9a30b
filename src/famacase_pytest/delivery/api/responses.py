"""What an answer means: a value, a reason to try again, or an error that says what to do."""

from __future__ import annotations

import contextlib
import re
from http.client import responses as reason_phrases
from typing import TYPE_CHECKING, Any, Callable, TypeVar
from urllib.parse import urljoin, urlsplit

from ...errors import ApiError, Refused, Rejected
from ..system import System
from .http import Answer, NoAnswer
from .retry import SERVER_ERROR, TRANSIENT, parse_retry_after

if TYPE_CHECKING:
    from .client import Call, Target

_DETAIL_LIMIT = 500  # characters of a server's explanation that go into a message
_FIELDS_LIMIT = 10  # field errors that are named

Scrub = Callable[[str], str]
T = TypeVar("T")


class NotFamacase(Exception):
    """The answer has a good status but not the content: something other than Famacase gave it."""


_REMEDIES = {
    401: (
        "Check the token of project {code} (FAMACASE_REPORTER_TOKEN): "
        "it is wrong, expired or of another server."
    ),
    403: "Use a token of project {code} (FAMACASE_REPORTER_TOKEN) that may report.",
    404: (
        "Check the project code (FAMACASE_TESTOPS_PROJECT), the ids of run and plan "
        "(FAMACASE_TESTOPS_RUN_ID, FAMACASE_TESTOPS_PLAN_ID) and the address (FAMACASE_API_URL)."
    ),
    407: "Put the proxy's credentials into HTTPS_PROXY or HTTP_PROXY, or the host into NO_PROXY.",
    409: (
        "If the run is complete: jobs that share one run need FAMACASE_TESTOPS_RUN_COMPLETE=false, and "
        "complete it once when all have ended."
    ),
    413: "Send less at a time: a smaller FAMACASE_TESTOPS_BATCH_SIZE, smaller attachments.",
}
_REMEDY_FOR_CONTENT = "Correct what the reason names; if the suite cannot, report it with this message."


def value_of(
    answer: Answer, read: Callable[[Answer], T], call: Call, target: Target, url: str, scrub: Scrub
) -> T:
    """What an answer holds.

    Raises:
        NoAnswer: it is a failure that may pass.
        Refused, Rejected: it is one that stays.
    """
    status = answer.status
    if 200 <= status < 300:
        try:
            if call.acknowledged_by not in (None, status):
                raise NotFamacase(f"no acknowledgement, which would be {call.acknowledged_by}")
            return read(answer)
        except NotFamacase as error:
            cause = f"{status} with {error}: something other than Famacase answered (a proxy, a login page?)"
        raise NoAnswer(cause, status=status)
    if status < 500 and status not in TRANSIENT:
        raise error_of(answer, call, target, url, scrub)
    raise NoAnswer(
        f"{status} {scrub_detail(answer, scrub)}".rstrip(),
        again=status in TRANSIENT or (status == SERVER_ERROR and call.again_on_500),
        status=status,
        retry_after=parse_retry_after(answer.headers),
    )


def error_of(answer: Answer, call: Call, target: Target, url: str, scrub: Scrub) -> ApiError:
    """The exception for a status that another attempt would not change: Refused or Rejected."""
    status = answer.status
    detail = scrub_detail(answer, scrub)
    if 300 <= status < 400:
        pointed = _location(answer, url, scrub)
        return Refused(
            f"{target} was answered with {status}, a redirect to {pointed}. {call.failed} No redirect is "
            "followed, since the token would go along. Usually http was written for https: correct "
            "FAMACASE_API_URL.",
            status=status,
            detail=f"redirect to {pointed}",
        )
    kind = Refused if status in (401, 403, 404, 407, 409) else Rejected
    remedy = _REMEDIES.get(status, _REMEDY_FOR_CONTENT).format(code=target.code)
    said = detail or reason_phrases.get(status, "no reason given")
    return kind(
        f"{target} was answered with {status} ({said}). {call.failed} {remedy}", status=status, detail=detail
    )


def scrub_detail(answer: Answer, scrub: Scrub) -> str:
    """What the server said about an error, as one short line."""
    text = answer.body.decode("utf-8", "replace")
    if _is_html(answer):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        text = f"a web page: {title.group(1)}" if title else "a web page"
    else:
        # What is not JSON is itself what the server said.
        with contextlib.suppress(ValueError, RecursionError):
            text = _flat(System.loads(text))
    # First without secrets, then shorter: a token that is cut in two would not be recognised.
    text = " ".join("".join(c if c.isprintable() else " " for c in scrub(text)).split())
    return text if len(text) <= _DETAIL_LIMIT else text[: _DETAIL_LIMIT - 1] + "…"


def json_of(answer: Answer) -> object:
    """The JSON of an answer. Raises NotFamacase."""
    if answer.truncated:
        raise NotFamacase("an answer that is too large")
    if _is_html(answer):
        raise NotFamacase("a web page instead of JSON")
    try:
        return System.loads(answer.body)
    except (ValueError, RecursionError):
        raise NotFamacase("something that is not JSON") from None


def object_of(answer: Answer, **members: type) -> dict[str, Any]:
    """The JSON object of an answer, if it has these members of these types. Raises NotFamacase."""
    value = json_of(answer)
    if not isinstance(value, dict):
        raise NotFamacase("JSON of another kind")
    for name, type_ in members.items():
        # bool is an int for isinstance, but no server's id is True.
        member = value.get(name)
        proper = isinstance(member, type_) and not isinstance(member, bool)
        # An id is stored in 64 bits, here and at the server.
        if not proper or (isinstance(member, int) and not 0 <= member < 2**63):
            raise NotFamacase(f"JSON without a proper {name!r}")
    return value


def nothing_of(answer: Answer) -> None:
    """For calls that are answered without content. Raises NotFamacase for what is neither empty nor JSON."""
    if answer.body:
        json_of(answer)


def _is_html(answer: Answer) -> bool:
    kind = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
    return kind in ("text/html", "application/xhtml+xml") or answer.body[:64].lstrip()[:1] == b"<"


def _flat(value: object) -> str:
    """The `detail` of an error as text: a sentence, or field errors as "body.title: Field required"."""
    if isinstance(value, dict):
        for name in ("detail", "message", "error", "errorMessage"):
            if value.get(name):
                return _flat(value[name])
    if isinstance(value, list):
        named = "; ".join(_field(entry) for entry in value[:_FIELDS_LIMIT])
        more = len(value) - _FIELDS_LIMIT
        return f"{named}; and {more} more" if more > 0 else named
    return value if isinstance(value, str) else System.dumps(value, ensure_ascii=False)


def _field(entry: object) -> str:
    if not isinstance(entry, dict) or "msg" not in entry:
        return _flat(entry)
    where = entry.get("loc")
    place = ".".join(map(str, where)) if isinstance(where, list) else str(where or "")
    return f"{place}: {entry['msg']}" if place else str(entry["msg"])


def _location(answer: Answer, url: str, scrub: Scrub) -> str:
    given = answer.headers.get("Location", "")
    if not given:
        return "nowhere (it names no Location)"
    try:
        parts = urlsplit(urljoin(url, given))
    except ValueError:
        return "an address that cannot be read"
    host = parts.netloc.rpartition("@")[2]
    text = scrub(f"{parts.scheme}://{host}{parts.path}")
    return "".join(c if c.isprintable() else "?" for c in text)[:_DETAIL_LIMIT]
