"""Two pages made from the notebooks: GLOSSARY.md, the terms as they are first explained; REFERENCES.md, the links."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from dataclasses import dataclass

from . import course
from .paths import ROOT

TITLES = ROOT / "helpers/references.toml"  # address -> "Authors year: title"
MADE = "<!-- made by `python -m labjournal readme` from the notebooks -->\n"
LINK = re.compile(r"\[([^\[\]]+)\]\((https?://(?:[^()\s]|\([^()\s]*\))+)\)")
SENTENCE_ENDS = re.compile(r"(?<!al\.)(?<!e\.g\.)(?<=[.?!:])\**\s+(?=[\"*\[(`]*[A-Z0-9])")
PARAGRAPH_ENDS = re.compile(r"(?:[^\n]|\n(?!\s*\n|- |\||\d\. ))+")  # a paragraph, a list's entry, a row
POINTS_BACK = re.compile(r"(That|This|Such|They|It|As|Beside)\b")
SHORT = 12  # words of a sentence that hardly explains alone
# code, addresses, headings, and what a notebook says that it will teach or that comes next
NOT_PROSE = re.compile(
    r"```.*?```|`[^`\n]*`|(?<=\])\([^)\s]*\)|^#.*?$|You will learn\n.*|\*\*Next:.*|\[[^\[\]]*\](?=\(\d\d_)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Explained:
    """Where `term` stands in italics or bold for the first time, and what came before."""

    term: str
    notebook: course.Notebook
    cell: int  # counted from 0
    sentence: str  # Markdown
    too_early: tuple[str, int] | None  # notebook and cell of a use before that


def terms() -> dict[str, re.Pattern]:
    """Every term, and what counts as a use of it."""
    listed = tomllib.loads((ROOT / "helpers/glossary.toml").read_text("utf-8"))
    return {
        term: re.compile(rf"(?<![\w-])(?:{uses or re.escape(term) + 's?(?![a-z-])'})", re.I)
        for term, uses in listed.items()
    }


def explained() -> list[Explained]:
    """Every term of the list, in its order. Raises ValueError: a term that no notebook explains."""
    cells = list(_texts())
    return [_first(term, uses, cells) for term, uses in terms().items()]


def _texts():
    """The markdown cells in the order of the course: notebook, number of the cell, text."""
    for notebook in course.NOTEBOOKS:
        cells = json.loads(notebook.path.read_text("utf-8"))["cells"]
        for number, cell in enumerate(cells):
            if cell["cell_type"] == "markdown":
                yield notebook, number, "".join(cell["source"])


def _first(term: str, uses: re.Pattern, cells: list) -> Explained:
    marked = re.compile(rf"(?<![\w*])\*{{1,2}}\[?{re.escape(term)}s?\.?(?:\]\(\S+?\))?\*{{1,2}}", re.I)
    early = None
    for notebook, number, text in cells:
        if found := marked.search(text):
            return Explained(term, notebook, number, _sentence(text, found.start()), early)
        if early is None and uses.search(NOT_PROSE.sub(" ", text)):
            early = (notebook.number, number)
    raise ValueError(f"no notebook sets {term!r} in italics or bold, as an explanation does: helpers/glossary.toml")


def _sentence(text: str, at: int) -> str:
    """The sentence of `text` around position `at`, in one line: with the one before where it points back, with the
    next one where it is short."""
    paragraph = next(p for p in PARAGRAPH_ENDS.finditer(text) if p.end() > at)
    ends = [0, *(m.end() for m in SENTENCE_ENDS.finditer(paragraph.group())), len(paragraph.group())]
    sentences = [paragraph.group()[begin:end] for begin, end in itertools.pairwise(ends)]
    here = max(n for n, begin in enumerate(ends[:-1]) if begin <= at - paragraph.start())
    first = here - 1 if here and POINTS_BACK.match(sentences[here]) else here
    last = here + 1 if len(sentences[here].split()) < SHORT else here
    told = " ".join("".join(sentences[first : last + 1]).split()).removeprefix("- ")
    return re.sub(r"\]\((?=\d\d_)", "](notebooks/", told)  # the page stands a folder higher


def glossary() -> str:
    """GLOSSARY.md."""
    rows = [
        f"- **{e.term}**: {e.sentence} ([{e.notebook.number}](notebooks/{e.notebook.path.name}))"
        for e in sorted(explained(), key=lambda e: e.term.lower())
    ]
    return (
        MADE
        + "# Glossary\n\nEach term in the words of the notebook that explains it first.\n\n"
        + "\n".join(rows)
        + "\n"
    )


def references() -> str:
    """REFERENCES.md: every address that a notebook names, by author and title, with the notebooks that name it."""
    titles = tomllib.loads(TITLES.read_text("utf-8"))
    named: dict[str, tuple[str, list[str]]] = {}
    for notebook, _, text in _texts():
        for name, address in LINK.findall(text):
            found = named.setdefault(address, (titles.get(address, name.strip("*`")), []))[1]
            if notebook.number not in found:
                found.append(notebook.number)
    papers, others = [], []
    for address, (name, where) in sorted(named.items(), key=lambda item: item[1][0].lower()):
        line = f"- [{name}]({address}) · {', '.join(where)}"
        (
            papers
            if re.search(r"\b(1[89]|20)\d\d:", name) or "doi.org" in address or "arxiv.org" in address
            else others
        ).append(line)
    parts = ("## Papers and books", *papers, "", "## Documents, data and code", *others)
    return MADE + "# References\n\nWhat the notebooks name, and which of them do.\n\n" + "\n".join(parts) + "\n"


PAGES = {"GLOSSARY.md": glossary, "REFERENCES.md": references}
