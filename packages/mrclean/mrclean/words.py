"""Words as numbers: the first thing that every count over the words of a text needs."""

from __future__ import annotations

import re
import unicodedata

import numpy as np

_WORD = re.compile(r"[^\W_]+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")  # soft hyphens, joiners, marks of direction


def plain_words(text: str) -> list[str]:
    """Runs of letters and digits in lower case: what two copies share whatever their case and punctuation.

    For comparison only, so in the strongest normal form, NFKC; no text is stored that way.
    """
    if not text.isascii():
        text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return _WORD.findall(text.casefold())


def numbered(words: list[str]) -> tuple[list[str], np.ndarray]:
    """(distinct words in the order they first appear, their numbers in the order of `words`, int64)."""
    numbers = {word: i for i, word in enumerate(dict.fromkeys(words))}
    return list(numbers), np.fromiter(map(numbers.__getitem__, words), np.int64, len(words))
