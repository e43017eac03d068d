"""Duplicates: exact ones by hash, near ones by shared runs of words, and clusters that a split must not cut.

There are a few hundred documents, so the shared runs are counted exactly; MinHash would estimate the same numbers for
millions of documents (Broder 1997).
"""

from __future__ import annotations

import hashlib
import re

import numpy as np

from .rules import value

_WORD = re.compile(r"[^\W_]+")


def fingerprint(text: str) -> str:
    """sha256 of the text with every run of white space as one blank."""
    return hashlib.sha256(" ".join(text.split()).encode("utf-8")).hexdigest()


def shingles(text: str, words: int | None = None) -> np.ndarray:
    """Sorted distinct 64-bit hashes of every run of `words` words, letter case ignored; uint64 array.

    Shorter texts have one shingle: all of their words.
    """
    n = words or int(value("shingle_words"))
    numbers: dict[str, int] = {}
    order = [numbers.setdefault(word, len(numbers)) for word in _WORD.findall(text.casefold())]
    if not order:
        return np.zeros(0, np.uint64)
    # hash() is salted per process; blake2b gives the same numbers on every machine.
    digests = b"".join(hashlib.blake2b(word.encode("utf-8"), digest_size=8).digest() for word in numbers)
    hashes = np.frombuffer(digests, "<u8").astype(np.uint64)[order]
    n = min(n, len(hashes))
    run = np.zeros(len(hashes) - n + 1, np.uint64)
    for k in range(n):  # a polynomial in the word hashes; uint64 arrays wrap around silently
        run = run * np.uint64(0x9E3779B97F4A7C15) + hashes[k : len(hashes) - n + 1 + k]
        run ^= run >> np.uint64(29)
    return np.unique(run)


def containment(sets: list[np.ndarray]) -> np.ndarray:
    """(n, n) float64: shared shingles of documents i and j, as a share of the smaller document's shingles.

    Containment, not Jaccard similarity: a poem reprinted in a collected edition is wholly contained in it, although
    the two differ much in length. Works on one sorted list of (shingle, document), so time grows with the number of
    shared shingles, not with n².
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


def near_duplicates(contained: np.ndarray, sizes: list[int], threshold: float) -> dict[int, int]:
    """{dropped: survivor} by index. The largest document survives (the first of equals), whatever the order of input.

    A document is compared with survivors only, so a chain a~b~c does not drop c because of b.
    """
    survivors: list[int] = []
    dropped: dict[int, int] = {}
    for i in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        twin = max(survivors, key=lambda j: contained[i, j], default=None)
        if twin is not None and contained[i, twin] >= threshold:
            dropped[i] = twin
        else:
            survivors.append(i)
    return dropped


def clusters(contained: np.ndarray, threshold: float) -> list[int]:
    """For each document the smallest index it is linked to, directly or through others (union-find)."""
    root = list(range(len(contained)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for i, j in np.argwhere(np.triu(contained >= threshold, k=1)):
        a, b = find(int(i)), find(int(j))
        root[max(a, b)] = min(a, b)
    return [find(i) for i in range(len(root))]
