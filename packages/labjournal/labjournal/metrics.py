"""How a record follows from its events: the same code for a living run, a killed one, and the check of a closed one."""

from __future__ import annotations

from . import monitor, progress
from .store import JournalError, plain

KINDS = ("result", "timing")
DIRECTIONS = ("lower", "higher", None)


def check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise JournalError(f"kind={kind!r}; choose one of {', '.join(KINDS)}")


def apply(record: dict, event: dict) -> dict:
    """What `event` makes of the record: part of the record -> what is new in it. The record itself is left as it is.

    Events of a training are for :mod:`.progress`.

    Raises:
        JournalError: the event cannot follow what the record has.
    """
    kind = event["event"]
    if kind == "predict":
        return {"predictions": {event["name"]: _predicted(record, event)}}
    if kind == "log":
        return _logged(record, event)
    if kind == "figure":
        facts = ("alt", "kind", "png", "data", "main", "from")
        return {"figures": {event["name"]: {key: event[key] for key in facts if key in event}}}
    if kind == "items":
        metric = event["metric"]
        return {"metrics": {metric: {**record["metrics"][metric], **_of_items(event)}}}
    if kind == "table":
        return {"tables": {event["name"]: {key: event[key] for key in ("rows", "columns")}}}
    if kind == "note":
        return {"notes": [event["text"]]}
    return {}


def put(record: dict, new: dict) -> None:
    """Write what :func:`apply` found into the record."""
    for part, values in new.items():
        if part == "notes":
            record[part].extend(values)
        else:
            record.setdefault(part, {}).update(values)


def replay(record: dict, events: list[dict]) -> dict:
    """`record` with predictions, metrics, figures, tables and notes made again from its events alone.

    What a killed run had logged is found this way, and a record that was changed by hand is told from one that was not.
    """
    record = {**record, "predictions": {}, "metrics": {}, "figures": {}, "notes": []}
    record.pop("tables", None)
    for event in events:
        put(record, apply(record, event))
    add_trainings(record, progress.add_up(events))
    return record


def _of_items(event: dict) -> dict:
    return {key: event[key] for key in ("items", "file") if key in event}


def _predicted(record: dict, event: dict) -> dict:
    name, value = event["name"], event["value"]
    check_kind(event["kind"])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise JournalError(f"a prediction is a finite number, not {value!r}")
    if name in record["metrics"]:
        raise JournalError(
            f"{name} has been measured already; a prediction comes before the measurement: "
            "restart the kernel and run the cells from the top"
        )
    return {"predicted": value, "measured": None, "unit": event["unit"], "kind": event["kind"]}


def _logged(record: dict, event: dict) -> dict:
    new: dict = {"metrics": {}, "predictions": {}}
    for name, value in event["metrics"].items():
        metric = _metric(record, name, value, event)
        new["metrics"][name] = metric
        if predicted := record["predictions"].get(name):
            new["predictions"][name] = {**predicted, "measured": value}
    return new


def _metric(record: dict, name: str, value, event: dict) -> dict:
    """One logged value: start, best and its step, final, count.

    Raises:
        JournalError: no unit at the first time, or another unit, direction or kind than then.
    """
    step, given = event["step"], {key: event[key] for key in ("unit", "better", "kind")}
    known = record["metrics"].get(name)
    if known is None:
        predicted, unit, better = record["predictions"].get(name), given["unit"], given["better"]
        check_kind(given["kind"] or "result")
        if unit is None:
            raise JournalError(f'{name} is logged for the first time: give its unit, as in unit="s" (or unit="")')
        if better not in DIRECTIONS:
            raise JournalError(f"better={better!r}; choose 'lower', 'higher' or None")
        if predicted is not None and predicted["unit"] != unit:
            raise JournalError(f"{name} was predicted in {predicted['unit']!r} and measured in {unit!r}")
        best, best_step, kind = value if better else None, step if better else None, given["kind"] or "result"
        return {"start": value, "best": best, "best_step": best_step, "final": value, "unit": unit, "better": better,
                "kind": kind, "count": 1}  # fmt: skip
    for key, said in given.items():
        if said is not None and said != known[key]:
            raise JournalError(f"{name} was logged with {key} {known[key]!r} before, now {said!r}")
    # The items that were kept were of the value before.
    known = {key: was for key, was in known.items() if key not in ("items", "file")}
    new = {**known, "count": known["count"] + 1, "final": value}
    if known["better"] and isinstance(value, (int, float)) and _beats(value, known["best"], known["better"]):
        new |= {"best": value, "best_step": step}
    return new


def add_trainings(record: dict, found: progress.Progress) -> None:
    """What was trained, with its reports, and what it used."""
    if found.trainings:
        record["trainings"] = plain(progress.summary(found))
    if len(found.samples) > 1:  # the first of a run that ends at once says nothing
        record["resources"] = {**record["resources"], "monitor": monitor.summary(found.samples)}


def _beats(value: float, best, better: str) -> bool:
    if not isinstance(best, (int, float)):
        return True
    return value < best if better == "lower" else value > best
