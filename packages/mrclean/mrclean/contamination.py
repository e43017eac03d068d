"""Decontamination: documents that hold a text on which a later notebook judges its models."""

from __future__ import annotations

import html
from collections.abc import Iterable

import numpy as np

from .document import Document, Drop, Keep, Step
from .rules import value
from .words import plain_words


class EvaluationTexts:
    """An index of the runs of words in the evaluation texts.

    A text counts as found where `words` words in a row of it stand in a document, whatever the case and punctuation
    (GPT-3 used 13). A shorter text is looked for whole, if it has at least `min_words` words; below that, common
    phrases would be found. Nothing shorter is in the index, and `too_short` counts it.
    """

    def __init__(self, texts: Iterable[str], words: int | None = None, min_words: int | None = None):
        self.words = words or int(value("contamination_words"))
        self.min_words = min(min_words or int(value("contamination_min_words")), self.words)
        self.runs: dict[tuple[str, ...], int] = {}  # a run -> the first evaluation text that holds it
        self.texts = list(texts)
        self.too_short = 0
        for number, text in enumerate(self.texts):
            found = plain_words(html.unescape(text))
            n = min(len(found), self.words)
            self.too_short += n < self.min_words
            if n >= self.min_words:
                for i in range(len(found) - n + 1):
                    self.runs.setdefault(tuple(found[i : i + n]), number)
        self.lengths = sorted({len(run) for run in self.runs})
        # Every run is entered by its first `min_words` words; a document is compared further only where these match.
        self._heads = np.unique(np.array([_hash(run[: self.min_words]) for run in self.runs], np.int64))

    def find(self, text: str) -> tuple[int, str] | None:
        """(number of the evaluation text, the words they share), for the first run that `text` holds, else None."""
        found = plain_words(html.unescape(text) if "&" in text else text)
        for start in self._candidates(found):
            for n in self.lengths:
                run = tuple(found[start : start + n])
                if len(run) == n and run in self.runs:
                    return self.runs[run], " ".join(run)
        return None

    def _candidates(self, found: list[str]) -> list[int]:
        size = len(found) - self.min_words + 1
        if size < 1 or not len(self._heads):
            return []
        # Only a filter before an exact comparison, and never stored: Python's own hash will do.
        hashes = np.fromiter(map(hash, found), np.int64, len(found))
        head = np.zeros(size, np.int64)
        for k in range(self.min_words):
            head = head * _FACTOR + hashes[k : k + size]
        at = np.searchsorted(self._heads, head).clip(max=len(self._heads) - 1)
        return np.flatnonzero(self._heads[at] == head).tolist()


_FACTOR = np.int64(6364136223846793005)


def _hash(words: tuple[str, ...]) -> int:
    with np.errstate(over="ignore"):
        total = np.int64(0)
        for word in words:
            total = total * _FACTOR + np.int64(hash(word))
    return int(total)


def contaminated(texts: EvaluationTexts) -> Step:
    """The step that drops a document which holds one of `texts`."""

    def contaminated(document: Document) -> Keep | Drop:
        if (found := texts.find(document.text)) is None:
            return Keep(document)
        number, run = found
        return Drop("contaminated", f"evaluation text {number} shares {len(run.split())} words with it: {run}")

    return contaminated
