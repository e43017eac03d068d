"""Exercises that answer: the learner fills a cell, the next one says what came out, and never what should have.

    check("02.1", merge, like=merge_loops, on=[([1, 2, 1, 2], (1, 2), 256)], hint="Go from the left.")

A check says *exact*, *approximately* with the largest difference, or which way the answer is off, with a hint.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import numpy as np

from labjournal.markdown import escape
from labjournal.say import show_markdown

OPEN = ("is open: fill in the cell above, run it, then run this one again.", "gives nothing back yet.")


def check(
    name: str, mine, like, on: list[tuple] | None = None, *, hint: str = "", tolerance: float = 1e-6,
    seconds: float | None = None,
) -> None:  # fmt: skip
    """Show how `mine` compares with `like`.

    Args:
        mine: the learner's: a function, or with `on` left out a value; ``...`` while it is open.
        like: what it should do, or be.
        on: the arguments of each call.
        tolerance: relative to the largest value; up to it an answer counts as right, approximately.
        seconds: what all calls of `mine` together may take.
    """
    passed, text = judge(mine, like, on, tolerance, seconds)
    hinted = hint and not passed and text not in OPEN  # who has not tried yet gets none
    show_markdown(f"{'✓' if passed else '✗'} **{name}** {text}{f' *{hint}*' if hinted else ''}")


def judge(mine, like, on=None, tolerance: float = 1e-6, seconds: float | None = None) -> tuple[bool, str]:
    """Whether an answer is right, and what to say of it."""
    if mine is ... or mine is None:
        return False, OPEN[0]
    if on is None:
        return _compared(mine, like, tolerance)
    if not callable(mine):
        return False, f"is {_short(mine)}; a function is wanted, as the cell above begins it."
    farthest, took = "exact.", 0.0
    for arguments in on:
        called = f"on {', '.join(map(_short, arguments))}" if arguments else "when it is called"
        given = copy.deepcopy(arguments)  # what is changed in place must not reach the other side
        began = time.perf_counter()
        try:
            found = mine(*given)
        except (Exception, SystemExit) as error:  # the learner's own, told in a line
            return False, f"stops {called} with {type(error).__name__}: {escape(error)}."
        took += time.perf_counter() - began
        if found is ... or found is None:
            return False, OPEN[1] if arguments is on[0] else f"gives nothing back {called}."
        passed, said = _compared(found, like(*copy.deepcopy(arguments)), tolerance)
        if not passed:
            return False, f"{said.rstrip('.')} {called}."
        farthest = said if said != "exact." else farthest
    if seconds is not None and took > seconds:
        return False, f"is right, and takes {took:.2g} s where {seconds:g} s are allowed."
    return True, farthest if farthest != "exact." else f"exact, in {len(on)} case{'s' * (len(on) > 1)}."


def _compared(mine, wanted, tolerance: float) -> tuple[bool, str]:
    mine = bool(mine) if isinstance(mine, np.bool_) else mine
    numbers = _numbers(wanted)
    if numbers is None:
        return _same(mine, wanted)
    found = _numbers(mine)
    if found is None:
        wanted = "a list of numbers is" if numbers.ndim and isinstance(mine, (set, dict)) else "numbers are"
        return False, f"is {_short(mine)}, where {wanted} wanted."
    if found.shape != numbers.shape:
        return False, f"has shape {found.shape}, and {numbers.shape} is wanted."
    if np.array_equal(found, numbers, equal_nan=True):
        return True, "exact."
    finite = np.isfinite(numbers)
    if not np.array_equal(found[~finite], numbers[~finite], equal_nan=True):
        return False, "differs where no finite number is wanted."
    if not np.isfinite(found[finite]).all():
        return False, f"holds {np.count_nonzero(~np.isfinite(found[finite]))} values that are no finite numbers."
    found, numbers = found[finite], numbers[finite]
    apart, size = found - numbers, float(np.abs(numbers).max()) or 1.0
    farthest = float(np.abs(apart).max())
    allowed = tolerance * size if (numbers % 1).any() else min(tolerance * size, 0.4)  # a count is not off by one
    if farthest <= allowed:
        return True, f"approximately right (largest difference {farthest:.1g})."
    wrong = np.abs(apart) > allowed
    way = "too large" if (apart[wrong] > 0).all() else "too small" if (apart[wrong] < 0).all() else "off both ways"
    far = "by more than half" if farthest > size / 2 else "by up to a half" if farthest > size / 10 else "a little"
    return False, f"is {way}, {far}" + (f", at {wrong.sum():,} of {wrong.size:,} places." if wrong.size > 1 else ".")


def _same(mine, wanted) -> tuple[bool, str]:
    if type(mine) is type(wanted) and _equal(mine, wanted):
        return True, "exact."
    if type(mine) is not type(wanted):
        return False, f"is a {type(mine).__name__}, and a {type(wanted).__name__} is wanted."
    if isinstance(wanted, str) and len(wanted) > 3 and wanted.isidentifier():  # a name: its letters say nothing
        return False, f"is {_short(mine)}, which it should not be."
    if isinstance(wanted, (list, tuple, str)):
        if len(mine) != len(wanted):
            items = "characters" if isinstance(mine, str) else "items"
            return False, f"has {len(mine)} {items}, which is too {'many' if len(mine) > len(wanted) else 'few'}."
        place = next(i for i, (a, b) in enumerate(zip(mine, wanted, strict=True)) if not _equal(a, b))
        return False, f"first goes wrong at place {place}, where it has {_short(mine[place])}."
    return False, f"is {_short(mine)}, which it should not be."


def _equal(a, b) -> bool:
    """Whether they are the same, arrays inside them too, whose own answer would be an array."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in b)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(_equal, a, b))
    if hasattr(a, "shape") or hasattr(b, "shape"):
        return np.array_equal(a, b)
    return bool(a == b)


def _numbers(value) -> np.ndarray | None:
    """A number, an array, a tensor, or a row of numbers as float64; None for anything else."""
    if isinstance(value, (str, bytes, dict, set, bool, Callable)):
        return None
    try:
        found = np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
        return found.astype(np.float64) if found.dtype.kind in "fiu" else None
    except (ValueError, TypeError):
        return None


def _short(value) -> str:
    if hasattr(value, "shape"):
        return f"an array of {tuple(value.shape)}"
    try:
        return escape(repr(value), 60)
    except Exception:  # a number of thousands of digits, or a class of the learner's own
        return f"a {type(value).__name__} that cannot be shown"
