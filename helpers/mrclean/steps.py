"""Steps for every kind, for books and for code. A step is a pure function: ``Document -> Keep | Drop``.

A step sees one document and nothing else, keeps no state, and never raises on bad input: it drops it with a reason.
"""

from __future__ import annotations

import ast
import re
import unicodedata
import warnings
from dataclasses import replace

from .document import Document, Drop, Keep
from .rules import value

# ---- every kind ------------------------------------------------------------------------------------------------------

_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
# C0 and C1 controls except tab and newline (carriage returns are line endings, form feeds page breaks), and the BOM.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufeff]")
_UNDECODED = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ufffd\ud800-\udfff]")


def decode_bytes(raw: bytes) -> tuple[str | None, str]:
    """(text, codec), or (None, "") when `raw` is not text: byte-order mark, then strict UTF-8, then detection.

    Never ``errors="ignore"``: a codec fits all bytes or it is the wrong one.
    """
    codec = next((codec for mark, codec in _BOMS if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        best = from_bytes(raw).best()
        if best is None:
            return None, ""
        text, codec = str(best), best.encoding
    if len(_UNDECODED.findall(text)) > value("undecodable_share") * max(len(text), 1000):
        return None, ""
    return text, codec


def decode(document: Document) -> Keep | Drop:
    if document.codec:
        return Keep(document)
    text, codec = decode_bytes(document.raw)
    if text is None:
        return Drop("undecodable", f"{len(document.raw):,} bytes")
    return Keep(replace(document, raw=b"", text=text, codec=codec))


def line_endings(document: Document) -> Keep | Drop:
    """CRLF and CR become LF, the byte-order mark goes: all that is safe to do to code as well."""
    text = document.text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    return Keep(replace(document, text=text))


def mojibake(document: Document) -> Keep | Drop:
    """Text decoded with the wrong codec somewhere on its way ("á¸³" for "ḳ") is repaired by ftfy.

    Typography stays: curly quotes, ligatures and character width are the author's. Not for code, where such a string
    may be a test case.
    """
    if document.text.isascii():
        return Keep(document)
    import ftfy

    fixed = ftfy.fix_text(
        document.text,
        unescape_html=False,
        uncurl_quotes=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        fix_line_breaks=False,
        remove_control_chars=False,
        normalization=None,
    )
    return Keep(replace(document, text=fixed))


def unicode_form(document: Document) -> Keep | Drop:
    """NFC (one way to write "é"; NFKC would change "²" and "ﬁ"), and no invisible control characters."""
    text = unicodedata.normalize("NFC", document.text.replace("\f", "\n"))
    return Keep(replace(document, text=_CONTROLS.sub("", text)))


def trim(document: Document) -> Keep | Drop:
    """No blank lines before the first line or after the last, one newline at the end."""
    text = document.text.strip("\n").rstrip()
    return Keep(replace(document, text=text + "\n" if text else ""))


def too_short(document: Document) -> Keep | Drop:
    """Runs last: what counts is what is left after everything else was cut."""
    length = len(document.text.strip())
    if length < value(f"{document.kind}_min_chars"):
        return Drop("too_short", f"{length} characters: {document.text}")
    return Keep(document)


# ---- books -----------------------------------------------------------------------------------------------------------

_KEY_VALUE = re.compile(r"\w+ ?= ?\S|\[.+\]$")


def not_text(document: Document) -> Keep | Drop:
    lines = [line for line in document.text.splitlines() if line.strip()]
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
    heads = [m.end() for m in _LICENCE_ENDS.finditer(text) if m.end() < len(text) / 2]
    tails = [m.start() for m in _LICENCE_STARTS.finditer(text) if m.start() > len(text) / 2]
    return Keep(replace(document, text=text[max(heads, default=0) : min(tails, default=len(text))]))


_TRANSCRIBER = re.compile(r"^Transcriber's note:(?:.+\n)+", re.M | re.I)
_NOISE_LINE = re.compile(r"^@{3,}\n", re.M)
_INDEX = re.compile(r"^INDEX(?: TO .*)?\.?$", re.M)


def apparatus(document: Document) -> Keep | Drop:
    """What an edition adds and a reader skips: transcriber's notes, marks left by them, the index at the back."""
    text = _NOISE_LINE.sub("", _TRANSCRIBER.sub("", document.text))
    for match in _INDEX.finditer(text):
        if text.count("\n", 0, match.start()) > value("index_from") * text.count("\n"):
            text = text[: match.start()]
            break
    return Keep(replace(document, text=text))


# ---- code ------------------------------------------------------------------------------------------------------------

_GENERATED = re.compile(r"^#.*\b(?:generated (?:by|from)|auto-?generated|do not edit)\b", re.I)
_LICENCE = re.compile(r"copyright|licen[cs]e|SPDX-", re.I)


def generated(document: Document) -> Keep | Drop:
    for line in document.text.splitlines()[: int(value("code_generated_lines"))]:
        if _GENERATED.match(line):
            return Drop("generated", line)
    return Keep(document)


def long_line(document: Document) -> Keep | Drop:
    longest = max(document.text.splitlines(), key=len, default="")
    if len(longest) > value("code_max_line"):
        return Drop("long_line", f"{len(longest):,} characters in one line: {longest.strip()}")
    return Keep(document)


def licence_header(document: Document) -> Keep | Drop:
    """A leading block of comments that speaks of a licence goes; a ``#!`` or coding line above it stays."""
    lines = document.text.splitlines(keepends=True)
    start = 0
    while start < min(2, len(lines)) and re.match(r"#!|#.*coding[:=]", lines[start]):
        start += 1
    end = start
    while end < len(lines) and (lines[end].startswith("#") or not lines[end].strip()):
        end += 1
    if _LICENCE.search("".join(lines[start:end])):
        lines[start:end] = []
    return Keep(replace(document, text="".join(lines)))


def does_not_parse(document: Document) -> Keep | Drop:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old escape sequence is no reason to complain, or to drop
            ast.parse(document.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Drop("does_not_parse", f"{type(error).__name__}: {error}")
    return Keep(document)
