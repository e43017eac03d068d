"""Words as numbers: the first thing that every count over the words of a text needs."""

from __future__ import annotations

import re
import unicodedata

import numpy as np

# In scripts without blanks between words, each character (with its marks) counts as one. Elsewhere a word is a run of
# letters and digits, and of the marks that belong to them: the vowels of Hindi or Tamil are no letters for Unicode.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc"
    "\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u07a6-\u07b0\u07eb-\u07f3\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963\u0981-\u0983"
    "\u09bc-\u09cd\u09d7\u09e2\u09e3\u0a01-\u0a03\u0a3c-\u0a51\u0a70\u0a71\u0a75\u0a81-\u0a83\u0abc-\u0acd\u0ae2\u0ae3"
    "\u0b01-\u0b03\u0b3c-\u0b57\u0b62\u0b63\u0b82\u0bbe-\u0bcd\u0bd7\u0c00-\u0c04\u0c3c-\u0c56\u0c62\u0c63\u0c81-\u0c83"
    "\u0cbc-\u0cd6\u0ce2\u0ce3\u0d00-\u0d03\u0d3b-\u0d4d\u0d57\u0d62\u0d63\u0d81-\u0d83\u0dca-\u0df3\u0f18\u0f19\u0f35\u0f37"
    "\u0f39\u0f3e\u0f3f\u0f71-\u0f84\u0f86\u0f87\u0f8d-\u0fbc\u1dc0-\u1dff\u20d0-\u20f0\u3099\u309a\ufe20-\ufe2f"
)
_NO_BLANKS = "\u3040-\u3096\u309d-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_NO_BLANKS_WITH_MARKS = (
    "\u0e01-\u0e30\u0e32-\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec6\u1000-\u102a\u103f\u1780-\u17b3"
)
_THEIR_MARKS = "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u17b4-\u17d3\u17dd"
_WORD = re.compile(
    rf"[{_NO_BLANKS}]|[{_NO_BLANKS_WITH_MARKS}][{_THEIR_MARKS}]*"
    rf"|[^\W_{_NO_BLANKS}{_NO_BLANKS_WITH_MARKS}](?:[^\W_{_NO_BLANKS}{_NO_BLANKS_WITH_MARKS}]|[{_MARKS}])*"
)
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")  # soft hyphens, joiners, marks of direction


def plain_words(text: str) -> list[str]:
    """Runs of letters and digits in lower case: what two copies share whatever their case and punctuation. Of Chinese,
    Japanese, Thai, Lao, Burmese and Khmer, characters.

    For comparison only, so in the strongest normal form, NFKC; no text is stored that way.
    """
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _WORD.findall(_INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).casefold())


def numbered(words: list[str]) -> tuple[list[str], np.ndarray]:
    """(distinct words in the order they first appear, their numbers in the order of `words`, int64)."""
    numbers = {word: i for i, word in enumerate(dict.fromkeys(words))}
    return list(numbers), np.fromiter(map(numbers.__getitem__, words), np.int64, len(words))
