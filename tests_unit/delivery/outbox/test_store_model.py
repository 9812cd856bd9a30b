"""Any sequence of events, against a model: nothing is lost, nothing is handed out once acknowledged."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from famacase_pytest.delivery.models import Attachment, Item
from famacase_pytest.delivery.outbox.store import Outbox

from .conftest import MANY

WRITERS = st.sampled_from(["main", "gw0", "gw1"])
KEYS = st.tuples(st.sampled_from(["P", "Q"]), st.sampled_from([1, -1]), st.sampled_from("abcd"))

Key = tuple[str, str, int, str]


class Deliveries(RuleBasedStateMachine):
    """The model: by writer and result's key, the payload stored last and whether it is done."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.generation = 0
        self.count = 0
        self.stored: dict[Key, str] = {}
        self.done: dict[Key, str] = {}
        self.begun: dict[Key, str] = {}
        self.claimed: list[Item] = []
        self.outbox = Outbox.create(self.root / "0", {})
        self.start()

    def start(self) -> None:
        self.claimed = []
        self.lock = self.outbox.delivery_lock()
        assert self.lock.acquire()
        self.ledger = self.outbox.ledger()
        self.writers = {name: self.outbox.writer(name, max_bytes=MANY) for name in ("main", "gw0", "gw1")}

    @rule(name=WRITERS, key=KEYS)
    def begin(self, name: str, key: tuple[str, int, str]) -> None:
        self.count += 1
        self.writers[name].begin(*key, f"begun {self.count}")
        self.begun[(name, *key)] = f"begun {self.count}"

    @rule(name=WRITERS, key=KEYS, files=st.integers(0, 2))
    def put(self, name: str, key: tuple[str, int, str], files: int) -> None:
        self.count += 1
        payload = f"{self.count} with {files}"
        writer = self.writers[name]
        sources = [Attachment(f"r{n}", "n", content=payload.encode() * (1 + n * 5000)) for n in range(files)]
        writer.put(*key, payload, [writer.store(source) for source in sources])
        self.stored[(name, *key)] = payload
        self.done.pop((name, *key), None)
        self.begun.pop((name, *key), None)

    @rule(name=WRITERS, keys=st.lists(KEYS, min_size=2, max_size=5, unique=True))
    def put_several(self, name: str, keys: list[tuple[str, int, str]]) -> None:
        for key in keys:
            self.put(name, key, 0)

    @rule(name=WRITERS)
    def drop_unfinished(self, name: str) -> None:
        self.writers[name].drop_unfinished()
        self.begun = {key: payload for key, payload in self.begun.items() if key[0] != name}

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        claimed = {item.key for item in self.claimed}
        self.claimed += self.outbox.pending(self.ledger, limit, excluding=claimed)
        assert len({item.key for item in self.claimed}) == len(self.claimed)

    def finish(self, item: Item) -> None:
        key = (item.writer, item.project, item.run_id, item.result_id)
        # What was replaced meanwhile is to be delivered in its new form.
        if self.stored[key] == item.payload:
            self.done[key] = item.payload

    @precondition(lambda self: self.claimed)
    @rule()
    def acknowledge(self) -> None:
        self.ledger.acknowledge(self.claimed)
        for item in self.claimed:
            self.finish(item)
        self.claimed = []

    @precondition(lambda self: self.claimed)
    @rule(which=st.integers(0), rejected=st.booleans())
    def finish_one(self, which: int, rejected: bool) -> None:
        item = self.claimed.pop(which % len(self.claimed))
        if rejected:
            self.ledger.reject(item, "no")
        else:
            self.ledger.acknowledge([item])
        self.finish(item)

    @precondition(lambda self: len(self.stored) > len(self.done))
    @rule(limit=st.integers(2, 6))
    def the_last_one_of_a_batch_is_rejected(self, limit: int) -> None:
        self.claimed = []
        item = self.outbox.pending(self.ledger, limit)[-1]
        self.ledger.reject(item, "no")
        self.finish(item)

    @rule()
    def fail(self) -> None:
        self.claimed = []

    @rule(name=WRITERS)
    def writer_dies_and_comes_back(self, name: str) -> None:
        self.writers[name].close()
        self.writers[name] = self.outbox.writer(name, max_bytes=MANY)

    @rule()
    def finish_unfinished(self) -> None:
        for item in self.outbox.unfinished():
            key = (item.writer, item.project, item.run_id, item.result_id)
            if self.outbox.finish_unfinished(item, f"ended {item.payload}"):
                self.stored[key] = f"ended {item.payload}"
                self.done.pop(key, None)
            self.begun.pop(key, None)

    @rule()
    def everything_is_killed(self) -> None:
        """The files as they are at this moment, opened anew elsewhere."""
        self.generation += 1
        directory = self.root / str(self.generation) / self.outbox.session_id
        shutil.copytree(self.outbox.directory, directory)
        self.outbox.close()
        self.outbox = Outbox.open(directory)
        self.start()

    @rule()
    def somebody_else_delivers(self) -> None:
        with Outbox.open(self.outbox.directory) as other:
            assert not other.delivery_lock().acquire()
            self.lock.release()
            lock = other.delivery_lock()
            assert lock.acquire()
            ledger = other.ledger()
            for item in other.pending(ledger, 2):
                ledger.acknowledge([item])
                self.finish(item)
                self.claimed = [one for one in self.claimed if one.key != item.key]
            lock.release()
        assert self.lock.acquire()

    def check(self, outbox: Outbox, items: list[Item]) -> None:
        found = {(item.writer, item.project, item.run_id, item.result_id): item.payload for item in items}
        assert len(found) == len(items)
        assert found == {key: text for key, text in self.stored.items() if key not in self.done}
        for item in items:
            for number, file in enumerate(outbox.attachments(item)):
                with file.open() as content:
                    assert content.read() == item.payload.encode() * (1 + number * 5000)

    @invariant()
    def pending_is_what_is_stored_and_not_done(self) -> None:
        self.check(self.outbox, self.outbox.pending(self.ledger, 1000))

    @invariant()
    def the_totals_agree(self) -> None:
        totals = self.outbox.count_pending(self.ledger).values()
        assert sum(total.results for total in totals) == len(self.stored) - len(self.done)

    @invariant()
    def unfinished_is_what_is_begun_and_nowhere_stored(self) -> None:
        stored = {key[1:] for key in self.stored}
        found = {
            (item.writer, item.project, item.run_id, item.result_id): item.payload
            for item in self.outbox.unfinished()
        }
        assert found == {key: payload for key, payload in self.begun.items() if key[1:] not in stored}

    def teardown(self) -> None:
        with Outbox.open(self.outbox.directory) as other, other.ledger() as ledger:
            self.check(other, other.pending(ledger, 1000))
        self.outbox.close()
        shutil.rmtree(self.root)


TestDeliveries = Deliveries.TestCase


TestDeliveries.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)
