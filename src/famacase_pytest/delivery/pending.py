"""Which results come next: the oldest of each writer, by turns, and quickly if there is nothing new."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator

from famacase_pytest.delivery.feed import Feed, Feeds
from famacase_pytest.delivery.ledger import Ledger
from famacase_pytest.delivery.records import Item

_AT_LEAST = 50  # numbers of results to look at in one step


class Pending:
    """The search for results that are stored and not settled. Not for several threads at once.

    Args:
        feeds: of all writers of the session.
    """

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        # By writer: the generation of the ledger in which nothing was left to deliver.
        self._exhausted: dict[str, int] = {}
        self._turn = 0

    def take(
        self, ledger: Ledger, limit: int, excluding: Collection[tuple[str, int]], max_bytes: float
    ) -> list[Item]:
        """See `Outbox.pending`."""
        items: list[Item] = []
        ledger.refresh()
        feeds = list(self._feeds.all())
        # Another writer is the first one each time: with a small limit all come to their turn.
        self._turn = (self._turn + 1) % max(1, len(feeds))
        queues: deque[tuple[Feed, Iterator[int]]] = deque()
        for feed in feeds[self._turn :] + feeds[: self._turn]:
            with self._feeds.reading(feed):
                numbers = self._numbers(feed, ledger, limit, excluding)
                if numbers:
                    queues.append((feed, iter(numbers)))
        for item in self._by_turns(queues):
            max_bytes -= item.size
            if items and max_bytes < 0:
                break
            items.append(item)
            if len(items) == limit:
                break
        self._feeds.close_idle()
        return items

    def _by_turns(self, queues: deque[tuple[Feed, Iterator[int]]]) -> Iterator[Item]:
        """The results of these numbers, one of each writer at a time."""
        while queues:
            feed, numbers = queues.popleft()
            item = None
            with self._feeds.reading(feed):
                seq = next(numbers, None)
                if seq is None:
                    continue
                item = feed.item(seq)
                queues.append((feed, numbers))
            if item is not None:
                yield item

    def _numbers(
        self, feed: Feed, ledger: Ledger, limit: int, excluding: Collection[tuple[str, int]]
    ) -> list[int]:
        """The numbers of a writer's pending results, ascending, up to `limit` of them."""
        # Asked first: what is stored from here on counts as a change the next time.
        if not feed.has_changed() and self._exhausted.get(feed.name) == ledger.generation:
            return []
        self._exhausted.pop(feed.name, None)
        settled = ledger.settled(feed.name)
        seq = ledger.floor(feed.name)
        numbers: list[int] = []
        all_settled = True
        while len(numbers) < limit:
            found = feed.after(seq, max(_AT_LEAST, limit))
            if not found:
                if all_settled:
                    self._exhausted[feed.name] = ledger.generation
                break
            for seq in found:
                if seq not in settled:
                    all_settled = False
                    if (feed.name, seq) not in excluding:
                        numbers.append(seq)
                elif all_settled:
                    ledger.raise_floor(feed.name, seq)
        feed.lighten(seq)
        return numbers[:limit]
