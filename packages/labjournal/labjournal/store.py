"""What is kept of a run, as files: the truth that the journal, the README and every comparison are made from.

journal/runs/<run id>/
    run.json        the record, replaced atomically
    events.jsonl    one flushed line per event, append only; run.json can be made again from it
    series.json     of a closed run: its steps and samples, one array for each series
    entry.md        the long entry, written once, when the run is closed
journal/figures/    <hash>.png, <hash>.json (plotted arrays, alt text), <hash>.items.json (a metric's value for each
                    evaluated item, for paired comparisons): each content once, whoever made it
journal/journal.md  one line a run, append only; people's notes between. See :mod:`.pages`
journal/reference.json   (notebook, profile) -> the run that others are held against
journal/spread/     <notebook>-<profile>.json: what the reference's seeds gave

Records up to format 3 have figures/<name>.png and .json and items/<metric>.json in the run's own folder.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from . import changes, schema, series
from .files import read_json, sha256, sha256_file, write_atomic, write_json
from .markdown import clean
from .project import committed, journal_dir, relative
from .series import PACKED

FORMAT = 5
LOCK_SECONDS = 60
HUGE = 10**300
GOOD = ("identical", "agrees")  # verdicts on a result that is what the reference has
RESULTS = ("metric", "figure")  # rows of an agreement that decide; times and what was not measured do not
# A row of an agreement that has nothing to say.
NOTHING = dict.fromkeys(("reference", "now", "difference", "mean", "tolerance", "missing", "unit")) | {"why": ""}
OPEN = "running"  # a file in the folder of a run that is not closed yet
SAY_WHY = 'run it again with --in-place --because "…" (the reason goes into the journal)'


class JournalError(ValueError):
    """The journal was used in a way that would make it wrong, or cannot be written; the message says what to do."""


class OpenGuess(JournalError):
    """A prediction that is still ``...``; a notebook shows the sentence alone."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def new_run(notebook: str) -> tuple[str, Path]:
    """Create a run directory nobody else has: (run id, folder). The id is UTC time, notebook, 4 random hex digits."""
    while True:
        now = time.time()  # with milliseconds, so that ids sort by time
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f"{int(now * 1000) % 1000:03d}Z"
        run_id = f"{stamp}-{notebook}-{secrets.token_hex(2)}"
        folder = journal_dir() / "runs" / run_id
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except FileExistsError as error:
            if folder.is_dir():
                continue
            raise JournalError(f"{relative(folder.parent)} is no folder; restore it with git") from error
        except OSError as error:
            raise JournalError(f"no run can be written: {message(error)}; mend that and start again") from error
        (folder / OPEN).touch()
        return run_id, folder


def message(error: BaseException) -> str:
    """What an error says, without the folders of this machine that the system puts into its own."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.strerror}: {relative(Path(os.fsdecode(error.filename)))}"
    return str(error)


def remedy(error: OSError) -> str:
    """What to do about a file that cannot be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "Make room on the disk" if full else "Mend that"


def plain(value):
    """`value` as JSON holds it: numpy and torch numbers become Python's, NaN and infinity become text."""
    kind = type(value)  # exact types first: this runs for every logged number
    if kind is float:  # what is not finite, and what the schema of records takes for it
        return value if -1e300 < value < 1e300 else str(value)
    if kind is str:  # lone surrogates come from broken file names and data; no file takes them
        return value if value.isascii() else value.encode("utf-8", errors="backslashreplace").decode("utf-8")
    if value is None or kind is bool:
        return value
    if kind is int:  # the same
        return value if -HUGE < value < HUGE else str(value)
    if isinstance(value, dict):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # numpy arrays and scalars, torch tensors
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    for base in (bool, int, float, str):  # their subclasses
        if isinstance(value, base):
            return plain(base(value))
    raise TypeError(f"a record holds numbers, text, lists and dicts, not {type(value).__name__}: {value!r}")


def write(folder: Path, record: dict) -> None:
    """Write a record; of its agreement, what has nothing to say is left out, which is most of it."""
    record = plain(record)
    if found := record.get("agreement"):
        rows = [{key: value for key, value in row.items() if value not in (None, "")} for row in found["rows"]]
        record = {**record, "agreement": {**found, "rows": rows}}
    write_json(folder / "run.json", record)


def read(path: Path) -> dict:
    """The record in a run.json, checked: whoever reads on can rely on its shape.

    Raises:
        JournalError: it is damaged; the message says where and what to do.
    """
    record = checked(path, "record")
    if (said := record["run_id"]) != path.parent.name:
        raise JournalError(f"{relative(path)} is damaged: it says that it is {said!r}; restore it with git")
    if found := record.get("agreement"):
        found["rows"] = [{**NOTHING, **row} for row in found["rows"]]
    return record


def checked(path: Path, shape: str) -> dict:
    """A JSON file of the journal, in the shape of :mod:`.schema`. Raises JournalError: it is damaged."""
    try:
        schema.check(shape, found := read_json(path))
    except (ValueError, OSError) as error:
        why = clean(message(error).partition("; delete it")[0])  # that is for what can be made again
        raise JournalError(f"{relative(path)} is damaged: {why}; restore it with git") from error
    return found


def folders(journal: Path | None = None, notebook: str = "") -> list[Path]:
    """The folders of the runs of a notebook (or of all), oldest first; nothing in them is looked at."""
    runs = (journal or journal_dir()) / "runs"
    names = os.listdir(runs) if runs.is_dir() else []
    names = sorted(name for name in names if name[:1].isdigit())  # ids begin with the time; a stray file does not
    return [runs / name for name in names if f"-{notebook}-" in name or not notebook]


def all_records(journal: Path | None = None, last: int = 0) -> list[dict]:
    """Every readable record of this workspace's journal (or of another), oldest first: run ids begin with the time.
    With `last`, only the newest so many are read.

    A damaged one is left aside with a warning; ``verify`` says more.
    """
    found = []
    for folder in folders(journal)[-last:]:
        try:
            found.append(read(folder / "run.json"))
        except JournalError as error:
            if not isinstance(error.__cause__, FileNotFoundError):  # as in a run that is about to start
                warnings.warn(str(error), stacklevel=2)
    return found


def find(name: str) -> dict:
    """The record that `name` means: "latest", or any part of a run id that only one has.

    Raises:
        JournalError: none or several fit; the message lists them.
    """
    for folder in (journal_dir(), committed()):  # this workspace's runs first, then the committed ones
        ids = {path.parent.name: path for path in folder.glob("runs/*/run.json")}
        if name == "latest" and (records := all_records(folder, last=1) or all_records(folder)[-1:]):
            return records[0]  # the latest that can be read
        fitting = [i for i in sorted(ids) if name in i]
        if fitting:
            break
    if len(fitting) == 1:
        return read(ids[fitting[0]])
    if not fitting:
        raise JournalError(f"no run {name!r}; `python -m labjournal list` shows the {len(ids)} there are")
    raise JournalError(f"{name!r} fits {len(fitting)} runs, name one of: {', '.join(fitting[-5:])}")


def folder_of(record: dict) -> Path:
    """The folder of a run: in this workspace, else the committed one."""
    here = journal_dir() / "runs" / record["run_id"]
    return here if here.is_dir() else committed() / "runs" / record["run_id"]


def newest(notebook: str, profile: str, journal: Path | None = None) -> Iterator[dict]:
    """The finished records of a notebook in a profile, the newest first; only those that are asked for are read."""
    for folder in reversed(folders(journal, notebook)):
        try:
            record = read(folder / "run.json")
        except JournalError:
            continue  # `verify` tells of it
        if (record["notebook"], record["profile"], record["status"]) == (notebook, profile, "finished"):
            yield record


def latest(notebook: str, profile: str, journal: Path | None = None) -> dict | None:
    """The newest finished record of a notebook in a profile."""
    return next(newest(notebook, profile, journal), None)


def keep(journal: Path, data: bytes | str, suffix: str) -> tuple[str, Path]:
    """(hash, path) of the place for `data` in the journal's figures: one for each content."""
    name = sha256(data)[:16]
    return name, journal / "figures" / f"{name}{suffix}"


def picture(record: dict, figure: str) -> Path:
    """The PNG of a run's figure."""
    return _kept(record, f"{record['figures'][figure].get('png')}.png", f"figures/{figure}.png")


def sidecar(record: dict, figure: str, journal: Path | None = None) -> dict:
    """What figure `figure` of a run was drawn from: ``alt``, ``kind`` and ``data`` (name -> array)."""
    name = f"{record['figures'][figure].get('data')}.json"
    return _original(record, _kept(record, name, f"figures/{figure}.json", journal), "drawn")


def items(record: dict, metric: str) -> list | None:
    """A metric's value for each item; None when there are none, or they are of a value logged before the last."""
    known = record["metrics"][metric]
    path = _kept(record, f"{known.get('file')}.items.json", f"items/{metric}.json")
    return _original(record, path, "of items")["values"] if known.get("items") and path.is_file() else None


def _original(record: dict, path: Path, shape: str) -> dict:
    """A file that :func:`_kept` named. Raises JournalError: it is damaged."""
    found = checked(path, shape)
    if record["format"] > 3 and sha256_file(path)[:16] != path.name.partition(".")[0]:
        raise JournalError(f"{relative(path)} is damaged: it is not the file that the run wrote; restore it with git")
    return found


def _kept(record: dict, name: str, own: str, journal: Path | None = None) -> Path:
    """By content; of a record up to format 3, in the run's own folder."""
    folder = journal / "runs" / record["run_id"] if journal else folder_of(record)
    return folder.parents[1] / "figures" / name if record["format"] > 3 else folder / own


def readable(call, *facts):
    """What `call` reads; None, with a warning, where a file is damaged: no other run's file keeps one from its work."""
    try:
        return call(*facts)
    except Exception as damage:
        warnings.warn(str(damage), stacklevel=3)
        return None


def reference(notebook: str, profile: str, journal: Path | None = None) -> dict | None:
    """The run that others of this notebook and profile are held against: this workspace's, else the committed one."""
    for folder in [journal] if journal else (journal_dir(), committed()):
        run_id = references(folder).get(f"{notebook}/{profile}")
        record = folder / "runs" / str(run_id) / "run.json"
        if record.is_file():  # `verify` tells when it is gone
            return read(record)
    return None


def references(journal: Path | None = None) -> dict[str, str]:
    """The id of each reference run, by "<notebook>/<profile>"."""
    path = (journal or journal_dir()) / "reference.json"
    return checked(path, "texts") if path.is_file() else {}


def not_the_reference(record: dict) -> str:
    """Why a finished run does not take its reference's place; "" when it may.

    It may when it agrees with the run before, when somebody said why it does not (``--because``), or when there is
    none. Times are never a reason.
    """
    former, found = reference(record["notebook"], record["profile"]), record.get("agreement")
    if found is None or record["reason"]:
        return ""
    short = record["run_id"][-4:]
    if former and (differ := changes.recipe(former, record)):
        return f"{record['notebook']}: run {short} has another {' and '.join(differ)} than its reference; {SAY_WHY}"
    if found["verdict"] in (*GOOD, "times only"):
        return ""
    return f"{record['notebook']}: run {short} has the verdict {found['verdict']!r} against its reference; {SAY_WHY}"


def set_reference(notebook: str, profile: str, run_id: str) -> None:
    with locked():
        known = {**references(), f"{notebook}/{profile}": run_id}
        write_json(journal_dir() / "reference.json", dict(sorted(known.items())))


def spread(notebook: str, profile: str) -> dict | None:
    """What the seeds of the reference gave (made by ``make bench``): this workspace's, else the committed one."""
    for folder in (journal_dir(), committed()):
        path = folder / "spread" / f"{notebook}-{profile}.json"
        if path.is_file():
            return checked(path, "spread")
    return None


@contextlib.contextmanager
def locked(workspace: Path | None = None):
    """One process at a time: for journal.md, and for closing a run whose process is gone. May be nested.

    An operating-system lock, released when its holder dies.

    Raises:
        JournalError: no lock to be had; nothing was changed.
    """
    from filelock import FileLock, Timeout

    path = (workspace or journal_dir().parent) / "artifacts" / ".journal.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=LOCK_SECONDS, is_singleton=True)
        lock.acquire()
    except (Timeout, OSError, NotImplementedError) as error:
        why = f"another process has held it for {LOCK_SECONDS} s" if isinstance(error, Timeout) else str(error)
        raise JournalError(
            f"no lock on {relative(path)}: {why}. journal.md is unchanged and the run's record is kept. End the other "
            "process, or move the workspace to a disk that has locks (LAB_WORKSPACE=), then "
            "`python -m labjournal verify --mend` appends what is missing"
        ) from error
    try:
        yield
    finally:
        lock.release()


def append(path: Path, text: str) -> None:
    """Append to a page under the lock, all of it or nothing; what stands in it is never touched.

    Raises:
        JournalError: no lock, or no room on the disk; the page is what it was.
    """
    with locked(path.parents[1]):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "ab", buffering=0) as file:
                data, size = memoryview(text.encode("utf-8")), file.seek(0, os.SEEK_END)
                try:
                    while data:
                        data = data[file.write(data) :]
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(size)  # half a line would be worse than none
                    raise
        except OSError as error:
            raise JournalError(
                f"{relative(path)} cannot be written: {error.strerror}. It is what it was before. {remedy(error)}, "
                "then run this cell again, or `python -m labjournal verify --mend`"
            ) from error


def read_events(folder: Path) -> tuple[list[dict], str]:
    """(events, torn last line): a process that is killed may leave half a line; it is returned, "" when there is none.

    Raises:
        JournalError: a line before the last is damaged, which no kill explains, or the series do not fit.
    """
    path = folder / "events.jsonl"
    *lines, torn = path.read_bytes().split(b"\n")
    events = []
    for number, line in enumerate(lines, 1):
        try:
            events.append(json.loads(line))
            schema.check_event(events[-1])
        except (ValueError, RecursionError) as error:
            raise JournalError(f"{relative(path)}, line {number} is damaged: {error}") from error
    if events and events[-1]["event"] == PACKED:
        events = series.unpack(events[:-1], folder / "series.json", events[-1]["series"])
    return events, torn.decode("utf-8", errors="replace")


def pack(folder: Path) -> None:
    """Move steps and samples of a closed run out of its events.jsonl, into one array for each series.

    What is damaged, or finds no room on the disk, is left as it is: it is read all the same, and `verify` tells of it.
    """
    with contextlib.suppress(JournalError, OSError):
        events, torn = read_events(folder)
        rest, packed = series.pack(events)
        if torn or not packed:
            return
        write_atomic(folder / "series.json", text := json.dumps(packed, separators=(",", ":")))
        # Only from here on the series count: a process that dies in between leaves the events as they were.
        lines = [*rest, {"seconds": rest[-1]["seconds"], "event": PACKED, "series": sha256(text)[:16]}]
        write_atomic(folder / "events.jsonl", "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in lines))
