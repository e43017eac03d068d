"""Where a number comes from: commit, code, versions, machine. No environment dump, no host or user names."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from . import processor
from .files import sha256, sha256_file
from .project import current

PACKAGES = (
    "torch", "transformers", "datasets", "evaluate", "numpy", "scipy", "scikit-learn", "scikit-image", "pillow",
    "soundfile", "matplotlib",
)  # fmt: skip


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def commit() -> dict:
    """Commit, and which files differ from it in a way that could change a result."""
    head = _git("rev-parse", "HEAD")
    if head is None:
        return {"commit": None, "dirty": None, "changed_files": []}
    listed = _git("status", "--porcelain", "--untracked-files=all", "-z") or ""
    changed, entries = [], iter(listed.split("\0"))
    for entry in entries:
        if entry[:1] in ("R", "C"):
            next(entries, None)  # the old name of a renamed file follows as an entry of its own
        path = entry[3:]
        if path and not path.startswith(("journal/", "images/")) and _matters(path):
            changed.append(path)
    return {"commit": head, "dirty": bool(changed), "changed_files": sorted(changed)}


def cell_sources(path: Path | None) -> list[str]:
    """Sources of the code cells: what a notebook does, whatever its outputs. Of a Python file, its text."""
    if path is None or not path.is_file():
        return []
    text = path.read_text("utf-8")
    if path.suffix != ".ipynb":
        return [text]
    return ["".join(c["source"]).rstrip() for c in json.loads(text)["cells"] if c["cell_type"] == "code"]


def cells_hash(path: Path | None) -> str:
    return sha256(json.dumps(cell_sources(path)))[:16]


def code(notebook: Path | None) -> dict:
    """The code as it is at the start of a run: the notebook's cells, and every file of ours with its hash."""
    files = {path.relative_to(current().root).as_posix(): sha256_file(path)[:12] for path in current().code()}
    return {"cells": cell_sources(notebook), "cells_hash": cells_hash(notebook), "helpers": files}


def used(code: dict) -> dict:
    """Of that, what a record keeps: the helpers that this process has imported, and one hash over it all."""
    imported = {getattr(module, "__file__", None) for module in sys.modules.copy().values()}
    helpers = {name: value for name, value in code["helpers"].items() if str(current().root / name) in imported}
    facts = {"cells_hash": code["cells_hash"], "helpers": helpers}
    return {**facts, "code_hash": sha256(json.dumps(facts, sort_keys=True))[:16]}


def machine() -> dict:
    """Device, numerics and threads as the project measured them, and what else it computes on."""
    found = current().machine()
    return {
        **{name: found[name] for name in ("device", "numerics", "threads")},
        "resources": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "processor": processor.processor(),
            "cores": processor.usable_cores(),
            "probe": found["probe"],
        },
    }


def process(pid: int) -> dict | None:
    """A process by its number and its birth; None when it is gone."""
    import psutil

    try:
        return {"pid": pid, "created": round(psutil.Process(pid).create_time(), 1)}
    except psutil.Error:
        return None


def alive(known: dict | None) -> bool:
    """Whether that very process runs: the same number with another birth is somebody else."""
    return known is not None and process(int(known["pid"])) == known


def peak_memory_mb() -> float | None:
    """The largest resident size this process has had, in MB (1e6 bytes)."""
    if sys.platform == "win32":
        import psutil

        return round(psutil.Process().memory_info().peak_wset / 1e6, 1)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def _matters(path: str) -> bool:
    """A notebook whose code and text are those of the commit is unchanged, whatever its outputs are."""
    if not path.endswith(".ipynb"):
        return True
    old, new = _git("show", f"HEAD:{path}"), current().root / path
    if old is None or not new.is_file():
        return True
    sources = [[cell["source"] for cell in json.loads(text)["cells"]] for text in (old, new.read_text("utf-8"))]
    return sources[0] != sources[1]


def _git(*arguments: str) -> str | None:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(current().root), *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=environment,
        )
    except OSError:
        return None  # no git on this machine: the record says so
    return done.stdout.rstrip("\n") if done.returncode == 0 else None
