"""Learning merges: which pairs of neighbours are joined, and in which order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import pairwise

from .patterns import CL100K, split
from .tokenizer import SPECIALS, Tokenizer


def count_pieces(texts: Iterable[str], pattern: str = CL100K) -> Counter[bytes]:
    """How often each piece occurs, as UTF-8 bytes. One text at a time is held, and the different pieces."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(split(text, pattern))
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
    words = [list(piece) for piece in pieces]
    times = list(pieces.values())
    counts: dict[tuple[int, int], int] = defaultdict(int)
    where: dict[tuple[int, int], set[int]] = defaultdict(set)  # the words a pair is in, or once was
    for w, word in enumerate(words):
        for pair in pairwise(word):
            counts[pair] += times[w]
            where[pair].add(w)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapify(heap)

    merges: list[tuple[int, int]] = []
    while heap and len(merges) < n_merges:
        negative, pair = heappop(heap)
        if counts[pair] < -negative:  # out of date
            if counts[pair] > 0:
                heappush(heap, (-counts[pair], pair))
            continue
        new = 256 + len(merges)
        merges.append(pair)
        (a, b), created = pair, set()
        for w in where.pop(pair):
            word, joined, i = words[w], [], 0
            while i < len(word):
                if word[i] != a or i + 1 == len(word) or word[i + 1] != b:
                    joined.append(word[i])
                    i += 1
                    continue
                lost_and_won = []
                if joined:
                    lost_and_won.append(((joined[-1], a), (joined[-1], new)))
                if i + 2 < len(word):
                    lost_and_won.append(((b, word[i + 2]), (new, word[i + 2])))
                for lost, won in lost_and_won:
                    counts[lost] -= times[w]
                    counts[won] += times[w]
                    where[won].add(w)
                    created.add(won)
                joined.append(new)
                i += 2
            words[w] = joined
        for won in created:
            if counts[won] > 0:  # 0: won and lost again in one step, as the pair (aa, a) in "aaaa"
                heappush(heap, (-counts[won], won))
    return merges


def train(texts: Iterable[str], vocab_size: int, pattern: str = CL100K) -> Tokenizer:
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
