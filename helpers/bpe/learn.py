"""Learning merges: which pairs of neighbours are joined, and in which order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush
from operator import add

from .patterns import CL100K, split_text
from .tokenizer import SPECIALS, Tokenizer


def count_pieces(texts: Iterable[str], pattern: str = CL100K) -> Counter[bytes]:
    """How often each piece occurs, as UTF-8 bytes. One text at a time is held, and the different pieces."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(split_text(text, pattern))
    return Counter({piece.encode("utf-8"): n for piece, n in counts.items()})


def learn_merges(pieces: Mapping[bytes, int], n_merges: int) -> list[tuple[int, int]]:
    """The `n_merges` most frequent pairs, each found after the ones before it were joined; fewer if none are left.

    Of two pairs as frequent, the one with the smaller ids wins, so the result does not depend on any order.

    The naive loop counts every pair of the corpus again for every merge. Three things give the same result sooner:
    equal pieces are one word with a count; an index says which words hold a pair, so that a merge touches only those;
    and the best pair comes from a heap that may be out of date. It may, because a merge only adds pairs that hold the
    new id: every older pair can only lose, so an entry of the heap is at least the true count, and is put right when
    it comes to the top.

    A word that is touched is written anew. That is nothing for words of a language; a text without any cut, one word of
    megabytes, takes its length times the merges.
    """
    # A word is a string with one character per id, chr(id): what it holds is not text. Strings are joined, compared and
    # searched without a loop in Python.
    words = [piece.decode("latin-1") for piece in pieces]
    weights = list(pieces.values())
    counts: dict[str, int] = defaultdict(int)
    holders: dict[str, set[int]] = defaultdict(set)  # the words a pair is in, or once was
    for w, (word, weight) in enumerate(zip(words, weights, strict=True)):
        for pair in map(add, word, word[1:]):
            counts[pair] += weight
            holders[pair].add(w)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapify(heap)

    merges: list[tuple[int, int]] = []
    while heap and len(merges) < n_merges:
        negative, pair = heappop(heap)
        if counts[pair] < -negative:  # out of date
            if counts[pair] > 0:
                heappush(heap, (-counts[pair], pair))
            continue
        (a, b), new, created = pair, chr(256 + len(merges)), set()
        merges.append((ord(a), ord(b)))
        for w in holders.pop(pair):
            weight, word = weights[w], words[w].replace(pair, new)  # from the left, as in "aaa": aa, a
            words[w] = word
            i = word.find(new)
            while i >= 0:
                if i > 0:
                    left = word[i - 1]
                    counts[(b if left == new else left) + a] -= weight  # "abab" had b, a between its two pairs
                    counts[won := left + new] += weight
                    holders[won].add(w)
                    created.add(won)
                if i + 1 < len(word) and (right := word[i + 1]) != new:
                    counts[b + right] -= weight
                    counts[won := new + right] += weight
                    holders[won].add(w)
                    created.add(won)
                i = word.find(new, i + 1)
        for won in created:
            heappush(heap, (-counts[won], won))
    return merges


def train_tokenizer(texts: Iterable[str], vocab_size: int, pattern: str = CL100K) -> Tokenizer:
    """Learn a tokenizer of `vocab_size` ids (256 bytes + merges + special tokens) from documents.

    Raises:
        ValueError: when `vocab_size` leaves no room for bytes and specials, or the texts run out of pairs to merge.
    """
    smallest = 256 + len(SPECIALS)
    if vocab_size < smallest:
        raise ValueError(f"vocab_size {vocab_size} is too small: 256 bytes and {len(SPECIALS)} specials are {smallest}")
    merges = learn_merges(count_pieces(texts, pattern), vocab_size - smallest)
    if len(merges) < vocab_size - smallest:
        raise ValueError(
            f"the texts allow {len(merges)} merges, vocab_size {vocab_size} needs {vocab_size - smallest}; "
            f"give more text or ask for at most {smallest + len(merges)}"
        )
    return Tokenizer(merges, pattern)
