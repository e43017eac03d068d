"""journal/README.md, which every forge shows for the folder: what the records add up to, and where to read on.

What we believe now, how each headline number came to be, what is open, the pages, and the headings of people's notes.
Generated from records and pages alone; whoever opens the journal can tell in minutes what was tried and what came out.
"""

from __future__ import annotations

import re
from itertools import groupby, pairwise
from pathlib import Path

from . import changes, pages, render, store
from .files import write_atomic
from .markdown import escape, number
from .project import current, journal_dir

FAR = 2.0  # times: a prediction that missed by more is named
QUOTED = 400  # characters of a note, at most, up to the end of a sentence
NOTE = re.compile(r"^## (?!\d{4}-\d\d-\d\d · )(.+)$", re.MULTILINE)  # a heading that is no run's
ELSE = re.compile(r"^(?:<!-- entry |## |---$|- \*\*\d{4}-)", re.MULTILINE)  # where a note ends
# A bold beginning, and what follows.
LEAD = re.compile(r"^\*\*([^*\n]+?)\.?\*\*(.*?)(?=^\*\*|\Z)", re.MULTILINE | re.DOTALL)
NEXT = re.compile(r"\bNext: .*", re.DOTALL)
OTHER = {"data": "other data", "code": "other code", "processor": "another processor"}
CLOSED = re.compile(r"\bno longer open\b", re.IGNORECASE)
KINDS = {
    "What was decided": re.compile(r"\bdecided\b", re.IGNORECASE),
    "Open questions": re.compile(r"\b(?<!no longer )(open|not done|not measured)\b", re.IGNORECASE),
    "What did not work, or was predicted badly": re.compile(
        r"\b(wrong|badly|given up|did not (come|help|work)|negative)\b", re.IGNORECASE
    ),
}


def update(journal: Path | None = None) -> None:
    journal = journal or journal_dir()
    with store.locked(journal.parent):
        write_atomic(journal / "README.md", text(journal))


def text(journal: Path | None = None) -> str:
    """The page as records and pages have it now."""
    journal = journal or journal_dir()
    records, told = store.all_records(journal), _Pages(journal)
    runs: dict[tuple, list[dict]] = {}
    for record in records:
        if record["status"] == "finished" and not record["notebook"].startswith("bench_spread"):
            runs.setdefault((record["notebook"], record["profile"]), []).append(record)
    order = [*current().names, *(name for name, _ in runs if name not in current().names)]
    keys = sorted(runs, key=lambda key: (order.index(key[0]), key[1]))
    standing = {key: store.readable(store.reference, *key, journal) or runs[key][-1] for key in keys}
    beliefs = {key: _belief(key, standing[key], runs[key], told) for key in keys}
    benches = [said for key, said in beliefs.items() if key[0].startswith("bench_")]
    chains = [said for key in keys if (said := _chains(key, runs[key], told))]
    parts = [
        "# What the journal says\n\n"
        "Made by code from the records; `python -m labjournal` shows it in a terminal. Four letters name a run "
        "and lead to its long entry. [journal.md](journal.md) has a line for every run, in the order of their ends.\n",
        "\n## What we believe now\n\n",
        *(said for key, said in beliefs.items() if not key[0].startswith("bench_")),
        *([] if beliefs else ["No run has finished here yet.\n"]),
    ]
    if benches:
        fold = f"{len(benches)} longer measurements (<code>make bench</code>)"
        parts += [f"\n<details><summary>{fold}</summary>\n\n", *benches, "\n</details>\n"]
    if chains:
        parts += [
            "\n## How each headline number came to be\n\n"
            "From the first run to the latest; *n* × stands for as many with the same value. After each arrow stands "
            "what differs from the run before, and why. Where only times are measured, there is none.\n\n",
            *chains,
        ]
    parts += [*_leads(told), *_missed(keys, standing, told), "\n## Pages, and notes by people\n\n"]
    for name, page in reversed(told.texts.items()):
        parts.append(f"- [{name}]({name}) names {len(set(_RUN.findall(page)))} runs\n")
        for heading, where, body in (note for note in told.notes if note[1].startswith(f"{name}#")):
            leads = "; ".join(lead for lead, _ in LEAD.findall(body))
            parts.append(f"  - [{heading}]({where})" + (f": {leads}" if leads else "") + "\n")
    return "".join(parts)


_RUN = re.compile(r"\d{8}T\d{9}Z-\w+-[0-9a-f]{4}")


class _Pages:
    """Where things stand: the pages' texts, and people's notes in them."""

    def __init__(self, journal: Path):
        self.texts = pages.texts(journal)
        self.notes = []  # heading, link, text up to the next run or heading
        self._places: dict[str, list[tuple[int, str, str]]] = {}
        for name, text in self.texts.items():
            for match in NOTE.finditer(text):
                body = ELSE.split(text[match.end() :], maxsplit=1)
                where = f"{name}#{render.anchor(match[1])}"
                self.notes.append((match[1].strip(), where, body[0]))
                self._places.setdefault(name, []).append((match.start(), match[1].strip(), where))

    def link(self, record: dict) -> str:
        """A run's short id, linked to its long entry, wherever that stands."""
        run_id = record["run_id"]
        if record.get("entry"):
            return f"[{render.short(run_id)}](runs/{run_id}/entry.md)"
        heading = render.heading(record)
        page = next((name for name, text in self.texts.items() if f"## {heading}\n" in text), None)
        return f"[{render.short(run_id)}]({page}#{render.anchor(heading)})" if page else render.short(run_id)

    def why(self, old: dict, new: dict) -> str:
        """The reason that was given; of older runs, what the run before had decided to do next, and the next note."""
        if new["reason"]:
            return f"because {escape(new['reason']).rstrip('.')}"
        said = []
        if old["config_hash"] != new["config_hash"] and (planned := NEXT.search(old["decision"])):
            said.append(f"the run before had decided: *{' '.join(planned[0].split())}*")
        for name, places in self._places.items():
            at = self.texts[name].find(new["run_id"])
            after = [(heading, where) for place, heading, where in places if place > at] if at >= 0 else []
            if after:
                said.append("next note: [{}]({})".format(*after[0]))
                break
        return "; ".join(said)


def _headline(record: dict) -> tuple[str, ...]:
    """As the project has it now; of what it no longer knows, as the record has it."""
    try:
        return current().entry(record["notebook"]).headline
    except ValueError:
        return record.get("headline", ())


def _values(record: dict) -> dict[str, str]:
    """The headline results as they are shown; times are nobody's belief."""
    found = {name: record["metrics"].get(name) for name in _headline(record)}
    return {name: number(m["final"]) for name, m in found.items() if m and m["kind"] == "result"}


def _belief(key: tuple, record: dict, runs: list[dict], told: _Pages) -> str:
    since = record
    for earlier in reversed(runs):
        if earlier["run_id"] <= record["run_id"]:
            if _values(earlier) != _values(record):
                break
            since = earlier
    again = sum(since["run_id"] <= run["run_id"] <= record["run_id"] for run in runs)
    times = f", the same in {again} runs since {since['started'][:10]}" if again > 1 and _values(record) else ""
    profile = "" if record["profile"] == current().usual_profile else f", {record['profile']} profile"
    decision = f" *{' '.join(record['decision'].split())}*" if record["decision"] else ""
    where = f"{key[0]}{profile}, {told.link(record)}, {record['started'][:10]}{times}"
    return f"- **{escape(record['question'])}** {' '.join(record['verdict'].split())}{decision} ({where})\n"


def _chains(key: tuple, runs: list[dict], told: _Pages) -> str:
    lines = []
    for name in _headline(runs[-1]):
        having = [run for run in runs if name in _values(run)]
        groups = [list(group) for _, group in groupby(having, key=lambda run: _values(run)[name])]
        if not groups:
            continue
        unit = having[-1]["metrics"][name]["unit"]
        said = []
        for before, group in pairwise([[], *groups]):
            value = _values(group[0])[name] + (f" ({len(group)} ×)" if len(group) > 1 else "")
            value = f"**{value}**" if group is groups[-1] else value
            moved = f"→ {_moved(before[-1], group[0], told)}: " if before else ""
            said.append(f"{moved}{value} {told.link(group[0])}")
        lines.append(f"  - {escape(name.replace('_', ' '))}{f', {escape(unit)}' if unit else ''}: {' '.join(said)}\n")
    return f"- {key[0]}\n{''.join(lines)}" if lines else ""


def _moved(old: dict, new: dict, told: _Pages) -> str:
    """What differs between two runs whose value differs, and why; which of it moved the value, no record knows."""
    found = changes.between(old, new)
    config = {name: [old["config"].get(name), value] for name, value in new["config"].items()}
    config = {name: pair for name, pair in config.items() if pair[0] != pair[1]}
    order = sorted(config, key=lambda name: config[name][0] is None)  # last what was not recorded before
    causes = [changes.describe({name: config[name]}) for name in order[:2]]
    causes += [said for name, said in OTHER.items() if name in found]
    reason = told.why(old, new)
    return escape(", ".join(causes) or "nothing that was recorded") + (f" ({reason})" if reason else "")


def _leads(told: _Pages) -> list[str]:
    """What people's notes say was decided, is open, or went wrong; the newest first."""
    # A later note closes a question by its heading: "**What is no longer open.** *Notes on …*: it was measured."
    over = " ".join(" ".join(body.split()) for *_, note in told.notes for lead, body in LEAD.findall(note)
                    if CLOSED.search(lead))  # fmt: skip
    closed, parts = {"Open questions": over}, []
    for title, wanted in KINDS.items():
        found = [
            f"- {_quoted(body)} ([{heading}: {lead.strip()}]({where}))\n"
            for heading, where, note in reversed(told.notes)
            for lead, body in LEAD.findall(note)
            if wanted.search(lead) and f"*{heading}*" not in closed.get(title, "")
        ]
        parts += [f"\n## {title}\n\n", *found] if found else []
    return parts


def _quoted(body: str) -> str:
    """The beginning of a note in one line, to the end of a sentence."""
    text = " ".join(re.sub(r"^- ", "", body.strip(), flags=re.MULTILINE).split())
    if len(text) <= QUOTED:
        return text
    return text[: max(text.rfind(end, 0, QUOTED) for end in (". ", "? ", "! ")) + 1] or text[:QUOTED] + "…"


def _missed(keys: list[tuple], standing: dict, told: _Pages) -> list[str]:
    rows = []
    for key in keys:
        for name, p in standing[key]["predictions"].items():
            both = p["predicted"], p["measured"]
            if p["kind"] != "result" or not all(isinstance(value, (int, float)) and value for value in both):
                continue
            ratio = both[1] / both[0]
            if not 1 / FAR <= ratio <= FAR:
                unit = f" {escape(p['unit'])}" if p["unit"] else ""
                rows.append(
                    f"- {key[0]}: {escape(name.replace('_', ' '))} was predicted as {number(both[0])}{unit} and is "
                    f"{number(both[1])}{unit} ({told.link(standing[key])})\n"
                )
    title = "\n## Results (times left out) predicted with the wrong sign, or missed by more than a factor of two\n\n"
    return [title, *rows] if rows else []
