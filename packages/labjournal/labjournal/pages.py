"""The journal's pages: journal.md takes a line for every run, closed pages are sealed, notes between are people's.

Lines are only ever appended. What stands in a page is never rewritten, whoever wrote it; a page that has grown long is
closed, that is moved to a name of its own unchanged, with its hash in pages.json.
"""

from __future__ import annotations

import os
import re
import time
import warnings
from pathlib import Path

from . import render, store
from .files import sha256, write_atomic, write_json
from .project import journal_dir, relative
from .store import JournalError

LONG = 150_000  # bytes; a page that is longer should be closed
LINE = re.compile(r"^- \*\*\d{4}-\d\d-\d\d · [^\n]*?\]\(runs/([^/\s)]+)/[^\n]*\n?", re.MULTILINE)
INTRODUCTION = """# Journal

One line for each run, appended by code; its id leads to the long entry. [README.md](README.md) has what they add up to.
Write your own notes anywhere between the lines: code leaves them alone, and lists their headings there.

"""


def page(journal: Path | None = None) -> Path:
    """The page that is open."""
    return (journal or journal_dir()) / "journal.md"


def sealed(journal: Path | None = None) -> dict[str, str]:
    """Closed page -> its sha256, oldest first."""
    path = (journal or journal_dir()) / "pages.json"
    return store.checked(path, "texts") if path.is_file() else {}


def text_of(path: Path) -> str:
    # Bytes as they are: text mode would turn a foreign line end into ours and hide it.
    return path.read_bytes().decode("utf-8", errors="replace") if path.is_file() else ""


def texts(journal: Path | None = None) -> dict[str, str]:
    """Name of each page, the open one last -> its text."""
    folder = journal or journal_dir()
    return {name: text_of(folder / name) for name in (*sealed(folder), page(folder).name)}


def tell(folder: Path, record: dict) -> None:
    """Close a run for people and machines: its long entry, its record, its line, in this order.

    A process that dies in between leaves the file that says the run is open, and the next start goes on from there.

    Args:
        folder: the run's; its journal is the one it began in, whatever LAB_WORKSPACE says now.
        record: gets the hash of its entry.
    """
    plain = store.plain(record)
    if plain["status"] != "superseded":
        text = render.entry(plain)
        write_atomic(folder / "entry.md", text)
        record["entry"] = sha256(text)[:16]
    store.write(folder, record)
    add(folder.parents[1], [store.plain(record)])
    (folder / store.OPEN).unlink(missing_ok=True)


def add(journal: Path, records: list[dict]) -> None:
    """Append the lines of `records` that the open page does not have yet."""
    path = page(journal)
    with store.locked(journal.parent):
        text = text_of(path)
        told = {match[1] for match in LINE.finditer(text)}
        begin = "" if text.endswith("\n") or not text else "\n"  # a note may end without one
        lines = "".join(render.line(record) for record in records if record["run_id"] not in told)
        store.append(path, (begin if text else INTRODUCTION) + lines)


def refresh(journal: Path | None = None) -> None:
    """Make the README again. It is made from the rest, so that whatever goes wrong here must not end anything else."""
    from . import index

    try:
        index.update(journal)
    except Exception as error:
        warnings.warn(f"journal/README.md was not made again ({type(error).__name__}: {error})", stacklevel=2)


def missing(records: list[dict], journal: Path | None = None) -> list[dict]:
    """The closed runs that no page tells of."""
    *closed, open_ = texts(journal).values()
    told = {match[1] for match in LINE.finditer(open_)}
    return [
        record
        for record in records
        if record["status"] != "running"
        and record["run_id"] not in told
        and not any(record["run_id"] in text for text in closed)
    ]


def close() -> Path:
    """Seal the open page under a name of its own and begin a new one; returns where it is now.

    Raises:
        JournalError: there is nothing to close.
    """
    path = page()
    with store.locked():
        if not path.is_file():
            raise JournalError(f"{relative(path)} is not there; there is nothing to close")
        known, month = sealed(), time.strftime("%Y-%m", time.gmtime())
        names = (f"{month}{suffix}.md" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
        seal = sha256(path.read_bytes())
        begun = [name for name, known_seal in known.items() if known_seal == seal]  # and ended by a kill
        name = next(name for name in (*begun, *names) if not (path.parent / name).exists())
        write_json(path.parent / "pages.json", {**known, name: seal})
        os.replace(path, path.parent / name)
        write_atomic(path, f"{INTRODUCTION}The page before this one: [{name}]({name}).\n\n")
    refresh()
    return path.parent / name
