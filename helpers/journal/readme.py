"""README's headline table: a block between two markers, rendered from the reference runs."""

from __future__ import annotations

from .. import course
from ..paths import ROOT, write_atomic
from . import record as store
from .markdown import number, table

BEGIN, END = "<!-- headline: made by `python -m helpers.journal readme` -->\n", "<!-- headline end -->"
PROFILE = "laptop"


def block() -> str:
    """The headline results of the committed laptop runs, as Markdown."""
    rows = []
    for notebook in (*course.NOTEBOOKS, course.COURSE):
        record = store.reference(notebook.name, PROFILE)
        if record is None:
            continue
        shown = []
        for name in notebook.headline:
            m = record["metrics"].get(name)
            if m is not None:  # the set-up time is known only where the Makefile made the environment
                shown.append(f"{name.replace('_', ' ')} {number(m['final'])} {m['unit']}".strip())
        seconds = record["metrics"].get("run_seconds", {"final": record["seconds"]})["final"]
        rows.append([notebook.name, notebook.question, "; ".join(shown) or "–", f"{seconds / 60:.1f}"])
    return table(rows, ["notebook", "question", "measured", "minutes"])


def current() -> str:
    """The block as README has it now."""
    return _split()[1]


def update() -> None:
    before, _, after = _split()
    write_atomic(ROOT / "README.md", before + BEGIN + block() + END + after)


def _split() -> tuple[str, str, str]:
    text = (ROOT / "README.md").read_text("utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"README.md needs the lines {BEGIN.strip()!r} and {END!r}, each once")
    before, _, rest = text.partition(BEGIN)
    inside, _, after = rest.partition(END)
    return before, inside, after
