"""The report of a run: the account of every source, what was dropped and why, and examples to judge the rules by."""

from __future__ import annotations

import json
from pathlib import Path

from .. import account, files
from ..rules import QUARANTINE, REASONS
from ..wording import amount, duration, escape, table

EXAMPLES = 3
QUARANTINED_SHOWN = 20


def write(out: Path, facts: dict, manifests: list[tuple[dict, dict]]) -> dict:
    """Sum up the manifests (cleaned, written) of all shards into OUT/report.json and OUT/report.md; gives the report.

    Raises:
        RuntimeError: the account does not balance (a document or a byte was lost; that is a bug).
    """
    counters = account.merged(part["counters"] for pair in manifests for part in pair)
    sources = {}
    for source, found in sorted(counters.items()):
        kept = found.get("kept", account.Sums().as_dict())
        sources[source] = account.summary(found["lines"], found["arrived"], kept)
    dropped: dict[str, int] = {}
    for of_source in sources.values():
        for reason, n in of_source["dropped"].items():
            dropped[reason] = dropped.get(reason, 0) + n
    report = {
        **facts,
        "documents_in": sum(s["documents_in"] for s in sources.values()),
        "documents_read": sum(line["documents_kept"] for s in sources.values() for line in s["steps"][:1]),
        "documents_kept": sum(s["documents_kept"] for s in sources.values()),
        "quarantined": sum(n for reason, n in dropped.items() if reason in QUARANTINE),
        "bytes_in": sum(s["bytes_in"] for s in sources.values()),
        "bytes_kept": sum(s["bytes_kept"] for s in sources.values()),
        "dropped": dict(sorted(dropped.items())),
        "sources": sources,
    }
    rows = sum(manifest["documents"] for _, manifest in manifests)
    if rows != report["documents_kept"]:
        raise RuntimeError(f"the account does not balance: {report['documents_kept']} documents kept, {rows} written")
    files.write(out / "report.json", json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    edits = [edit for cleaned, _ in manifests for edit in cleaned["edits"]]
    files.write(out / "report.md", markdown(report, _examples(out, manifests), edits))
    return report


def is_ours(out: Path) -> bool:
    """Is OUT/report.json one that `write` wrote?"""
    try:
        return "hashes" in json.loads((out / "report.json").read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def _examples(out: Path, manifests: list[tuple[dict, dict]]) -> dict[str, list[dict]]:
    """The first dropped documents of each reason."""
    found: dict[str, list[dict]] = {}
    for _, manifest in manifests:
        with open(out / "dropped" / f"{manifest['shard']}.jsonl", encoding="utf-8") as file:
            for line in file:
                one = json.loads(line)
                limit = QUARANTINED_SHOWN if one["reason"] in QUARANTINE else EXAMPLES
                if len(found.setdefault(one["reason"], [])) < limit:
                    found[one["reason"]].append(one)
    return found


def summary(report: dict) -> str:
    """The report in a line."""
    rest = report["documents_in"] - report["documents_kept"] - report["quarantined"]
    return (
        f"{report['documents_in']:,} documents in ({amount(report['bytes_in'])}): "
        f"{report['documents_kept']:,} kept ({amount(report['bytes_kept'])}), "
        f"{rest:,} dropped, {report['quarantined']:,} quarantined; "
        f"{duration(report['seconds'])}"
    )


def markdown(report: dict, examples: dict[str, list[dict]], edits: list[dict]) -> str:
    def mb(n: int) -> str:
        return f"{round(n / 1e6, 2) + 0.0:,.2f}"  # no -0.00

    parts = ["# What was cleaned\n", f"{summary(report)}.\n"]
    if report["shards_done_before"]:
        parts.append(f"{report['shards_done_before']} of {report['shards']} shards were done by an earlier start.\n")
    if report["left_aside"]:
        parts.append(
            "Left aside: " + ", ".join(f"{n:,} {escape(what)}" for what, n in report["left_aside"].items()) + ".\n"
        )
    rows = []
    for source, s in report["sources"].items():
        sizes = (s["bytes_in"], s["bytes_kept"], s["bytes_cut"], sum(s["bytes_dropped"].values()))
        redacted = ", ".join(f"{n} {what}" for what, n in s["redacted"].items()) or "none"
        rows.append([source, s["documents_in"], s["documents_kept"], *map(mb, sizes), redacted])
    headers = ["source", "documents in", "kept", "MB in", "kept", "cut from kept", "dropped", "private data replaced"]
    parts += ["## By source\n", table(rows, headers)]
    for title, quarantined in (("Quarantined", True), ("Dropped", False)):
        reasons = {r: n for r, n in report["dropped"].items() if (r in QUARANTINE) == quarantined}
        parts.append(f"## {title}\n")
        if quarantined:
            hint = "Could not be read or cleaned. Have a look; the input is as it was."
            parts.append(f"{hint if reasons else 'Nothing.'}\n")
        if reasons:
            total = {r: sum(s["bytes_dropped"].get(r, 0) for s in report["sources"].values()) for r in reasons}
            rows = [[r, n, mb(total[r]), REASONS[r]] for r, n in reasons.items()]
            parts.append(table(rows, ["reason", "documents", "MB", "means"]))
            rows = [[d["reason"], d["id"], d["evidence"]] for r in reasons for d in examples.get(r, [])]
            parts.append(table(rows, ["for example", "document", "what was seen"]))
    steps = account.merged({"steps": s["steps"]} for s in report["sources"].values()).get("steps", [])
    rows = [
        [s["step"], s["documents_in"], s["documents_changed"], sum(s["dropped"].values()), f"{s['seconds']:.2f}"]
        for s in steps
    ]
    parts += ["## Step by step\n", table(rows, ["step", "documents in", "changed", "dropped", "seconds of a core"])]
    shown: dict[str, list] = {}
    for edit in edits:
        if len(shown.setdefault(edit["step"], [])) < EXAMPLES and edit["before"] not in ("", edit["after"]):
            shown[edit["step"]].append([edit["step"], edit["id"], edit["before"], edit["after"] or "(line removed)"])
    if any(shown.values()):
        headers = ["step", "document", "before", "after"]
        parts += [
            "## What was changed, for example\n",
            table([row for rows in shown.values() for row in rows], headers),
        ]
    hashes = "; ".join(f"{name} {value[:16]}" for name, value in report["hashes"].items())
    parts.append(f"kind {report['kind']}, engine {report['engine']}, workers {report['workers']}; sha256: {hashes}.\n")
    return "\n".join(parts)
