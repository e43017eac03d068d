"""A record as Markdown: the journal's entry, the notebook's closing table. Pure functions of the record."""

from __future__ import annotations

import re
import unicodedata

from .record import FORMAT

_MARKUP = re.compile(r"([\\`*_{}\[\]|#!~$])")


def escape(text: object, limit: int = 300) -> str:
    """Text that comes from data, models or exceptions, made harmless: one line, no mark-up, no control characters."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", str(text))  # terminal colours
    text = re.sub(r"\s+", " ", text).strip()
    # Categories C*: control, format (bidi overrides among them), surrogates, private use.
    text = "".join(c for c in text if unicodedata.category(c)[0] != "C")
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(r"\\\1", text)


def number(value: object) -> str:
    """A measured value in four significant digits; whole numbers in full."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return escape(value)
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e15 and abs(value) >= 1000):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def table(rows: list, headers: list[str]) -> str:
    """A Markdown table; every cell is escaped."""
    lines = ["| " + " | ".join(escape(h) for h in headers) + " |", "|" + "---|" * len(headers)]
    for row in rows:
        cells = [number(c) if isinstance(c, (int, float)) else escape("" if c is None else c) for c in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def predictions(record: dict) -> str:
    rows = []
    for name, p in record["predictions"].items():
        ratio = None
        if isinstance(p["measured"], (int, float)) and p["predicted"]:
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


def entry(record: dict) -> str:
    """The journal's entry for a run that finished, failed or was interrupted."""
    run_id = record["run_id"]
    parts = [f"\n<!-- entry {run_id} format {FORMAT} -->\n", f"## {heading(record)}\n"]
    if record["question"]:
        parts.append(f"**Question.** {record['question']}\n")
    if record["changed_from"]:
        parts.append(f"**Changed** since {record['changed_from']}: {record['change']}. Why: {record['reason']}\n")
    if record["status"] != "finished":
        error = record["error"] or {}
        what = f": {escape(error.get('type'))}: {escape(error.get('message'))}" if error else ""
        parts.append(f"**{record['status'].capitalize()}**{what}\n")
    if record["predictions"]:
        parts.append(predictions(record))
    if record["metrics"]:
        parts.append(metrics(record))
    for name, figure in record["figures"].items():
        parts.append(f"![{escape(figure['alt'], 2000)}](runs/{run_id}/figures/{name}.png)\n")
    if record["notes"]:
        parts.append("\n".join(f"- {note}" for note in record["notes"]) + "\n")
    if record["verdict"]:
        parts.append(f"**Verdict.** {record['verdict']}\n")
    if record["decision"]:
        parts.append(f"**Decision.** {record['decision']}\n")
    parts.append(provenance(record))
    parts.append(f"<!-- end {run_id} -->\n")
    return "\n".join(parts)


def line(record: dict) -> str:
    """The journal's one line for a run that never came to an end."""
    return f"\n- {heading(record)}: {record['status']} (record: runs/{record['run_id']}/)\n"


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
    ]
    return f"<details><summary>Provenance</summary>\n\n{table(rows, ['', ''])}\n</details>\n"


def closing(record: dict) -> str:
    """What a notebook shows when its run is finished."""
    parts = []
    if record["predictions"]:
        parts += ["**Prediction against measurement**\n", predictions(record)]
    if record["metrics"]:
        parts += ["**Measured**\n", metrics(record)]
    if record["verdict"]:
        parts.append(f"**Verdict.** {record['verdict']}\n")
    if record["decision"]:
        parts.append(f"**Decision.** {record['decision']}\n")
    parts.append(f"Written to the journal as run `{record['run_id']}`.")
    return "\n".join(parts)
