"""The journal: every run of a notebook leaves a record, its figures, and an entry people can read.

run = journal.start("03_gpt", config={...}, seed=1337)
run.predict("val_loss", 4.2, unit="nats/token")
run.log(step=10, val_loss=3.9, unit="nats/token", better="lower")
run.figure("03_loss", fig, data={...}, alt="…")
run.say("The loss fell from {start.val_loss:.2f} to {val_loss:.2f}.")
run.finish(verdict="…", decision="…")
"""

from __future__ import annotations

import json
import os
import time

from .. import course, sources
from .. import profile as profiles
from ..paths import journal_dir, read_json, sha256_text
from . import provenance, render
from . import record as store
from .run import JournalError, Run, show_markdown

__all__ = ["JournalError", "Run", "close_gone", "predicted_seconds", "start", "table"]

_open: Run | None = None


def start(
    notebook: str,
    *,
    config: dict | None = None,
    data_hash: str | None = None,
    seed: int | None = None,
    changed_from: str | None = None,
    change: str | None = None,
    reason: str | None = None,
) -> Run:
    """Open a run of `notebook` ("03_gpt"): creates its record with full provenance.

    Title and question come from the course's map, the profile from PROFILE. A run that this process still has open is
    closed as superseded; runs whose process is gone are closed as abandoned.

    Args:
        config: what was set, beside the profile.
        data_hash: of what the notebook read; by default that of its pinned sources.
        seed: the one seed everything random comes from.
        changed_from, change, reason: the run this one continues, what differs, and why.
    """
    global _open
    _close_former(notebook)
    entry = course.notebook(notebook)
    profile = profiles.load()
    run_id, folder = store.new_run(notebook)
    config = store.plain(config or {})
    here = provenance.machine()
    here["resources"]["process"] = _process(os.getpid())
    record = {
        "format": store.FORMAT,
        "run_id": run_id,
        "notebook": entry.name,
        "title": entry.title,
        "question": entry.question,
        "profile": profile.name,
        "status": "running",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": None,
        "seed": seed,
        "config": config,
        "config_hash": sha256_text(json.dumps([config, profile.as_dict()], sort_keys=True))[:16],
        "data_hash": data_hash or (sources.data_hash(*entry.sources) if entry.sources else None),
        "code_hash": provenance.code_hash(entry.path),
        **provenance.commit(),
        **here,
        "versions": provenance.versions(),
        "predictions": {},
        "metrics": {},
        "figures": {},
        "notes": [],
        "verdict": "",
        "decision": "",
        "changed_from": changed_from,
        "change": change,
        "reason": reason,
        "resumed_from": None,
        "error": None,
    }
    run = _open = Run(folder, record)
    _watch_cells(run)
    _greet(record)
    return run


def table(rows: list, headers: list[str]) -> None:
    """Show rows as a small table; every cell is escaped."""
    show_markdown(render.table(rows, headers))


def predicted_seconds(notebook: str, profile: str) -> float | None:
    """How long `notebook` should take here: what its reference took, scaled by what both machines measured.

    The reference run of the whole course has the runner's seconds, kernel start and exercises included; without it,
    the notebook's own reference run has to do. None when there is neither; unscaled when notebook 00 has not measured
    this machine.
    """
    from .. import hardware

    known = store.reference("course", profile)
    name = "run_seconds" if notebook == course.COURSE.name else f"seconds_{notebook}"
    whole = known["metrics"].get(name) if known else None
    if whole is None:
        known = store.reference(notebook, profile)
    if known is None:
        return None
    seconds = whole["final"] if whole else known["seconds"]
    here, there = hardware.known(), known["resources"]["probe"]
    if here is None or there is None:
        return seconds
    bound = course.notebook(notebook).bound
    return seconds * hardware.Hardware(**there).speed(bound) / here.speed(bound)


def _greet(record: dict) -> None:
    seconds = predicted_seconds(record["notebook"], record["profile"])
    expected = (
        "no reference run yet, so no prediction of its time"
        if seconds is None
        else (f"predicted to take {max(seconds, 1) / 60:.1f} minutes on this machine")
    )
    show_markdown(f"Run `{record['run_id']}` · {record['profile']} profile · {expected}.")


def _close_former(notebook: str) -> None:
    global _open
    if _open is not None:
        _open.close("superseded")
        _open = None
    close_gone(notebook, "abandoned")


def close_gone(notebook: str, status: str, error: BaseException | None = None) -> None:
    """Close runs of `notebook` that are still marked running though their process is gone (killed)."""
    for path in journal_dir().glob(f"runs/*-{notebook}-*/run.json"):
        record = read_json(path)
        if record["status"] == "running" and not _alive(record["resources"].get("process")):
            record["status"] = status
            if error is not None:
                record["error"] = {"type": type(error).__name__, "message": str(error)[:2000]}
            store.write(path.parent, record)
            store.append(render.line(record) if status == "abandoned" else render.entry(record))


def _process(pid: int) -> dict | None:
    import psutil

    try:
        return {"pid": pid, "created": round(psutil.Process(pid).create_time(), 1)}
    except psutil.Error:
        return None


def _alive(process: dict | None) -> bool:
    """Whether that very process runs: the same number with another birth is somebody else."""
    return process is not None and _process(process["pid"]) == process


def _watch_cells(run: Run) -> None:
    import sys

    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()) is not None:
        shell.events.register("post_run_cell", run.after_cell)
