"""The journal: every run of a notebook leaves a record, its figures, and an entry people can read.

run = journal.start("03_gpt", config={...}, seed=1337)
run.predict("val_loss", 4.2, unit="nats/token")
with run.watch(500, unit="nats/token") as watch:
    watch.step(step, loss)
run.log(step=10, val_loss=3.9, unit="nats/token", better="lower")
run.figure("03_loss", fig, data={...}, alt="…")
run.say("The loss fell from {start.val_loss:.2f} to {val_loss:.2f}.")
run.finish(verdict="…", decision="…")
"""

from __future__ import annotations

import contextlib
import html
import json
import os
import re
import time
import warnings
from pathlib import Path

from . import changes, markdown, metrics, pages, provenance, schema, store
from .files import sha256
from .project import Entry, Project, committed, current, journal_dir, use
from .run import BECAUSE, Run
from .say import show_markdown
from .store import JournalError

__all__ = [
    "Entry", "JournalError", "Project", "Run", "chosen_seed", "close_gone", "compare", "figure_data", "finished",
    "items", "latest", "start", "table", "use",
]  # fmt: skip

_open: Run | None = None


def start(
    entry: str | Entry,
    *,
    config: dict | None = None,
    data_hash: str | None = None,
    seed: int | None = None,
    changed_from: str | None = None,
    reason: str | None = None,
    resumed_from: str | None = None,
    project: Project | None = None,
) -> Run:
    """Open a run of `entry`: creates its record with full provenance.

    A run that this process still has open is closed as superseded; runs whose process is gone are closed as abandoned.

    Args:
        entry: its name ("03_gpt"), of which the project knows title and question, or an Entry.
        config: everything that was set.
        data_hash: of what it read; by default what the project says.
        seed: the one seed everything random comes from; SEED= in the environment takes its place. None: no chance.
        changed_from, reason: the run this one is another try at (a part of its id, or "latest"), and why. What was
            changed is computed from the two records. ``--in-place --because "…"`` of the runner says both from outside.
        resumed_from: the run whose training this one goes on with, named in the same way.

        project: what the journal has to know of the project; by default that of `use`, or nothing.

    Raises:
        JournalError: `changed_from` or `resumed_from` names no run; `changed_from` without `reason`, or the reverse.
        ValueError: unknown name or profile, or a SEED that is no whole number.
    """
    global _open
    if project is not None:
        use(project)
    entry = current().entry(entry) if isinstance(entry, str) else entry
    profile = current().profile()
    config = store.plain(config or {})
    here = provenance.machine()
    code = provenance.code(entry.path)
    record = {
        "format": store.FORMAT,
        "run_id": None,
        "notebook": entry.name,
        "title": entry.title,
        "question": entry.question,
        "profile": profile,
        "status": "running",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": None,
        "seed": chosen_seed(seed),
        "config": config,
        "config_hash": sha256(json.dumps(config, sort_keys=True))[:16],
        "data_hash": data_hash or current().data_hash(entry),
        **provenance.used(code),
        **provenance.commit(),
        **here,
        "versions": provenance.versions(),
        "predictions": {},
        "metrics": {},
        "figures": {},
        "notes": [],
        "verdict": "",
        "decision": "",
        "headline": list(entry.headline),
        "entry": None,
        **_change(entry.name, profile, changed_from, reason),
        "resumed_from": store.find(resumed_from)["run_id"] if resumed_from else None,
        "error": None,
    }
    _check(entry, record)
    if record["changed_from"]:
        record["changed"] = changes.between(store.find(record["changed_from"]), record)
    _close_former(entry.name)
    record["run_id"], folder = store.new_run(entry.name)
    here["resources"]["process"] = provenance.process(os.getpid())
    run = _open = Run(folder, record, code, entry.figures)
    _watch_cells(run)
    _greet(record)
    return run


def compare(*runs):
    """Hold runs against the first: what changed, why, and better, worse or cannot tell; see :mod:`.comparison`."""
    from . import comparison

    return comparison.compare_runs(*runs)


def table(rows: list, headers: list[str], folded: str = "") -> None:
    """Show rows as a table; every cell is escaped. With `folded`, a line of that text opens it."""
    text = markdown.table(rows, headers)
    if folded:
        text = f"<details><summary>{html.escape(folded)}</summary>\n\n{text}\n</details>"
    show_markdown(text)


def latest(name: str, profile: str) -> dict | None:
    """The last finished record of `name` in a profile: this workspace's, else the committed one; None without one."""
    return store.latest(name, profile) or store.latest(name, profile, committed())


def finished(name: str, profile: str) -> list[dict]:
    """Every finished record of `name` in a profile, the oldest first: the committed ones, and this workspace's."""
    folders = dict.fromkeys((committed(), journal_dir()))
    found = [record for folder in folders for record in store.newest(name, profile, folder)]
    return sorted(found, key=lambda record: record["started"])


def figure_data(record: dict, name: str) -> dict:
    """The arrays that figure `name` of a run was drawn from."""
    return store.sidecar(record, name)["data"]


def items(record: dict, metric: str) -> list | None:
    """A metric's value for each item that was judged, as `Run.per_item` kept it; None when it kept none."""
    return store.items(record, metric)


def chosen_seed(seed: int | None) -> int | None:
    """The notebook's seed, unless SEED= names another; a notebook without one has nothing to vary."""
    other = os.environ.get("SEED")
    if seed is None or not other:
        return seed
    if not other.isdecimal():
        raise ValueError(f"SEED={other!r}: a seed is a whole number, 0 or more")
    return int(other)


def _change(notebook: str, profile: str, changed_from: str | None, reason: str | None) -> dict:
    """Which run this one is held against, and why there is another; BECAUSE of the runner speaks of the reference."""
    because = os.environ.get(BECAUSE)
    if because and not changed_from and (reference := store.readable(store.reference, notebook, profile)):
        return {"changed_from": reference["run_id"], "reason": because}
    if bool(changed_from) != bool(reason):
        raise JournalError('changed_from and reason go together, as in changed_from="latest", reason="it was slow"')
    return {"changed_from": store.find(changed_from)["run_id"] if changed_from else None, "reason": reason}


def _greet(record: dict) -> None:
    expected = "no reference run yet, so no prediction of its time"
    with contextlib.suppress(ValueError, TypeError):  # a damaged reference, of which `verify` tells
        seconds = current().predicted_seconds(record["notebook"], record["profile"])
        if seconds is not None:
            expected = f"predicted to take {max(seconds, 1) / 60:.1f} minutes on this machine"
    show_markdown(f"Run `{record['run_id']}` · {record['profile']} profile · {expected}.")


def _check(entry: Entry, record: dict) -> None:
    """Raises JournalError: a record that nobody could read again, or a name that no folder can have."""
    try:
        if not re.fullmatch(r"[\w-][\w.-]*", entry.name):
            raise ValueError("a name has letters, digits, _, - and .")
        schema.check("record", store.plain({**record, "run_id": ""}))
    except (ValueError, TypeError) as error:
        raise JournalError(f"no run of {entry.name!r} can be started: {markdown.clean(error)}") from error


def _close_former(notebook: str) -> None:
    global _open
    if _open is not None:
        _open.close("superseded")
        _open = None
    close_gone(notebook, "abandoned")


def close_gone(notebook: str, status: str, error: BaseException | None = None) -> None:
    """Close runs of `notebook` that were not closed to the end though their process is gone (killed).

    What they had logged is made again from their events; it is in the record and the entry. One that is too damaged for
    that is told and left aside: it must not keep the next run from starting.
    """
    closed = False
    with store.locked():  # two processes may find the same one
        for folder in store.folders(notebook=notebook):
            if not os.path.exists(f"{folder}/{store.OPEN}"):
                continue  # of thousands of runs, only those that are not closed are read
            try:
                closed = _close_one(folder, status, error) or closed
            except Exception as damage:
                warnings.warn(f"{folder.name} cannot be closed: {store.message(damage)}", stacklevel=3)
    if closed:
        pages.refresh()


def _close_one(folder: Path, status: str, error: BaseException | None) -> bool:
    """Whether there was something to do for the run in this folder."""
    record = store.read(folder / "run.json")
    if provenance.alive(record["resources"].get("process")):
        return False
    if record["status"] == "running":
        record["status"] = status
        try:
            events, torn = store.read_events(folder)
            record = metrics.replay(record, events)
            record["seconds"] = events[-1]["seconds"] if events else None
            if torn:
                record["notes"].append(f"its last event was cut off while it was written ({len(torn)} characters)")
        except (ValueError, TypeError, KeyError, IndexError, OverflowError, OSError) as damage:
            record["notes"].append(f"its events cannot be read: {markdown.escape(damage)}")
        if error is not None:
            record["error"] = {"type": type(error).__name__, "message": str(error)[:2000]}
    pages.tell(folder, record)  # also one that was killed while it was told
    store.pack(folder)
    return True


def _watch_cells(run: Run) -> None:
    import sys

    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()) is not None:
        shell.events.register("post_run_cell", run.after_cell)
