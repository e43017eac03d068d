"""Statistics the notebooks share: one accuracy, two models on the same items, a power law with its uncertainty.

Plain functions over numpy arrays; scipy is imported where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

ALPHA = 0.05  # a difference is called better or worse at this p-value or below
EXTRAPOLATE = 3.0  # a fitted curve is not asked about more than this many times the largest size it saw


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval for a proportion, `successes` of `n` (Wilson 1927); inside 0..1 even where nothing or all succeed."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"wilson needs 0 <= successes <= n and n > 0, got {successes} of {n}")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar(first_only: int, second_only: int) -> float:
    """Two-sided exact p-value that two models are equally often right (McNemar 1947, binomial form).

    Args:
        first_only: items the first model alone has right. Items both have right or both wrong say nothing.
        second_only: items the second model alone has right.
    """
    from scipy.stats import binomtest

    disagreements = first_only + second_only
    return float(binomtest(first_only, disagreements, 0.5).pvalue) if disagreements else 1.0


@dataclass(frozen=True)
class Comparison:
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


def compare(first_right: np.ndarray, second_right: np.ndarray, seed: int) -> Comparison:
    """Paired comparison of right/wrong per item: exact McNemar, and a bootstrap interval for the difference.

    It speaks for these two trained models on items like these; a model trained with another seed is another model.

    Args:
        first_right, second_right: bool arrays of shape (items,), the same items in the same order.
    """
    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    if first.shape != second.shape or first.ndim != 1 or not first.size:
        raise ValueError(
            f"compare needs two equally long rows of right/wrong, got shapes {first.shape}, {second.shape}"
        )
    difference = second.astype(float) - first
    low, high = bootstrap_mean(difference, seed)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return Comparison(float(difference.mean()), low, high, only_first, only_second, mcnemar(only_first, only_second))


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
