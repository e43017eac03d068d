"""Read a run's files while another process writes them, and go on with the run that takes its place."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from . import metrics, progress, reports, schema, store
from .provenance import alive

POLL = 0.5  # seconds
LAST_WORDS = 20  # polls that a finished run has to say so


class Tail:
    """A run as its files have it: its record, with what its events say by now.

    Attributes:
        record: metrics and predictions up to the last event that was read.
        progress: what the events add up to.
    """

    def __init__(self, record: dict, keep: int | None = progress.KEPT):
        self.folder = store.folder_of(record)
        self.progress = progress.Progress(keep)
        self._logged = {"predictions": {}, "metrics": {}, "figures": {}, "notes": []}
        self._place, self._rest, self._count = 0, b"", 0
        self.ended = False
        self.record = record
        self.read()

    def read(self) -> list[tuple[dict, str | None]]:
        """The events since the last call, each with its line for people; half a line is left for the next call.

        Raises:
            JournalError: a line is no JSON.
        """
        record = store.read(self.folder / "run.json")
        found = []
        try:
            for event in self._new():
                if record["status"] == "running":  # a closed one has it all in its record
                    metrics.put(self._logged, metrics.apply(self._logged, event))
                found.append((event, self.progress.take(event)))
                self.ended = event["event"] == "end"
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise store.JournalError(f"{self.folder.name}/events.jsonl is damaged: {error!r}") from error
        self._count += len(found)
        self.record = {**record, **self._logged} if record["status"] == "running" else record
        return found

    def _new(self) -> list[dict]:
        if (self.folder / "series.json").is_file():  # closed and packed: its events are no longer lines of one file
            return store.read_events(self.folder)[0][self._count :]
        with open(self.folder / "events.jsonl", "rb") as file:
            file.seek(self._place)
            *lines, self._rest = (self._rest + (data := file.read())).split(b"\n")
            self._place += len(data)
        events = [json.loads(line) for line in lines]
        for event in events:
            schema.check_event(event)
        return events

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
            if path.parent.name > mine["run_id"] and (record := store.read(path))["profile"] == mine["profile"]:
                return record
        return None


def follow(record: dict, keep: int = progress.KEPT) -> Iterator[tuple[Tail, list]]:
    """(run, new events) again and again; ends when a run has finished.

    A run that failed, was interrupted, killed or superseded is followed by the next one of its notebook; as long as
    there is none, this waits for it.
    """
    tail = Tail(record, keep)
    yield tail, list(tail.progress.recent)
    patience = LAST_WORDS
    while patience and not (tail.ended and tail.record["status"] == "finished"):
        gone = not tail.alive  # asked before reading: what it wrote until then is read below
        time.sleep(POLL)
        yield tail, tail.read()
        # A record is closed before its last event is written; an old one, or one on a full disk, may have none.
        patience -= tail.record["status"] == "finished"
        if gone and tail.record["status"] != "finished" and (following := tail.successor()):
            tail, patience = Tail(following, keep=None), LAST_WORDS  # all that it has said by now is news
            yield tail, list(tail.progress.recent)
