"""Steps for books: what an edition puts around the text."""

from __future__ import annotations

import re
from dataclasses import replace

from .document import Document, Drop, Keep
from .rules import value

_KEY_VALUE = re.compile(r"\w+ ?= ?\S|\[.+\]$")


def not_text(document: Document) -> Keep | Drop:
    lines = [line for line in document.text.splitlines() if line and not line.isspace()]
    if document.text.count("=") + document.text.count("[") <= len(lines) / 2:
        return Keep(document)  # most texts, without a look at each line
    keyed = sum(bool(_KEY_VALUE.match(line)) for line in lines)
    if lines and keyed > len(lines) / 2:
        return Drop("not_text", lines[0])
    return Keep(document)


# Whole lines only. The three styles in use since 1991: "small print" (closes the old header), START/END OF THIS, and
# "End of (the) Project Gutenberg" (opens the old footer).
_LICENCE_ENDS = re.compile(
    r"^(?:\*END[ *]*THE SMALL PRINT.*|\*\*\* ?START OF TH(?:E|IS) PROJECT GUTENBERG.*)$", re.M | re.I
)
_LICENCE_STARTS = re.compile(
    r"^(?:\*\*\* ?END OF TH(?:E|IS) PROJECT GUTENBERG.*|End of (?:the |this )?Project Gutenberg.*)$", re.M | re.I
)


def gutenberg_licence(document: Document) -> Keep | Drop:
    """Project Gutenberg's licence before and after the book, by its own marks wherever they stand: a short story is
    shorter than its licence. What stands behind an end mark must be the licence, or next to nothing."""
    text = document.text
    lower = text.lower()
    if "gutenberg" not in lower and "small print" not in lower:
        return Keep(document)
    tails = [m.start() for m in _LICENCE_STARTS.finditer(text) if _is_licence(lower, m.end())]
    end = min(tails, default=len(text))
    heads = [m.end() for m in _LICENCE_ENDS.finditer(text, 0, end)]
    begin = max(heads, default=0)
    if not text[begin:end].strip():
        return Keep(document)  # marks without a book between them: leave them for somebody to see
    return Keep(replace(document, text=text[begin:end]))


def _is_licence(lower: str, at: int) -> bool:
    rest = lower[at:]
    return len(rest) < 1000 or rest[:5000].count("gutenberg") > 1


_TRANSCRIBER = re.compile(r"^Transcriber's note:(?:.+\n)+", re.M | re.I)
_NOISE_LINE = re.compile(r"^@{3,}\n", re.M)
_INDEX = re.compile(r"^INDEX(?: TO .*)?\.?$", re.M)


def apparatus(document: Document) -> Keep | Drop:
    """What an edition adds and a reader skips: transcriber's notes, marks left by them, the index at the back."""
    text = document.text
    if "transcriber" in text.lower():
        text = _TRANSCRIBER.sub("", text)
    if "@@@" in text:
        text = _NOISE_LINE.sub("", text)
    if "INDEX" in text:
        last = text.split("\n", int(value("index_from") * text.count("\n")) + 1)[-1]  # the lines it may stand in
        match = _INDEX.search(text, len(text) - len(last))
        text = _without_index(text, match.start(), match.end()) if match else text
    return Keep(replace(document, text=text))


_CHAPTER = re.compile(r"(?:CHAPTER|PART|BOOK|ACT)\b", re.I)
_ENTRY = re.compile(r"\d[\d\s,;–-]*\.?\s*$|\bsee\b", re.I)


def _without_index(text: str, begin: int, end: int) -> str:
    """Without what follows the line INDEX, as far as it looks like one: its lines end in the number of a page."""
    lines = text[end:].split("\n")
    full = [line for line in lines if line.strip()]
    if sum(bool(_ENTRY.search(line)) for line in full[:20]) < 0.6 * len(full[:20]) or len(full) < 3:
        return text  # a sign on a door, say
    prose: list[int] = []
    for number, line in enumerate(lines):
        if _CHAPTER.match(line):
            return text[:begin] + "\n".join(lines[number:])
        if line.strip():
            prose = [*prose, number] if len(line) > 50 and not _ENTRY.search(line) else []
        if len(prose) == 4:  # more of the book
            return text[:begin] + "\n".join(lines[prose[0] :])
    return text[:begin]
