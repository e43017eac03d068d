"""Read a run's files while another process writes them, and go on with the run that takes its place."""

from __future__ import annotations

import time
from collections.abc import Iterator

from . import metrics, progress, reports, store
from .provenance import alive

POLL = 0.5  # seconds
LAST_WORDS = 20  # polls that a finished run has to say so


class Tail:
    """A run as its files have it: its record, with what its events say by now.

    Attributes:
        record: metrics and predictions up to the last event that was read.
        progress: what the events add up to.
    """

    def __init__(self, record: dict):
        self.folder = store.folder_of(record)
        self.progress = progress.Progress()
        self._count = 0
        self.ended = False
        self.record = record
        self.begun = self.read()  # what it had said before

    def read(self) -> list[tuple[dict, str | None]]:
        """The events since the last call, each with its line for people; half a line is left for the next call.

        Raises:
            JournalError: a line is no JSON, or no event.
        """
        record = store.read(self.folder / "run.json")
        events, _ = store.read_events(self.folder)
        try:
            if record["status"] == "running":  # a closed one has it all in its record
                record = metrics.replay(record, events)
            found = [(event, self.progress.take(event)) for event in events[self._count :]]
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise store.JournalError(f"{self.folder.name}/events.jsonl is damaged: {error!r}") from error
        self._count = len(events)
        self.ended = bool(events) and events[-1]["event"] == "end"
        self.record = record
        return found

    @property
    def alive(self) -> bool:
        return self.record["status"] == "running" and alive(self.record["resources"].get("process"))

    def status(self) -> dict:
        silent = None
        if self.alive:
            silent = max(0.0, time.time() - (self.folder / "events.jsonl").stat().st_mtime)
        return reports.standing(self.record, self.progress, alive=self.alive, silent=silent)

    def successor(self) -> dict | None:
        """The run that goes on with this one or was started in its place: the next of its notebook and profile."""
        mine = self.record
        later = sorted(self.folder.parent.glob(f"*-{mine['notebook']}-*/run.json"))
        for path in later:
            if (
                path.parent.name > mine["run_id"]
                and (record := _readable(path))
                and record["profile"] == mine["profile"]
            ):
                return record
        return None


def _readable(path) -> dict | None:
    try:
        return store.read(path)
    except store.JournalError:
        return None  # `verify` tells of it


def follow(record: dict) -> Iterator[tuple[Tail, list]]:
    """(run, new events) again and again; ends when a run has finished.

    A run that failed, was interrupted, killed or superseded is followed by the next one of its notebook; as long as
    there is none, this waits for it.
    """
    tail = Tail(record)
    yield tail, tail.begun
    patience, took = LAST_WORDS, 0.0
    while patience and not (tail.ended and tail.record["status"] == "finished"):
        gone = not tail.alive  # asked before reading: what it wrote until then is read below
        time.sleep(max(POLL, 10 * took))  # reading must not hold up what it reads of
        began = time.perf_counter()
        new = tail.read()
        took = time.perf_counter() - began
        yield tail, new
        # A record is closed before its last event is written; an old one, or one on a full disk, may have none.
        patience -= tail.record["status"] == "finished"
        if gone and tail.record["status"] != "finished" and (following := tail.successor()):
            tail, patience = Tail(following), LAST_WORDS
            yield tail, tail.begun  # all that it has said by now is news
