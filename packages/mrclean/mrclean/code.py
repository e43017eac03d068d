"""Steps for code: licence headers, files that a program wrote, files that do not parse."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from dataclasses import replace

from .document import Document, Drop, Keep
from .rules import value

_GENERATED = re.compile(r"^#.*\b(?:generated (?:by|from)|auto-?generated|do not edit)\b", re.I)
# "Reads the licence plates of cars" is about something else.
_LICENCE = re.compile(
    r"copyright\b|\blicen[cs]ed\b|\blicen[cs]e\b(?!\s+(?:plates?|numbers?|keys?|servers?|fees?|checks?))|SPDX-", re.I
)


def generated(document: Document) -> Keep | Drop:
    for line in document.text.splitlines()[: int(value("code_generated_lines"))]:
        if _GENERATED.match(line):
            return Drop("generated", line)
    return Keep(document)


def licence_header(document: Document) -> Keep | Drop:
    """A leading block of comments that speaks of a licence goes into `licence`; a ``#!`` or coding line stays."""
    lines = [line + "\n" for line in document.text.split("\n")]
    start = 0
    while start < min(2, len(lines)) and re.match(r"#!|#.*coding[:=]", lines[start]):
        start += 1
    at, kept, licence = start, lines[:start], []
    while at < len(lines) and (lines[at].startswith("#") or not lines[at].strip()):
        begin = at
        while at < len(lines) and lines[at].startswith("#"):
            at += 1
        while at < len(lines) and not lines[at].strip():
            at += 1
        # Paragraph by paragraph: a comment on the code may stand above or below the licence.
        (licence if _LICENCE.search("".join(lines[begin:at])) else kept).extend(lines[begin:at])
    if not licence:
        return Keep(document)
    text = "".join(kept + lines[at:])[:-1]
    return Keep(replace(document, text=text, licence="".join(licence).strip()))


def does_not_parse(document: Document) -> Keep | Drop:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old escape sequence is no reason to complain, or to drop
            ast.parse(document.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Drop(
            "does_not_parse", f"{type(error).__name__}: {error}, for Python {sys.version_info[0]}.{sys.version_info[1]}"
        )
    return Keep(document)
