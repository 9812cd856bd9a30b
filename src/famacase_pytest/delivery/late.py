"""Files that are attached by path and finished later: by a fixture of a wider scope."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from famacase_pytest.delivery.models import State, StoredFile
from famacase_pytest.delivery.outbox.blobs import Unstorable, has_changed, open_file, state_of
from famacase_pytest.delivery.outbox.writer import Key, Writer


@dataclass
class _Watched:
    """A path, the test that has attached it last, and the results that have a copy of it."""

    test: str
    uses: list[tuple[Key, StoredFile]] = field(default_factory=list)

    @property
    def last(self) -> StoredFile:
        return self.uses[-1][1]


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

    def watch(self, test: str, key: Key, files: Sequence[StoredFile]) -> None:
        """Watch the files of a result that was stored.

        Args:
            test: pytest's node id.
            key: of the result.
            files: its files; those that came from no path, or must not be read again, have no origin.
        """
        for file in files:
            if file.origin is None:
                continue
            watched = self._watched.get(file.origin.path)
            if watched is None or not (watched.test == test or _is_same(watched.last, file)):
                watched = self._watched[file.origin.path] = _Watched(test)
            watched.test = test
            watched.uses = [(k, f) for k, f in watched.uses if (k, f.ref) != (key, file.ref)]
            watched.uses.append((key, file))

    def __bool__(self) -> bool:
        return bool(self._watched)

    def begin(self, node: str) -> None:
        """Note how the files of the tests below a node are, before its fixtures are torn down.

        Args:
            node: pytest's id of what ends; the empty text stands for the session.
        """
        self._ending = [
            (path, _state(watched))
            for path, watched in self._watched.items()
            if watched.test.startswith(node)
        ]

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
        again = self._writer.refresh(watched.last)
        if again.problem:
            return
        uses, watched.uses = watched.uses, []
        for key, file in uses:
            new = replace(again, ref=file.ref, file_name=file.file_name, mime_type=file.mime_type)
            watched.uses.append((key, new))
            if file.sha256 != new.sha256:
                self._writer.replace_file(key, new)


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
