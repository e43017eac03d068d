"""Wines with what a shop says of them and what they cost, from the pinned source "wine".

Two lists, of wine.com and of Vivino, as a benchmark for tables ships them. The texts and prices were collected from the
shops by others; under which licence is unclear, so notebooks show excerpts only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

FILES = {"wine.com": "wine_dot_com_prices.parquet", "Vivino": "wine_vivino_price.parquet"}
PARTS = 0.2, 0.1  # of the names: for the test; of the rest: for validation


@dataclass(frozen=True)
class Wines:
    """Bottles in a fixed order; every row has one of each, arrays have shape (bottles,)."""

    names: list[str]
    texts: list[str]  # name, kind, grapes, region, and where they are known volume and alcohol
    kinds: list[str]  # red wine, white wine …
    regions: list[str]  # the last part of the region: a country, or a state of the USA
    years: np.ndarray  # float, 0 where the list has none
    volumes: np.ndarray  # ml, 0 where not known
    alcohol: np.ndarray  # per cent, 0 where not known
    prices: np.ndarray  # as the list has them: wine.com in US dollars, Vivino does not say

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, index) -> Wines:
        """The bottles at these positions, in this order."""
        rows = [[values[i] for i in index] for values in vars(self).values()]
        return Wines(*(np.array(row) if isinstance(old, np.ndarray) else row
                       for old, row in zip(vars(self).values(), rows, strict=True)))  # fmt: skip


def load(shop: str = "wine.com") -> Wines:
    """All bottles of a list, no row twice.

    Raises:
        ValueError: no such shop, or a price that is none; it names the row.
        SourceError: the pinned source cannot be had.
    """
    if shop not in FILES:
        raise ValueError(f"no list of {shop!r}; there are {' and '.join(FILES)}")
    import pyarrow.parquet

    from . import sources

    rows = pyarrow.parquet.read_table(sources.fetch("wine") / FILES[shop]).to_pylist()
    rows = list({tuple(row.items()): row for row in rows}.values())
    found = [_wine_dot_com(row) if shop == "wine.com" else _vivino(row) for row in rows]
    names, texts, kinds, regions, years, volumes, alcohol, logs = map(list, zip(*found, strict=True))
    numbers = (np.array([float(value or 0) for value in values]) for values in (years, volumes, alcohol))
    return Wines(names, texts, kinds, regions, *numbers, checked(np.exp(logs)))


def checked(prices) -> np.ndarray:
    """The prices as numbers, (bottles,).

    Raises:
        ValueError: one is a text such as "$9.99", no number, zero or negative; the message names the first.
    """
    for place, price in enumerate(prices):
        if isinstance(price, str):
            raise ValueError(
                f"price {place} is the text {price[:20]!r}; give a number, without a currency sign or commas"
            )
        if price is None or not np.isfinite(price) or price <= 0:
            raise ValueError(f"price {place} is {price}; a price is a number greater than 0: leave the row out")
    return np.asarray(prices, float)


def wine(name: str) -> str:
    """What the bottles of one wine share, whatever their year, their size and other notes in brackets.

    >>> wine("Château X Grand Cru (1.5 Liter Magnum) 2017")
    'château x grand cru'
    """
    return " ".join(re.sub(r"\([^)]*\)|\b(19|20)\d\d\b", " ", name).lower().split())


def split(names: list[str], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions to learn from, for validation and for the test; no wine stands in two of them.

    Raises:
        ValueError: there are fewer than ten wines.
    """
    wines = np.array([wine(name) for name in names])
    different = np.random.default_rng(seed).permutation(np.unique(wines))
    if len(different) < 10:
        raise ValueError(f"{len(different)} different wines cannot be split into three parts; at least ten are needed")
    test = round(PARTS[0] * len(different))
    val = test + round(PARTS[1] * (len(different) - test))
    parts = np.split(different, [test, val])
    test, val, fit = (np.flatnonzero(np.isin(wines, part)) for part in parts)
    return fit, val, test


def _wine_dot_com(row: dict) -> tuple:
    region = (row["Region"] or "").strip()
    volume = f"{row['Capacity']:g} ml" if row["Capacity"] else ""
    alcohol = f"{row['ABV']:g} %" if row["ABV"] else ""
    said = (row["Names"], row["wine_type"], (row["Grapes"] or "").strip(), region, volume, alcohol)
    return (row["Names"], ", ".join(filter(None, said)), row["wine_type"] or "", region.split(", ")[-1],
            _year(row["Year"]), row["Capacity"], row["ABV"], row["Prices"])  # fmt: skip


def _vivino(row: dict) -> tuple:
    name = f"{row['Winery'] or ''} {row['Name']}".strip()
    said = (name, f"{row['Wine_Type']} wine" if row["Wine_Type"] else "", row["Region"])
    return (name, ", ".join(filter(None, said)), row["Wine_Type"] or "", (row["Region"] or "").split(", ")[-1],
            _year(row["Year"]), 0, 0, row["Price"])  # fmt: skip


def _year(told: str | None) -> int:
    return int(told) if told and told.isdigit() else 0
