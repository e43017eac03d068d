"""The report of a run: the account of every source, what was dropped and why, and examples to judge the rules by."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from .. import account, files
from ..rules import QUARANTINE, REASONS
from ..wording import amount, duration, escape, table

EXAMPLES = 3
QUARANTINED_SHOWN, KEPT_SHOWN = 20, 8


def write(out: Path, facts: dict, manifests: list[tuple[dict, dict]]) -> dict:
    """Sum up the manifests (cleaned, written) of all shards into OUT/report.json and OUT/report.md; gives the report.

    Raises:
        RuntimeError: the account does not balance (a document or a byte was lost; that is a bug).
    """
    counters = account.merged(part["counters"] for pair in manifests for part in pair)
    sources = {}
    for source, found in sorted(counters.items()):
        kept = {**account.Sums().as_dict(), **found.get("kept", {})}
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
        "seconds_around": sum(part["seconds"] for pair in manifests for part in pair),
        "languages": dict(Counter(language for _, written in manifests for _, language, _ in written["looked_at"])),
        "sources": sources,
    }
    rows = sum(manifest["documents"] for _, manifest in manifests)
    if rows != report["documents_kept"]:
        raise RuntimeError(f"the account does not balance: {report['documents_kept']} documents kept, {rows} written")
    files.write(out / "report.json", json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    edits = [edit for cleaned, _ in manifests for edit in cleaned["edits"]]
    kept = [(id, seen) for _, written in manifests for id, _, seen in written["looked_at"]]
    files.write(out / "report.md", markdown(report, _examples(out, manifests), edits, _spread(kept)))
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


def _spread(found: list) -> list:
    """A few, from the whole length of the list."""
    return found[:: max(1, len(found) // KEPT_SHOWN)][:KEPT_SHOWN]


def summary(report: dict) -> str:
    """The report in a line."""
    rest = report["documents_in"] - report["documents_kept"] - report["quarantined"]
    return (
        f"{report['documents_in']:,} documents in ({amount(report['bytes_in'])}): "
        f"{report['documents_kept']:,} kept ({amount(report['bytes_kept'])}), "
        f"{rest:,} dropped, {report['quarantined']:,} quarantined; "
        f"{duration(report['seconds'])}"
    )


def markdown(report: dict, examples: dict[str, list[dict]], edits: list[dict], kept: list[tuple[str, str]]) -> str:
    parts = ["# What was cleaned\n", f"{summary(report)}.\n"]
    if report["shards_done_before"]:
        parts.append(f"{report['shards_done_before']} of {report['shards']} shards were done by an earlier start.\n")
    if report["left_aside"]:
        parts.append(
            "Left aside: " + ", ".join(f"{n:,} {escape(what)}" for what, n in report["left_aside"].items()) + ".\n"
        )
    if report["set"]:
        parts.append("Set by you: " + ", ".join(f"{escape(name)} {of}" for name, of in report["set"].items()) + ".\n")
    parts += ["## By source\n", _by_source(report["sources"])]
    for title, quarantined in (("Quarantined", True), ("Dropped", False)):
        found = _reasons(report, examples, quarantined)
        parts += [f"## {title}\n", *found] if found else []
    left_out = Counter()
    for s in report["sources"].values():
        left_out.update(s["left_out"])
    if left_out:
        parts += ["## Templates that are not known\n", "They were left out, with the words that stood in them.\n"]
        parts.append(table([[name, n] for name, n in left_out.most_common(30)], ["template", "words"]))
    if kept:
        rows = [[id, seen] for id, seen in kept]
        parts += ["## Kept, for example\n", "Read a few: what is kept wrongly shows nowhere else.\n"]
        parts.append(table(rows, ["document", "begins"]))
    parts += ["## Step by step\n", _step_by_step(report)]
    shown: dict[str, list] = {}
    for edit in edits:
        if len(shown.setdefault(edit["step"], [])) < EXAMPLES and edit["before"] not in ("", edit["after"]):
            shown[edit["step"]].append(
                [_in_words(edit["step"]), edit["id"], edit["before"], edit["after"] or "(line removed)"]
            )
    if any(shown.values()):
        headers = ["step", "document", "before", "after"]
        parts += [
            "## What was changed, for example\n",
            table([row for rows in shown.values() for row in rows], headers),
        ]
    hashes = "; ".join(f"{name} {value[:16]}" for name, value in report["hashes"].items())
    parts.append(f"kind {report['kind']}, engine {report['engine']}, workers {report['workers']}; sha256: {hashes}.\n")
    return "\n".join(parts)


def _by_source(sources: dict) -> str:
    rows, found = [], []
    for source, s in sources.items():
        dropped = sum(s["bytes_dropped"].values())
        cut = amount(s["bytes_cut"]) if s["bytes_cut"] >= 0 else f"none; {amount(-s['bytes_cut'])} longer in UTF-8"
        sizes = (amount(s["bytes_in"]), amount(s["bytes_kept"]), cut, amount(dropped))
        rows.append([source, s["documents_in"], s["documents_kept"], *sizes])
        private = ", ".join(f"{n:,} {what}" for what, n in s["redacted"].items()) or "none"
        codecs = ", ".join(f"{codec} {n:,}" for codec, n in sorted(s["codecs"].items(), key=lambda of: -of[1]))
        found.append([source, codecs or "none", s["replaced"], private])
    headers = ["source", "documents in", "kept", "in", "kept", "cut from kept", "dropped"]
    return (
        table(rows, headers)
        + "\n"
        + table(found, ["source", "codecs of what is kept", "damaged characters", "private data replaced"])
    )


def _reasons(report: dict, examples: dict[str, list[dict]], quarantined: bool) -> list[str]:
    reasons = {r: n for r, n in report["dropped"].items() if (r in QUARANTINE) == quarantined}
    parts = []
    if quarantined:
        hint = "Could not be read or cleaned. Have a look; the input is as it was."
        parts.append(f"{hint if reasons else 'Nothing.'}\n")
    if reasons:
        total = {r: sum(s["bytes_dropped"].get(r, 0) for s in report["sources"].values()) for r in reasons}
        rows = [[_in_words(r), n, amount(total[r]), REASONS[r]] for r, n in reasons.items()]
        parts.append(table(rows, ["reason", "documents", "size", "means"]))
        rows = [[_in_words(d["reason"]), d["id"], d["evidence"]] for r in reasons for d in examples.get(r, [])]
        parts.append(table(rows, ["for example", "document", "what was seen"]))
    return parts


def _step_by_step(report: dict) -> str:
    steps = account.merged({"steps": s["steps"]} for s in report["sources"].values()).get("steps", [])
    rows = [
        [_in_words(s["step"]), s["documents_in"], s["documents_changed"], sum(s["dropped"].values()),
         f"{s['seconds']:.2f}"]
        for s in steps
    ]  # fmt: skip
    rows.append(["reading, signatures, writing", "", "", "", f"{report['seconds_around']:.2f}"])
    headers = ["step", "documents in", "changed", "dropped", "seconds of a core"]
    told = ", ".join(f"{escape(of)} {n:,}" for of, n in sorted(report["languages"].items(), key=lambda of: -of[1]))
    looked = sum(report["languages"].values())
    return table(rows, headers) + (f"\nLanguages of {looked:,} kept documents: {told}.\n" if looked else "")


def _in_words(name: str) -> str:
    return name.replace("_", " ")
