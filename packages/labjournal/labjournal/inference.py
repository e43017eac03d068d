"""Is it a difference, or chance? Tests and intervals for runs, seeds and evaluated items.

Plain functions over numpy arrays; scipy is imported where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ALPHA = 0.05  # a difference is called better or worse at this p-value or below


def mcnemar(first_only: int, second_only: int) -> float:
    """Two-sided exact p-value that two models are equally often right (McNemar 1947, binomial form).

    Args:
        first_only: items the first model alone has right. Items both have right or both wrong say nothing.
        second_only: items the second model alone has right.
    """
    from scipy.stats import binomtest

    disagreements = first_only + second_only
    return float(binomtest(first_only, disagreements, 0.5).pvalue) if disagreements else 1.0


def paired_permutation(first: np.ndarray, second: np.ndarray, seed: int, resamples: int = 9999) -> float:
    """Two-sided p-value that two models' scores on the same items, shape (items,), come from the same place.

    The sign of each item's difference is flipped at random (exactly, when there are few enough items to try all).
    """
    from scipy.stats import permutation_test

    return float(
        permutation_test(
            (np.asarray(second, float), np.asarray(first, float)),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=resamples,
            batch=200,
            rng=np.random.default_rng(seed),
        ).pvalue
    )


@dataclass(frozen=True)
class Deviation:
    """A further run, held against `n` runs like it: how far it lies from their mean, beside their standard deviation.

    Its prediction interval is mean ± t(n-1) sd sqrt(1 + 1/n), for normal values of equal spread. For an array give the
    deviation of the value that lies farthest and the number of `values`: the interval then holds for all of them at
    once (Šidák 1967); values that are correlated only make it wider than needed.
    """

    deviation: float  # absolute
    sd: float
    n: int
    values: int = 1

    @property
    def p(self) -> float:
        """Two-sided p-value."""
        from scipy.stats import t

        p = 2 * t.sf(self.deviation / self.scale, self.n - 1)
        return float(-np.expm1(self.values * np.log1p(-p))) if p < 1 else 1.0

    def allowed(self, alpha: float = ALPHA) -> float:
        """Half the width of the prediction interval: the deviation whose p-value is `alpha`."""
        from scipy.stats import t

        each = -np.expm1(np.log1p(-alpha) / self.values)
        return float(t.isf(each / 2, self.n - 1) * self.scale)

    @property
    def scale(self) -> float:
        """Standard deviation of (further run - mean of n)."""
        return self.sd * (1 + 1 / self.n) ** 0.5


def holm(p_values: list[float], alpha: float = ALPHA) -> list[float]:
    """The level each of several tests is held to, so that at most `alpha` of such families err at all (Holm 1979).

    A test rejects where its p-value is at or below its level.
    """
    levels, m = [0.0] * len(p_values), len(p_values)
    rejected = 0
    order = sorted(range(m), key=lambda i: p_values[i])
    while rejected < m and p_values[order[rejected]] <= alpha / (m - rejected):
        levels[order[rejected]] = alpha / (m - rejected)
        rejected += 1
    for i in order[rejected:]:  # the first that is kept stops the procedure: the rest is held to its level
        levels[i] = alpha / (m - rejected)
    return levels


def mean_difference(first: np.ndarray, second: np.ndarray, paired: bool) -> tuple[float, float, float]:
    """(low, high, p) of the second mean minus the first: t interval and t test, over seeds.

    Args:
        first, second: shape (seeds,), with some spread: without one there is nothing to judge a difference by.
        paired: position i of both is the same seed; otherwise Welch's test, which lets the spreads differ.
    """
    from scipy import stats

    test = stats.ttest_rel(second, first) if paired else stats.ttest_ind(second, first, equal_var=False)
    interval = test.confidence_interval(0.95)
    return float(interval.low), float(interval.high), float(test.pvalue)


def bootstrap_mean(values: np.ndarray, seed: int, resamples: int = 5000, level: float = 0.95) -> tuple[float, float]:
    """BCa bootstrap interval for the mean of `values` (Efron 1987), shape (items,)."""
    from scipy.stats import bootstrap

    values = np.asarray(values, float)
    if np.ptp(values) == 0:  # nothing varies, so BCa's correction is 0/0
        return float(values[0]), float(values[0])
    result = bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=resamples,
        method="BCa",
        batch=200,
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
