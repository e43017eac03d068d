"""Scores: what the published filters measure, for one text at a time. Nothing is cut here.

The formulas follow the papers named in rules.RULE_SETS; where a paper leaves the splitting into words open, words are
split like spaCy's English tokenizer does (punctuation marks are words of their own), because datatrove, whose filters
built FineWeb, does so. Its decisions are the oracle in tests/test_scores.py.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from .document import Document, Drop, Keep
from .rules import KINDS, RULE_SETS
from .words import numbered

# The runs of marks are bounded, so that no text takes more than linear time.
# spaCy's English rules as far as they change a score: 's and n't are words, marks at the ends of a word are words, and
# marks inside one join it ("o'er", "foo(bar", "3,000") unless they divide two words ("and/or", "well-known").
_CLITIC = r"""['’](?:[sS]|ll|re|ve|m)\b|(?<=[nN])['’][tT]\b"""
_WORDS = re.compile(
    rf"""{_CLITIC}
    |\.\.+
    |[^\W_](?:\w
              |(?!{_CLITIC})[^\w\s,:<>=/…–—-]{{1,8}}(?=\w)   # o'er
              |[,:<>=/-]{{1,8}}(?=\d)                        # 3,000
              |[^\w\s]{{0,8}}[(\[{{"][^\w\s]{{0,8}}(?=\w)      # x],[y
              |[^\w\s]{{0,8}}--(?!\S)|[^\w\s]{{1,8}}--(?=\w)   # him:--and
           )*
     (?:(?<=\b[A-Z])\.|)                               # an initial keeps its point
    |--+
    |\S""",
    re.X,
)
_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
_END_MARKS = (".", "?", "!", "。", "？", "！", "．", "؟", "۔", "।", "॥", "‼", "⁇", "⁈", "⁉")
# Three dots do not end a sentence, for spaCy's splitter as for most readers. Possessive, so never tried twice.
_SENTENCE_END = re.compile(r"(?<![.!?…])(?!\.\.)[.!?…]++[\"')\]]*+\s++\S")
_CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_BULLET = re.compile(r"^[^\S\n]*[•-]", re.M)
_LAST_ELLIPSIS = re.compile(r"(?:\.\.\.|…)[^\S\n]*$", re.M)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_ASCII_MARKS = bytes(i for i in range(128) if not chr(i).isalnum())
_COMMENT_LINE = re.compile(r"^[ \t]*#.*$", re.M)
_DOCSTRING = re.compile(r'^[ \t]*[rR]?("""|\'\'\')(?:.|\n)*?\1', re.M)


def measure(text: str, rule_sets: Iterable[str] = RULE_SETS) -> dict[str, float]:
    """Every score of `rule_sets`, by the names of rules.RULE_SETS. An empty text scores 0 everywhere."""
    found: dict[str, float] = {}
    for part in dict.fromkeys(_MEASURED_BY[name] for name in rule_sets if name in _MEASURED_BY):
        found |= part(text)
    return found


def failed(scores: dict[str, float], rule_set: str) -> str:
    """The first score of `rule_set` outside its limits, in the order of the table; "" when it passes."""
    return next((limit.score for limit in RULE_SETS[rule_set].limits if not limit.passes(scores)), "")


def score(document: Document, rule_sets: Iterable[str] = RULE_SETS) -> Keep | Drop:
    """Gives the document its scores, by the names of the rule sets; drops nothing. Only code has comments to count."""
    scores = {**document.scores, **measure(document.text, rule_sets)}
    if document.kind != "code":
        scores.pop("comments", None)
    return Keep(replace(document, scores=scores))


def score_to_cut(document: Document) -> Keep | Drop:
    """`score`, but only by the rule sets that cut this kind: where nobody looks at the others, they cost time."""
    cutting = [
        name for name, of in RULE_SETS.items() if {limit.score for limit in of.limits} & {*KINDS[document.kind].cuts}
    ]
    return score(document, cutting)


def cut(document: Document) -> Keep | Drop:
    """Drops a scored document that fails a rule by which its kind is cut."""
    for name, rule_set in RULE_SETS.items():
        for limit in rule_set.limits:
            if limit.score in KINDS[document.kind].cuts and not limit.passes(document.scores):
                bounds = f"{limit.low:g} to {limit.high:g} {limit.unit}".replace("-inf to", "at most")
                found = f"{limit.score} is {document.scores[limit.score]:.4g}"
                return Drop(name, f"{found}, limit {bounds.replace('to inf', 'or more')}: {document.text}")
    return Keep(document)


def words(text: str) -> list[str]:
    """Words and marks, nearly as spaCy's English tokenizer splits them.

    >>> words("Don't stop... it's 3.5 km (or so).")
    ['Don', "'t", 'stop', '...', 'it', "'s", '3.5', 'km', '(', 'or', 'so', ')', '.']
    """
    vocabulary, ids = _numbered(text)
    return [vocabulary[i] for i in ids.tolist()]


def _numbered(text: str) -> tuple[list[str], np.ndarray]:
    """(distinct words, their numbers in the order of the text). Each distinct string between blanks is split once."""
    chunks, order = numbered(text.split())
    split = list(map(_WORDS.findall, chunks))
    sizes = np.fromiter(map(len, split), np.int64, len(split))
    vocabulary, flat = numbered([word for words in split for word in words])
    begins, taken = np.cumsum(sizes) - sizes, sizes[order]
    # Position k of the text is word k - (words before its chunk) of that chunk.
    at = np.repeat(begins[order] - (np.cumsum(taken) - taken), taken) + np.arange(taken.sum())
    return vocabulary, flat[at]


@lru_cache(maxsize=4096)
def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character)[0] in "PC"


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _c4(text: str) -> dict[str, float]:
    sentences = brackets = lorem = 0
    for raw in text.splitlines():
        raw = raw.strip()
        line = _CITATION.sub("", raw) if "[" in raw else raw
        if not line.endswith((".", "?", "!", '"', "'")) or line.endswith("..."):
            continue
        split = raw.split()
        if len(split) < 3 or (len(raw) > 1000 and max(map(len, split)) > 1000):
            continue
        lower = line.lower()
        if "lorem ipsum" in lower:
            lorem += 1
        if "javascript" in lower:
            continue
        brackets += line.count("{")
        if not any(phrase in lower for phrase in _POLICY):
            sentences += 1 + len(_SENTENCE_END.findall(line))
    return {"c4_sentences": sentences, "c4_curly_brackets": brackets, "c4_lorem_ipsum": lorem}


def _words_and_repetition(text: str) -> dict[str, float]:
    vocabulary, ids = _numbered(text)
    counts = dict(zip(vocabulary, np.bincount(ids, minlength=len(vocabulary)).tolist(), strict=True))
    total = len(ids)
    # Punctuation counts among the words, but not for their number and length; a star or a euro sign is a word.
    real = {word: n for word, n in counts.items() if not all(map(_is_punctuation, word))}
    n_real = sum(real.values())
    lines = text.splitlines()
    loud = 2 * sum(n for word, n in real.items() if word.isupper()) > n_real  # in capitals, "THE" is a stop word, too
    seen = {word.lower() for word in counts} if loud else counts
    scores = {
        "words": n_real,
        "mean_word_length": _share(sum(len(word) * n for word, n in real.items()), n_real),
        "hashes_per_word": _share(text.count("#"), total),
        "ellipses_per_word": _share(text.count("...") + text.count("…"), total),
        "bullet_lines": _share(len(_BULLET.findall(text)), len(lines)),
        "ellipsis_lines": _share(len(_LAST_ELLIPSIS.findall(text)), len(lines)),
        "words_with_a_letter": _share(sum(n for word, n in real.items() if any(map(str.isalpha, word))), total),
        "stop_words": sum(word in seen for word in _STOP_WORDS),
        "newlines_per_word": _share(text.count("\n"), total),
    }
    # As datatrove cuts: paragraphs at blank lines; lines at newlines, where an outer newline leaves one empty piece.
    paragraphs = [piece.strip("\n") for piece in text.strip().split("\n\n") if piece.strip("\n")]
    full_lines = [line for line in text.split("\n") if line] + [""] * (text.startswith("\n") + text.endswith("\n"))
    for name, pieces in (("paragraph", paragraphs), ("line", full_lines)):
        repeated, characters = _repeated(pieces)
        scores[f"duplicate_{name}s"] = _share(repeated, len(pieces))
        scores[f"duplicate_{name}_chars"] = _share(characters, len(text))
    return {**scores, **_n_grams(vocabulary, ids, len(text))}


def _repeated(pieces: list[str]) -> tuple[int, int]:
    """(pieces, characters) that stood before: of three equal ones, two."""
    counts = Counter(pieces)
    more = [(piece, n - 1) for piece, n in counts.items() if n > 1]
    return sum(n for _, n in more), sum(len(piece) * n for piece, n in more)


def _n_grams(vocabulary: list[str], ids: np.ndarray, length: int) -> dict[str, float]:
    """Characters of the most frequent 2- to 4-gram, and in repeated 5- to 10-grams, as shares of the text's.

    A repeated 6-gram is made of two repeated 5-grams, so each n looks only at the places that n - 1 found repeated:
    the sorted arrays shrink fast, where the definition counts every n-gram of the text nine times over.
    """
    lengths = np.array([len(word) for word in vocabulary], np.int64)
    ends = np.concatenate([[0], np.cumsum(lengths[ids])]) if len(ids) else np.zeros(1, np.int64)
    ids = ids.astype(np.uint64)
    scores = {}
    at = np.arange(len(ids))  # starts of n-grams that stand in the text more than once (for n = 1, of all)
    gram = ids.copy()  # a 64-bit hash of the n-gram at each start; two different ones collide once in 10^8 texts
    for n in range(2, 11):
        inside = at + n <= len(ids)
        at = at[inside]
        gram = _mixed(gram[inside], ids[at + n - 1])
        _, first, inverse, times = np.unique(gram, return_index=True, return_inverse=True, return_counts=True)
        if n <= 4:
            scores[f"top_{n}_gram"] = _share(_top(n, at, first, times, ends, len(ids)), length)
        repeated = times[inverse] > 1
        at, gram, group = at[repeated], gram[repeated], inverse[repeated]
        if n >= 5:
            scores[f"duplicate_{n}_grams"] = _share(_walk(n, at, group, ends), length)
    return scores


def _mixed(gram: np.ndarray, word: np.ndarray) -> np.ndarray:
    mixed = (gram + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + word  # uint64 arrays wrap around silently
    return (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)


def _top(n: int, at, first, times, ends, total: int) -> int:
    """Characters (with the blanks between words) in all places of the most frequent n-gram; the first one of equals."""
    if total < n:
        return 0
    if not len(times):  # no (n-1)-gram repeats, so the first n-gram of the text stands for all
        return int(ends[n] - ends[0]) + n - 1
    most = times.max()
    start = 0 if most == 1 else at[first[times == most].min()]
    return (int(ends[start + n] - ends[start]) + n - 1) * int(most)


def _walk(n: int, at, group, ends) -> int:
    """From left to right: an n-gram that stood before counts, and the next one looked at begins behind it."""
    seen: set[int] = set()
    characters = free = 0
    lengths = (ends[at + n] - ends[at]).tolist()
    for start, which, long in zip(at.tolist(), group.tolist(), lengths, strict=True):
        if start < free:
            continue
        if which in seen:
            characters += long
            free = start + n
        else:
            seen.add(which)
    return characters


def _fineweb(text: str) -> dict[str, float]:
    lines = [line for line in text.split("\n") if line and not line.isspace()]
    return {
        "lines_with_end_mark": _share(sum(line.endswith(_END_MARKS) for line in lines), len(lines)),
        "short_lines": _share(sum(len(line) <= 30 for line in lines), len(lines)),
        "repeated_line_chars": _share(_repeated(lines)[1], len(text) - text.count("\n")),
    }


def _bigcode(text: str) -> dict[str, float]:
    lengths = [len(line) for line in text.splitlines()] or [0]
    without = _DOCSTRING.sub("", text)
    comments = len(text) - len(without) + sum(map(len, _COMMENT_LINE.findall(without)))
    return {
        "longest_line": max(lengths),
        "mean_line": sum(lengths) / len(lengths),
        "alphanumeric": _share(_alphanumeric(text), len(text)),
        "comments": _share(comments, len(text)),
    }


def _alphanumeric(text: str) -> int:
    """Letters and digits; the ASCII ones are counted by deleting all others, which is ten times as fast as asking."""
    ascii_only = text.encode("ascii", "ignore")
    others = "" if text.isascii() else "".join(_NOT_ASCII.findall(text))
    return len(ascii_only.translate(None, _ASCII_MARKS)) + sum(map(str.isalnum, others))


_MEASURED_BY = {  # "language" is measured where it decides, in steps.language
    "c4": _c4,
    "gopher_quality": _words_and_repetition,
    "gopher_repetition": _words_and_repetition,
    "fineweb": _fineweb,
    "bigcode": _bigcode,
}
