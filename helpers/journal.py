"""The journal of this course: what the package of packages/labjournal has to know of it, and what the notebooks call.

run = journal.start("03_gpt", config={...}, seed=1337)
run.predict("val_loss", 4.2, unit="nats/token")
run.log(step=10, val_loss=3.9, unit="nats/token", better="lower")
run.figure("03_loss", fig, data={...}, alt="…")
run.say("The loss fell from {start.val_loss:.2f} to {val_loss:.2f}.")
run.finish(verdict="…", decision="…")
"""

from __future__ import annotations

import itertools
import statistics
import sys
from pathlib import Path

import labjournal
from labjournal import *  # noqa: F403 (what the package shows, the course shows)
from labjournal import provenance, store

from . import course, hardware, paths, profile, sources

RUNS = 5  # that a prediction of time looks at


class Course(labjournal.Project):
    """The map, the profiles, the pinned sources, the measured machine, and what else has to agree with the records."""

    usual_profile = "laptop"
    names = tuple(entry.name for entry in (*course.NOTEBOOKS, course.COURSE))

    def workspace(self) -> Path:
        return paths.workspace()

    def entry(self, name: str) -> course.Notebook:
        return course.notebook(name)

    def profile(self) -> str:
        return profile.load().name

    def data_hash(self, entry) -> str | None:
        read = getattr(entry, "data", ()) or getattr(entry, "sources", ())
        made = {name: notebook.name for notebook in course.NOTEBOOKS for name in notebook.makes}
        parts = [sources.data_hash(*(name for name in read if name not in made))] if set(read) - set(made) else []
        for name in (name for name in read[::-1] if name in made):
            if not (paths.artifacts(name) / "manifest.json").is_file():
                return None  # the notebook reads it next, and says what to run first
            manifest = paths.read_manifest(paths.artifacts(name), made[name], self.profile())
            parts.insert(0, manifest.get("data_hash", manifest["hash"]))
        return parts[0][:16] if len(parts) == 1 else paths.sha256("".join(parts))[:16] if parts else None

    def machine(self) -> dict:
        found = hardware.known()
        if found is None:
            return super().machine()
        facts = {"device": found.device, "numerics": found.dtype, "threads": found.threads}
        return {**facts, "probe": found.as_dict()}

    def predicted_seconds(self, name: str, profile: str) -> float | None:
        return predicted_seconds(name, profile)

    def measured_by(self, name: str) -> str:
        return f"make bench ARGS={name.removeprefix('bench_')}" if name.startswith("bench_") else ""

    def code(self) -> list[Path]:
        return own_files()

    def problems(self) -> list[str]:
        from . import readme

        return readme.problems()

    def update(self) -> None:
        from . import readme

        readme.update()


def own_files() -> list[Path]:
    """The course's code: its helpers, and the packages they stand on."""
    return sorted(path for folder in ("helpers", "packages") for path in (paths.ROOT / folder).rglob("*.py"))


def predicted_seconds(notebook: str, profile: str) -> float | None:
    """How long `notebook` should take here; None when nothing says so, or what does is damaged (`verify` tells)."""
    try:
        seconds = _predicted_seconds(notebook, profile)
        return seconds if seconds is None or 0 <= seconds < 1e9 else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _predicted_seconds(notebook: str, profile: str) -> float | None:
    """The median of its latest runs on this machine, else what its reference did.

    The runner's seconds, kernel start and exercises included, are in the records of whole courses; a run's own end with
    its last cell. A reference of another machine is scaled by what both measured. None when there is neither.
    """
    name = "run_seconds" if notebook == course.COURSE.name else f"seconds_{notebook}"
    here = provenance.machine()["resources"]
    took = [
        value
        for record, value in _took(notebook, name, profile)
        if all(record["resources"].get(key) == here[key] for key in ("processor", "cores"))
    ]
    if took:
        return statistics.median(took[:RUNS])
    known = store.reference("course", profile)
    whole = known["metrics"].get(name) if known else None
    if whole is None:
        known = store.reference(notebook, profile)
    if known is None:
        return None
    seconds = whole["final"] if whole else known["seconds"]
    now, there = hardware.known(), known["resources"]["probe"]
    if now is None or there is None:
        return seconds
    bound = next((entry.bound for entry in course.NOTEBOOKS if entry.name == notebook), "python")
    return seconds * hardware.Hardware(**there).speed(bound) / now.speed(bound)


def _took(notebook: str, name: str, profile: str) -> list[tuple[dict, float]]:
    """(record, seconds) of the latest runs of a notebook, and of whole courses with it, the newest first."""
    found = []
    for folder in dict.fromkeys((paths.journal_dir(), paths.ROOT / "journal")):
        courses = itertools.islice(store.newest(course.COURSE.name, profile, folder), RUNS)
        found += [(record, record["metrics"][name]["final"]) for record in courses if name in record["metrics"]]
        if notebook != course.COURSE.name:
            alone = itertools.islice(store.newest(notebook, profile, folder), RUNS)
            found += [(record, record["seconds"]) for record in alone]
    return sorted(found, key=lambda pair: pair[0]["run_id"], reverse=True)


labjournal.use(Course(paths.ROOT))

if __name__ == "__main__":  # what texts of older runs name; the command is python -m labjournal
    from labjournal.__main__ import main, say

    say.go_on()
    sys.exit(main())
