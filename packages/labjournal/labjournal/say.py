"""Sentences whose numbers come from a record, and how they are shown."""

from __future__ import annotations

import numbers
import string
import sys

from .markdown import escape
from .store import JournalError


def fill(record: dict, text: str, values: dict) -> str:
    """`text` with its fields filled from the record and `values`; see :meth:`.run.Run.say`.

    Raises:
        JournalError: a field names something that is in neither.
    """
    try:
        return _Formatter().vformat(text, (), _Names(record, values))
    except IndexError:
        raise JournalError(f"every field of a sentence has a name, as in {{val_loss:.2f}}: {text!r}") from None


class _Formatter(string.Formatter):
    def convert_field(self, value, conversion):
        # Escaped text must not be escaped once more: {x!r} would undo it.
        return value if isinstance(value, str) else super().convert_field(value, conversion)


class _Names(dict):
    """What a sentence may name: metrics by their last value, and the namespaces below. Text is escaped."""

    def __init__(self, record: dict, values: dict):
        metrics = record["metrics"]
        super().__init__({name: _sayable(m["final"]) for name, m in metrics.items()})
        for key in ("start", "best", "best_step"):
            self[key] = _Space(key, {name: m[key] for name, m in metrics.items() if m[key] is not None})
        self["predicted"] = _Space("predicted", {k: p["predicted"] for k, p in record["predictions"].items()})
        self["config"] = _Space("config", record["config"])
        self.update({name: _sayable(value) for name, value in values.items()})

    def __missing__(self, name: str):
        raise JournalError(f"a sentence names {name!r}, which is not in the record; it has {', '.join(sorted(self))}")


class _Space:
    def __init__(self, name: str, values: dict):
        self._name, self._values = name, values

    def __getattr__(self, key: str):
        try:
            return _sayable(self._values[key])
        except KeyError:
            raise JournalError(
                f"a sentence names {self._name}.{key}, which is not in the record; "
                f"{self._name} has {', '.join(sorted(self._values)) or 'nothing'}"
            ) from None


def _sayable(value):
    """Numbers as they are, so that a sentence can format them; everything else as escaped text."""
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):  # as records hold them
        return float(value)
    if isinstance(value, numbers.Real):
        return value
    if getattr(value, "ndim", None) == 0:  # a tensor's one number
        return value.item()
    return escape(value, 2000)


def show_markdown(text: str) -> None:
    """Rendered in a notebook, printed elsewhere."""
    if _in_ipython():
        from IPython.display import Markdown, display

        display(Markdown(text))
    else:
        print(text)


def show_image(picture: bytes, alt: str) -> None:
    if _in_ipython():
        from IPython.display import Image, display

        display(Image(picture, format="png", alt=alt, width=800))


def _in_ipython() -> bool:
    # Not imported, so not running in it.
    module = sys.modules.get("IPython")
    return module is not None and module.get_ipython() is not None
