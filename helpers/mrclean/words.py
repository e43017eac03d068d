"""Words as numbers: the first thing that every count over the words of a text needs."""

from __future__ import annotations

import re

import numpy as np

_WORD = re.compile(r"[^\W_]+")


def plain_words(text: str) -> list[str]:
    """Runs of letters and digits in lower case: what two copies share whatever their case and punctuation."""
    return _WORD.findall(text.casefold())


def numbered(words: list[str]) -> tuple[list[str], np.ndarray]:
    """(distinct words in the order they first appear, their numbers in the order of `words`, int64)."""
    numbers = {word: i for i, word in enumerate(dict.fromkeys(words))}
    return list(numbers), np.fromiter(map(numbers.__getitem__, words), np.int64, len(words))
