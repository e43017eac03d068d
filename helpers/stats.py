"""Statistics the notebooks share: one accuracy, two models on the same items, a power law with its uncertainty.

Plain functions over numpy arrays; scipy is imported where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labjournal.inference import ALPHA, Deviation, bootstrap_mean, holm, mcnemar, mean_difference, paired_permutation

__all__ = [
    "ALPHA", "EXTRAPOLATE", "AccuracyGain", "Deviation", "PowerLaw", "bootstrap_mean", "compare_accuracy",
    "fit_power_law", "holm", "mcnemar", "mean_difference", "paired_permutation", "resample", "wilson",
]  # fmt: skip

EXTRAPOLATE = 3.0  # a fitted curve is not asked about more than this many times the largest size it saw


def wilson(successes: int, n: int) -> tuple[float, float]:
    """95 % interval for a proportion, `successes` of `n` (Wilson 1927); inside 0..1 even where all or none succeed."""
    from scipy.stats import binomtest

    found = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


@dataclass(frozen=True)
class AccuracyGain:
    """Two models on the same items; `gain` is the second's accuracy minus the first's."""

    gain: float
    low: float  # 95 % interval of the gain
    high: float
    first_only: int
    second_only: int
    p: float

    @property
    def verdict(self) -> str:
        """Of the second against the first: better, worse or cannot tell."""
        if self.p > ALPHA or self.low <= 0 <= self.high:
            return "cannot tell"
        return "better" if self.gain > 0 else "worse"


def compare_accuracy(first_right: np.ndarray, second_right: np.ndarray, seed: int) -> AccuracyGain:
    """Paired comparison of right/wrong per item: exact McNemar, and a bootstrap interval for the difference.

    It speaks for these two trained models on items like these; a model trained with another seed is another model.

    Args:
        first_right, second_right: bool arrays of shape (items,), the same items in the same order.
    """
    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    if first.shape != second.shape or first.ndim != 1 or not first.size:
        raise ValueError(
            f"compare_accuracy needs two equally long rows of right/wrong, got shapes {first.shape}, {second.shape}"
        )
    difference = second.astype(float) - first
    low, high = bootstrap_mean(difference, seed)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return AccuracyGain(float(difference.mean()), low, high, only_first, only_second, mcnemar(only_first, only_second))


@dataclass(frozen=True)
class PowerLaw:
    """error(n) = floor + scale * n ** -exponent, fitted up to `largest` items."""

    floor: float
    scale: float
    exponent: float
    largest: float

    def __call__(self, n) -> np.ndarray:
        """Error at training sizes `n`. Raises ValueError beyond EXTRAPOLATE times the largest size fitted."""
        n = np.asarray(n, float)
        if n.max() > EXTRAPOLATE * self.largest:
            raise ValueError(
                f"asked for n = {n.max():.0f}, fitted up to {self.largest:.0f}; a power law is not to be trusted "
                f"beyond {EXTRAPOLATE:.0f} times that"
            )
        return self.floor + self.scale * n**-self.exponent


def fit_power_law(sizes: np.ndarray, errors: np.ndarray) -> PowerLaw:
    """Least-squares fit of a power law to errors at increasing training sizes, at least three of them.

    For a given exponent the rest is a straight line in n ** -exponent, solved exactly; the exponent is searched on a
    grid, then on a finer one around the best. Bounds: floor between 0 and the smallest error, scale not negative,
    exponent between 0.01 and 2. They keep a noisy curve from being fitted by an absurd one.
    """
    sizes, errors = np.asarray(sizes, float), np.asarray(errors, float)
    if len(sizes) < 3 or len(sizes) != len(errors):
        raise ValueError(f"a power law has 3 numbers to find: got {len(sizes)} sizes and {len(errors)} errors")
    low, high = 0.01, 2.0
    for _ in range(3):
        exponents = np.linspace(low, high, 100)
        x = sizes ** -exponents[:, None]  # (exponents, sizes)
        centred = x - x.mean(axis=1, keepdims=True)
        slope = (centred @ (errors - errors.mean())) / (centred**2).sum(axis=1)
        floor = np.clip(errors.mean() - slope * x.mean(axis=1), 0, errors.min())
        # The floor may have been moved to its bound, so the scale is solved again with it held.
        scale = np.maximum(0, (x * (errors - floor[:, None])).sum(axis=1) / (x**2).sum(axis=1))
        residual = floor[:, None] + scale[:, None] * x - errors
        best = int((residual**2).sum(axis=1).argmin())
        low, high = exponents[max(0, best - 1)], exponents[min(99, best + 1)]
    return PowerLaw(float(floor[best]), float(scale[best]), float(exponents[best]), float(sizes.max()))


def resample(n: int, resamples: int, seed: int) -> np.ndarray:
    """Bootstrap draws: (resamples, n) indices into n repeats. One draw for two quantities keeps them paired."""
    return np.random.default_rng(seed).integers(n, size=(resamples, n))
