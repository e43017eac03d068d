"""Status and reports of a training, in words and one table. Pure functions of what the events add up to.

A report is facts first: they go into the events and the record, and are put into words whenever someone reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import changes
from .markdown import escape, number, table
from .progress import SMOOTH, Progress, Training, fixed
from .store import plain

MEMORY = (("process", "memory_mb"), ("GPU", "gpu_memory_mb"))
LATEST = f"training loss (mean of {SMOOTH})"


def snapshot(record: dict, training: Training, trend: dict | None) -> dict:
    """Where `training` stands: what a report, a status and the live chart are all made of.

    Args:
        trend: of its losses so far; None when it was not looked at.
    """
    t, left, seconds = training, training.seconds_left(), training.seconds()
    best, best_step = t.best or (None, None)
    loss = {"start": t.losses[0] if t.losses else None, "now": t.recent_loss(), "best": best, "best_step": best_step}
    if len(t.losses) >= 2 * SMOOTH:  # like with like: one batch is too lucky or unlucky
        loss["first"] = sum(t.losses[:SMOOTH]) / SMOOTH
    rows = [_row(LATEST, t.unit, loss["start"], loss["now"], t, "loss", record, best, best_step)]
    for name in {name: None for _, metrics in t.evaluations for name in metrics}:
        values = [metrics[name] for _, metrics in t.evaluations if name in metrics]
        known = record["metrics"].get(name, {"unit": "", "better": None})
        best = _best(name, known["better"], t)
        rows.append(_row(name, known["unit"], values[0], values[-1], t, name, record, *best))
    rows += [_row(name, "", values[0], values[-1], t, name, record) for name, values in t.values.items()]
    if "seconds" in t.begin["predicted"].values() and not t.first:  # of a resumed training, only a part is known
        rows.append(_row("seconds of steps", "s", None, seconds["steps"], t, "seconds", record))
    return {
        "name": t.name,
        "percent": t.percent,
        "step": t.step,
        "total": t.total,
        "first": t.first,
        "status": t.end["status"] if t.end else "running",
        "why": t.end["why"] if t.end else "",
        "loss": loss,
        "of_steps": min(SMOOTH, len(t.steps)),
        "unit": t.unit,
        "rows": rows,
        "trend": trend,
        "remaining": {} if t.end else t.rest,
        "awaited": {} if t.end else _awaited(record, t),
        "seconds_left": None if left is None else [round(value, 1) for value in left],
        "seconds": seconds,
    }


def _best(name: str, better: str | None, training: Training) -> tuple:
    """(best value, its step) among this training's own evaluations: another one may log the same metric."""
    values = ((metrics.get(name), step) for step, metrics in training.evaluations)
    seen = [(value, step) for value, step in values if isinstance(value, (int, float))]
    if better is None or not seen:
        return None, None
    return (min if better == "lower" else max)(seen, key=lambda one: one[0])


def standing(record: dict, progress: Progress, *, alive: bool = True, silent: float | None = None) -> dict:
    """Where a run stands, with the snapshot of its training.

    Args:
        record: with its metrics up to date.
        alive: whether the process of a running run is there; if not, it was killed.
        silent: seconds since its file was written last.
    """
    state = record["status"] if record["status"] != "running" or alive else "killed"
    t, sample = progress.training, progress.samples[-1] if progress.samples else {}
    found = {
        **{name: record[name] for name in ("run_id", "notebook", "profile")},
        "state": state,
        "silent_seconds": None if silent is None else round(silent + progress.seconds - progress.heard, 1),
        **{name: sample.get(name) for name in ("memory_mb", "gpu_memory_mb")},
        "training": None,
    }
    if t is not None:
        told = t.reports[-1] if t.reports else {"trend": None, "percent": None}
        until = t.last if t.end or state != "running" else progress.seconds
        found["training"] = snapshot(record, t, told["trend"]) | {
            "trend_at": told["percent"] if told["trend"] else None,
            "elapsed_seconds": round(until - t.begin["seconds"], 1),
        }
        if not t.end and state != "running":
            found["training"] |= {"status": state, "seconds_left": None}
    return plain(found)


def _row(name: str, unit: str, start, now, t: Training, key: str, record: dict, best=None, best_step=None) -> dict:
    """`key` is what a prediction may have been tied to by `predicted={"val_loss_all": "val_loss"}`."""
    tied = [p for p, source in t.begin["predicted"].items() if source == key and p in record["predictions"]]
    found = {"name": name, "unit": unit, "start": start, "now": now, "best": best, "best_step": best_step}
    found["predicted"] = record["predictions"][tied[0]]["predicted"] if tied else None
    return found | ({"prediction": tied[0]} if tied else {}) | ({"kind": "timing"} if key == "seconds" else {})


def _awaited(record: dict, t: Training) -> dict:
    """Predictions that nothing stands for yet: name -> [value, unit]."""
    return {
        name: [p["predicted"], p["unit"]]
        for name, p in record["predictions"].items()
        if p["measured"] is None and name not in t.begin["predicted"]
    }


def late(found: dict, status: str, step: int, why: str = "") -> dict:
    """The last report `found` on a training that ended after `step` without a final one: nothing goes on any more."""
    return {**found, "status": status, "why": why, "ended_at": step, "seconds_left": None, "remaining": {}}


def report(record: dict, found: dict, earlier: Sequence[dict] = (), times: bool = True) -> str:
    """A report as Markdown: heading, words, one table with the `earlier` ones beside it.

    Args:
        found: from :func:`facts`.
        times: leave out what belongs to the clock with False.
    """
    where = f"step {number(found['step'])} of {number(found['total'])}"
    status = _ended(found["status"], found.get("ended_at", found["step"]), found["total"])
    if "ended_at" in found:
        words = f"**Last report, {found['percent']} %** ({where}); {status} after step {number(found['ended_at'])}. "
    elif status == "running":
        words = f"**Midterm report, {found['percent']} %** ({where}). "
    else:
        words = f"**Final report**: {status} after {where}. "
    words += f"{escape(found['why']).rstrip('.')}. " if found["why"] else ""
    loss, many = found["loss"], found["of_steps"]
    if loss["start"] is not None:
        began = f"after step {number(found['first'])} it was" if found["first"] else "it began at"
        latest = f"the mean of the latest {many} steps" if many > 1 else "the latest"
        words += f"Training loss: {began} {number(loss['start'])}; {latest} is {number(loss['now'])}. "
    words += f"{trend(found['trend'], found['unit'])} "
    if record.get("changed_from"):
        what = changes.of(record)
        words += f"Changed since {record['changed_from']}: {escape(what)}, "
        words += f"because {escape(record['reason']).rstrip('.')}. "
    words += f"{left} " if (left := remaining(found, times)) else ""
    if awaited := found.get("awaited"):
        said = [f"{escape(name)} {number(value)} {escape(unit)}".rstrip() for name, (value, unit) in awaited.items()]
        words += f"Predicted and not measured yet: {', '.join(said)}. "
    return f"{words}**Verdict:** {verdict(found, earlier)}\n\n{_table([*earlier, found], times)}"


def _ended(status: str, step: int, total: int) -> str:
    """A loop that was left before its last step without an error has stopped rather than finished."""
    return "stopped" if status == "finished" and step < total else status


def _table(reports: list[dict], times: bool) -> str:
    """Start, the reports' values, the best and what was predicted; a column that nothing stands in is left out."""
    last = reports[-1]
    heads = [f"at {r['percent']} %" for r in reports]
    if "ended_at" not in last:
        heads[-1] = "now" if last["status"] == "running" else "end"
    lines = []
    for row in last["rows"]:
        if row["now"] is None or (row.get("kind") == "timing" and not times):
            continue
        past = [next((r["now"] for r in one["rows"] if r["name"] == row["name"]), None) for one in reports]
        if (best := row.get("best")) is not None:  # the earliest runs have none
            best = number(best) + ("" if row["best_step"] is None else f" (step {number(row['best_step'])})")
        name = row["name"].replace("_", " ") + (f", {row['unit']}" if row["unit"] else "")
        lines.append([name, row["start"], *past, best, row["predicted"]])
    if len(reports) > 1 and any(one["trend"] for one in reports):
        lines.append(["trend", None, *(one["trend"] and one["trend"]["verdict"] for one in reports), None, None])
    if times:
        left = (one["seconds_left"] and _range(one["seconds_left"]) for one in reports)
        lines.append(["seconds left at this pace", None, *left, None, None])
    heads = ["", "start", *heads, "best", "predicted"]
    used = [i for i in range(len(heads)) if any(line[i] is not None for line in lines)]
    shown = [["–" if line[i] is None else line[i] for i in used] for line in lines]
    return table(shown, [heads[i] for i in used]) if lines else ""


def trend(found: dict | None, unit: str) -> str:
    """A trend in a sentence or two."""
    if found is None:
        return "Trend: not looked at."
    if found["verdict"] == "too few points":
        return f"Trend: too few points to tell ({escape(found['why'])})."
    slope = (
        f"{found['slope']:+.2g} {escape(unit)} per 100 steps, 90 % interval {found['low']:+.2g} to {found['high']:+.2g}"
    )
    said = {"falling": "falling", "rising": "rising", "noise": "none that could be told from noise"}[found["verdict"]]
    text = f"Trend over steps {number(found['steps'][0])} to {number(found['steps'][1])}: {said} ({slope})."
    if found["drop"]:
        text += f" What comes before, the steep first drop, is left out; it bends at step {number(found['bend'])}."
    return text


def remaining(found: dict, times: bool = True) -> str:
    due = {kind: count for kind, count in found["remaining"].items() if count}
    if not due or found["status"] != "running":
        return ""
    text = "Left: " + ", ".join(f"{number(n)} {kind}{'' if n == 1 else 's'}" for kind, n in due.items())
    if times and found["seconds_left"]:
        text += f", {_range(found['seconds_left'])} s"
    return text + "."


def verdict(found: dict, earlier: Sequence[dict] = ()) -> str:
    """What the numbers say, in a few words."""
    ended = {
        "diverged": "diverged: the loss or its gradient is no longer a number.",
        "interrupted": "interrupted by hand, before its last step.",
        "failed": "failed before its last step.",
        "cut off": "cut off; nothing is known of what came after.",
    }
    if found["status"] in ended:
        return ended[found["status"]]
    loss, said = found["loss"], [one["trend"]["verdict"] for one in (*earlier, found) if one["trend"]]
    stop = "; stop and look at the learning rate." if found["status"] == "running" else "."
    above = all(isinstance(loss.get(key), float) for key in ("first", "now")) and loss["now"] > loss["first"]
    if above and not {"falling", "noise"} & set(said[-1:]):
        return f"the loss is above where it began{stop}"
    if said[-2:] == ["rising", "rising"]:  # one look in twenty would say so of flat noise
        return f"rising, twice in a row{stop}"
    return {
        "falling": "falling over the steps tested.",
        "rising": "rising over the steps tested.",
        "noise": "no trend that could be told from noise over the steps tested.",
        "too few points": "too few points to tell.",
    }[said[-1] if found["trend"] else "too few points"]


def title(name: str) -> str:
    """A name at the beginning of a sentence, escaped; GPT stays GPT."""
    return escape(name[:1].upper() + name[1:])


def status(found: dict, times: bool = True) -> str:
    """A status as Markdown; what is not known is not there.

    Args:
        found: from :func:`standing`.
        times: leave out what belongs to the clock and the machine with False.
    """
    t = found["training"]
    text = f"**{found['notebook']}** · {found['profile']} · run {found['run_id'][-4:]}"
    # A run stays open after its training; "running" would contradict "finished" below.
    text += "" if t and found["state"] == "running" else f" · {found['state']}"
    text += "\n\n"
    if t is None:
        return text + "No training yet.\n"
    where = f"step {number(t['step'])} of {number(t['total'])}"
    state = "is running" if t["status"] == "running" else _ended(t["status"], t["step"], t["total"])
    text += f"{title(t['name'])} {state}, {t['percent']} %: {where}."
    text += f" Resumed after step {number(t['first'])}." if t["first"] else ""
    text += f" {escape(t['why']).rstrip('.')}." if t["why"] else ""
    if times:
        text += f" Elapsed {clock(t['elapsed_seconds'])}"
        text += f", left {_clocks(t['seconds_left'])}." if t["seconds_left"] else "."
        if (found["silent_seconds"] or 0) > 60:
            text += f" Nothing has been heard for {clock(found['silent_seconds'])}."
    used = [f"{number(round(found[name]))} MB of the {what}" for what, name in MEMORY if times and found[name]]
    text += f" It uses {' and '.join(used)}." if used else ""
    text += "\n\n" + _table([t], False)
    if t["trend"]:
        text += f"\nAt {t['trend_at']} %. {trend(t['trend'], t['unit'])}\n"
    return text


def one_line(found: dict) -> str:
    """A status in one line, for a terminal and above the live chart."""
    t = found["training"]
    if t is None:
        return f"no training yet · {found['state']}"
    text = f"step {t['step']:,} of {t['total']:,} · {t['percent']} %"
    if t["loss"]["now"] is not None:
        text += f" · loss {fixed(t['loss']['now'])}"
    if t["seconds_left"]:
        text += f" · {_clocks(t['seconds_left'])} left"
    return text + (f" · {t['status']}" if t["status"] != "running" else "")


def clock(seconds: float) -> str:
    """Seconds as people say them: 41 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    seconds = max(0, round(seconds))
    for size, name, below, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // below
            return f"{seconds // size} {name}" + (f" {rest} {small}" if rest else "")
    return f"{seconds} s"


def _clocks(both: list[float]) -> str:
    low, high = map(clock, both)
    return low if low == high else f"{low} to {high}"


def _range(both: list[float]) -> str:
    low, high = (f"{value:.0f}" for value in both)
    return low if low == high else f"{low} to {high}"
