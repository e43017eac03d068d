"""Text, numbers and tables for the report: as Markdown that harms nobody, whatever stands in the data."""

from __future__ import annotations

import datetime
import re
import unicodedata

_MARKUP = re.compile(r"([\\`*_{}\[\]|#!~$])")
_TERMINAL = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)")  # colours, cursor, window title
_LINK = re.compile(r"\b(https?|ftp|mailto|xmpp)(?=:)|\bwww(?=\.)", re.IGNORECASE)


def one_line(text: object, limit: int = 300) -> str:
    """On one line for a terminal: no control characters, no marks of direction, nothing a terminal would obey."""
    text = re.sub(r"\s+", " ", _TERMINAL.sub("", str(text))).strip()
    text = "".join(c for c in text if unicodedata.category(c)[0] != "C")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def escape(text: object) -> str:
    """The same for Markdown: no mark-up, no links."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _LINK.sub(lambda match: match.group() + "\\", _MARKUP.sub(r"\\\1", text))


def table(rows: list, headers: list[str]) -> str:
    """A Markdown table; every cell is escaped."""
    cells = [[f"{c:,}" if isinstance(c, int) else escape(c) for c in row] for row in (headers, *rows)]
    head, *body = ["| " + " | ".join(row) + " |\n" for row in cells]
    return "".join([head, "|" + "---|" * len(headers) + "\n", *body])


def amount(size: float) -> str:
    """Bytes for people."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"


def duration(seconds: float) -> str:
    """0:03:20, 20 s, 3.2 s."""
    if round(seconds) < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return str(datetime.timedelta(seconds=round(seconds)))
