"""What is kept of a run, as files: the truth that the journal, the README and every comparison are made from.

journal/runs/<run id>/
    run.json        the record, replaced atomically
    events.jsonl    one flushed line per event, append only
    figures/        <name>.png and <name>.json (the plotted arrays and the alt text)
journal/journal.md  the same for people, append only
"""

from __future__ import annotations

import json
import math
import os
import secrets
import time
from pathlib import Path

from ..paths import ROOT, artifacts, journal_dir, read_json, write_json

FORMAT = 1
STATUSES = ("running", "finished", "failed", "interrupted", "abandoned", "superseded")

INTRODUCTION = """# Journal

One entry per run, appended by code: what was asked, predicted, measured and decided. Write your own notes anywhere
between the entries; they are left alone. The records behind the entries are in `runs/`.
"""


def new_run(notebook: str) -> tuple[str, Path]:
    """Create a run directory nobody else has: (run id, folder). The id is UTC time, notebook, 4 random hex digits."""
    while True:
        now = time.time()  # with milliseconds, so that ids sort by time
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f"{int(now * 1000) % 1000:03d}Z"
        run_id = f"{stamp}-{notebook}-{secrets.token_hex(2)}"
        folder = journal_dir() / "runs" / run_id
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return run_id, folder


def plain(value):
    """`value` as JSON holds it: numpy and torch numbers become Python's, NaN and infinity become text."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # numpy arrays and scalars, torch tensors
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    raise TypeError(f"a record holds numbers, text, lists and dicts, not {type(value).__name__}: {value!r}")


def write(folder: Path, record: dict) -> None:
    write_json(folder / "run.json", plain(record))


def all_records() -> list[dict]:
    """Every record, oldest first (run ids begin with the time)."""
    return [read_json(path) for path in sorted(journal_dir().glob("runs/*/run.json"))]


def latest(notebook: str, profile: str) -> dict | None:
    """The newest finished record of a notebook in a profile."""
    fitting = [
        r for r in all_records() if r["notebook"] == notebook and r["profile"] == profile and r["status"] == "finished"
    ]
    return fitting[-1] if fitting else None


def reference(notebook: str, profile: str) -> dict | None:
    """The run that others of this notebook and profile are held against: this workspace's, else the committed one."""
    for folder in (journal_dir(), ROOT / "journal"):
        path = folder / "reference.json"
        run_id = read_json(path).get(f"{notebook}/{profile}") if path.is_file() else None
        if run_id is not None:
            return read_json(folder / "runs" / run_id / "run.json")
    return None


def set_reference(notebook: str, profile: str, run_id: str) -> None:
    path = journal_dir() / "reference.json"
    known = read_json(path) if path.is_file() else {}
    write_json(path, dict(sorted({**known, f"{notebook}/{profile}": run_id}.items())))


def append(text: str) -> None:
    """Append to journal.md under a lock, in one flushed write; the reader's own text is never touched."""
    from filelock import FileLock

    artifacts().mkdir(parents=True, exist_ok=True)
    path = journal_dir() / "journal.md"
    with FileLock(artifacts(".journal.lock"), timeout=60):
        start = "" if path.is_file() else INTRODUCTION
        with open(path, "ab") as file:
            file.write((start + text).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())


class Events:
    """The append-only log of one run."""

    def __init__(self, folder: Path):
        self._file = open(folder / "events.jsonl", "a", encoding="utf-8")  # noqa: SIM115 (open as long as the run)
        self._start = time.perf_counter()

    def write(self, event: str, **facts) -> None:
        seconds = round(time.perf_counter() - self._start, 3)
        line = json.dumps({"seconds": seconds, "event": event, **plain(facts)}, ensure_ascii=False)
        self._file.write(line + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()
