"""Personal data and secrets: what `finders` finds is replaced by fixed placeholders."""

from __future__ import annotations

import bisect
import io
import re
import tokenize
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from .code import does_not_parse
from .document import Document, Drop, Keep
from .finders import find

_ACCOUNT = re.compile(r"(?<![\w@])@[\w-]+|(?<=github\.com/)[\w-]+")
_DOCTEST = re.compile(r"^[ \t]*(?:>>>|\.\.\.)", re.M)

_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[0-7]{1,3}|N\{[^}\n]*\}|[^\n])")
_OPENING = re.compile(r"""([a-zA-Z]*)('{3}|"{3}|'|")""")
_QUOTED = {tokenize.COMMENT, tokenize.STRING} | {getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}

PLACEHOLDERS = {"key": "<KEY>", "e-mail": "<EMAIL>", "IP address": "<IP_ADDRESS>", "phone": "<PHONE>"}


def redact(text: str) -> tuple[str, Counter]:
    """(text with placeholders, how many of each). Redacting twice changes nothing more.

    >>> redact("write to jo@example.org, not to 10.0.0.1")
    ('write to <EMAIL>, not to 10.0.0.1', Counter({'e-mail': 1}))
    """
    return _redact(text, find)


_BESIDE = 400  # characters: more than any boundary looks at, and than anything but a key is long


def _redact(text: str, find_in: Callable) -> tuple[str, Counter]:
    total: Counter = Counter()
    spans = find_in(text)
    while spans:
        parts, last, at, length = [], 0, [], 0
        for begin, end, what in spans:
            parts += [text[last:begin], PLACEHOLDERS[what]]
            length += begin - last + len(PLACEHOLDERS[what])
            at.append(length)
            last = end
            total[what] += 1
        text = "".join([*parts, text[last:]])
        # A placeholder may free what stood beside it. Only there has one to look, and each round leaves fewer digits.
        freed = any(find(text[max(0, place - _BESIDE) : place + _BESIDE]) for place in at)
        spans = find_in(text) if freed else []
    return text, total


def private_data(document: Document) -> Keep | Drop:
    """E-mail addresses, phone numbers, public IP addresses and keys become placeholders.

    In code only inside comments and strings (``a@b.inv`` is a product of matrices), and the file must still parse.
    """
    is_code = document.kind == "code"
    text, found = _redact(document.text, _find_in_code if is_code else find)
    if not found:
        return Keep(document)
    redacted = replace(document, text=text, redacted=document.redacted + found)
    if is_code and isinstance(does_not_parse(redacted), Drop):
        return Drop("does_not_parse", f"after private data was replaced: {', '.join(found)}")
    return Keep(redacted)


def _find_in_code(text: str) -> list[tuple[int, int, str]]:
    """The spans of `find` that lie in a comment or a string, and in no line of a doctest.

    A key that goes over several of them (one string per line) comes back as one span in each.
    """
    # With its escapes blanked: else the "n" of "\n" would stand before a key as a letter, or be taken into an address.
    spans = find(_ESCAPE.sub(lambda escape: " " * len(escape[0]), text) if "\\" in text else text)
    if not spans:
        return []
    starts = [0]
    for line in io.StringIO(text):  # as tokenize counts lines
        starts.append(starts[-1] + len(line))
    quoted: list[tuple[int, int]] = []  # what stands between quotes, or behind a #
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in _QUOTED:
                begin, end = (starts[row - 1] + column for row, column in (token.start, token.end))
                if token.type == tokenize.COMMENT:
                    quoted.append((begin + 1, end))
                elif mark := _OPENING.match(token.string):
                    begin, end = begin + len(mark[0]), end - len(mark[2])
                    # Up to Python 3.11 an f-string is one token, and what stands in its braces is code.
                    quoted += _outside_braces(text, begin, end) if "f" in mark[1].lower() else [(begin, end)]
                else:
                    quoted.append((begin, end))  # from Python 3.12 on, the text of an f-string
    except (tokenize.TokenError, SyntaxError, IndexError):
        return []  # not Python: nothing tells a product from an address, and the file is dropped elsewhere
    begins = [part[0] for part in quoted]
    kept = []
    for begin, end, what in spans:
        if _DOCTEST.match(text, text.rfind("\n", 0, begin) + 1):
            continue
        first = max(0, bisect.bisect_right(begins, begin) - 1)
        for low, high in quoted[first : bisect.bisect_left(begins, end)]:
            inside = low <= begin and end <= high
            # A name may have an apostrophe, and so seem to begin before the string: b'jo@example.org'.
            over_lines = what in ("key", "e-mail") or "#" in text[begin:end]  # of strings, or of comments
            if inside or (over_lines and max(begin, low) < min(end, high)):
                kept.append((max(begin, low), min(end, high), what))
    return kept


def _outside_braces(text: str, begin: int, end: int) -> list[tuple[int, int]]:
    parts, depth, last, at = [], 0, begin, begin
    while at < end:
        if depth == 0 and text[at : at + 2] in ("{{", "}}"):
            at += 2
            continue
        if text[at] == "{":
            if depth == 0:
                parts.append((last, at))
            depth += 1
        elif text[at] == "}" and depth:
            depth -= 1
            last = at + 1
        at += 1
    return [*parts, (last, end)]


def excerpt(text: str, limit: int = 200, begin: int = 0, end: int | None = None) -> str:
    """At most `limit` characters of `text[begin:end]` on one line, fit to be shown: private data and account names are
    masked (also where they begin before `begin`), control characters are spelled out."""
    end = len(text) if end is None else end
    end = min(end, begin + 4 * limit)
    low = max(0, begin - 20_000)  # a key may have begun long before
    line = " ".join(_masked(text[low : end + 20_000], begin - low, end - low).split())
    line = _masked(line, 0, len(line))  # a number over two lines is one number here
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _masked(text: str, begin: int, end: int) -> str:
    """`text[begin:end]` with private data, accounts and keys without an end as "[what]"."""
    spans = find(text) + [(*m.span(), "account") for m in _ACCOUNT.finditer(text)]
    shown, at = [], begin
    for first, last, what in sorted(spans):
        if last > at and first < end:
            shown += [text[at : max(at, first)], f"[{what}]"]
            at = last
    return "".join([*shown, text[at:end]])
