"""What else has to agree with the records and notebooks: README's blocks between two markers, glossary, references."""

from __future__ import annotations

import json
import re

from labjournal import provenance, say, store
from labjournal.markdown import number, table

from . import course, glossary
from .paths import ROOT, write_atomic

PROFILE = "laptop"
SPOKEN = "What the fast model writes after HAMLET: "  # the beginning of its note in notebook 03
# A measured number typed by hand. Round percentages are allowed: "95 % interval" names a method.
RESULT_NUMBER = re.compile(
    r"\d+\.\d+\s?%|\d+(\.\d+)?\s?(nats|bits per byte|bits/byte|bytes per token|MB\b|seconds\b|minutes\b)"
)


def headline() -> str:
    """A sentence for each notebook, filled from its committed laptop run, and how long it takes."""
    rows = ["| notebook | what came out | minutes to run | to read |", "|---|---|---|---|"]
    for notebook in (*course.NOTEBOOKS, course.COURSE):
        record = store.reference(notebook.name, PROFILE)
        measured = store.latest(notebook.evidence, PROFILE, ROOT / "journal") if notebook.evidence else record
        if record is None or measured is None:
            continue
        seconds = record["metrics"].get("run_seconds", {"final": record["seconds"]})["final"]
        name, read = notebook.title, ""
        if notebook is not course.COURSE:
            name = f"[{notebook.number} · {notebook.title}](notebooks/{notebook.path.name})"
            read = f"{minutes_to_read(notebook):.0f}"
        rows.append(f"| {name} | {say.fill(measured, notebook.came_out, {})} | {seconds / 60:.1f} | {read} |")
    return "\n".join(rows) + "\n"


def minutes_to_read(notebook: course.Notebook) -> float:
    """An estimate: 200 words of text and 15 lines of code a minute, without what is folded."""
    words = lines = 0
    for cell in json.loads(notebook.path.read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            words += len(source.split())
        elif "hide-input" not in cell["metadata"].get("tags", []):
            lines += source.count("\n") + 1
    return words / 200 + lines / 15


def cleaned() -> str:
    """What the command that cleans a folder reported about the folder of books, in the last committed benchmark."""
    record = store.latest("bench_clean_scale", PROFILE, ROOT / "journal")
    if record is None:
        return "Not measured yet: `make bench ARGS=clean_scale` does it.\n"
    books = {
        name.removeprefix("books_"): m["final"] for name, m in record["metrics"].items() if name.startswith("books_")
    }
    rows = []
    for what in ("in", "kept"):
        rows.append([what, number(books.pop(what)), f"{number(books.pop(f'megabytes_{what}'))} MB"])
    rows += [[f"dropped: {reason.replace('_', ' ')}", number(n), ""] for reason, n in books.items()]
    return table(rows, ["the books of notebook 01", "documents", "size"])


def spoken() -> str:
    """The first lines that the fast model of notebook 03 wrote, in its reference run."""
    record = store.reference("03_gpt", PROFILE)
    written = next((note for note in record["notes"] if note.startswith(SPOKEN)), SPOKEN)
    return "```\n" + "\n".join(written.removeprefix(SPOKEN).split(" / ")[:6]) + "\n```\n"


BLOCKS = {"headline": headline, "cleaned": cleaned, "spoken": spoken}


def current() -> dict[str, str]:
    """The blocks as README has them now."""
    return {name: _split(name)[1] for name in BLOCKS}


def wanted() -> dict[str, str]:
    """The blocks as the records have them, as Markdown."""
    return {name: block() for name, block in BLOCKS.items()}


def update() -> None:
    for name, block in wanted().items():
        before, _, after = _split(name)
        write_atomic(ROOT / "README.md", before + block + after)
    for name, page in glossary.PAGES.items():
        write_atomic(ROOT / name, page())


def _split(name: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {name}: made by `python -m labjournal readme` -->\n", f"<!-- {name} end -->"
    text = (ROOT / "README.md").read_text("utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"README.md needs the lines {begin.strip()!r} and {end!r}, each once")
    before, _, rest = text.partition(begin)
    inside, _, after = rest.partition(end)
    return before + begin, inside, end + after


def problems() -> list[str]:
    """A line each: what is not as the records say, where, and what to do."""
    found = []
    for notebook in course.NOTEBOOKS:
        where = f"notebooks/{notebook.name}.ipynb"
        for cell in json.loads(notebook.path.read_text("utf-8"))["cells"]:
            typed = RESULT_NUMBER.search("".join(cell["source"])) if cell["cell_type"] == "markdown" else None
            if typed:
                found.append(f"{where}: {typed.group()!r} is typed into a markdown cell; let run.say fill it in")
        record = store.reference(notebook.name, PROFILE)
        if record is None:
            found.append(f"{where} has no reference run")
        elif record.get("cells_hash") != provenance.cells_hash(notebook.path):
            found.append(f"{where}: its cells changed after its reference run {record['run_id']}; run it again")
    for name, page in glossary.PAGES.items():
        if not (ROOT / name).exists() or (ROOT / name).read_text("utf-8") != page():
            found.append(f"{name} is not what the notebooks say; `python -m labjournal readme`")
    here, there = current(), wanted()
    return found + [
        f"README.md: the block {name!r} is not what the records say; `python -m labjournal readme`"
        for name in there
        if here[name] != there[name]
    ]
