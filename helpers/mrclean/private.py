"""Personal data and secrets: found by anchored patterns, replaced by fixed placeholders.

Every pattern reads a text in linear time: it is bounded, or it cannot start inside a run that it has just refused. What
only looks right is checked: an IP address must be a public one, a phone number must be one that can be dialled.
"""

from __future__ import annotations

import io
import ipaddress
import re
import tokenize
from collections import Counter
from dataclasses import replace

from .document import Document, Drop, Keep

# The prefixes are the issuers' own; each is long enough that ordinary text does not hold it.
SECRETS = {
    "private key": r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:[^-]|-(?!----)){1,8000}-----END [A-Z ]{1,40}-----",
    "AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_\w{22,255})\b",
    "GitLab token": r"(?<![\w-])glpat-[\w-]{20,64}(?![\w-])",
    "Slack token": r"(?<![\w-])xox[abeoprs]-(?:\d{1,14}-){1,3}[A-Za-z0-9-]{10,64}(?![\w-])",
    "Stripe key": r"\b[rs]k_live_[0-9A-Za-z]{24,247}\b",
    "Google API key": r"(?<![\w-])AIza[\w-]{35}(?![\w-])",
    "JSON web token": r"(?<![\w-])eyJ[\w-]{8,2000}\.eyJ[\w-]{8,4000}\.[\w-]{8,1000}(?![\w-])",
}
_SECRET = re.compile("|".join(f"(?:{pattern})" for pattern in SECRETS.values()))
# A text without any of these strings holds no secret of the table: one pass each, much faster than the pattern.
_SECRET_SIGNS = ("PRIVATE KEY", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_")
_SECRET_SIGNS += ("glpat-", "xox", "k_live_", "AIza", "eyJ")

_EMAIL = re.compile(
    r"(?<![\w.+%-])[A-Za-z0-9_.+%-]{1,64}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![\w-])"
)
_IPV4 = re.compile(r"(?<![\w.-])(?<![^/]/)(?:\d{1,3}\.){3}\d{1,3}(?!\.?[\w-])")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:.])")
_THREE_NUMBERS = re.compile(r"\.\d{1,3}\.\d")
_END_OF_PHONE = re.compile(r"[ .-]\d{3}[ .-]\d{4}")
_TWO_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_VERSION = re.compile(r"(?:version|release|build|v|ver|section|chapter|§|[=<>~]=|oid)\.?\s{0,3}$", re.I)
_PHONE = re.compile(
    r"(?<![\w.,:/@#=+-])(?:\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){1,4}\d{2,6}"  # international
    r"|(?:\+?1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4})(?![\w/-]|[.,]\d)"  # North America
)

_ACCOUNT = re.compile(r"(?<![\w@])@\w+|(?<=github\.com/)\w+")

_F_STRING = re.compile(r"[rR]?[fF][rR]?['\"]")
_BRACES = re.compile(r"\{[^{}]*\}")
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
        return ipaddress.ip_address(match[0]).is_global
    except ValueError:
        return False


def _dialled(candidate: str) -> int:
    """How much of `candidate` is a phone number that can be dialled; the number after it may be a year."""
    import phonenumbers

    while candidate:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(candidate, "US")):
                return len(candidate)
        except phonenumbers.NumberParseException:
            return 0
        candidate = candidate[: max(candidate.rfind(mark) for mark in " .-")] if re.search("[ .-]", candidate) else ""
    return 0


def redact(text: str, spans: list[tuple[int, int, str]] | None = None) -> tuple[str, Counter]:
    """(text with placeholders, how many of each). Redacting twice changes nothing more.

    >>> redact("write to jo@example.org, not to 10.0.0.1")
    ('write to <EMAIL>, not to 10.0.0.1', Counter({'e-mail': 1}))
    """
    spans = find(text) if spans is None else spans
    parts, last = [], 0
    for begin, end, what in spans:
        parts += [text[last:begin], PLACEHOLDERS[what]]
        last = end
    return "".join([*parts, text[last:]]), Counter(what for *_, what in spans)


def private_data(document: Document) -> Keep | Drop:
    """E-mail addresses, phone numbers, public IP addresses and keys become placeholders.

    In code only inside comments and strings: ``a@b.inv`` is a product of matrices.
    """
    spans = find(document.text)
    if spans and document.kind == "code":
        spans = _in_comments_and_strings(document.text, spans)
    if not spans:
        return Keep(document)
    text, found = redact(document.text, spans)
    return Keep(replace(document, text=text, redacted=document.redacted + found))


def _in_comments_and_strings(text: str, spans):
    starts = [0]
    for line in io.StringIO(text):  # as tokenize counts lines
        starts.append(starts[-1] + len(line))
    quoted = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in _QUOTED:
                begin, end = starts[token.start[0] - 1] + token.start[1], starts[token.end[0] - 1] + token.end[1]
                # Up to Python 3.11 an f-string is one token, and what stands in its braces is code.
                for part in _BRACES.split(text[begin:end]) if _F_STRING.match(token.string) else [text[begin:end]]:
                    at = text.index(part, begin)
                    quoted.append((at, at + len(part)))
                    begin = at + len(part)
    except (tokenize.TokenError, SyntaxError, IndexError):
        return spans  # not Python, so nothing tells a product from an address
    return [span for span in spans if any(begin <= span[0] and span[1] <= end for begin, end in quoted)]


def excerpt(text: str, limit: int = 200) -> str:
    """The first `limit` characters of `text` on one line, without private data and account names: fit to be shown."""
    line = " ".join(text[: 4 * limit].split())
    for begin, end, what in reversed(find(line)):
        line = f"{line[:begin]}[{what}]{line[end:]}"
    line = _ACCOUNT.sub("[account]", line)
    return line if len(line) <= limit else line[: limit - 1] + "…"
