"""Vectors become ids: each takes the number of the nearest entry of a codebook. And what a row of ids costs.

With more than one codebook, each next one quantises what the ones before left over: *residual* quantisation
(Juang and Gray 1982; SoundStream, arXiv:2107.03312). Codebooks are always (depth, k, d), ids (n, depth).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from numbers import Integral

import numpy as np

ITERATIONS = 25  # of Lloyd's algorithm, at most; the error hardly moves afterwards
CHUNK = 16_384  # vectors whose distances are held at once


def whole(name: str, value: int, least: int = 1) -> int:
    """`value` as an int, NumPy's included. Raises ValueError: no whole number, or less than `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {least}")
    return int(value)


def nearest(vectors: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """(n,) int64: for each of (n, d) vectors the closest row of the (k, d) codebook; of equal ones the first.

    Raises:
        ValueError: vectors of another width than the codebook's, or values that are not finite.
    """
    _check_codebooks(codebook[None])
    if vectors.ndim != 2 or vectors.shape[1] != codebook.shape[1] or not np.isfinite(vectors).all():
        raise ValueError(f"finite (n, {codebook.shape[1]}) vectors are needed; these have shape {vectors.shape}")
    lengths = (codebook**2).sum(axis=1)
    # |x - c|² = |x|² - 2 x·c + |c|², and |x|² is the same for every c.
    parts = [(lengths - 2 * vectors[i : i + CHUNK] @ codebook.T).argmin(axis=1) for i in range(0, len(vectors), CHUNK)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def learn(vectors: np.ndarray, k: int, seed: int, depth: int = 1) -> np.ndarray:
    """(depth, k, d) float32 codebooks by k-means (scikit-learn's), each on what the ones before left of (n, d) vectors.

    Every entry is the mean of vectors. So on these vectors the squared error never rises with depth.

    Raises:
        ValueError: values that are not finite, or fewer different vectors than k.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    left = np.array(vectors, dtype=np.float32)
    if left.ndim != 2 or not left.shape[1] or not np.isfinite(left).all():
        raise ValueError(f"a codebook is learned from finite (n, d) vectors; these have shape {left.shape}")
    k, depth, seed = whole("k", k), whole("depth", depth), whole("seed", seed, 0)
    if len(left) < k:
        raise ValueError(f"{len(left)} vectors are too few for {k} codes")
    codebooks = []
    for level in range(depth):
        means = KMeans(k, n_init=1, max_iter=ITERATIONS, random_state=1000 * seed + level)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", ConvergenceWarning)
                codebooks.append(means.fit(left).cluster_centers_)
        except ConvergenceWarning as error:
            raise ValueError(f"level {level + 1} has fewer than {k} different vectors to learn from") from error
        left -= codebooks[-1][nearest(left, codebooks[-1])]
    return np.stack(codebooks)


def encode(vectors: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    """(n, depth) int64 ids of (n, d) vectors.

    Raises:
        ValueError: vectors of another width than the codebooks', or values that are not finite.
    """
    _check_codebooks(codebooks)
    left = np.array(vectors, dtype=np.float32)
    if left.ndim != 2 or left.shape[1] != codebooks.shape[2]:
        raise ValueError(f"the codebooks are for (n, {codebooks.shape[2]}) vectors; these have shape {left.shape}")
    if not np.isfinite(left).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(left))} values are NaN or infinite")
    ids = np.empty((len(left), len(codebooks)), dtype=np.int64)
    for level, codebook in enumerate(codebooks):
        ids[:, level] = nearest(left, codebook)
        left -= codebook[ids[:, level]]
    return ids


def decode(ids: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    """(n, d) vectors of (n, levels) ids: the sum of their entries. Fewer levels than there are codebooks is coarser.

    Raises:
        ValueError: an id that no codebook has, or more levels than codebooks.
    """
    _check_codebooks(codebooks)
    _check(ids, codebooks.shape[1])
    if ids.shape[1] > len(codebooks):
        raise ValueError(f"ids of {ids.shape[1]} levels, but there are {len(codebooks)} codebooks")
    return sum(codebook[column] for codebook, column in zip(codebooks, ids.T, strict=False))


def flatten(ids: np.ndarray, k: int) -> np.ndarray:
    """One row of (n, depth) ids: vector by vector, and each level with numbers of its own, 0 to depth * k - 1."""
    _check(ids, k)
    return (ids.astype(np.int64) + k * np.arange(ids.shape[1])).reshape(-1)


def unflatten(row: np.ndarray, k: int, depth: int) -> np.ndarray:
    """The (n, depth) ids of a row from `flatten`.

    Raises:
        ValueError: a row that is cut off inside a vector, or whose levels do not take turns.
    """
    row = np.asarray(row)
    depth = whole("depth", depth)
    if row.ndim != 1 or row.dtype.kind not in "iu":
        raise ValueError(f"a row of whole numbers is cut into vectors, not {row.dtype} {row.shape}")
    row = row.astype(np.int64)
    if len(row) % depth:
        raise ValueError(f"{len(row)} ids do not divide into vectors of {depth}")
    ids = row.reshape(-1, depth) - k * np.arange(depth)
    _check(ids, k)
    return ids


def _check_codebooks(codebooks: np.ndarray) -> None:
    if codebooks.ndim != 3 or not codebooks.size or codebooks.dtype.kind != "f" or not np.isfinite(codebooks).all():
        raise ValueError(f"codebooks are finite (depth, k, d) floats; these are {codebooks.dtype} {codebooks.shape}")


def _check(ids: np.ndarray, k: int) -> None:
    whole("k", k)
    if ids.dtype.kind not in "iu":
        raise ValueError(f"ids are whole numbers, not {ids.dtype}")
    if ids.ndim != 2 or not ids.shape[1] or (ids.size and not 0 <= ids.min() <= ids.max() < k):
        raise ValueError(f"ids are (n, depth) and lie in 0..{k - 1}; these have shape {ids.shape}")


@dataclass(frozen=True)
class Usage:
    """How much of the codebooks the ids make use of."""

    used: float  # share of the entries that come at all
    dead: int  # entries that never come, all levels together
    perplexity: float  # as many equally frequent entries were as hard to guess; of several levels the geometric mean


def usage(ids: np.ndarray, k: int) -> Usage:
    """Usage of (n, depth) ids in 0..k-1; perplexity is 2 to the entropy of their frequencies."""
    _check(ids, k)
    if not len(ids):
        raise ValueError("there are no ids to count")
    counts = np.stack([np.bincount(column, minlength=k) for column in ids.T])  # (depth, k)
    share = counts / len(ids)
    entropy = -(share * np.log2(np.where(share > 0, share, 1))).sum(axis=1)
    return Usage(float((counts > 0).mean()), int((counts == 0).sum()), float(2 ** entropy.mean()))


def bits(ids: np.ndarray, k: int, known: np.ndarray | None = None) -> float:
    """Mean bits for one vector's ids (n, depth): log2(k) for each level.

    With `known`, ids from training data, what an arithmetic coder takes that knows how frequent each id was there:
    -log2((count + 1) / (all + k)). The held-out ids' own frequencies would be cheaper, and no decoder has them.
    """
    _check(ids, k)
    if known is None:
        return ids.shape[1] * math.log2(k)
    _check(known, k)
    if not len(ids) or known.shape[1] != ids.shape[1]:
        raise ValueError(f"ids {ids.shape} cannot be priced by ids {known.shape}: none, or of other levels")
    cost = 0.0
    for column, before in zip(ids.T, known.T, strict=True):
        share = (np.bincount(before, minlength=k) + 1) / (len(before) + k)
        cost -= float(np.log2(share[column]).mean())
    return cost
