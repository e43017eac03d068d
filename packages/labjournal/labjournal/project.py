"""What the journal knows of the project around it: one object, made by the project.

Without one, it is the journal of whatever is started in this folder: any name, no profiles, no notebooks to check.
"""

from __future__ import annotations

import importlib
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """What leaves records: a notebook, a script, a benchmark. Another class with these attributes will do."""

    name: str
    title: str = ""
    question: str = ""
    path: Path | None = None  # its code
    headline: tuple[str, ...] = ()  # metrics that the line in the journal begins with
    figures: tuple[str, ...] = ()  # those that stand in its long entry, the others are linked; () means all


class Project:
    """A folder with a journal. A project makes a class of its own from this one, for what it knows better."""

    usual_profile = ""  # the one that need not be named
    names: tuple[str, ...] = ()  # of entries, in the order in which they are shown

    def __init__(self, root: Path | None = None):
        self.root = root or Path.cwd()  # the checkout: its code, and the journal that is committed

    def workspace(self) -> Path:
        """The folder that journal/ and images/ are written to."""
        return self.root

    def entry(self, name: str) -> Entry:
        """Raises ValueError: there is no such name."""
        return Entry(name, name.replace("_", " "))

    def profile(self) -> str:
        """In which size everything runs; runs of different profiles are not compared."""
        return "default"

    def data_hash(self, entry: Entry) -> str | None:
        """Of what `entry` reads, if it does not say so itself."""
        return None

    def machine(self) -> dict:
        """``device``, ``numerics``, ``threads`` and ``probe`` (all that was measured of this machine, or None)."""
        return {"device": "not measured", "numerics": "not measured", "threads": None, "probe": None}

    def predicted_seconds(self, name: str, profile: str) -> float | None:
        return None

    def measured_by(self, name: str) -> str:
        """The command that measures what records of `name` hold; "" where there is none of its own."""
        return ""

    def code(self) -> list[Path]:
        """Files that results depend on, beside the entry's own."""
        return []

    def problems(self) -> list[str]:
        """What `verify` has to tell of this project beyond its journal."""
        return []

    def update(self) -> None:
        """Make again what else is made from the records."""


_project: Project | None = None


def use(project: Project) -> None:
    """From here on, this process's journal is that of `project`."""
    global _project
    _project = project


def current() -> Project:
    """That of `use`; else the one of this folder, whose module the nearest pyproject.toml names under tool.labjournal;
    else one that knows nothing."""
    global _project
    if _project is None:
        _project = Project()
        for folder in (Path.cwd(), *Path.cwd().parents):
            if (file := folder / "pyproject.toml").is_file():
                facts = tomllib.loads(file.read_text("utf-8")).get("tool", {}).get("labjournal", {})
                if "project" in facts:
                    sys.path.insert(0, str(folder))
                    importlib.import_module(facts["project"])  # which calls `use`
                break
    return _project


def journal_dir() -> Path:
    return current().workspace() / "journal"


def images_dir() -> Path:
    return current().workspace() / "images"


def committed() -> Path:
    """The journal that came with the checkout; the same as `journal_dir` where nothing was moved."""
    return current().root / "journal"


def relative(path: Path) -> str:
    """`path` as text that names no folder of this machine."""
    try:
        path = Path(path).resolve()
    except RuntimeError:  # links that lead to each other
        path = Path(path).absolute()
    for base in (current().workspace(), current().root):
        if path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    return path.name
