"""Personal data and secrets: found by anchored patterns, replaced by fixed placeholders.

Every pattern reads a text in linear time: it is bounded, or it cannot start inside a run that it has just refused. What
only looks right is checked: an IP address must be a public one, a phone number must be one that can be dialled.
"""

from __future__ import annotations

import bisect
import io
import ipaddress
import re
import tokenize
from collections import Counter
from dataclasses import replace

from .code import does_not_parse
from .document import Document, Drop, Keep

# The prefixes are the issuers' own; each is long enough that ordinary text does not hold it.
SECRETS = {
    "private key": r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[^-]|-(?!----)){1,20000}-----END [A-Z ]{1,40}-----",
    "AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_\w{22,255})\b",
    "GitLab token": r"(?<![\w-])glpat-[\w-]{20,64}(?![\w-])",
    "Slack token": r"(?<![\w-])xox[abeoprs]-(?:\d{1,14}-){1,3}[A-Za-z0-9-]{10,64}(?![\w-])",
    "Stripe key": r"\b[rs]k_live_[0-9A-Za-z]{24,247}\b",
    "Google API key": r"(?<![\w-])AIza[\w-]{35}(?![\w-])",
    "OpenAI key": r"(?<![\w-])sk-(?:proj|svcacct|admin)-[\w-]{40,200}(?![\w-])",
    "JSON web token": r"(?<![\w-])eyJ[\w-]{8,2000}\.eyJ[\w-]{8,4000}\.[\w-]{8,1000}(?![\w-])",
    "password in a URL": r"(?<=://)[^\s/@:\"'<>]{1,64}:[^\s/@\"'<>]{1,64}(?=@)",
}
_SECRET = re.compile("|".join(f"(?:{pattern})" for pattern in SECRETS.values()))
# A text without any of these strings holds no secret of the table: one pass each, much faster than the pattern.
_SECRET_SIGNS = ("PRIVATE KEY", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox")
_SECRET_SIGNS += ("k_live_", "AIza", "eyJ", "sk-", "://")

_FILE_ENDING = r"(?:png|jpe?g|gif|svg|webp|tar|gz|zip|html?|py|js|css|txt|md|json)\b"
# "git@example.org:path" names a repository; but in "a@example.org:b@example.org" both are addresses. (Were only the
# last one found, each round of `redact` would find one, and a long row would take for ever.)
_EMAIL = re.compile(
    r"(?<![\w.+%-])[A-Za-z0-9_.+%-]{1,64}@"
    rf"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?\.){{1,8}}(?!{_FILE_ENDING})[A-Za-z]{{2,24}}(?![\w-]|:\w(?![\w.+%-]{{0,63}}@))"
)
_IPV4 = re.compile(r"(?<![\w.-])(?<![^/]/)(?:\d{1,3}\.){3}\d{1,3}(?!\.?[\w-])")
_IPV6 = re.compile(r"(?<![\w:.\[])[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){3,7}(?![\w:]|\.\w)")  # 2000::/3, all there is
_THREE_NUMBERS = re.compile(r"\.\d{1,3}\.\d")
_END_OF_PHONE = re.compile(r"[ .\xa0\u2011\u2013-]\d{3}[ .\xa0\u2011\u2013-]\d{4}")
_TWO_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_VERSION = re.compile(
    r"(?:version|release|build|firmware|v|ver|section|clause|article|chapter|§|[=<>~]=|oid)[.:]?\s{0,3}$", re.I
)
_PHONE = re.compile(
    r"(?<![\w.,/@#=+-])(?:\+\d{1,3}[ .\xa0-]?(?:\(?\d{1,4}\)?[ .\xa0-]?){1,4}\d{2,6}"  # international
    # North America; with blanks alone, not in a row of numbers
    r"|(?:1[ .-])?\(\d{3}\)[ -]?\d{3}[ .\xa0\u2011\u2013-]\d{4}"
    r"|(?:1[ .-])?\d{3}[ .\xa0\u2011\u2013-]\d{3}[.\u2011\u2013-]\d{4}"
    r"|(?<!\d )\d{3}[ \xa0]\d{3}[ \xa0]\d{4}(?! \d))"
    r"(?![\w-]|[.,]\d)"
)

_ACCOUNT = re.compile(r"(?<![\w@])@[\w-]+|(?<=github\.com/)[\w-]+")
_OPEN_KEY = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY.*", re.S)
_DOCTEST = re.compile(r"^[ \t]*(?:>>>|\.\.\.)", re.M)

_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[0-7]{1,3}|N\{[^}\n]*\}|[^\n])")
_OPENING = re.compile(r"""([a-zA-Z]*)('{3}|"{3}|'|")""")
_QUOTED = {tokenize.COMMENT, tokenize.STRING} | {getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}

PLACEHOLDERS = {"key": "<KEY>", "e-mail": "<EMAIL>", "IP address": "<IP_ADDRESS>", "phone": "<PHONE>"}


def find(text: str) -> list[tuple[int, int, str]]:
    """(begin, end, what) of every piece of private data, in order, without overlaps; `what` is in PLACEHOLDERS."""
    spans = []
    if any(sign in text for sign in _SECRET_SIGNS):
        spans += [(*m.span(), "key") for m in _SECRET.finditer(text)]
    if "@" in text:
        spans += [(*m.span(), "e-mail") for m in _EMAIL.finditer(text)]
    if _THREE_NUMBERS.search(text):
        spans += [(*m.span(), "IP address") for m in _IPV4.finditer(text) if _is_public(m)]
    if _TWO_COLONS.search(text):
        spans += [(*m.span(), "IP address") for m in _IPV6.finditer(text) if _is_public(m)]
    if _END_OF_PHONE.search(text) or "+" in text:
        spans += [(m.start(), m.start() + n, "phone") for m in _PHONE.finditer(text) if (n := _dialled(m[0]))]
    kept: list[tuple[int, int, str]] = []
    for span in sorted(spans):
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept


def _is_public(match: re.Match) -> bool:
    before = match.string[max(0, match.start() - 12) : match.start()]
    if _VERSION.search(before):
        return False
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return False
    # Four numbers below 32 are the number of a version or a section far more often than an address.
    small = address.version == 4 and all(part < 32 for part in address.packed)
    return address.is_global and not small


def _dialled(candidate: str) -> int:
    """How much of `candidate` is a phone number that can be dialled; the number after it may be a year."""
    import phonenumbers

    while candidate:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(candidate, "US")):
                return len(candidate)
        except phonenumbers.NumberParseException:
            return 0
        candidate = candidate[: max(0, *(candidate.rfind(mark) for mark in " .-"))]
    return 0


def redact(text: str) -> tuple[str, Counter]:
    """(text with placeholders, how many of each). Redacting twice changes nothing more.

    >>> redact("write to jo@example.org, not to 10.0.0.1")
    ('write to <EMAIL>, not to 10.0.0.1', Counter({'e-mail': 1}))
    """
    return _redact(text, find)


def _redact(text: str, find) -> tuple[str, Counter]:
    total: Counter = Counter()
    while spans := find(text):  # a placeholder may free what stood beside it; each round leaves fewer digits and @
        parts, last = [], 0
        for begin, end, what in spans:
            parts += [text[last:begin], PLACEHOLDERS[what]]
            last = end
            total[what] += 1
        text = "".join([*parts, text[last:]])
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
            if inside or (what == "key" and max(begin, low) < min(end, high)):
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
    spans += [(*m.span(), "key") for m in _OPEN_KEY.finditer(text)]
    shown, at = [], begin
    for first, last, what in sorted(spans):
        if last > at and first < end:
            shown += [text[at : max(at, first)], f"[{what}]"]
            at = last
    return "".join([*shown, text[at:end]])
