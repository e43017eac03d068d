"""Steps and samples of a closed run: thousands of events that have the same keys, as one array for each of them."""

from __future__ import annotations

import json
from pathlib import Path

from .files import sha256
from .project import relative

KINDS = ("step", "sample")
PACKED = "packed"  # the event that says: the rest is in series.json


def pack(events: list[dict]) -> tuple[list[dict], list[dict]]:
    """(the events that stay, groups of the others): a group has the place of each event and a column for each key."""
    rest, groups = [], {}
    for place, event in enumerate(events):
        if event["event"] not in KINDS:
            rest.append(event)
            continue
        values = event["values"]
        flat = {key: value for key, value in event.items() if key not in ("event", "values")}
        group = groups.setdefault((event["event"], tuple(flat), tuple(values)), {"at": [], "keys": {}, "values": {}})
        group["at"].append(place)
        for part, given in (("keys", flat), ("values", values)):
            for key, value in given.items():
                group[part].setdefault(key, []).append(value)
    return rest, [{"event": kind, **group} for (kind, _, _), group in groups.items()]


def unpack(rest: list[dict], path: Path, expected: str) -> list[dict]:
    """The events as they were before :func:`pack`, in their order.

    Raises:
        ValueError: the file is not the one that was written, or does not fit the events.
    """
    text = path.read_text("utf-8") if path.is_file() else ""
    if sha256(text)[:16] != expected:
        raise ValueError(f"{relative(path)} is not the file that the run wrote; restore it with git")
    try:
        groups = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{relative(path)} is nested without end; restore it with git") from error
    events: list = [None] * (len(rest) + sum(len(group["at"]) for group in groups))
    for group in groups:
        for row, place in enumerate(group["at"]):
            facts = {key: column[row] for key, column in group["keys"].items()}
            values = {key: column[row] for key, column in group["values"].items()}
            events[place] = {"event": group["event"], **facts, "values": values}
    others = iter(rest)
    return [next(others) if event is None else event for event in events]
