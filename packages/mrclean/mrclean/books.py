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
    """Project Gutenberg's licence before and after the book.

    The header must end in the first half and the footer start in the second: a marker anywhere else is left alone.
    """
    text = document.text
    lower = text.lower()
    if "gutenberg" not in lower and "small print" not in lower:
        return Keep(document)
    heads = [m.end() for m in _LICENCE_ENDS.finditer(text) if m.end() < len(text) / 2]
    tails = [m.start() for m in _LICENCE_STARTS.finditer(text) if m.start() > len(text) / 2]
    return Keep(replace(document, text=text[max(heads, default=0) : min(tails, default=len(text))]))


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
        text = text[: match.start()] if match else text
    return Keep(replace(document, text=text))
