"""Planted cases: real texts with something put into them whose place is known, to measure what the finders miss.

Every case has a form ("e-mail, in angle brackets"), so that misses can be named, and says whether it should be found.
Nothing here belongs to anybody: domains are example.org and its kin, phone numbers end in 555-01xx as in films, keys
are drawn at random, and so are public IP addresses, which are never shown.
"""

from __future__ import annotations

import random
import re
import string
from dataclasses import dataclass

import numpy as np

from . import dedup, private
from .contamination import EvaluationTexts

_AREA_CODES = ("202", "212", "312", "415", "617")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Case:
    form: str
    text: str
    begin: int  # where the planted piece begins in the text, and where it ends
    end: int
    wanted: bool  # False: a decoy, which only looks like it


@dataclass(frozen=True)
class Found:
    """How many of each form were found; `wanted` forms should be, decoys should not."""

    counts: dict[str, tuple[int, int, bool]]  # form -> (found, planted, wanted)

    @property
    def recall(self) -> float:
        found, planted = (sum(c[i] for c in self.counts.values() if c[2]) for i in (0, 1))
        return found / planted

    @property
    def precision(self) -> float:
        """Of all that was found, the share that was wanted."""
        good, false = (sum(c[0] for c in self.counts.values() if c[2] is wanted) for wanted in (True, False))
        return good / max(1, good + false)

    @property
    def misses(self) -> list[str]:
        """The forms that were not always found, and the decoys that were."""
        wrong = []
        for form, (found, planted, wanted) in self.counts.items():
            if found < planted and wanted:
                wrong.append(f"{form}: {planted - found} of {planted} missed")
            if found and not wanted:
                wrong.append(f"{form}: {found} of {planted} taken for one")
        return wrong


def _tally(cases: list[Case], found) -> Found:
    counts: dict[str, tuple[int, int, bool]] = {}
    for case in cases:
        hits, planted, _ = counts.get(case.form, (0, 0, case.wanted))
        counts[case.form] = hits + bool(found(case)), planted + 1, case.wanted
    return Found(counts)


def _put(piece: str, text: str, chance: random.Random, form: str, wanted: bool, target: str = "") -> Case:
    """`piece` between two words of `text`; `target` is the part of it that should be found (default: all)."""
    blanks = [m.start() for m in re.finditer(" ", text)]
    at = chance.choice(blanks) + 1
    begin = at + piece.index(target or piece)
    return Case(form, f"{text[:at]}{piece} {text[at:]}", begin, begin + len(target or piece), wanted)


# ---- personal data and secrets ---------------------------------------------------------------------------------------


def _private_pieces(chance: random.Random):
    """(form, wanted, piece, the part to be found) of each form, drawn anew at every call."""

    def some(alphabet: str, n: int) -> str:
        return "".join(chance.choice(alphabet) for _ in range(n))

    letters, alphanumeric = string.ascii_lowercase, string.ascii_letters + string.digits
    name, area, line = some(letters, 6), chance.choice(_AREA_CODES), f"01{some(string.digits, 2)}"
    domain = chance.choice(("example.org", "example.com", "mail.example.net", "example.co.uk"))
    public = f"{chance.choice((8, 45, 93, 151, 203))}.{chance.randrange(10, 250)}.{chance.randrange(250)}.{line[2:]}"
    public = ".".join(str(int(part)) for part in public.split("."))
    wide = ":".join(f"{chance.randrange(4096, 65536):x}" for _ in range(5))
    mail, phone = f"{name}@{domain}", f"{area}-555-{line}"
    key = "".join(f"{some(alphanumeric + '+/', 64)}\n" for _ in range(12))
    pem = "-----{} RSA PRIVATE KEY-----"
    yield "e-mail", True, mail, mail
    yield "e-mail with dots and a plus", True, f"{name}.b+list@{domain}", f"{name}.b+list@{domain}"
    yield "e-mail in angle brackets", True, f"<{mail}>,", mail
    yield "e-mail after mailto:", True, f"(mailto:{mail})", mail
    yield "e-mail at the end of a sentence", True, f"{mail}.", mail
    yield "phone, hyphens", True, phone, phone
    yield "phone, brackets", True, f"({area}) 555-{line}", f"({area}) 555-{line}"
    yield "phone, dots", True, f"{area}.555.{line}", f"{area}.555.{line}"
    yield "phone, international", True, f"+1 {area} 555 {line}", f"+1 {area} 555 {line}"
    yield "phone, international, no blanks", True, f"+1{area}555{line}", f"+1{area}555{line}"
    yield "phone, British, international", True, f"+44 20 7946 {line}", f"+44 20 7946 {line}"
    yield "phone, British, national", True, f"020 7946 {line}", f"020 7946 {line}"
    yield "IPv4", True, public, public
    yield "IPv4 with a port", True, f"{public}:8080", public
    yield "IPv4 in a URL", True, f"http://{public}/index.html", public
    yield "IPv6", True, f"2a01:{wide}:1:2", f"2a01:{wide}:1:2"
    yield "private key", True, (block := f"{pem.format('BEGIN')}\n{key}{pem.format('END')}"), block
    upper = string.ascii_uppercase + string.digits
    for form, piece in {
        "AWS access key": "AKIA" + some(upper, 16),
        "GitHub token": "ghp_" + some(alphanumeric, 36),
        "GitLab token": "glpat-" + some(alphanumeric, 20),
        "Slack token": f"xoxb-{some(string.digits, 12)}-{some(string.digits, 12)}-{some(alphanumeric, 24)}",
        "Stripe key": "sk_live_" + some(alphanumeric, 24),
        "Google API key": "AIza" + some(alphanumeric, 35),
        "JSON web token": f"eyJ{some(alphanumeric, 30)}.eyJ{some(alphanumeric, 60)}.{some(alphanumeric, 43)}",
    }.items():
        yield form, True, f'token = "{piece}"', piece
    number = chance.randrange
    for form, piece in {
        "version number": f"version {number(1, 9)}.{number(30)}.{number(30)}.{number(255)}",
        "version, fourth part over 255": f"{number(1, 9)}.{number(30)}.0.{number(256, 999)}",
        "required version": f"torch>={number(1, 9)}.{number(30)}.{number(30)}.{number(30)}",
        "OID": f"1.3.6.1.4.1.{number(9999)}.{number(99)}",
        "private IP address": f"192.168.{number(255)}.{number(255)}",
        "local address": "127.0.0.1",
        "section number": f"section {number(1, 20)}.{number(20)}.{number(20)}.{number(20)}",
        "two years": f"{number(1500, 2000)}-{number(1500, 2000)}",
        "ISO date and time": f"2024-0{number(1, 9)}-1{number(9)} 1{number(9)}:3{number(9)}:0{number(9)}",
        "ISBN": f"978-0-{number(100, 999)}-{number(10000, 99999)}-{number(9)}",
        "long number": some(string.digits, 10),
        "amount": f"{number(100, 999)},{number(100, 999)},{number(100, 999)}.{number(10, 99)}",
        "commit hash": some("0123456789abcdef", 40),
        "matrix product": f"{some('ABCD', 1)} @ {some('xyz', 1)}.T",
        "decorator": f"@{name}.{some(letters, 5)}",
        "handle": f"@{name}",
        "key prefix in prose": "keys begin with AKIA or ghp_",
        "ratio": f"{number(1, 99)}:{number(1, 99)}:{number(1, 99)}",
    }.items():
        yield form, False, piece, piece


def private_cases(texts: list[str], per_form: int, seed: int) -> list[Case]:
    chance = random.Random(seed)
    return [
        _put(piece, chance.choice(texts), chance, form, wanted, target)
        for _ in range(per_form)
        for form, wanted, piece, target in _private_pieces(chance)
    ]


def find_private(cases: list[Case]) -> Found:
    """Found means covered from its first to its last character; a decoy is taken for one when any of it is touched."""

    def hit(case: Case) -> bool:
        spans = private.find(case.text)
        if case.wanted:
            return any(begin <= case.begin and case.end <= end for begin, end, _ in spans)
        return any(begin < case.end and case.begin < end for begin, end, _ in spans)

    return _tally(cases, hit)


# ---- evaluation texts ------------------------------------------------------------------------------------------------


def contamination_cases(texts: list[str], evaluation: EvaluationTexts, per_form: int, seed: int) -> list[Case]:
    """Evaluation texts as people quote them, in real texts; decoys share fewer words in a row than the rule wants."""
    chance = random.Random(seed)
    n = evaluation.words
    long = [text for text in evaluation.texts if len(_WORD.findall(text)) > n]
    short = [text for text in evaluation.texts if evaluation.min_words <= len(_WORD.findall(text)) <= n]
    cases = []
    for _ in range(per_form):
        text, brief = chance.choice(long), chance.choice(short)
        split = text.split()
        changed = chance.randrange(len(split))
        starts = [m.start() for m in _WORD.finditer(text)]
        first = chance.randrange(len(starts) - n + 1)
        part = text[starts[first] : starts[first + n - 1]]  # n - 1 words
        mixed = chance.sample(split, len(split))
        for form, wanted, piece in (
            ("as it is", True, text),
            ("short, as it is", True, brief),
            ("in capitals", True, text.upper()),
            ("without punctuation", True, " ".join(_WORD.findall(text))),
            ("wrapped at every fourth word", True, re.sub(r"((?:\S+\s+){4})", r"\1\n", text)),
            ("in quotation marks and bold", True, f'*"{text}"*'),
            ("one word changed", True, " ".join([*split[:changed], "something", *split[changed + 1 :]])),
            (f"{n - 1} words of it", False, part),
            ("its words in another order", False, " ".join(mixed)),
        ):
            cases.append(_put(piece, chance.choice(texts), chance, form, wanted))
    return cases


def find_contamination(cases: list[Case], evaluation: EvaluationTexts) -> Found:
    return _tally(cases, lambda case: evaluation.find(case.text) is not None)


# ---- near duplicates -------------------------------------------------------------------------------------------------


def edited(text: str, share: float, chance: random.Random) -> str:
    """`text` with a share of its words replaced by other words of it, in places drawn at random."""
    words = text.split()
    return " ".join(chance.choice(words) if chance.random() < share else word for word in words)


def edited_pairs(texts: list[str], shares, places: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Each text with an edited copy, for every share of words to edit.

    Gives their true Jaccard similarities, (pairs,) float64, and where their MinHash signatures agree, (pairs, places).
    """
    chance = random.Random(seed)
    similarity, same = [], []
    for text in texts:
        original = dedup.shingles(text)
        signed = dedup.signature(original, places)
        for share in shares:
            copy = dedup.shingles(edited(text, share, chance))
            similarity.append(dedup.jaccard(original, copy))
            same.append(dedup.signature(copy, places) == signed)
    return np.array(similarity), np.array(same)
