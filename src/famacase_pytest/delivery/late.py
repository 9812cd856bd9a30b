"""Files that are attached by path and finished later: by a fixture of a wider scope."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from .models import Attachment, Late, State, StoredFile, reason_of
from .outbox.blobs import Unstorable, has_changed, open_file, read_file, state_of
from .outbox.writer import Key, Writer


@dataclass
class _Watched:
    """A path: the test that has attached it last, how it was then, and its copies by result and ref."""

    test: str
    last: StoredFile
    uses: dict[tuple[Key, str], tuple[StoredFile, Late | None]] = field(default_factory=dict)


class LateFiles:
    """Looks again at attached files when fixtures have been torn down, and replaces copies that are stale.

    A later test may write another file under the same path. So a file is taken again only if it changed while
    fixtures were torn down, if it was not there before, or if the copy is its beginning.

    Args:
        writer: has the results and the copies.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._watched: dict[str, _Watched] = {}
        self._ending: list[tuple[str, State | None]] = []

    def watch(self, test: str, key: Key, files: Sequence[StoredFile], late: Mapping[str, Late]) -> None:
        """Watch the files of a result that was stored.

        Args:
            test: pytest's node id.
            key: of the result.
            files: its files; those that came from no path have no origin.
            late: by ref, those that the settings change.
        """
        for file in files:
            screened = late.get(file.ref)
            seen = file if screened is None else screened.seen
            if seen.origin is None:
                continue
            watched = self._watched.pop(seen.origin.path, None)
            if watched is None or not (watched.test == test or _is_same(watched.last, seen)):
                watched = _Watched(test, seen)
            # At the end, so that the files of the tests that ran last stand together.
            self._watched[seen.origin.path] = watched
            watched.test, watched.last, watched.uses[key, file.ref] = test, seen, (file, screened)

    def __bool__(self) -> bool:
        return bool(self._watched)

    def begin(self, node: str) -> None:
        """Note how the files of the tests below a node are, before its fixtures are torn down.

        Args:
            node: pytest's id of what ends; the empty text stands for the session.
        """
        # What ends now has had the last tests: others are not looked through, or each test would cost more.
        ending = takewhile(lambda entry: entry[1].test.startswith(node), reversed(self._watched.items()))
        self._ending = [(path, _state(watched)) for path, watched in ending]

    def end(self) -> None:
        """Replace the copies of what has changed. Raises OutboxUnavailable."""
        ending, self._ending = self._ending, []
        for path, before in ending:
            watched = self._watched.get(path)
            if watched is None or watched.last.origin is None or not has_changed(watched.last.origin):
                continue
            is_new = watched.last.origin.state is None
            if is_new or _state(watched) != before or _continues(watched.last):
                self._replace(watched)
            else:
                # Another test's file of the same name.
                del self._watched[path]

    def _replace(self, watched: _Watched) -> None:
        is_screened = any(late is not None for _, late in watched.uses.values())
        content, again = _read(watched.last) if is_screened else (b"", self._writer.refresh(watched.last))
        if again.problem:
            return
        watched.last = again
        for (key, ref), (file, late) in watched.uses.items():
            new = again if late is None else self._screened(file, late, content)
            new = replace(new, ref=ref, file_name=file.file_name, mime_type=file.mime_type)
            watched.uses[key, ref] = new, late
            if (file.sha256, file.problem) != (new.sha256, new.problem):
                self._writer.replace_file(key, new)

    def _screened(self, file: StoredFile, late: Late, content: bytes) -> StoredFile:
        """A copy of what the settings make of a content."""
        try:
            screened = late.screen(content, file.mime_type)
        except Unstorable as error:
            return replace(file, sha256=None, size=0, problem=str(error))
        return self._writer.store(Attachment(file.ref, file.file_name, file.mime_type, content=screened))


def _read(seen: StoredFile) -> tuple[bytes, StoredFile]:
    """The content of a file that is to be screened, and how it is now; with a problem if it is not there."""
    assert seen.origin is not None
    try:
        content, origin = read_file(seen.origin.path)
    except (OSError, ValueError, Unstorable) as error:
        return b"", replace(seen, problem=reason_of(error))
    sha256 = hashlib.sha256(content).hexdigest()
    return content, replace(seen, origin=origin, sha256=sha256, size=len(content), problem=None)


def _state(watched: _Watched) -> State | None:
    origin = watched.last.origin
    return None if origin is None else state_of(origin)


def _is_same(earlier: StoredFile, file: StoredFile) -> bool:
    """Whether two tests have attached one file, which may have grown between them."""
    return earlier.sha256 == file.sha256 or _continues(earlier)


def _continues(file: StoredFile) -> bool:
    """Whether a copy is the beginning of the file as it is now."""
    if file.origin is None or file.sha256 is None:
        return False
    try:
        opened = open_file(file.origin.path)
    except (OSError, ValueError, Unstorable):
        return False
    digest, left = hashlib.sha256(), file.size
    try:
        for chunk in opened.chunks():
            digest.update(chunk[:left])
            left = max(0, left - len(chunk))
            if not left:
                break
    except (OSError, Unstorable):
        return False
    finally:
        opened.close()
    return not left and digest.hexdigest() == file.sha256
