"""Movie-review snippets as a classification task: items with hard and soft labels, one split, metrics, baseline.

The items come from the pinned source "vader" (Hutto and Gilbert 2014): sentences of Rotten Tomatoes reviews, each
rated from -4 to 4 by 15 to 29 people. An item's id is its number in that source.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import numpy as np

from .paths import MissingArtifact, artifacts, read_manifest, sha256, write_manifest

CLEAR = 0.5  # an item is kept when its mean rating is farther than this from neutral
TEST_FRACTION = 0.2
SPLIT_SEED = 20  # fixed: notebooks 04 and 05 must judge on the same test items
TINY = 1e-12  # a probability is kept this far from 0 and 1, so that one item's cross-entropy is at most 27.6 nats
BASELINE = "04_learning_curves"  # the notebook that makes it


@dataclass(frozen=True)
class Items:
    """Snippets in a fixed order; every array has shape (items,)."""

    ids: np.ndarray  # int64
    texts: list[str]
    ratings: np.ndarray  # float64, mean rating in -4..4
    labels: np.ndarray  # int64: 1 when the mean rating is positive, else 0
    soft: np.ndarray  # float64 in 0..1: share of the raters who rated it positive, neutral ones counted half
    votes: list[list[int]]  # each rater's, in -4..4

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, index) -> Items:
        """The items at these positions, in this order."""
        index = np.asarray(index)
        return Items(
            self.ids[index],
            [self.texts[i] for i in index],
            self.ratings[index],
            self.labels[index],
            self.soft[index],
            [self.votes[i] for i in index],
        )

    @property
    def hash(self) -> str:
        """Of ids, texts and labels: two notebooks with the same hash look at the same items."""
        rows = zip(self.ids.tolist(), self.texts, self.soft.tolist(), strict=True)
        return sha256(json.dumps(list(rows)))[:16]


def soft_label(ratings: list[float]) -> float:
    """Share of raters on the positive side; a neutral 0 is half a vote for either.

    >>> soft_label([2, 1, 0, -3])
    0.625
    """
    return sum(1.0 if r > 0 else 0.5 if r == 0 else 0.0 for r in ratings) / len(ratings)


def normal_form(text: str) -> str:
    """Letters and digits in lower case: what two copies of a snippet share whatever their punctuation."""
    return " ".join(re.findall(r"\w+", text.lower()))


def load_reviews(collection: str = "movieReviewSnippets") -> tuple[Items, dict[str, int]]:
    """The clear snippets of a collection, one of each, and counts: read == kept + neutral + duplicate.

    The others are "tweets", "amazonReviewSnippets" (sentences on products) and "nytEditorialSnippets" (of a newspaper).

    Raises:
        SourceError: the pinned source cannot be had.
        ValueError: its two files do not describe the same items.
    """
    from . import sources

    folder = sources.fetch("vader")
    texts = _rows(folder / f"{collection}_GroundTruth.txt")
    votes = {row[0]: row[-1] for row in _rows(folder / f"{collection}_anonDataRatings.txt")}  # not in the same order
    counts = {"read": len(texts), "neutral": 0, "duplicate": 0, "kept": 0}
    seen, rows = set(), []
    for number, mean, text in texts:
        if number not in votes:
            raise ValueError(f"{collection}: item {number} has no ratings")
        if abs(float(mean)) <= CLEAR:
            counts["neutral"] += 1
        elif normal_form(text) in seen:
            counts["duplicate"] += 1
        else:
            counts["kept"] += 1
            seen.add(normal_form(text))
            rated = json.loads(votes[number])
            rows.append((_number(number), text.strip(), float(mean), soft_label(rated), rated))
    ids, kept, means, soft, rated = map(list, zip(*rows, strict=True))
    means = np.array(means)
    return Items(np.array(ids), kept, means, (means > 0).astype(np.int64), np.array(soft), rated), counts


def split_items(items: Items) -> tuple[Items, Items]:
    """(training items, test items): 80/20, stratified by label, the same on every machine."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(
        np.arange(len(items)), test_size=TEST_FRACTION, random_state=SPLIT_SEED, stratify=items.labels
    )
    return items.take(train), items.take(test)


def hold_out(train: Items) -> tuple[Items, Items]:
    """(items to learn from, validation items): of the training items the first tenth is for validation."""
    tenth = len(train) // 10
    return train.take(range(tenth, len(train))), train.take(range(tenth))


# -- metrics: `probability` is the predicted probability of the positive class, shape (items,) ---------------------


def accuracy(probability: np.ndarray, labels: np.ndarray) -> float:
    """Share of items on the right side of one half."""
    return float(np.mean((np.asarray(probability) > 0.5) == (np.asarray(labels) > 0.5)))


def f1(probability: np.ndarray, labels: np.ndarray) -> float:
    """Harmonic mean of precision and recall of the positive class; 0 when nothing is predicted positive."""
    said, true = np.asarray(probability) > 0.5, np.asarray(labels) > 0.5
    denominator = said.sum() + true.sum()
    return float(2 * (said & true).sum() / denominator) if denominator else 0.0


def cross_entropy(probability: np.ndarray, target: np.ndarray) -> float:
    """Mean of -p ln q - (1-p) ln(1-q) in nats, q the prediction, p the target: a label (0 or 1) or a soft label."""
    q = np.clip(np.asarray(probability, float), TINY, 1 - TINY)
    p = np.asarray(target, float)
    return float(np.mean(-p * np.log(q) - (1 - p) * np.log1p(-q)))


def calibration_error(probability: np.ndarray, labels: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: mean distance, bin by bin, of the chosen side's probability from its accuracy."""
    q = np.asarray(probability, float)
    sure, right = np.maximum(q, 1 - q), (q > 0.5) == (np.asarray(labels) > 0.5)
    place = np.minimum((2 * bins * (sure - 0.5)).astype(int), bins - 1)
    return float(np.abs(np.bincount(place, right - sure)).sum() / len(right))


def entropy(target: np.ndarray) -> float:
    """Mean entropy of the targets in nats: the cross-entropy that a perfect prediction would still have."""
    p = np.asarray(target, float)
    inner = p[(p > 0) & (p < 1)]  # 0 ln 0 is 0: an undivided target has no entropy at all
    return float((-inner * np.log(inner) - (1 - inner) * np.log1p(-inner)).sum() / p.size)


def kl_divergence(probability: np.ndarray, target: np.ndarray) -> float:
    """KL(target || prediction) in nats: cross-entropy minus the entropy of the targets."""
    return cross_entropy(probability, target) - entropy(target)


def scores(probability: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """What both notebooks report against the hard labels."""
    return {
        "accuracy": accuracy(probability, labels),
        "f1": f1(probability, labels),
        "cross_entropy": cross_entropy(probability, labels),
    }


# -- the baseline ---------------------------------------------------------------------------------------------------


def learning_curve(model, items: Items, sizes, repeats: int, seed: int) -> dict[str, np.ndarray]:
    """Scores of `model` on the items it was trained on and on held-out ones, against training size.

    Each repeat is one stratified split, a fifth held out; the training part is shuffled once and used by its first n
    items, so the sizes of one repeat are nested. The whole model, its vocabulary too, is fitted on those n only.

    Args:
        model: an unfitted scikit-learn classifier that takes texts.
    Returns:
        "train_accuracy", "cv_accuracy", "train_f1" … -> (sizes, repeats).
    """
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedShuffleSplit
    from threadpoolctl import threadpool_limits

    splits = list(
        StratifiedShuffleSplit(n_splits=repeats, test_size=TEST_FRACTION, random_state=seed).split(
            items.labels, items.labels
        )
    )
    available = len(splits[0][0])
    if max(sizes) > available:
        raise ValueError(f"training size {max(sizes)} is more than the {available} items that each split leaves")
    found: dict[str, np.ndarray] = {}
    with threadpool_limits(1):  # thousands of tiny matrix products: handing them to several threads costs more
        for column, (train, held_out) in enumerate(splits):
            for row, n in enumerate(sizes):
                parts = {"train": items.take(train[:n]), "cv": items.take(held_out)}
                fitted = clone(model).fit(parts["train"].texts, parts["train"].labels)
                for part, some in parts.items():
                    for name, value in scores(fitted.predict_proba(some.texts)[:, 1], some.labels).items():
                        found.setdefault(f"{part}_{name}", np.empty((len(sizes), repeats)))[row, column] = value
    return found


def save_baseline(test: Items, probability: np.ndarray, profile: str, **facts) -> dict:
    """Leave the baseline's predictions on the test items for notebook 05; gives the manifest."""
    import pyarrow
    import pyarrow.parquet

    folder = artifacts("baseline")
    folder.mkdir(parents=True, exist_ok=True)
    columns = {"id": test.ids, "label": test.labels, "probability": np.asarray(probability, float)}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "items.parquet")
    return write_manifest(folder, BASELINE, profile, items=len(test), items_hash=test.hash, **facts)


def load_baseline(test: Items, profile: str) -> np.ndarray:
    """The baseline's probabilities for these test items, shape (items,).

    Raises:
        MissingArtifact: notebook 04 has not run in this profile, or judged on other items.
    """
    import pyarrow.parquet

    folder = artifacts("baseline")
    manifest = read_manifest(folder, BASELINE, profile)
    if manifest["items_hash"] != test.hash:
        raise MissingArtifact(
            f"artifacts/baseline holds predictions for other test items; run notebooks/{BASELINE}.ipynb again:  "
            f"python -m helpers.run --profile {profile} --only 04 --force"
        )
    return pyarrow.parquet.read_table(folder / "items.parquet")["probability"].to_numpy()


def _number(told: str) -> int:
    """An item's number; in some collections it is one of a text and one of a sentence in it, as in 12_3."""
    text, _, sentence = told.partition("_")
    return int(text) * 10_000 + int(sentence) if sentence else int(text)


def _rows(path) -> list[list[str]]:
    with open(path, encoding="utf-8-sig", newline=None) as file:
        return [line.rstrip("\n").split("\t") for line in file if line.strip()]
