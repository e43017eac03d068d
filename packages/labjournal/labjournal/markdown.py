"""Text and numbers as Markdown that harms nobody: escaped, in four significant digits, in tables."""

from __future__ import annotations

import math
import re
import unicodedata

_MARKUP = re.compile(r"([\\`*_{}\[\]|#!~$])")
_TERMINAL = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)")  # colours, cursor, window title
_LINK = re.compile(r"\b(https?|ftp|mailto|xmpp)(?=:)|\bwww(?=\.)", re.IGNORECASE)
_LIST = re.compile(r"^(\d{1,9})?(?=[-+=.)])(?=.\s|[-=]+$)")


def clean(text: object, limit: int = 300) -> str:
    """Text that comes from data, models or exceptions on one line for a terminal: no control characters."""
    text = _TERMINAL.sub("", str(text))
    text = re.sub(r"\s+", " ", text).strip()
    # Categories C*: control, format (bidi overrides among them), surrogates, private use.
    text = "".join(c for c in text if unicodedata.category(c)[0] != "C")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def spelled_out(text: str) -> str:
    """Text of several lines for a terminal: control characters as "\\x1b", so that the terminal obeys none of them."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c)[0] != "C" else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def escape(text: object, limit: int = 300) -> str:
    """The same for Markdown: no mark-up, no links."""
    text = clean(text, limit)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _MARKUP.sub(r"\\\1", text)
    text = _LINK.sub(lambda match: match.group() + "\\", text)  # http\\: is no link, and reads the same
    return _LIST.sub(lambda match: match.group() + "\\", text)


def number(value: object) -> str:
    """A measured value in four significant digits; whole numbers in full."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return escape(value)
    if not math.isfinite(value):
        return str(value)
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e15 and abs(value) >= 1000):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def table(rows: list, headers: list[str]) -> str:
    """A Markdown table; every cell is escaped."""
    lines = ["| " + " | ".join(escape(h) for h in headers) + " |", "|" + "---|" * len(headers)]
    for row in rows:
        cells = [number(c) if isinstance(c, (int, float)) else escape("" if c is None else c) for c in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
