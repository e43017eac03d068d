"""A record as Markdown: its line in the journal, its long entry, the notebook's closing table. Pure functions of it."""

from __future__ import annotations

import re
from collections import Counter

from . import changes, monitor, reports
from .markdown import escape, number, table
from .project import current
from .store import GOOD, RESULTS

SHORT = 12  # rows; of a longer table, what is neither predicted nor a headline nor different is folded
NAMED = 3  # results that a sentence names; the rest are in the table
FIGURES = "../../figures"  # from an entry
OLD_PAGE = "2026-11.md"  # where the entries of runs up to format 3 stand


def short(run_id: str) -> str:
    return run_id[-4:]


def heading(record: dict) -> str:
    day = record["started"][:10]
    return f"{day} · {record['notebook']} · {record['title']} · {record['profile']} · {short(record['run_id'])}"


def anchor(text: str) -> str:
    """What a forge makes of a heading, for links to it."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


# -- one line ----------------------------------------------------------------------------------------------------------


def line(record: dict) -> str:
    """The journal's line: what was changed and why, what came out and what it was before, verdict, decision, agreement.

    One physical line, so that no merge can tear it.
    """
    run_id, found = record["run_id"], record.get("agreement")
    linked = f"[{short(run_id)}](runs/{run_id}/{'entry.md' if record.get('entry') else ''})"
    if record["format"] < 4 and not record.get("entry"):  # its long entry stands in the page of that time
        linked = f"[{short(run_id)}]({OLD_PAGE}#{anchor(heading(record))}), [record](runs/{run_id}/)"
    text = f"- **{record['started'][:10]} · {record['notebook']} · {linked}** ({record['profile']})"
    if record["changed_from"]:
        what = escape(changes.of(record), 300)
        text += f", changed since {short(record['changed_from'])}: {what}"
        text += f"; because {escape(record['reason']).rstrip('.')}"
    if record["status"] != "finished":
        error = record["error"] or {}
        why = f": {escape(error.get('type'))}: {escape(error.get('message'), 150)}" if error else ""
        after = f" after {reports.clock(record['seconds'])}" if record["seconds"] else ""
        return f"{text}: **{record['status']}**{after}{why}.\n"
    place = "; now the reference" if record.get("reference") else ""
    # Up to format 4, a run that was changed and came out the same repeated its results here.
    if found and found["verdict"] == "identical" and (record["format"] > 4 or not record["changed_from"]):
        return f"{text}: identical to {short(found['reference'])} in all {found['of']} results{place}.\n"
    said = [part for part in (_headline(record), _sentence(record["verdict"])) if part]
    said += [f"*{_sentence(record['decision'])}*"] if record["decision"] else []
    said += [f"Against {short(found['reference'])}: {_agreed(found)}{place}."] if found else []
    return f"{text}: {' '.join(said)}\n"


def _headline(record: dict) -> str:
    """The first headline results, with what the reference had."""
    before = {row["name"]: row["reference"] for row in (record.get("agreement") or {"rows": []})["rows"]
              if row["what"] != "figure"}  # fmt: skip
    said = []
    for name in record.get("headline", ())[:NAMED]:
        if (m := record["metrics"].get(name)) is None:
            continue
        was = number(before[name]) if before.get(name) is not None else ""
        changed = f" (before {was})" if was and was != number(m["final"]) else ""
        said.append(f"{escape(name.replace('_', ' '))} **{number(m['final'])}** {escape(m['unit'])}".rstrip() + changed)
    return "; ".join(said) + "." if said else ""


def _sentence(text: str) -> str:
    return " ".join(text.split())


def _agreed(found: dict) -> str:
    if found["why"]:
        return f"cannot compare, {escape(found['why'])}"
    if not found["of"]:
        return "times only"
    return f"{found['verdict']}, {found['agree']} of {found['of']}"


# -- what came out -----------------------------------------------------------------------------------------------------


def story(record: dict) -> list[str]:
    """What both the long entry and the end of the notebook tell, in this order."""
    parts = []
    if record["changed_from"]:
        what = escape(changes.of(record), 1000)
        parts.append(f"**Changed** since {record['changed_from']}: {what}. Why: {escape(record['reason'])}\n")
    if record["resumed_from"]:
        parts.append(f"**Resumed** from {record['resumed_from']}.\n")
    if record["status"] != "finished":
        error = record["error"] or {}
        what = f": {escape(error.get('type'))}: {escape(error.get('message'))}" if error else ""
        parts.append(f"**{record['status'].capitalize()}**{what}\n")
    parts += [f"**Verdict.** {record['verdict']}\n"] if record["verdict"] else []
    parts += [outcome(record)] if record.get("outcome") else []
    parts += [f"**Decision.** {record['decision']}\n"] if record["decision"] else []
    parts += [f"**Against the reference.** {summary(record['agreement'])}\n"] if record.get("agreement") else []
    parts += [results(record)] + [arms(record, name) for name in record.get("tables", ())]
    if record.get("write_error"):
        parts.append(f"**Disk.** Some writes failed on the way ({escape(record['write_error'])}); all was written at "
                     "the end.\n")  # fmt: skip
    return [part for part in parts if part]


def entry(record: dict) -> str:
    """The long entry of a closed run."""
    parts = [f"# {heading(record)}\n"]
    parts += [f"**Question.** {record['question']}\n"] if record["question"] else []
    parts += story(record)
    parts += [training(record, found) for found in record.get("trainings", [])]
    linked = []
    for name, figure in record["figures"].items():
        path = f"{FIGURES}/{figure['png']}.png" if record["format"] > 3 else f"figures/{name}.png"
        if figure.get("main"):
            parts.append(f"![{escape(figure['alt'], 2000)}]({path})\n")
        else:
            linked.append(f"[{name}]({path})")
    if linked:
        parts.append(f"**{'Further figures' if len(linked) < len(record['figures']) else 'Figures'}.** ")
        parts[-1] += f"{' · '.join(linked)}\n"
    parts += ["\n".join(f"- {note}" for note in record["notes"]) + "\n"] if record["notes"] else []
    return "\n".join([*parts, provenance(record)])


def closing(record: dict) -> str:
    """What a notebook shows when its run is finished."""
    first = [] if record.get("agreement") else ["There was no reference run to hold this one against.\n"]
    return "\n".join([*story(record), *first, f"Written to the journal as run `{record['run_id']}`."])


def origin(record: dict) -> str:
    """Under a figure that shows what an earlier run measured."""
    how = current().measured_by(record["notebook"])
    when, where = record["started"][:10], escape(changes.processor(record))
    text = f"*Measured by run `{record['run_id']}` on {when}, on {where}; not measured here."
    return f"{text}{f' `{how}` measures it.' if how else ''}*"


def results(record: dict, found: dict | None = None) -> str:
    """Every result beside what was predicted and what the reference had; a column that nothing stands in is left out.

    What stands in a table of its own is left out, but for headlines and what was predicted.

    Args:
        found: an agreement to show in place of the record's own.
    """
    found = found or record.get("agreement") or {"rows": []}
    judged = {row["name"]: row for row in found["rows"] if row["what"] in ("metric", "timing")}
    in_tables = {m for name in record.get("tables", ()) for cells in _cells(record, name) for m in cells}
    first = {*record.get("headline", ()), *record["predictions"]}
    rows = [
        (name in first, judged.get(name), _row(record, name, judged.get(name)))
        for name in {**record["predictions"], **record["metrics"], **judged}
        if name in first or name not in in_tables
    ]
    rows += [(False, row, [f"{row['name']} (figure)", *[None] * (len(HEADERS) - 2), _verdict(row)])
             for row in found["rows"] if row["what"] in ("figure", "record")]  # fmt: skip
    shown = [cells for named, row, cells in rows
             if len(rows) <= SHORT or named or (row and row["verdict"] == "differs")]  # fmt: skip
    folded = [(row, cells) for _, row, cells in rows if cells not in shown]
    if not shown:
        shown, folded = [cells for _, cells in folded], []
    text = _table(shown) if shown else ""
    if folded:
        said = Counter(row["verdict"] if row["what"] != "timing" else "timings" for row, _ in folded if row)
        told = ", ".join(f"{count} {verdict}" for verdict, count in said.items())
        told = f"{len(folded)} more{': ' if told else ''}{told}"
        inside = _table([cells for _, cells in folded])
        text += f"\n<details><summary>{escape(told)}</summary>\n\n{inside}\n</details>\n"
    return text


HEADERS = ["", "predicted", "the journal's guess", "before", "start", "best", "measured", "verdict"]


def _table(rows: list[list]) -> str:
    used = [i for i in range(len(HEADERS)) if any(row[i] not in (None, "") for row in rows)]
    return table([[row[i] for i in used] for row in rows], [HEADERS[i] for i in used])


def _row(record: dict, name: str, judged: dict | None) -> list:
    m, p = record["metrics"].get(name), record["predictions"].get(name)
    start = best = None
    if m and m["count"] > 1:
        start = number(m["start"])
        if m["best"] is not None:
            best = number(m["best"]) + ("" if m["best_step"] is None else f" (step {number(m['best_step'])})")
    known = m or p or {"unit": judged["unit"] if judged else "", "kind": ""}
    label = name + (f", {known['unit']}" if known["unit"] else "") + (" (timing)" if known["kind"] == "timing" else "")
    before = judged["reference"] if judged else None
    measured = m["final"] if m else "not measured" if p else None
    guess = record.get("guesses", {}).get(name)  # of the reference, where another one was made here
    return [label, p and p["predicted"], guess, before, start, best, measured, _verdict(judged) if judged else None]


def _verdict(row: dict) -> str:
    """A verdict with what it rests on: the ratio of a time, the interval of a metric, the deviation of a figure."""
    said, known = row["verdict"], {name: row[name] for name in ("difference", "mean", "tolerance")}
    if any(isinstance(value, str) for value in known.values()):  # infinite: nothing to add
        return said
    if row["what"] == "timing":
        return said if row["difference"] is None else f"{row['difference']:.2f} times"
    if row["why"] and said != "cannot compare":  # of those, the summary has the reasons
        return f"{said} ({row['why']})"
    if row["tolerance"] is None:
        return said
    if row["what"] == "figure":
        return f"{said} ({row['difference']:.2g} sd from the seeds' mean, up to {row['tolerance']:.2g} allowed)"
    low, high = (number(row["mean"] + sign * row["tolerance"]) for sign in (-1, 1))
    return f"{said} (allowed {low} to {high})" if low != high else said


def _cells(record: dict, name: str) -> list[list[str]]:
    """The names of the metrics in a table, row by row."""
    found = record["tables"][name]
    return [[column.format(row) for column in found["columns"].values()] for row in found["rows"]]


def arms(record: dict, name: str) -> str:
    """Metrics that stand as one table: a row for each arm or setting."""
    found, metrics = record["tables"][name], record["metrics"]
    rows = [
        [row.replace("_", " "), *(metrics[m]["final"] if m in metrics else None for m in cells)]
        for row, cells in zip(found["rows"], _cells(record, name), strict=True)
    ]
    units = [{metrics[m]["unit"] for m in column if m in metrics} for column in zip(*_cells(record, name), strict=True)]
    heads = [
        head + (f", {unit}" if len(of) == 1 and (unit := next(iter(of))) else "")
        for head, of in zip(found["columns"], units, strict=True)
    ]
    return f"**{escape(name)}**\n\n{table(rows, ['', *heads])}"


def summary(found: dict) -> str:
    """The agreement with the reference in a few sentences: what was judged, what could not be and why, what changed."""
    to = found["reference"]
    if found["why"]:
        return f"Cannot compare with {to}: {escape(found['why'])}."
    if not found["of"]:
        return f"Times only, held against {to} as ratios."
    words = {"identical": "Identical to", "agrees": "Agrees with", "differs": "Differs from",
             "cannot compare": "No verdict against"}  # fmt: skip
    text = f"{words[found['verdict']]} {to}: {found['agree']} of {found['of']} results agree."
    results = [row for row in found["rows"] if row["what"] in RESULTS]
    if differ := [row["name"] for row in results if row["verdict"] == "differs"]:
        more = f" and {len(differ) - NAMED} more" if differ[NAMED:] else ""
        text += f" Different: {escape(', '.join(differ[:NAMED]))}{more}."
    open_ = Counter(row["why"] for row in results if row["verdict"] not in (*GOOD, "differs"))
    text += "".join(f" {count} cannot be judged: {escape(why)}." for why, count in open_.items())
    if found["since"] and found["verdict"] != "identical":
        text += f" Since then: {escape(changes.describe(found['since']), 500)}."
    return text


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


def outcome(record: dict) -> str:
    """What the change did, metric by metric, in one sentence."""
    found = record["outcome"]
    if found["why_not"]:
        return f"**Outcome.** Not comparable with {record['changed_from']}: {escape(found['why_not'])}\n"
    said, alike = [], {}  # what has no interval is told once for each reason
    for row in (row for row in found["rows"] if row["arm"]):
        name = escape(row["metric"])
        told = "" if row["difference"] is None else f"{row['difference']:+.3g}"
        if ends := " to ".join(f"{end:+.3g}" for end in row["interval"] or ()):
            why = f"; {row['why']}" if row["why"] else ""
            said.append(f"{name} {row['verdict']} ({escape(f'{told}, 95 % interval {ends}; ' + row['test'] + why)})")
        else:
            alike.setdefault((row["verdict"], row["why"]), []).append(f"{name} {told}".strip())
    same = sum(len(alike.pop(key)) for key in list(alike) if key[0] == "identical")
    said += [f"{verdict} ({escape(why)}): {', '.join(names)}" if why else f"{', '.join(names)} {verdict}"
             for (verdict, why), names in alike.items()]  # fmt: skip
    if same:
        said.append(f"{same} {'other ' if said else ''}{'metrics are' if same > 1 else 'metric is'} identical")
    return f"**Outcome.** {'. '.join(said) or 'No metric that both runs have is judged'}.\n"


def used(resources: dict) -> list[list]:
    """What the run used of the machine: mean, peak and a small chart from 0 to the largest."""
    rows = []
    for name, seen in resources.get("monitor", {}).items():
        chart = monitor.chart(seen["series"])
        rows.append(
            [monitor.NAMES.get(name, name), f"mean {number(seen['mean'])}, peak {number(seen['peak'])} {chart}"]
        )
    return rows


def provenance(record: dict) -> str:
    commit = (record["commit"] or "none")[:12]
    if record["dirty"]:
        shown = ", ".join(record["changed_files"][:5])
        commit += f", with {len(record['changed_files'])} changed files ({shown})"
    resources, numerics = record["resources"], "notebook 00 has not measured this machine"
    if record["threads"] is not None:
        numerics = f"{record['device']}, {record['numerics']}, {record['threads']} threads"
    rows = [
        ["run", record["run_id"]],
        ["commit", commit],
        ["seed", "–" if record["seed"] is None else str(record["seed"])],
        ["config", ", ".join(f"{name} {value}" for name, value in record["config"].items()) or "–"],
        ["their hashes", f"{record['config_hash']}, data {record['data_hash'] or '–'}, code {record['code_hash']}"],
        ["processor", f"{changes.processor(record)}, {resources.get('cores')} cores"],
        ["numerics", numerics],
        ["versions", ", ".join(f"{name} {version}" for name, version in record["versions"].items())],
        ["seconds, peak memory", f"{number(record['seconds'])}, {number(resources.get('peak_memory_mb'))} MB"],
        *used(resources),
    ]
    return f"<details><summary>Provenance</summary>\n\n{table(rows, ['', ''])}\n</details>\n"
