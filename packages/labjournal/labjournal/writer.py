"""Writes the files of one run while it runs, also on a disk that takes no more for a while."""

from __future__ import annotations

import json
import os
import threading
import time
import warnings
from pathlib import Path

from . import store
from .files import write_atomic


class Writer:
    """What cannot be written is kept in memory, with one warning, and written as soon as there is room.

    Attributes:
        lock: held while something is written; the monitor writes from a thread of its own.
        mine: whether this is the process the run was started in; a fork has a copy, and must not write.
    """

    def __init__(self, folder: Path, record: dict):
        self.lock = threading.RLock()
        self._folder, self._record = folder, record
        # Unbuffered: a line is with the operating system when `write` returns, whatever happens to this process.
        self._events = open(folder / "events.jsonl", "ab", buffering=0)  # noqa: SIM115 (open as long as the run)
        self._start = time.perf_counter()
        self._pending = b""  # of the events
        self._missing: dict[Path, str | bytes] = {}
        self._warned = False
        self._process = os.getpid()

    @property
    def mine(self) -> bool:
        return os.getpid() == self._process

    def event(self, event: str, facts: dict) -> float:
        """Append an event, whose `facts` are plain; returns its seconds since the run began."""
        seconds = round(time.perf_counter() - self._start, 3)
        line = json.dumps({"seconds": seconds, "event": event, **facts}, ensure_ascii=False)
        self._pending += line.encode("utf-8") + b"\n"
        try:
            self._flush()
        except OSError as error:
            self._warn(error)
        return seconds

    def _flush(self) -> None:
        while self._pending:
            self._pending = self._pending[self._events.write(self._pending) :]

    def save(self) -> None:
        """Write the record."""
        if not self.mine:
            return
        try:
            with self.lock:  # `_warn` of another thread adds to it
                store.write(self._folder, self._record)
        except OSError as error:
            self._warn(error)  # written again with the next change, and at the end

    def file(self, path: Path, data: str | bytes) -> None:
        if not self.mine:
            return
        try:
            write_atomic(path, data)
        except OSError as error:
            self._missing[path] = data
            self._warn(error)

    def catch_up(self) -> None:
        """Write what is missing. Raises OSError where there is still no room; nothing is lost."""
        for path in list(self._missing):
            write_atomic(path, self._missing[path])
            del self._missing[path]
        self._flush()

    def close(self) -> None:
        self._events.close()

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"the journal cannot write ({error.strerror}); this run goes on in memory and tries again at its end",
                RuntimeWarning,
                stacklevel=5,
            )
        self._record["write_error"] = str(error.strerror)
