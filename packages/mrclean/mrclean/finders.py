"""Where private data stands in a text: anchored patterns, each behind a sign that `str.find` sees at once.

Every pattern reads a text in linear time: it is bounded, or it cannot start inside a run that it has just refused. What
only looks right is checked: an IP address must be a public one, a phone number must be one that can be dialled.

Letters are those of ASCII wherever a boundary is meant: in Chinese, Japanese, Thai or Lao no blank stands between a
word and an address, so "\\w" would take the word for a part of it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

# ---- secrets ---------------------------------------------------------------------------------------------------------

_BASE64 = "A-Za-z0-9+/"
# Between the lines of a key: line ends, and where the key stands in code or a mail, quotes, "\n" or "> ".
_BETWEEN = r"(?:\\[nr]|[\s\"',>+|\\]){1,24}"
_LINE = rf"(?:{_BETWEEN})?[{_BASE64}]{{16,8000}}={{0,2}}(?![{_BASE64}=])"
_LAST_LINE = rf"{_BETWEEN}(?:[{_BASE64}]{{1,76}}={{1,2}}|[{_BASE64}]{{1,76}}\Z)"
_NO_PROSE = r"(?![^-]{0,100}?(?:[a-z]{1,12} ){4})"  # "begins with …, and ends with …"
_KEY_HEAD = r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
# The issuers' own forms: the signs that one begins with, and the form. Each is long enough that text does not hold it.
SECRETS = {
    "private key": (
        ("-----BEGIN ",),
        rf"{_KEY_HEAD}{_NO_PROSE}(?:[^-]|-(?!----)){{1,20000}}-----END [A-Z0-9 ]{{1,40}}-----",
    ),
    # Whole lines of it, and a shorter one at its end; or cut off, so that nothing follows.
    "private key without an end": (
        ("-----BEGIN ",),
        rf"{_KEY_HEAD}(?:\s{{0,4}}[\w-]{{1,30}}: [^\n]{{0,100}}){{0,5}}"
        rf"(?:(?:{_LINE}){{1,400}}(?:{_LAST_LINE})?|{_LAST_LINE})",
    ),
    "AWS access key": (("AKIA", "ASIA"), r"(?<![A-Za-z0-9])A[KS]IA[0-9A-Z]{16}(?![0-9A-Za-z])"),
    "GitHub token": (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_\w{22,255})(?!\w)",
    ),
    "GitLab token": (("glpat-",), r"(?<![\w-])glpat-[\w-]{20,64}(?![\w-])"),
    "Slack token": (("xox",), r"(?<![\w-])xox[abeoprs](?:\.xox[bp])?-(?:\d{1,14}-){1,3}[A-Za-z0-9-]{10,64}(?![\w-])"),
    "Slack app token": (("xapp-",), r"(?<![\w-])xapp-\d-[A-Z0-9]{8,14}-\d{8,16}-[a-z0-9]{32,80}(?!\w)"),
    "Stripe key": (("sk_live_", "rk_live_"), r"(?<![A-Za-z0-9])[rs]k_live_[0-9A-Za-z]{24,247}(?![0-9A-Za-z])"),
    "Google API key": (("AIza",), r"(?<![\w-])AIza[\w-]{35}(?![\w-])"),
    "Google client secret": (("GOCSPX-",), r"(?<![\w-])GOCSPX-[\w-]{28}(?![\w-])"),
    "OpenAI key": (
        ("sk-",),
        r"(?<![\w-])sk-(?:(?:proj|svcacct|admin)-[\w-]{40,200}|[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})(?![\w-])",
    ),
    "Anthropic key": (("sk-ant-",), r"(?<![\w-])sk-ant-[\w-]{24,200}(?![\w-])"),
    "npm token": (("npm_",), r"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{36}(?!\w)"),
    "PyPI token": (("pypi-",), r"(?<![\w-])pypi-AgE[\w-]{50,1000}(?![\w-])"),
    "Hugging Face token": (("hf_", "api_org_"), r"(?<![A-Za-z0-9])(?:hf|api_org)_[A-Za-z0-9]{34}(?!\w)"),
    "token with the issuer's sign": (
        (
            *("dop_v1_", "doo_v1_", "shpat_", "shpss_", "hvs.", "dckr_pat_", "sk-or-v1-", "gsk_", "glrt-", "whsec_"),
            *("ya29.", "glsa_", "glc_", "xai-", "ATATT3", "ATCTT3"),
        ),
        r"(?<![\w-])(?:do[op]_v1_[0-9a-f]{64}|shp(?:at|ss)_[0-9a-fA-F]{32}|hvs\.[\w-]{24,200}|dckr_pat_[\w-]{27}"
        r"|sk-or-v1-[0-9a-f]{64}|gsk_[A-Za-z0-9]{52}|glrt-[\w-]{20,64}|whsec_[A-Za-z0-9+/=]{32,64}|ya29\.[\w-]{30,400}"
        r"|glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}|glc_[A-Za-z0-9+/]{32,400}={0,2}|xai-[A-Za-z0-9]{70,100}"
        r"|AT[AC]TT3[\w=-]{60,300})(?!\w)",
    ),
    "PuTTY key": (
        ("Private-Lines: ",),
        rf"Private-Lines: \d{{1,4}}(?=\s+[{_BASE64}]{{40}})"
        rf"(?P<secret>(?:{_BETWEEN}[{_BASE64}]{{1,100}}={{0,2}}(?![\w-])){{1,400}})",
    ),
    "Telegram token": ((":AA",), r"(?<=\d):AA[\w-]{33}(?![\w-])"),
    "web hook": (
        ("hooks.slack.com/services/", "discord.com/api/webhooks/", "discordapp.com/api/webhooks/"),
        r"(?:hooks\.slack\.com/services|discord(?:app)?\.com/api/webhooks)/(?P<secret>[\w/-]{20,200})",
    ),
    "Azure key": (("AccountKey=",), r"AccountKey=(?P<secret>[A-Za-z0-9+/]{86}==)"),
    "age key": (("AGE-SECRET-KEY-1",), r"(?<!\w)AGE-SECRET-KEY-1[0-9A-Z]{58}(?!\w)"),
    "SendGrid key": (("SG.",), r"(?<![\w.-])SG\.[\w-]{22}\.[\w-]{43}(?![\w-])"),
    "JSON web token": (("eyJ",), r"(?<![\w-])eyJ[\w-]{8,2000}\.eyJ[\w-]{8,4000}\.[\w-]{8,1000}(?![\w-])"),
    "password in a URL": (("://",), r"://(?P<secret>[^\s/@:\"'<>]{0,64}:[^\s/\"'<>]{1,64})@"),
}
_SECRETS = [(sign, re.compile(form, re.ASCII)) for signs, form in SECRETS.values() for sign in signs]
# A secret without a form of its own: what its name says it is.
_NAMED_SECRET = re.compile(
    r"secret_?(?:access_?)?key[\"']?\s{0,4}[:=]>?\s{0,3}[\"']?(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])", re.I
)

# ---- e-mail ----------------------------------------------------------------------------------------------------------

_LETTERS = "A-Za-z0-9\u00c0-\u024f\u0370-\u052f\u1e00-\u1fff\u0300-\u036f"  # of scripts with blanks between words
_NAME_BACKWARDS = re.compile(rf"[{_LETTERS}_.+%'-]+")
_FILE_ENDING = r"(?:png|jpe?g|gif|svg|webp|tar|gz|html?|js|css|txt|json)(?![A-Za-z0-9])"
_EASTERN = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f"
_LABEL = rf"(?:[{_LETTERS}](?:[{_LETTERS}-]{{0,61}}[{_LETTERS}])?|[{_EASTERN}]{{1,40}})"
_TOP = r"(?:xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,24}|[\u0400-\u04ff]{2,10})"
_DOMAIN = re.compile(
    rf"(?:[ ]?\n[ \t>]{{0,8}})?(?:{_LABEL}\.){{1,8}}(?!{_FILE_ENDING}){_TOP}(?![A-Za-z0-9]|-[A-Za-z0-9])"
)
_PATH = re.compile(r":(?:[~/]|[\w.-]{1,64}(?:/|\.git))")  # "git@example.org:path" names a repository
_SPELLED_AT = re.compile(r"[(\[{<][ ]?(?:at|AT|At|@)[ ]?[)\]}>][ ]?")
_SPELLED_DOT = r"(?:\.|[ ]?[(\[{<][ ]?(?:dot|DOT|Dot|\.)[ ]?[)\]}>][ ]?|[ ](?:dot|DOT)[ ])"
_SPELLED_DOMAIN = re.compile(rf"(?:[A-Za-z0-9-]{{1,63}}{_SPELLED_DOT}){{1,6}}[A-Za-z]{{2,24}}(?![A-Za-z0-9-])")

# ---- numbers ---------------------------------------------------------------------------------------------------------

_IPV4 = re.compile(
    r"(?<![0-9A-Za-z_.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
    r"(?:(?!\.?[0-9A-Za-z_]|-(?![0-9]{1,3}\.))|(?=\.[0-9]{2,5}(?: [>:]|:)))"  # tcpdump writes the port behind a dot
)
_THREE_NUMBERS = re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]")
_IPV6 = re.compile(  # 2000::/3, all there is
    r"(?<![0-9A-Za-z_:.])[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){3,7}(?![0-9A-Za-z_:]|\.[0-9A-Za-z_])"
)
_TWO_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_NO_ADDRESS = re.compile(  # what four numbers are when this stands before them
    r"(?:(?:(?<![A-Za-z])(?:release|build|firmware|v|ver|sec(?:tion)?|clause|article|chapter|oid|posix|rev(?:ision)?|see"
    r"|fig(?:ure)?s?|tables?|eqs?|equation|theorem|lemma|appendix|exercise|branch|cvs|rcs|merged(?:[ ]\w{1,20})?)"
    r"|§|[=<>~]=|1003\.\w{1,3}|,v)[.:]?\s{0,3}|version[\"'>]?\s?[.:=(]?\s{0,3}[\"'(]?)$",
    re.I | re.ASCII,
)
_DASH = r"\u2010-\u2013\u2212-"
_BLANK = rf"(?:[ .\xa0\u2009\u202f/\t{_DASH}]|[ ]{{2}})"
_LINE_END = r"[ -]?\n[ \t>#]{0,8}"  # with what stands before a line in a mail or a comment
_BETWEEN_DIGITS = rf"(?:{_BLANK}|{_LINE_END})"
_NUMBER_ENDS = rf"(?![0-9a-wyz]|[{_DASH}][0-9A-Za-z]|\.[0-9]|x[^0-9])"
_INTERNATIONAL = re.compile(
    rf"(?<![0-9+-])(?<![0-9]\.)(?<![a-zA-Z][a-zA-Z])(?:\+|\(?00(?=[1-9][0-9]{{0,2}}{_BLANK}))[0-9]{{1,3}}{_BETWEEN_DIGITS}?"
    rf"(?:\(?[0-9]{{1,4}}\)?{_BETWEEN_DIGITS}?){{1,4}}[0-9]{{2,6}}{_NUMBER_ENDS}"
)
_NORTH_AMERICAN = re.compile(
    rf"(?<![0-9A-Za-z+-])(?<![0-9]\.)(?:(?:1[ .-])?(?:\([0-9]{{3}}\){_BETWEEN_DIGITS}?[0-9]{{3}}{_BETWEEN_DIGITS}"
    rf"|[0-9]{{3}}{_BETWEEN_DIGITS}[0-9]{{3}}(?:[.{_DASH}]|-\n[ \t>#]{{0,8}})"
    rf"|[0-9]{{3}}-(?:{_LINE_END})?[0-9]{{3}}{_BETWEEN_DIGITS})"
    # With blanks alone, not in a row of numbers.
    r"|(?<![0-9][ \n])[0-9]{3}[ \xa0\n][0-9]{3}[ \xa0\n](?![0-9]{4}[ \n][0-9]))[0-9]{4}"
    rf"{_NUMBER_ENDS}"
)
# With blanks alone, what stands behind a name is a score or a size ("Hanif Mohammad 337 499 1958").
_BLANKS_ALONE = re.compile(r"[0-9]{3}\s[0-9]{3}\s[0-9]{4}")
_SCORES = re.compile(
    r"(?:^|[^A-Za-z])(?!(?:Tel|Phone|Call|Fax|Cell|Mobile|Ph|T|P|Text|Dial|At)\.? ?$)[A-Z][A-Za-z]*\.? ?$"
)
_END_OF_PHONE = re.compile(rf"[0-9]{{3}}{_BETWEEN_DIGITS}[0-9]{{4}}")
_DOI = re.compile(r"(?<![0-9])10\.[0-9]{4,9}/\S*$")  # of a paper: 10.6822/938-413-8876
_IN_A_LINK = re.compile(
    r"(?:tel|sms|callto|wa\.me)[:/]/{0,2}(?P<secret>\+?[0-9][0-9().\x20-]{5,18}[0-9])(?![0-9A-Za-z])"
)

# Other ways to write what ASCII has: full-width forms, and the digits of scripts that have their own.
_ZEROS = "\u0660\u06f0\u0966\u09e6\u0a66\u0ae6\u0b66\u0be6\u0c66\u0ce6\u0d66\u0e50\u0ed0\u0f20\u1040\u17e0\u1810"
_PLAIN = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0xFE6B: ord("@"), 0x3000: ord(" ")}
_PLAIN |= {ord(zero) + digit: ord("0") + digit for zero in _ZEROS for digit in range(10)}
_NOT_PLAIN = re.compile("[" + "".join(map(chr, _PLAIN)) + "]")


def find(text: str) -> list[tuple[int, int, str]]:
    """(begin, end, what) of every piece of private data, in order, without overlaps.

    `what` is "key", "e-mail", "IP address" or "phone".
    """
    if not text.isascii() and _NOT_PLAIN.search(text):
        text = text.translate(_PLAIN)  # one character for one, so that places stay
    spans = [(*span, "key") for span in _secrets(text)]
    spans += [(*span, "e-mail") for span in _addresses(text)]
    if _THREE_NUMBERS.search(text):
        spans += [(*m.span(), "IP address") for m in _IPV4.finditer(text) if _is_public(m)]
    if _TWO_COLONS.search(text):
        spans += [(*m.span(), "IP address") for m in _IPV6.finditer(text) if _is_public(m)]
    spans += [(*span, "phone") for span in _phones(text)]
    spans = [span for span in spans if span[2] != "phone" or not _DOI.search(text[max(0, span[0] - 40) : span[0]])]
    kept: list[tuple[int, int, str]] = []
    for span in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept


def _places(text: str, sign: str) -> Iterator[int]:
    at = text.find(sign)
    while at >= 0:
        yield at
        at = text.find(sign, at + len(sign))


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    for sign, form in _SECRETS:
        end = 0
        for at in _places(text, sign):
            if at >= end and (found := form.match(text, at)):
                end = found.end()
                yield found.span("secret" if form.groupindex else 0)
    if "ecret" in text or "SECRET" in text:
        yield from (found.span("secret") for found in _NAMED_SECRET.finditer(text))


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    for at, behind in [(at, at + len(sign)) for sign in ("@", "%40") for at in _places(text, sign)]:  # "%40" in a link
        if (begin := _name_before(text, at)) < at and (domain := _DOMAIN.match(text, behind)):
            path = _PATH.match(text, domain.end())
            if not path or "@" in text[domain.end() : domain.end() + 80].split()[0]:
                yield begin, domain.end()
    if any(sign in text for sign in ("(at", "(AT", "( ", "(@", "[at", "[AT", "[ ", "[@", "{at", "<at", "<AT", "{ ")):
        for spelled in _SPELLED_AT.finditer(text):
            at = spelled.start() - (text[spelled.start() - 1 : spelled.start()] == " ")
            if (begin := _name_before(text, at)) < at and (domain := _SPELLED_DOMAIN.match(text, spelled.end())):
                yield begin, domain.end()


def _name_before(text: str, at: int) -> int:
    """Where the name that ends at `at` begins; `at` where there is none, or one longer than 64 characters."""
    found = _NAME_BACKWARDS.match(text[max(0, at - 65) : at][::-1])
    name = found[0][::-1].lstrip("_.+%'-") if found else ""
    name = re.split(r"[.'+%-]{3,}", name)[-1]  # dots that lead the eye to it are no part of a name
    return at - len(name) if len(name) < 65 else at


def _is_public(match: re.Match) -> bool:
    text, at = match.string, match.start()
    before = text[max(0, at - 40) : at]
    if _NO_ADDRESS.search(before) or not _may_stand_behind(before):
        return False
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return False
    # The number of a version or a section has small parts far more often than an address; so has that of a revision
    # on a branch of CVS, and the branch is even (1.120.2.14).
    first, _, third, _ = address.packed[:4]
    product = first < 20 and re.search(r"(?:^|[^A-Za-z])[A-Z][A-Za-z]{2,} $", before)  # "Skype 8.98.0.206"
    numbered = max(address.packed) < 32 or product or (first < 5 and third < 32 and third % 2 == 0)
    return address.is_global and not address.is_multicast and not (address.version == 4 and numbered)


def _may_stand_behind(before: str) -> bool:
    """An address may stand behind a slash in a URL, in a list or behind a host's name, but not in a path; behind a
    hyphen where a range begins with another, behind a bracket in a URL."""
    if before.endswith("/"):
        return bool(re.search(r"(?:^|[\s\"'(,;=:/\])]|[0-9a-z]\.[a-z]{2,10}|\.[0-9]{1,3})/$", before))
    if before.endswith("-"):
        return bool(re.search(r"(?:^|[\s(]|\.[0-9]{1,3}[ ]?)-$", before))
    # "x[2001:db8:…]" is a slice of a list; "unknown[93.184.216.34]" is how a mail server writes a client.
    return not before.endswith("[") or not re.search(r"(?:^|[^A-Za-z0-9_.])[A-Za-z_]\w{0,2}\[$", before)


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for sign in ("+", "00"):
        for at in _places(text, sign):
            if (found := _INTERNATIONAL.match(text, at)) and (length := _dialled(found[0])):
                yield at, at + length
    for last in _END_OF_PHONE.finditer(text):  # seven digits: the number begins with them, or a little before
        for at in range(max(0, last.start() - 24), last.start() + 1):
            found = _NORTH_AMERICAN.match(text, at) if text[at] in "(0123456789" else None
            if found and _BLANKS_ALONE.fullmatch(found[0]) and _SCORES.search(text[max(0, at - 20) : at]):
                found = None
            if found and (length := _dialled(found[0])):
                yield at, at + length
                break
    if ":" in text or "/" in text:
        for sign in ("tel:", "sms:", "callto:", "wa.me/"):
            for at in _places(text, sign):
                if found := _IN_A_LINK.match(text, at):
                    yield found.span("secret")


def _dialled(candidate: str) -> int:
    """How much of `candidate` is a phone number that can be dialled; the number after it may be a year."""
    import phonenumbers

    while candidate:
        number = re.sub(r"-?\s*\n[\s>#]*", " ", candidate)
        number = re.sub(r"^00", "+", number)
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(number, "US")):
                return len(candidate)
        except phonenumbers.NumberParseException:
            return 0
        candidate = candidate[: max(0, *(candidate.rfind(mark) for mark in " .-\n"))]
    return 0
