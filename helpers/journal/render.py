"""A record as Markdown: the journal's entry, the notebook's closing table. Pure functions of the record."""

from __future__ import annotations

from .. import course
from . import changes, monitor, reports
from .markdown import escape, number, table

SHORT = 12  # rows; a longer table is folded where nothing in it is news


def predictions(record: dict) -> str:
    rows = []
    for name, p in record["predictions"].items():
        ratio = None
        if all(isinstance(p[key], (int, float)) for key in ("measured", "predicted")) and p["predicted"]:
            ratio = p["measured"] / p["predicted"]
        rows.append([name, p["predicted"], p["measured"], p["unit"], "–" if ratio is None else f"{ratio:.2f}"])
    return table(rows, ["prediction", "predicted", "measured", "unit", "measured / predicted"])


def metrics(record: dict) -> str:
    """Every metric; where it started and its best only if something was logged more than once."""
    series = any(m["count"] > 1 for m in record["metrics"].values())
    rows = []
    for name, m in record["metrics"].items():
        start = best = ""
        if m["count"] > 1:
            start = number(m["start"])
            if m["best"] is not None:
                best = number(m["best"]) + ("" if m["best_step"] is None else f" (step {number(m['best_step'])})")
        unit = f"{m['unit']} (timing)" if m["kind"] == "timing" else m["unit"]
        rows.append([name, start, best, m["final"], unit] if series else [name, m["final"], unit])
    return table(rows, ["metric", "start", "best", "final", "unit"] if series else ["metric", "value", "unit"])


def heading(record: dict) -> str:
    day = record["started"][:10]
    return f"{day} · {record['notebook']} · {record['title']} · {record['profile']} · {record['run_id'][-4:]}"


def block(record: dict) -> str:
    """What the journal has of a closed run: an entry, or one line where there is nothing new to read."""
    default = "line" if record["status"] == "superseded" or _old_abandoned(record) else "entry"
    if record["status"] == "finished":
        default = record.get("told", default)
    return line(record) if default == "line" else entry(record)


def _old_abandoned(record: dict) -> bool:
    return record["format"] == 1 and record["status"] == "abandoned" and record["seconds"] is None


def entry(record: dict) -> str:
    """The journal's entry for a run that finished, failed, was interrupted or was abandoned."""
    run_id = record["run_id"]
    parts = [f"\n<!-- entry {run_id} format {record['format']} -->\n", f"## {heading(record)}\n"]
    if record["question"]:
        parts.append(f"**Question.** {record['question']}\n")
    if record["changed_from"]:
        parts.append(changed(record))
    if record["resumed_from"]:
        parts.append(f"**Resumed** from {record['resumed_from']}.\n")
    if record["status"] != "finished":
        error = record["error"] or {}
        what = f": {escape(error.get('type'))}: {escape(error.get('message'))}" if error else ""
        parts.append(f"**{record['status'].capitalize()}**{what}\n")
    if record["predictions"]:
        parts.append(predictions(record))
    if record["metrics"]:
        parts.append(metrics(record))
    parts += [training(record, found) for found in record.get("trainings", [])]
    for name, figure in record["figures"].items():
        parts.append(f"![{escape(figure['alt'], 2000)}](runs/{run_id}/figures/{name}.png)\n")
    if record["notes"]:
        parts.append("\n".join(f"- {note}" for note in record["notes"]) + "\n")
    if record["verdict"]:
        parts.append(f"**Verdict.** {record['verdict']}\n")
    if record.get("outcome"):
        parts.append(outcome(record))
    if record["decision"]:
        parts.append(f"**Decision.** {record['decision']}\n")
    if record.get("agreement"):
        parts.append(f"**Against the reference.** {summary(record['agreement'])}\n")
    if record.get("write_error"):
        parts.append(disk(record))
    parts.append(provenance(record))
    parts.append(f"<!-- end {run_id} -->\n")
    return "\n".join(parts)


def line(record: dict) -> str:
    """The journal's one line: for a run that agrees with its reference, or that a newer one took the place of."""
    said = record["status"]
    if found := record.get("agreement") if record["status"] == "finished" else None:
        verb = "identical to" if found["verdict"] == "identical" else "agrees with"
        said = f"{verb} {found['reference']}, {found['agree']} of {found['of']}"
    return f"\n- {heading(record)}: {said} (record: runs/{record['run_id']}/)\n"


def training(record: dict, found: dict) -> str:
    """The last report on a training: the final one, unless the process was killed."""
    name = f"**{reports.title(found['name'])}.** "
    if not found["reports"]:
        where = f"{number(found['step'])} of {number(found['total'])}"
        return f"{name}{found['status'].capitalize()} after step {where}, before its first report.\n"
    *earlier, last = found["reports"]
    if last["status"] == "running":  # it ended before it could say so
        last = reports.late(last, found["status"], found["step"], found["why"])
    return name + reports.report(record, last, earlier)


def used(resources: dict) -> list[list]:
    """What the run used of the machine: mean, peak and a small chart from 0 to the largest."""
    rows = []
    for name, seen in resources.get("monitor", {}).items():
        chart = monitor.chart(seen["series"])
        rows.append([monitor.NAMES[name], f"mean {number(seen['mean'])}, peak {number(seen['peak'])} {chart}"])
    return rows


def disk(record: dict) -> str:
    return f"**Disk.** Some writes failed on the way ({escape(record['write_error'])}); all was written at the end.\n"


def changed(record: dict) -> str:
    """What was changed since which run, and why."""
    what = changes.describe(record["changed"]) or "nothing"
    return f"**Changed** since {record['changed_from']}: {escape(what, 1000)}. Why: {escape(record['reason'])}\n"


def outcome(record: dict) -> str:
    """What the change did, metric by metric, in one sentence."""
    found = record["outcome"]
    if found["why_not"]:
        return f"**Outcome.** Not comparable with {record['changed_from']}: {escape(found['why_not'])}\n"
    said = []
    for row in found["rows"]:
        if row["arm"]:
            between = ""
            if row["interval"]:
                low, high = row["interval"]
                between = f", 95 % interval {low:+.3g} to {high:+.3g}; {row['test']}"
            why = f"; {row['why']}" if row["why"] else ""
            difference = "" if row["difference"] is None else f"{row['difference']:+.3g}"
            said.append(
                f"{escape(row['metric'])} {row['verdict']} ({escape((difference + between + why).lstrip('; '))})"
            )
    return f"**Outcome.** {'. '.join(said) or 'No metric that both runs have is judged'}.\n"


def summary(found: dict) -> str:
    """The agreement with the reference in a sentence, and what stands out."""
    if found["why"]:
        return f"Cannot compare with {found['reference']}: {escape(found['why'])}."
    if not found["of"]:
        return f"Times only, held against {found['reference']} as ratios."
    words = {
        "identical": f"Identical to {found['reference']}",
        "agrees": f"Agrees with {found['reference']}",
        "differs": f"Differs from {found['reference']}",
        "cannot compare": f"No verdict against {found['reference']}",
    }
    text = f"{words[found['verdict']]}: {found['agree']} of {found['of']} results agree."
    for verdict, said in (("differs", "Different"), ("cannot compare", "Not compared")):
        names = [row["name"] for row in found["rows"] if row["verdict"] == verdict and row["what"] != "timing"]
        if names:
            text += f" {said}: {escape(', '.join(names), 500)}."
    if found["since"] and found["verdict"] != "identical":
        text += f" Since then: {escape(changes.describe(found['since']), 500)}."
    return text


def agreement(found: dict, headline: tuple[str, ...] = ()) -> str:
    """The table that ends a notebook which was run again.

    Where it is long, what is identical and neither predicted nor in the `headline` is folded away.
    """
    rows = found["rows"]
    folded = [row for row in rows if row["verdict"] == "identical" and row["name"] not in headline]
    if not headline or len(rows) <= SHORT or len(folded) < 2:
        return _agreement_table(rows)
    shown = _agreement_table([row for row in rows if row not in folded])
    inside = _agreement_table(folded)
    return f"{shown}\n<details><summary>{len(folded)} more, all identical</summary>\n\n{inside}\n</details>\n"


def _agreement_table(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        said = row["verdict"] + (f" ({row['why']})" if row["why"] else "")
        given = row["difference"]
        values, allowed = [number(row["reference"]), number(row["now"])], _allowed(row)
        if row["what"] == "timing":
            difference = "–" if given is None else f"{given:.2f}x"
        elif row["what"] == "figure":
            values = ["", ""]
            difference = "–" if given is None else f"{given:.2g} {row['unit']}" if given else "0"
        else:
            difference = "–" if given is None else f"{given:+.3g}" if given else "0"
        unit = f", {row['unit']}" if row["what"] != "figure" and row.get("unit") else ""
        kind = f" ({row['what']})" if row["what"] != "metric" else ""
        lines.append([f"{row['name']}{unit}{kind}", *values, difference, allowed, said])
    headers = ["", "reference", "now", "difference", "allowed", "verdict"]
    if not any(line[4] for line in lines):  # nothing differs, so nothing had to be allowed
        lines, headers = [line[:4] + line[5:] for line in lines], headers[:4] + headers[5:]
    return table(lines, headers)


def _allowed(row: dict) -> str:
    """Between which values a metric agrees; up to how many standard deviations a figure does."""
    if row["tolerance"] is None or row["what"] == "timing":
        return ""
    if row["what"] == "figure":
        return f"up to {row['tolerance']:.2g} sd"
    return f"{number(row['mean'] - row['tolerance'])} to {number(row['mean'] + row['tolerance'])}"


def provenance(record: dict) -> str:
    commit = (record["commit"] or "none")[:12]
    if record["dirty"]:
        shown = ", ".join(record["changed_files"][:5])
        commit += f", with {len(record['changed_files'])} changed files ({shown})"
    resources = record["resources"]
    probe = resources.get("probe") or {}
    rows = [
        ["run", record["run_id"]],
        ["commit", commit],
        ["seed", "–" if record["seed"] is None else str(record["seed"])],
        ["config, data, code", f"{record['config_hash']}, {record['data_hash'] or '–'}, {record['code_hash']}"],
        ["machine", f"{probe.get('device_name', 'not measured')}, {resources.get('cores')} cores"],
        ["numerics", f"{record['device']}, {record['numerics']}, {record['threads']} threads"],
        ["versions", ", ".join(f"{name} {version}" for name, version in record["versions"].items())],
        ["seconds", number(record["seconds"])],
        ["peak memory", f"{number(resources.get('peak_memory_mb'))} MB"],
        *used(resources),
    ]
    if record["format"] > 1:
        config = ", ".join(f"{name} {value}" for name, value in record["config"].items()) or "–"
        rows.insert(3, ["config", config])
    return f"<details><summary>Provenance</summary>\n\n{table(rows, ['', ''])}\n</details>\n"


def closing(record: dict) -> str:
    """What a notebook shows when its run is finished."""
    parts = []
    found = record.get("agreement")
    if record["predictions"]:
        parts += ["**Prediction against measurement**\n", predictions(record)]
    if found and not found["why"]:
        first = (*course.notebook(record["notebook"]).headline, *record["predictions"])
        parts += ["**Measured, and held against the reference run**\n", agreement(found, first), f"{summary(found)}\n"]
    elif record["metrics"]:
        parts += ["**Measured**\n", metrics(record)] + ([f"{summary(found)}\n"] if found else [])
    if record["verdict"]:
        parts.append(f"**Verdict.** {record['verdict']}\n")
    if record.get("outcome"):
        parts.append(outcome(record))
    if record["decision"]:
        parts.append(f"**Decision.** {record['decision']}\n")
    if record.get("write_error"):
        parts.append(disk(record))
    parts.append(f"Written to the journal as run `{record['run_id']}`.")
    return "\n".join(parts)
