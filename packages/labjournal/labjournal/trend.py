"""Is a loss going anywhere, or is it only noise? A test on block means of the raw values, never on a smoothed curve.

A smoothed curve turns noise into slow waves, and a test that takes its points for independent calls a wave a trend.
Block means lose that memory: each is the mean of its own steps, and the blocks are long enough to know little of each
other. Mann (1945) and Kendall (1975) for the test, Theil (1950) and Sen (1968) for the slope.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

ALPHA = 0.05  # one-sided, in each direction
BLOCKS = 10  # fewer say too little
MOST_BLOCKS = 200  # more only cost time: the slope looks at every pair
RELATED = 0.05  # autocorrelation that neighbouring block means should have left at most …
TOLERATED = 0.1  # … or this, where longer blocks would be too few
STEEP = 3.0  # the first drop is at least this many times as steep as what follows …
CLEAR = 5.0  # … and bends by this many standard errors, many enough for all the places that are tried


@dataclass(frozen=True)
class Trend:
    """What a series does after its steep first drop; slope and interval are per 100 steps, in the values' unit."""

    verdict: str  # "falling", "rising", "noise" or "too few points"
    why: str = ""  # of "too few points"
    steps: tuple[int, int] | None = None  # first and last step that were tested
    drop: tuple[int, int] | None = None  # first and last step of what was left out as the steep first drop
    bend: int | None = None  # the step where it bends; a stretch after it is left out, too
    blocks: int = 0
    block_length: int = 0
    slope: float | None = None
    low: float | None = None  # 90 % interval of the slope: 5 % on each side, as in the test
    high: float | None = None
    p: float | None = None  # one-sided, in the direction of the slope

    def as_dict(self) -> dict:
        return asdict(self)


def trend(values, steps=None) -> Trend:
    """Whether `values` fall, rise or only scatter once their steep first drop is left out.

    Looking again and again finds a trend in noise sooner or later: look at fixed points of a training. Slow waves under
    fast noise deceive it where a series is so short that it holds only a few of them. A jump looks like one such wave
    and is refused.

    Args:
        values: raw loss of each step, shape (n,), oldest first; not smoothed.
        steps: their step numbers, increasing; 1, 2, 3 … by default.

    Raises:
        ValueError: shapes that do not fit together, or steps that do not increase.
    """
    values = np.asarray(values, float)
    steps = np.arange(1, len(values) + 1) if steps is None else np.asarray(steps)
    if values.ndim != 1 or values.shape != steps.shape:
        raise ValueError(f"trend needs one step for each value, got shapes {values.shape} and {steps.shape}")
    if (np.diff(steps) <= 0).any():
        raise ValueError("the steps must increase")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        return Trend("too few points", f"the value at step {steps[bad[0]]} is {values[bad[0]]}")
    bend, start = first_drop(values)
    drop = (int(steps[0]), int(steps[start - 1])) if start else None
    bend = int(steps[bend - 1]) if start else None
    rest, at = values[start:], steps[start:]
    flat = len(rest) > 0 and np.ptp(rest) == 0  # nothing varies, so there is nothing to be related
    length = block_length(rest) if len(rest) >= 2 * BLOCKS and not flat else 1
    count = len(rest) // length
    if len(rest) < 2 * BLOCKS or count < BLOCKS:
        why = f"{len(rest)} steps"
        if len(rest) >= 2 * BLOCKS:
            why = f"the values wander or jump: no {BLOCKS} blocks of these {len(rest)} steps know little of each other"
        tested = (int(at[0]), int(at[-1])) if len(at) else None
        return Trend("too few points", why, steps=tested, drop=drop, bend=bend, blocks=count, block_length=length)
    if flat:
        return Trend("noise", "", (int(at[0]), int(at[-1])), drop, bend, count, length, 0.0, 0.0, 0.0, 0.5)
    rest, at = rest[-count * length :], at[-count * length :]  # the newest are always in
    means, places = rest.reshape(count, length).mean(axis=1), at.reshape(count, length).mean(axis=1)
    from scipy import stats

    slope, _, low, high = stats.theilslopes(means, places, 0.90)
    p = {way: float(stats.kendalltau(places, means, alternative=way).pvalue) for way in ("less", "greater")}
    way = min(p, key=p.get)
    verdict = {"less": "falling", "greater": "rising"}[way] if p[way] < ALPHA else "noise"
    return Trend(
        verdict,
        steps=(int(at[0]), int(at[-1])),
        drop=drop,
        bend=bend,
        blocks=count,
        block_length=length,
        slope=100 * float(slope),
        low=100 * float(low),
        high=100 * float(high),
        p=p[way],
    )


def first_drop(values: np.ndarray) -> tuple[int, int]:
    """(values up to the bend, values to leave out) of a steep beginning beside which the rest hardly moves; or (0, 0).

    Two straight lines that meet are fitted, and again on the rest, as a curve bends more than once. Where they meet, a
    curve has not quite levelled out: as many values again are left out, at most a third of the rest. At least
    2 * BLOCKS values are left.
    """
    start = 0
    while (bend := _bend(values[start:])) > 0:
        start += bend
    left = len(values) - start
    return start, start + min(start, left // 3, max(0, left - 2 * BLOCKS))


def _bend(values: np.ndarray) -> int:
    """Where two lines meet that fit `values` (n,) best, if the first is a clear, much steeper fall; else 0."""
    n = len(values)
    if n < 2 * BLOCKS + 3:
        return 0
    t = np.arange(n) / n
    places = np.unique(np.geomspace(3, n - 2 * BLOCKS, 48).astype(int))
    hinge = np.minimum(t, t[places][:, None])  # (places, n): rises to the bend, then stays
    # What a straight line explains is taken out of both; the hinge's part of the rest is the bend.
    line = np.stack([np.ones(n), t - t.mean()])
    line /= np.linalg.norm(line, axis=1, keepdims=True)
    left, hinge_left = values - (values @ line.T) @ line, hinge - (hinge @ line.T) @ line
    size = (hinge_left**2).sum(axis=1)  # (places,)
    bends = hinge_left @ left / size  # slope before minus slope after
    errors = (left**2).sum() - bends**2 * size
    best = int(errors.argmin())
    bend = bends[best]
    residual = left - bend * hinge_left[best]
    if _negligible(residual, values):
        residual = np.zeros(n)
    after = np.polyfit(t, values - bend * hinge[best], 1)[0]
    related = (1 + (rho := _autocorrelation(residual))) / (1 - rho)
    error = np.sqrt(related * (residual**2).sum() / (n - 3) / size[best])
    steep = bend + after < STEEP * min(after, 0.0)
    return int(places[best]) if steep and -bend > CLEAR * error else 0


def block_length(values: np.ndarray) -> int:
    """Steps in a block so that the means of neighbouring blocks are hardly related.

    The autocorrelation of the values, straight line taken out, is first taken for that of a first-order autoregression,
    whose block means have a known one. Slow waves under fast noise are more stubborn: as long as the block means
    themselves are related, the blocks are doubled.
    """
    n = len(values)
    rho = _of_line(values)
    length = max(1, -(-n // MOST_BLOCKS))
    while _of_means(rho, length) > RELATED:
        length += 1
    most = n // BLOCKS
    if length > most and _of_means(rho, most) <= TOLERATED:
        length = most
    while n // length >= BLOCKS and _of_line(values[-(n // length) * length :].reshape(-1, length).mean(axis=1)) > 0:
        length *= 2
    return length


def _of_line(values: np.ndarray) -> float:
    """Autocorrelation of what a straight line leaves over."""
    t = np.arange(len(values))
    residual = values - np.polyval(np.polyfit(t, values, 1), t)
    return 0.0 if _negligible(residual, values) else _autocorrelation(residual)


def _negligible(residual: np.ndarray, values: np.ndarray) -> bool:
    """Whether what is left is only how numbers are rounded."""
    return bool(np.abs(residual).max() <= 1e-9 * np.abs(values).max())


def _autocorrelation(residual: np.ndarray) -> float:
    """Lag 1, between 0 and 0.99; 0 unless it is larger than chance makes it in 19 of 20 cases."""
    n, total = len(residual), float((residual**2).sum())
    if total == 0:
        return 0.0
    rho = float((residual[1:] * residual[:-1]).sum()) / total
    rho = (n * rho + 2) / (n - 4)  # taking out a line lowers it by about (2 + 4 rho) / n
    return min(rho, 0.99) if rho > 1.64 / np.sqrt(n) else 0.0


def _of_means(rho: float, length: int) -> float:
    """Lag-1 autocorrelation of the means of `length` values of a first-order autoregression."""
    if rho == 0:
        return 0.0
    power = rho**length
    own = length * (1 - rho**2) - 2 * rho * (1 - power)
    return rho * (1 - power) ** 2 / own
