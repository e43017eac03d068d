"""How a record's metrics follow from what was logged: the same code for a living run and for a killed one."""

from __future__ import annotations

from . import monitor, progress
from .record import JournalError, plain

KINDS = ("result", "timing")
DIRECTIONS = ("lower", "higher", None)


def check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise JournalError(f"kind={kind!r}; choose one of {', '.join(KINDS)}")


def predict(record: dict, name: str, value, unit: str, kind: str = "result") -> None:
    """Write a prediction into the record. Raises JournalError when the metric has been measured already."""
    check_kind(kind)
    name, value, unit = plain(name), plain(value), plain(unit)
    if not isinstance(value, (int, float)):
        raise JournalError(f"a prediction is a finite number, not {value!r}")
    if name in record["metrics"]:
        raise JournalError(f"{name} has been measured already; a prediction comes before the measurement")
    record["predictions"][name] = {"predicted": value, "measured": None, "unit": unit, "kind": kind}


def update(record: dict, name: str, value, step=None, unit=None, better=None, kind=None) -> None:
    """Write one logged value (plain) into the record: start, best and its step, final, count, what was predicted of it.

    Raises:
        JournalError: no unit at the first time, or another unit, direction or kind than then.
    """
    known = record["metrics"].get(name)
    predicted = record["predictions"].get(name)
    if known is None:
        check_kind(kind or "result")
        if unit is None:
            raise JournalError(f'{name} is logged for the first time: give its unit, as in unit="s" (or unit="")')
        if better not in DIRECTIONS:
            raise JournalError(f"better={better!r}; choose 'lower', 'higher' or None")
        if predicted is not None and predicted["unit"] != unit:
            raise JournalError(f"{name} was predicted in {predicted['unit']!r} and measured in {unit!r}")
        known = record["metrics"][name] = {
            "start": value,
            "best": value if better else None,
            "best_step": step if better else None,
            "final": value,
            "unit": unit,
            "better": better,
            "kind": kind or "result",
            "count": 0,
        }
    for given, key in ((unit, "unit"), (better, "better"), (kind, "kind")):
        if given is not None and given != known[key]:
            raise JournalError(f"{name} was logged with {key} {known[key]!r} before, now {given!r}")
    known["count"] += 1
    known["final"] = value
    known.pop("items", None)  # they were of the value before
    if known["better"] and isinstance(value, (int, float)) and _beats(value, known["best"], known["better"]):
        known["best"], known["best_step"] = value, step
    if predicted is not None:
        predicted["measured"] = value


def replay(record: dict, events: list[dict]) -> dict:
    """`record` with predictions, metrics, figures and notes made again from its events alone.

    What a killed run had logged is found this way, and a record that was changed by hand is told from one that was not.
    """
    record = {**record, "predictions": {}, "metrics": {}, "figures": {}, "notes": []}
    for event in events:
        apply(record, event)
    add_trainings(record, progress.add_up(events))
    return record


def apply(record: dict, event: dict) -> None:
    """One event into the record; those of a training are for :mod:`.progress`."""
    if event["event"] == "predict":
        predict(record, event["name"], event["value"], event["unit"], event["kind"])
    elif event["event"] == "log":
        for name, value in event["metrics"].items():
            update(record, name, value, event["step"], event["unit"], event["better"], event["kind"])
    elif event["event"] == "figure":
        record["figures"][event["name"]] = {k: event[k] for k in ("alt", "kind", "png", "data")}
    elif event["event"] == "items":
        record["metrics"][event["metric"]]["items"] = event["items"]
    elif event["event"] == "note":
        record["notes"].append(event["text"])


def add_trainings(record: dict, found: progress.Progress) -> None:
    """What was trained, with its reports, and what it used."""
    if found.trainings:
        record["trainings"] = plain(progress.summary(found))
    if found.samples:
        record["resources"] = {**record["resources"], "monitor": monitor.summary(found.samples)}


def _beats(value: float, best, better: str) -> bool:
    if not isinstance(best, (int, float)):
        return True
    return value < best if better == "lower" else value > best
