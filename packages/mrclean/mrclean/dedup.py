"""Duplicates: exact ones by hash, near ones by MinHash-LSH with every candidate verified, and clusters for the split.

A text is a set of *shingles*: all runs of five words, hashed to 64 bits. Two sets are compared by their Jaccard
similarity (shared ones over all) or by their containment (shared ones over the smaller set).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .rules import value
from .words import numbered, plain_words

_SEED = 20  # of the MinHash functions; another one finds other pairs near the threshold


def text_hash(text: str, code: bool = False) -> str:
    """sha256 of the text with every run of white space as one blank; of code, where indentation has a meaning, only the
    ends of the lines are evened out."""
    if code:
        lines = "\n".join(map(str.rstrip, text.split("\n")))
        return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()
    return hashlib.sha256(" ".join(text.split()).encode("utf-8", "surrogatepass")).hexdigest()


def shingles(text: str, words: int | None = None) -> np.ndarray:
    """Sorted distinct 64-bit hashes of every run of `words` words, letter case ignored; uint64 array.

    Shorter texts have one shingle: all of their words.
    """
    n = words or int(value("shingle_words"))
    distinct, order = numbered(plain_words(text))
    if not distinct:
        return np.zeros(0, np.uint64)
    hashes = np.frombuffer(b"".join(map(_word_hash, distinct)), "<u8").astype(np.uint64)[order]
    n = min(n, len(hashes))
    run = np.zeros(len(hashes) - n + 1, np.uint64)
    for k in range(n):  # a polynomial in the word hashes; uint64 arrays wrap around silently
        run = run * np.uint64(0x9E3779B97F4A7C15) + hashes[k : len(hashes) - n + 1 + k]
        run ^= run >> np.uint64(29)
    return np.unique(run)


@lru_cache(maxsize=2**18)
def _word_hash(word: str) -> bytes:
    # hash() is salted per process; blake2b gives the same numbers on every machine.
    return hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """Shared shingles over all shingles of two sorted sets."""
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / max(1, len(a) + len(b) - shared)


# ---- MinHash-LSH (Broder 1997; Leskovec, Rajaraman and Ullman, chapter 3) ------------------------------------------


def signature(shingles: np.ndarray, size: int) -> np.ndarray:
    """(size,) uint32: the largest value of each of `size` hash functions over the shingles.

    Two sets agree in one place with a probability equal to their Jaccard similarity. Function i is ``odd_i * x``
    modulo 2^32, another order of all numbers, of the upper half of a shingle, which is well mixed already.
    """
    odd = _odd_numbers(size)
    half = (shingles >> np.uint64(32)).astype(np.uint32)
    if len(half) < 1000:  # short texts: one call for all functions
        return np.multiply.outer(odd, half).max(axis=1, initial=0)
    result, product = np.zeros(size, np.uint32), np.empty_like(half)
    for i in range(size):  # one function at a time stays in the cache, where a (size, n) table would not
        result[i] = np.multiply(half, odd[i], out=product).max()
    return result


@lru_cache
def _odd_numbers(size: int) -> np.ndarray:
    return np.random.default_rng(_SEED).integers(0, 2**31, size, np.uint32) * np.uint32(2) + np.uint32(1)


def band_hashes(signature: np.ndarray, bands: int, rows: int) -> np.ndarray:
    """(bands,) uint64: a hash of the rows of each band, by which documents on different machines find each other."""
    table = signature[: bands * rows].reshape(bands, rows).astype(np.uint64)
    found = np.zeros(bands, np.uint64)
    for k in range(rows):
        found = (found + table[:, k] + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(29)
    return found


def found_probability(similarity, bands: int, rows: int):
    """1 - (1 - s^r)^b: how likely a pair of Jaccard similarity s shares at least one band."""
    return 1 - (1 - np.asarray(similarity, float) ** rows) ** bands


def candidates(signatures: np.ndarray, bands: int, rows: int) -> Iterator[tuple[int, int]]:
    """Pairs (i < j) that have all rows of a band in common, each once. `signatures`: (documents, >= bands * rows)."""
    seen = set()
    for band in range(bands):
        buckets = defaultdict(list)
        for i, row in enumerate(np.ascontiguousarray(signatures[:, band * rows : (band + 1) * rows])):
            buckets[row.tobytes()].append(i)
        for members in buckets.values():
            for position, j in enumerate(members):
                for i in members[:position]:
                    if (i, j) not in seen:
                        seen.add((i, j))
                        yield i, j


def similar_pairs(sets: list[np.ndarray], threshold: float, bands: int, rows: int) -> dict[tuple[int, int], float]:
    """{(i, j): Jaccard} of the candidates that really reach `threshold`, i < j. Empty sets are like nothing."""
    full = [i for i, s in enumerate(sets) if len(s)]
    if len(full) < 2:
        return {}
    signatures = np.stack([signature(sets[i], bands * rows) for i in full])
    pairs = {}
    for a, b in candidates(signatures, bands, rows):
        i, j = full[a], full[b]
        # The smaller set bounds the similarity: no need to look into a pair of very different lengths.
        if min(len(sets[i]), len(sets[j])) >= threshold * max(len(sets[i]), len(sets[j])):
            similarity = jaccard(sets[i], sets[j])
            if similarity >= threshold:
                pairs[i, j] = similarity
    return pairs


def near_duplicates(pairs: dict[tuple[int, int], float], sizes: list[int]) -> dict[int, int]:
    """{dropped: survivor} by index. The largest document survives, of equals the one with the smallest index.

    A document is compared with survivors only, so a chain a~b~c does not drop c because of b.
    """
    similar = defaultdict(dict)
    for (i, j), similarity in pairs.items():
        similar[i][j] = similar[j][i] = similarity
    survivors: set[int] = set()
    dropped: dict[int, int] = {}
    for i in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        twins = [j for j in similar[i] if j in survivors]
        if twins:
            dropped[i] = max(twins, key=lambda j: (similar[i][j], -j))
        else:
            survivors.add(i)
    return dropped


class Pair(NamedTuple):
    """Two documents and what they share."""

    containment: float  # of the smaller set of shingles
    jaccard: float
    first: str  # ids
    second: str


# ---- what must stay together -----------------------------------------------------------------------------------------


def containment(sets: list[np.ndarray]) -> np.ndarray:
    """(n, n) float64: shared shingles of documents i and j, as a share of the smaller document's shingles.

    A poem reprinted in a collection is wholly contained in it, although the two are far from equal. Works on one
    sorted list of (shingle, document), so time grows with the number of shared shingles, not with n².
    """
    n = len(sets)
    shared = np.zeros((n, n), np.int64)
    if n == 0:
        return shared.astype(float)
    hashes = np.concatenate(sets)
    owner = np.repeat(np.arange(n), [len(s) for s in sets])
    order = np.argsort(hashes, kind="stable")
    hashes, owner = hashes[order], owner[order]
    at = np.arange(len(hashes))  # entries whose shingle is also in the entry `distance` further on
    distance = 1
    while len(at := at[at + distance < len(hashes)]):
        at = at[hashes[at] == hashes[at + distance]]
        np.add.at(shared, (owner[at], owner[at + distance]), 1)
        distance += 1
    shared += shared.T
    size = np.array([max(1, len(s)) for s in sets])
    result = shared / np.minimum(size[:, None], size[None, :])
    np.fill_diagonal(result, 1.0)
    return result


def clusters(linked: np.ndarray) -> list[int]:
    """For each document the smallest index it is linked to, directly or through others (union-find); (n, n) bool."""
    root = list(range(len(linked)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for i, j in np.argwhere(np.triu(linked, k=1)):
        a, b = find(int(i)), find(int(j))
        root[max(a, b)] = min(a, b)
    return [find(i) for i in range(len(root))]
