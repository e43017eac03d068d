"""Wines and their prices: what is read is whole and checked, and no wine stands in two parts."""

import re

import numpy as np
import pytest

from helpers import prices


@pytest.fixture(scope="module")
def wines():
    return prices.load("wine.com")


def test_all_bottles_of_the_list_are_read_once_with_their_prices(wines):
    assert len(wines) == 15_250  # 15,254 rows, of which 4 stand there twice
    assert np.median(wines.prices) == pytest.approx(34.99, abs=0.01)
    assert wines.prices.min() == pytest.approx(4.97, abs=0.01) and wines.prices.max() == pytest.approx(11_900, rel=1e-3)
    assert {len(values) for values in vars(wines).values()} == {len(wines)}
    assert wines.texts[0].startswith(wines.names[0]) and "ml" in wines.texts[0]
    few = wines.take([5, 0])
    assert few.names == [wines.names[5], wines.names[0]] and few.prices[1] == wines.prices[0]


def test_the_other_shop_has_no_volume_and_no_alcohol():
    other = prices.load("Vivino")
    assert len(other) == 13_834 and not other.volumes.any() and not other.alcohol.any()
    assert np.median(other.prices) == pytest.approx(15.95, abs=0.01)


def test_no_wine_stands_in_two_parts_and_each_bottle_in_one(wines):
    parts = prices.split(wines.names, seed=1)
    names = [{prices.wine(wines.names[i]) for i in part} for part in parts]
    assert not names[0] & names[1] and not names[0] & names[2] and not names[1] & names[2]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(wines)))
    assert 0.15 < len(parts[2]) / len(wines) < 0.25
    assert not np.array_equal(parts[2], prices.split(wines.names, seed=2)[2])


def test_names_lose_their_year_and_their_size_and_nothing_else():
    assert prices.wine("Abreu Madrona Ranch 2013") == prices.wine("ABREU Madrona Ranch 2014")
    assert prices.wine("Altesino Brunello (375ML half-bottle) 2017") == prices.wine("Altesino Brunello 2016")
    assert prices.wine("Vin 1899 No. 7") == "vin 1899 no. 7"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([9.99, "$9.99"], "price 1 is the text '$9.99'; give a number, without a currency sign or commas"),
        (["1,234.50"], "price 0 is the text '1,234.50'"),
        ([3.0, 0.0], "price 1 is 0.0; a price is a number greater than 0"),
        ([-4.0], "price 0 is -4.0"),
        ([float("nan")], "price 0 is nan"),
        ([1.0, None], "price 1 is None"),
        ([float("inf")], "price 0 is inf"),
    ],
)
def test_what_is_no_price_is_refused_by_its_place(given, said):
    with pytest.raises(ValueError, match="^" + re.escape(said)):
        prices.checked(given)


def test_an_unknown_shop_and_too_few_wines_are_refused():
    with pytest.raises(ValueError, match="no list of 'Nowhere'; there are"):
        prices.load("Nowhere")
    with pytest.raises(ValueError, match="3 different wines cannot be split"):
        prices.split(["A 2010", "A 2011", "B", "C"], seed=1)
