"""Trend or noise: how often the verdict is wrong, on series whose truth is known."""

from collections import Counter

import numpy as np
import pytest
from scipy.signal import lfilter

from helpers.trend import trend

SERIES = 1500


def noise(chance, n, related=0.0, sd=0.5):
    """A first-order autoregression with standard deviation `sd`, started long before."""
    shocks = chance.normal(size=n + 200) * sd * np.sqrt(1 - related**2)
    return lfilter([1], [1, -related], shocks)[200:]


def verdicts(make, series=SERIES):
    chance = np.random.default_rng(1)
    counted = Counter(trend(make(chance)).verdict for _ in range(series))
    return {name: counted[name] / series for name in ("falling", "rising", "noise", "too few points")}


def test_flat_independent_noise_is_called_a_trend_in_six_of_a_hundred_at_most():
    said = verdicts(lambda chance: noise(chance, 120))
    assert said["falling"] <= 0.06 and said["rising"] <= 0.06
    assert said["noise"] > 0.8  # not by refusing to answer


@pytest.mark.parametrize("n", [120, 450])
def test_flat_noise_that_remembers_itself_is_called_a_trend_in_ten_of_a_hundred_at_most(n):
    said = verdicts(lambda chance: noise(chance, n, related=0.6))
    assert said["falling"] <= 0.10 and said["rising"] <= 0.10
    assert said["noise"] > 0.4


def test_noise_that_hardly_forgets_is_refused_rather_than_judged():
    said = verdicts(lambda chance: noise(chance, 120, related=0.9), series=300)
    assert said["too few points"] > 0.95


@pytest.mark.parametrize(("n", "most"), [(500, 0.25), (2000, 0.15)])
def test_slow_waves_under_fast_noise_deceive_less_the_longer_the_series(n, most):
    """The lag-1 autocorrelation alone would not see them: on 59 of 100 such series it let a trend be cried."""
    said = verdicts(lambda chance: noise(chance, n, sd=1.0) + noise(chance, n, related=0.98, sd=0.5), series=200)
    assert said["falling"] <= most and said["rising"] <= most


def test_epochs_that_all_look_alike_are_no_trend():
    """Within an epoch the loss falls, at its end it jumps back: ten times the same."""
    said = verdicts(lambda chance: noise(chance, 1000, sd=0.3) - np.tile(np.linspace(0, 0.5, 100), 10), series=200)
    assert said["falling"] <= 0.06 and said["noise"] > 0.9


@pytest.mark.parametrize("shape", ["jump", "blow-up"])
def test_a_jump_is_refused_with_its_reason(shape):
    t, chance = np.arange(200), np.random.default_rng(6)
    rise = 5.0 * (t > 150) if shape == "jump" else np.maximum(t - 180, 0) ** 2 * 0.1
    found = trend(5 + rise + noise(chance, 200, sd=0.1))
    assert found.verdict == "too few points" and "wander or jump" in found.why


def test_the_interval_and_the_verdict_hardly_ever_contradict_each_other():
    chance = np.random.default_rng(7)
    weak = [trend(noise(chance, 200) - 0.001 * np.arange(200)) for _ in range(300)]
    falling = [found for found in weak if found.verdict == "falling"]
    assert len(falling) > 50
    assert np.mean([found.high < 0 for found in falling]) > 0.9


@pytest.mark.parametrize("n", [2000, 20_000])
def test_a_power_law_is_seen_to_fall_for_long(n):
    t, chance = np.arange(1, n + 1), np.random.default_rng(8)
    found = [trend(2 + 6 * t**-0.25 + noise(chance, n, sd=0.2)) for _ in range(20)]
    assert sum(f.verdict == "falling" for f in found) >= 18
    assert all(f.blocks <= 200 for f in found)


@pytest.mark.parametrize(("slope", "verdict"), [(-0.005, "falling"), (0.005, "rising")])
def test_a_slope_is_found_in_nine_of_ten(slope, verdict):
    said = verdicts(lambda chance: noise(chance, 120) + slope * np.arange(120), series=500)
    assert said[verdict] >= 0.9


def test_what_a_smoothed_curve_would_say():
    """The reason for block means: the same test on a moving average cries falling far too often."""
    from scipy.stats import kendalltau

    chance = np.random.default_rng(1)
    cried = 0
    for _ in range(200):
        smoothed = lfilter([0.1], [1, -0.9], noise(chance, 140))[20:]
        cried += kendalltau(range(120), smoothed, alternative="less").pvalue < 0.05
    assert cried / 200 > 0.25


def test_a_steep_first_drop_is_named_and_left_out():
    """Flat after the drop: without leaving it out, every one of these would be falling."""
    t = np.arange(450)
    chance = np.random.default_rng(2)
    found = [trend(noise(chance, 450) + 4 * np.exp(-t / 10)) for _ in range(300)]
    assert all(f.drop is not None and f.drop[0] == 1 and 10 <= f.bend < f.drop[1] <= 150 for f in found)
    assert np.mean([f.verdict == "falling" for f in found]) <= 0.10
    assert all(f.steps[0] > f.drop[1] for f in found)


def test_no_drop_is_seen_in_noise_or_in_a_straight_line():
    chance = np.random.default_rng(3)
    assert sum(trend(noise(chance, 120)).drop is not None for _ in range(300)) <= 3
    assert sum(trend(noise(chance, 120) - 0.02 * np.arange(120)).drop is not None for _ in range(300)) <= 3


def test_falling_and_then_stalled_or_rising_are_told_apart():
    t, chance = np.arange(600), np.random.default_rng(4)
    fall = np.maximum(400 - t, 0) * 3 / 400

    def share(shape, verdict):
        return np.mean([trend(noise(chance, 600) + shape).verdict == verdict for _ in range(100)])

    assert share(fall, "falling") <= 0.2 and share(fall, "noise") >= 0.7
    assert share(fall + np.maximum(t - 400, 0) * 0.01, "rising") >= 0.9
    assert share((600 - t) * 3 / 400, "falling") == 1


def test_slope_is_per_hundred_steps_and_its_interval_holds_it():
    steps = np.arange(1, 2001, 5)  # logged at every fifth step
    found = trend(5 - 0.001 * steps + noise(np.random.default_rng(5), len(steps), sd=0.1), steps)
    assert found.low < -0.1 < found.high and found.slope == pytest.approx(-0.1, abs=0.01)
    assert found.steps[1] == steps[-1] and found.blocks >= 10


@pytest.mark.parametrize("values", [[], [1.0], list(np.linspace(5, 4, 19))])
def test_few_values_are_too_few(values):
    found = trend(values)
    assert found.verdict == "too few points" and f"{len(values)} steps" in found.why
    assert found.slope is None and found.p is None


def test_a_value_that_is_no_number_is_named():
    values = np.ones(50)
    values[30] = np.nan
    assert trend(values, range(100, 150)).why == "the value at step 130 is nan"


def test_a_constant_is_no_trend():
    assert trend(np.full(20_000, 3.0)).verdict == "noise"  # many, and yet not every pair of them is looked at


def test_shapes_must_fit():
    with pytest.raises(ValueError, match=r"\(3,\) and \(2,\)"):
        trend([1.0, 2.0, 3.0], [1, 2])
    with pytest.raises(ValueError, match="the steps must increase"):
        trend([1.0, 2.0, 3.0], [1, 2, 2])
