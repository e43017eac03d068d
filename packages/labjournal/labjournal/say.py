"""Sentences whose numbers come from a record, and how they are shown."""

from __future__ import annotations

import base64
import contextlib
import html
import io
import numbers
import os
import string
import sys
from collections.abc import Mapping

from .markdown import escape, spelled_out
from .store import JournalError


def fill(record: dict, text: str, values: dict, quote=escape) -> str:
    """`text` with its fields filled from the record and `values`; see :meth:`.run.Run.say`.

    Args:
        quote: what makes text that is filled in harmless: for Markdown, or ``clean`` for plain text.
    Raises:
        JournalError: a field names something that is in neither.
    """
    try:
        return _Formatter().vformat(text, (), _Names(record, values, quote))
    except IndexError:
        raise JournalError(f"every field of a sentence has a name, as in {{val_loss:.2f}}: {text!r}") from None


class _Formatter(string.Formatter):
    def convert_field(self, value, conversion):
        # Escaped text must not be escaped once more: {x!r} would undo it.
        return value if isinstance(value, str) else super().convert_field(value, conversion)


class _Names(dict):
    """What a sentence may name: metrics by their last value, and the namespaces below. Text is escaped."""

    def __init__(self, record: dict, values: dict, quote):
        metrics = record["metrics"]
        super().__init__({name: _sayable(m["final"], quote) for name, m in metrics.items()})
        for key in ("start", "best", "best_step"):
            self[key] = _Space(key, {name: m[key] for name, m in metrics.items() if m[key] is not None}, quote)
        self["predicted"] = _Space("predicted", {k: p["predicted"] for k, p in record["predictions"].items()}, quote)
        self["config"] = _Space("config", record["config"], quote)
        self.update({str(name): _sayable(value, quote) for name, value in values.items()})

    def __missing__(self, name: str):
        raise JournalError(f"a sentence names {name!r}, which is not in the record; it has {', '.join(sorted(self))}")


class _Space:
    """Named values: {config.depth}, {worth[wide].low}."""

    def __init__(self, name: str, values: Mapping, quote):
        self._name, self._values, self._quote = name, {str(key): value for key, value in values.items()}, quote

    def __getattr__(self, key: str):
        try:
            return _sayable(self._values[str(key)], self._quote)
        except KeyError:
            there = ", ".join(sorted(self._values)) or "nothing"
            if self._name == "predicted":
                there += (
                    "; write your guess where run.predict stands, restart the kernel and run the cells from the top"
                )
            raise JournalError(
                f"a sentence names {self._name}.{key}, which is not in the record; {self._name} has {there}"
            ) from None

    __getitem__ = __getattr__


class _Series:
    """A row of numbers, or of rows of them: {x[0]}, {x.last}, {x.min}, {x.max}, {x.mean}, and {x:.2f} for each."""

    def __init__(self, values):
        self._values = values

    def __getitem__(self, place: int | str):
        return _sayable(self._values[int(place)], None)

    def __getattr__(self, name: str):
        if name == "last":
            return self[-1]
        flat = _flat(self._values)
        if name not in ("min", "max", "mean") or not flat:
            raise JournalError(f"a row of {len(flat)} numbers has no {name}; a row has [0], last, min, max and mean")
        return sum(flat) / len(flat) if name == "mean" else {"min": min, "max": max}[name](flat)

    def __format__(self, spec: str) -> str:
        return ", ".join(format(value, spec) for value in _flat(self._values))


def _flat(values) -> list:
    """The numbers of rows in rows, without those that were not measured."""
    flat = []
    for value in values:
        if isinstance(value, (list, tuple)):
            flat += _flat(value)
        elif value is not None and value == value and value != "nan":
            flat.append(value)
    return flat


def has_parts(value) -> bool:
    """Whether it is a row or a table: its sentence names some of it, and a record would keep all of it twice."""
    return isinstance(value, (Mapping, list, tuple)) or getattr(value, "ndim", 0) > 0


def _sayable(value, quote):
    """Numbers, rows and tables of them so that a sentence can format them; everything else as harmless text."""
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):  # as records hold them
        return float(value)
    if isinstance(value, numbers.Real):
        return value
    if hasattr(value, "tolist"):  # an array or a tensor, maybe of one number
        return _sayable(value.tolist(), quote)
    if isinstance(value, Mapping):
        return _Space("the table", value, quote)
    if isinstance(value, (list, tuple)) and all(isinstance(v, numbers.Real) for v in _flat(value)):
        return _Series(value)
    return quote(value, 2000)


def show_markdown(text: str) -> None:
    """Rendered in a notebook, printed elsewhere."""
    if _in_ipython():
        from IPython.display import Markdown, display

        display(Markdown(text))
    else:
        put(text)


def put(text: str) -> None:
    """Print. Where nobody reads on (`python mine.py | head`, a terminal that is gone) nothing ends: records have it."""
    if sys.stdout is None:
        return
    try:
        print(spelled_out(text) if sys.stdout.isatty() else text, flush=True)
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


unread: set[int] = set()  # of standard output (1) and error (2): where nobody reads on


class _Output(io.FileIO):
    def write(self, data) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            unread.add(self.fileno())
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(data)


def go_on() -> None:
    """For a command: where nobody reads on, as in `list | head`, it goes on and ends with its own exit status."""
    for name in ("stdout", "stderr"):
        was = getattr(sys, name)
        if was is None or was.isatty():
            continue
        lines = was.line_buffering or was.write_through
        raw = io.BufferedWriter(_Output(was.fileno(), "w", closefd=False))
        setattr(sys, name, io.TextIOWrapper(raw, was.encoding, was.errors, line_buffering=lines))


def show_image(picture: bytes, alt: str) -> None:
    """As HTML, because notebooks have no other output whose alt text reaches the page."""
    if _in_ipython():
        from IPython.display import display

        display({"text/html": image(picture, alt), "text/plain": alt}, raw=True)


def image(picture: bytes, alt: str) -> str:
    data = base64.b64encode(picture).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}" width="800">'


def _in_ipython() -> bool:
    # Not imported, so not running in it.
    module = sys.modules.get("IPython")
    return module is not None and module.get_ipython() is not None
