"""Statistics against published or hand-worked values."""

import numpy as np
import pytest

from helpers import stats


def test_wilson_known_values():
    assert stats.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I, method 3
    assert stats.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)  # the same table
    assert stats.wilson(20, 20) == pytest.approx((1 - 0.1611, 1.0), abs=1e-4)


def test_wilson_refuses_the_impossible():
    with pytest.raises(ValueError, match="5"):
        stats.wilson(5, 4)
    with pytest.raises(ValueError):
        stats.wilson(0, 0)


def test_mcnemar_by_hand():
    # Ten disagreements split 9 to 1: 2 * (C(10,0) + C(10,1)) / 2**10.
    assert stats.mcnemar(9, 1) == pytest.approx(2 * 11 / 1024)
    assert stats.mcnemar(1, 9) == stats.mcnemar(9, 1)
    assert stats.mcnemar(0, 0) == 1.0
    assert stats.mcnemar(5, 5) == 1.0


def test_compare_counts_and_verdicts():
    first = np.array([True] * 700 + [False] * 300)
    second = first.copy()
    second[690:700] = False  # the second loses 10 …
    second[700:760] = True  # … and wins 60
    found = stats.compare_accuracy(first, second, seed=0)
    assert (found.first_only, found.second_only) == (10, 60)
    assert found.gain == pytest.approx(0.05)
    assert found.low < 0.05 < found.high
    assert found.verdict == "better"
    assert stats.compare_accuracy(second, first, seed=0).verdict == "worse"
    second[700:760] = False
    second[700:711] = True  # 11 against 10: nobody can tell
    assert stats.compare_accuracy(first, second, seed=0).verdict == "cannot tell"
    assert stats.compare_accuracy(first, first, seed=0).verdict == "cannot tell"


def test_compare_refuses_different_items():
    with pytest.raises(ValueError, match=r"\(3,\), \(2,\)"):
        stats.compare_accuracy(np.ones(3, bool), np.ones(2, bool), seed=0)


def test_bootstrap_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    hits = 0
    for trial in range(60):
        low, high = stats.bootstrap_mean(rng.exponential(size=80), seed=trial, resamples=400)
        hits += low <= 1.0 <= high
    assert 50 <= hits <= 60  # 95 % of 60 is 57


def test_power_law_is_recovered():
    sizes = np.array([200, 400, 800, 1600, 3200, 6400])
    law = stats.fit_power_law(sizes, 0.12 + 3.0 * sizes**-0.45)
    assert (law.floor, law.scale, law.exponent) == pytest.approx((0.12, 3.0, 0.45), rel=0.02)
    assert float(law(12800)) == pytest.approx(0.12 + 3.0 * 12800**-0.45, rel=1e-3)


def test_power_law_stays_within_its_bounds():
    sizes = [100, 200, 400, 800]
    flat = stats.fit_power_law(sizes, np.full(4, 0.3))
    assert float(flat(1600)) == pytest.approx(0.3)
    rising = stats.fit_power_law(sizes, [0.1, 0.2, 0.3, 0.4])  # an error that grows is not followed upwards
    assert float(rising(1600)) <= 0.25 + 1e-9
    steep = stats.fit_power_law(sizes, [0.4, 0.3, 0.2, 0.1])
    assert 0 <= steep.floor <= 0.1


def test_power_law_refuses_far_extrapolation_and_too_few_points():
    law = stats.fit_power_law([100, 200, 400], [0.4, 0.35, 0.32])
    law(1200)
    with pytest.raises(ValueError, match="beyond 3 times"):
        law(1201)
    with pytest.raises(ValueError, match="3 numbers to find"):
        stats.fit_power_law([100, 200], [0.4, 0.35])


def test_resample_is_seeded_and_in_range():
    draws = stats.resample(4, 100, seed=1)
    assert draws.shape == (100, 4) and draws.min() == 0 and draws.max() == 3
    assert (draws == stats.resample(4, 100, seed=1)).all()
    assert (draws != stats.resample(4, 100, seed=2)).any()
