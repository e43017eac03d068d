"""What a file is, by its first bytes: what a name promises is often not what lies there."""

from __future__ import annotations

import contextlib
import csv
import json
import re

# First bytes -> what it is. What is packed is unpacked; everything else has to become text by other means.
PACKED = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\x28\xb5\x2f\xfd": ".zst"}
_BINARY = {
    b"\x89PNG": "a picture (PNG)", b"\xff\xd8\xff": "a picture (JPEG)", b"GIF8": "a picture (GIF)",
    b"II*\0": "a picture (TIFF)", b"MM\0*": "a picture (TIFF)", b"\0\0\1\0": "a picture (icon)",
    b"ID3": "a sound (MP3)", b"OggS": "a sound or film (Ogg)", b"fLaC": "a sound (FLAC)", b"\x1aE\xdf\xa3": "a film",
    b"\x7fELF": "a program (ELF)", b"MZ\x90\0": "a program (Windows)", b"\xca\xfe\xba\xbe": "a program (Java or macOS)",
    b"\xcf\xfa\xed\xfe": "a program (macOS)", b"\0asm": "a program (WebAssembly)",
    b"SQLite format 3": "a database (SQLite)",
    b"\xde\x12\x04\x95": "translated messages (gettext .mo); the .po file beside it is text",
    b"\x95\x04\x12\xde": "translated messages (gettext .mo); the .po file beside it is text",
    b"\x80\x04\x95": "a Python pickle", b"\x93NUMPY": "numbers (NumPy)", b"\x89HDF": "numbers (HDF5)",
    b"wOFF": "a font", b"wOF2": "a font", b"\0\1\0\0\0": "a font", b"OTTO": "a font", b"ARROW1": "a table (Arrow)",
    b"\xd0\xcf\x11\xe0": "an old office document; save it as text",
}  # fmt: skip
_RIFF = {b"WAVE": "a sound (WAV)", b"AVI ": "a film (AVI)", b"WEBP": "a picture (WebP)"}
_ZIPPED = {
    b"word/": "a Word document (docx); save it as text, or turn it with pandoc",
    b"xl/": "a spreadsheet (xlsx); save it as CSV",
    b"ppt/": "slides (pptx); save them as text",
    b"application/epub": "a book (epub); turn it with pandoc",
    b"application/vnd.oasis": "an office document (OpenDocument); save it as text",
}
_MARKED_UP = {
    "%PDF": "PDF; turn it with pdftotext",
    "%!PS": "PostScript; turn it with ps2ascii",
    "{\\rtf": "rich text (RTF); save it as text",
    "WARC/": "a web archive (WARC); take the pages out with warcio or trafilatura",
}
_COMMENTS = r"(?:<!--(?:(?!-->).){0,2000}-->\s*+)*+"
_HTML = re.compile(
    rf"\s*(?:<\?xml[^>]{{0,200}}\?>\s*)?{_COMMENTS}"
    r"<(?:!doctype\s+html|html[\s>]|head[\s>]|body[\s>]|meta\s[^<>]*charset|title>[^<>]*</title>)",
    re.I | re.S,
)
# Without a head of its own: what begins with such a tag and goes on with another, or has one before most lines.
_TAG = re.compile(
    r"^\s*</?(?:p|div|script|style|table|t[rdh]|[uo]l|li|h[1-6]|d[ltd]|section|article|nav|header|footer|form|span)"
    r"(?:\s[^<>]{0,1000})?>",
    re.I | re.M,
)
_OBJECT = re.compile(r"\s*\[?\s*\{\s*\"[^\"\n]{1,200}\"\s*:")
_MARKDOWN = re.compile(r"^(?:#{1,6} |```)|\]\(http", re.M)
_XML = re.compile(
    rf"\s*<\?xml\s|\s*{_COMMENTS}(?:<!doctype\s|<[\w:.-]{{1,40}}\s[^<>]*\bxmlns(?::\w+)?="
    # Or a tag that is none of HTML's, and another one right in it, with an end.
    r"|<(?!(?:a|b|i|p|s|u|br|center|code|details|div|em|font|h\d|img|kbd|li|ol|picture|pre|small|span|strong|su[bp]"
    r"|summary|table|t[dr]|ul)[\s>])[a-z_][\w:.-]{0,40}(?:\s[^<>]{0,1000})?>\s*<([a-z_][\w:.-]{0,40})[\s>].*</\1>)",
    re.I | re.S,
)
_MBOX = re.compile(r"From \S+.{0,60}\d{4}\s*\n(?:[A-Z][\w-]{1,40}: .*\n(?:[ \t].*\n)*){2}")
_MIME = re.compile(r"(?:[A-Z][\w-]{1,40}: .*\n(?:[ \t].*\n)*)*?Content-Type: multipart/", re.I)
_DATA = (  # what it is, its lines, and what one of them has
    ("a hex dump", r"^(?:0x)?[0-9a-fA-F]{7,16}:?(?:[ \t]+[0-9a-fA-F]{2,8}){4,}", r"[a-fA-F]"),
    ("base64; decode it first", r"^[A-Za-z0-9+/]{60,}={0,2}$", r"[a-z]"),
    ("uuencoded; decode it first", r"^(?:begin [0-7]{3} .*|M[ -`]{60})$", r"^begin [0-7]{3} "),
    ("a program (Intel hex or S-records)", r"^(?::[0-9A-F]{10,}|S\d[0-9A-F]{8,})$", r""),
)


def packed(head: bytes) -> str:
    """ ".gz", ".bz2", ".zst" or "", by the first bytes."""
    return next((ending for magic, ending in PACKED.items() if head.startswith(magic)), "")


def binary(head: bytes) -> str:
    """What a file without text is; "" where its first bytes are none of those known."""
    if head.startswith(b"PK\3\4"):
        return next((what for sign, what in _ZIPPED.items() if sign in head[:4096]), "a zip archive; unpack it first")
    if head.startswith(b"RIFF") and any(byte < 9 for byte in head[:64]):
        return _RIFF.get(head[8:12], "a picture, sound or film (RIFF)")
    if head[4:8] == b"ftyp":
        return "a film or sound (MP4)"
    if not any(byte < 9 for byte in head[:256]):
        return ""  # "OTTO" may also begin a story
    return next((what for magic, what in _BINARY.items() if head.startswith(magic)), "")


def is_rows(head: str) -> bool:
    """JSON lines: two whole lines, each an object; or the only line, cut off or with a text of its own in it."""
    lines = [line for line in head.split("\n") if line.strip()]
    try:
        rows = [json.loads(line) for line in lines[: min(2, max(1, len(lines) - 1))]]  # the last may be cut off
    except (ValueError, RecursionError):
        return len(lines) == 1 and bool(_OBJECT.match(head))
    own = len(lines) > 1 or any(isinstance(of, str) for row in rows if isinstance(row, dict) for of in row.values())
    return own and all(isinstance(row, dict) for row in rows)


def is_table(head: str, column: str) -> bool:
    """Rows of as many cells each, below a line of names: three or more, or two of which one is `column`."""
    lines = head.split("\n", 50)[:50]
    for mark in filter(lines[0].__contains__, "\t;,"):
        rows: list[list[str]] = []
        with contextlib.suppress(csv.Error):
            rows.extend(csv.reader(lines, delimiter=mark, strict=True))
        names, *rest = rows[:-1] or [[]]  # the last may be cut off
        named = len({*names}) == len(names) and all(re.fullmatch(r"[A-Za-z_][\w .()/%-]{0,40}", name) for name in names)
        even = all(len(row) == len(names) and not any(cell.startswith(" ") for cell in row) for row in rest)
        if named and even and len(rest) >= 3 and (len(names) > 2 or column in names):
            return True
    return False


def not_prose(head: str, name: str = "") -> str:
    """What a text is that nobody reads as one: mark-up, data, a mailbox; "" where nothing of the kind is known."""
    begin = head[:4000].lstrip("\ufeff")
    tagged, lines = len(_TAG.findall(begin)), len(re.findall(r"^.*\S", begin, re.M))
    bare = tagged > 1 and (2 * tagged > lines or _TAG.match(begin)) and not _MARKDOWN.search(head)
    if bare or _HTML.match(begin) or (name.endswith((".html", ".htm", ".xhtml")) and re.search(r"</?\w[^<>]*>", head)):
        return "HTML; turn it into text first, with trafilatura or pandoc"
    for sign, what in _MARKED_UP.items():
        if begin.lstrip().startswith(sign):
            return what
    if _XML.match(begin):
        return "XML; take the text out first"
    if _MBOX.match(begin):
        return "a mailbox (mbox); take the messages out with Python's mailbox"
    if _MIME.match(begin):
        return "a mail or page in MIME parts; take the text out with Python's email"
    if begin.lstrip()[:1] in ("{", "[") and (what := _json(head)):
        return what
    top = head.split("\n", 200)[:200]
    for what, line, sign in _DATA:
        found = sum(bool(re.match(line, of)) for of in top)
        if found >= 5 and found > 0.8 * (len(top) - 1) and any(re.search(sign, of) for of in top):
            return what
    return ""


def _json(text: str) -> str:
    """JSON as a whole: a notebook, or some other data."""
    if '"cells"' in text and '"cell_type"' in text:
        return "a Jupyter notebook; turn it with jupyter nbconvert --to markdown"
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        # Cut off or not: a brace, and then a key in quotation marks and a colon, begins no prose.
        return "JSON" if _OBJECT.match(text) else ""
    return "JSON" if isinstance(found, (dict, list)) and found else ""
