"""Is the journal what its records say? Entries, figures, images, notebooks and README, held against the records.

Everything is rendered again and compared byte for byte. What was written by hand between the entries is nobody's
business but its writer's.
"""

from __future__ import annotations

import json
import re
from collections import Counter

from .. import course, paths
from ..paths import ROOT, images_dir, journal_dir, read_json
from . import agreement, comparison, metrics, provenance, readme, render
from . import record as store

_BLOCK = re.compile(r"\n<!-- entry (\S+) format \d+ -->\n.*?\n<!-- end \1 -->\n", re.DOTALL)
_MARKER = re.compile(r"^<!-- (entry|end) (\S+)[^\n]*-->$", re.MULTILINE)
_LINE = re.compile(r"\n- [^\n]*\(record: runs/([^/\s]+)/\)\n")
# A measured number typed by hand. Round percentages are allowed: "95 % interval" names a method.
RESULT_NUMBER = re.compile(
    r"\d+\.\d+\s?%|\d+(\.\d+)?\s?(nats|bits per byte|bits/byte|bytes per token|MB\b|seconds\b|minutes\b)"
)


def problems() -> list[str]:
    """Everything that is not as it should be, a line each: what, where, and what to do. Empty when all is well."""
    records, found = _records()
    found += _entries(records) + _figures(records) + _images(records) + _references()
    if journal_dir() == ROOT / "journal":  # the repository itself, not a workspace somewhere else
        found += _notebooks() + _readme()
    return found


def mend() -> list[str]:
    """Write entries that are missing, torn or changed again from their records; returns the ids of their runs.

    Two branches that both appended entries leave them interleaved after a merge (git's union merge works by lines).
    Lines in between that belong to no entry are the reader's own: they are kept, right after the entries.
    """
    with store.locked():
        records, _ = _records()
        before = _journal()
        # A Windows checkout may have given it other line ends.
        after, mended = _untangled(_lines(before.replace("\r\n", "\n"), records), records)
        if after != before:
            paths.write_atomic(journal_dir() / "journal.md", after)
        missing = [record for record in records.values() if not _told(record, after)]
        for record in missing:
            store.append(render.block(record))
    return mended + [record["run_id"] for record in missing]


def _lines(journal: str, records: dict[str, dict]) -> str:
    """The journal with every one-line entry as its record has it."""

    def again(match: re.Match) -> str:
        record = records.get(match[1])
        return match[0] if record is None or record["status"] == "running" else render.block(record)

    return _LINE.sub(again, journal)


def _untangled(journal: str, records: dict[str, dict]) -> tuple[str, list[str]]:
    """(journal with every damaged stretch written again, ids of the runs in them)."""
    markers = [m for m in _MARKER.finditer(journal) if m[2] in records]
    ended = {m[2] for m in markers if m[1] == "end"}
    kept, mended, position, ids, waiting = [], [], 0, set(), set()
    for number, marker in enumerate(markers):
        kind, run_id = marker[1], marker[2]
        if not ids:
            begin = marker.start() - (kind == "entry" and marker.start() > 0)  # an entry begins with an empty line
        ids.add(run_id)
        waiting = waiting | {run_id} if kind == "entry" and run_id in ended else waiting - {run_id}
        following = markers[number + 1] if number + 1 < len(markers) else None
        if waiting and following:
            continue
        if kind == "end" or run_id in ended:
            end = marker.end() + 1
        else:  # torn off: it goes on to whatever comes next
            end = following.start() - 1 if following else len(journal)
        stretch, blocks = journal[begin:end], [render.block(records[name]) for name in sorted(ids)]
        if stretch != "".join(blocks):
            kept += [journal[position:begin], *blocks, _foreign(stretch, blocks)]
            mended += sorted(ids)
            position = end
        ids, waiting = set(), set()
    return "".join([*kept, journal[position:]]), mended


def _foreign(stretch: str, blocks: list[str]) -> str:
    """The lines of a damaged stretch that belong to none of its entries: the reader's own, as they stood."""
    ours = {line for block in blocks for line in block.splitlines() if line.strip()}
    # Half a line of ours, as a full disk leaves it at the end, is ours.
    whole = stretch.split("\n")
    if whole and any(line.startswith(whole[-1]) for line in ours):
        whole.pop()
    kept = "\n".join(line for line in whole if line not in ours).strip("\n")
    return f"\n{re.sub(chr(10) * 3 + '+', chr(10) * 2, kept)}\n" if kept.strip() else ""


def _journal() -> str:
    path = journal_dir() / "journal.md"
    # Bytes as they are: text mode would turn a foreign line end into ours and hide it.
    return path.read_bytes().decode("utf-8", errors="replace") if path.is_file() else ""


def _told(record: dict, journal: str) -> bool:
    """Running ones are not in the journal yet."""
    run_id = record["run_id"]
    both = f"<!-- entry {run_id} " in journal and f"<!-- end {run_id} " in journal
    return record["status"] == "running" or both or render.block(record) in journal


def _records() -> tuple[dict[str, dict], list[str]]:
    """(run id -> record of every readable closed run, problems): each record must follow from its events."""
    records, found = {}, []
    for folder in sorted(path for path in journal_dir().glob("runs/*") if path.is_dir()):
        where = f"journal/runs/{folder.name}"
        if not (folder / "run.json").is_file():
            found.append(f"{where} has no run.json: the run was killed before it began; delete the folder")
            continue
        try:
            record = records[folder.name] = read_json(folder / "run.json")
            events, torn = store.read_events(folder)
        except (ValueError, OSError) as error:
            found.append(f"{where}: {error}")
            continue
        if record.get("run_id") != folder.name:
            found.append(f"{where}/run.json says it is run {record.get('run_id')}")
        if torn and record["status"] == "running":
            found.append(f"{where}/events.jsonl ends in half a line: the run was killed; its next start closes it")
        if record["format"] > 1 and record["status"] != "running":
            found += _changed(where, record, events)
    return records, found


def _changed(where: str, record: dict, events: list[dict]) -> list[str]:
    try:
        again = metrics.replay(record, events)
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        return [f"{where}/events.jsonl does not fit together: {error!r}"]
    names = [name for name in ("predictions", "metrics", "figures") if again[name] != record[name]]
    first = events[0] if events else {}
    names += [name for name in ("config", "seed") if first.get(name) != record[name]]
    names += ["trainings"] if again.get("trainings") != record.get("trainings") else []
    if record["status"] == "finished" and again["notes"] != record["notes"]:
        names.append("notes")
    last = events[-1] if events else {}
    if last.get("event") == "end":  # not there when the disk was full at the very end
        names += [name for name in ("verdict", "decision") if last.get(name, record[name]) != record[name]]
    return [f"{where}/run.json: its {name} are not those of its events.jsonl; restore both with git" for name in names]


def _entries(records: dict[str, dict]) -> list[str]:
    journal, found = _journal(), []
    blocks = [(m[1], m[0]) for pattern in (_BLOCK, _LINE) for m in pattern.finditer(journal)]
    for run_id, text in blocks:
        if run_id not in records:
            found.append(f"journal.md has an entry for {run_id}, which has no record in journal/runs/")
        elif records[run_id]["status"] != "running" and text != render.block(records[run_id]):
            found.append(f"journal.md: the entry of {run_id} is not what its record renders to; `verify --mend`")
    for run_id, times in Counter(run_id for run_id, _ in blocks).items():
        if times > 1:
            found.append(f"journal.md has {times} entries for {run_id}; delete all but one")
    for run_id in (records.keys() & set(re.findall(r"<!-- (?:entry|end) (\S+)", journal))) - {i for i, _ in blocks}:
        found.append(f"journal.md: the entry of {run_id} is torn, as by a merge of two branches; `verify --mend`")
    for record in records.values():
        if not _told(record, journal):
            found.append(f"journal.md has no entry for {record['run_id']}; `verify --mend` appends it")
    return found


def _figures(records: dict[str, dict]) -> list[str]:
    found = []
    for run_id, record in records.items():
        folder = journal_dir() / "runs" / run_id / "figures"
        files = {path.name for path in folder.glob("*")}
        for name, figure in record["figures"].items():
            where = f"journal/runs/{run_id}/figures/{name}"
            missing = [f"{name}.{kind}" for kind in ("png", "json") if f"{name}.{kind}" not in files]
            found += [f"{where}: {file} is missing; restore it with git" for file in missing]
            if not figure["alt"].strip():
                found.append(f"{where} has no alt text")
            for kind, key in (("png", "png"), ("json", "data")):
                path = folder / f"{name}.{kind}"
                if key in figure and path.is_file() and paths.sha256_file(path)[:16] != figure[key]:
                    found.append(f"{where}.{kind} is not the file that the run wrote; restore it with git")
        known = {f"{name}.{kind}" for name in record["figures"] for kind in ("png", "json")}
        if record["status"] != "running":
            found += [f"journal/runs/{run_id}/figures/{name} is not in the record" for name in sorted(files - known)]
    return found


def _images(records: dict[str, dict]) -> list[str]:
    """images/ holds each figure of the latest run that made it, and nothing else."""
    latest = {f"{name}.png": run_id for run_id, record in sorted(records.items()) for name in record["figures"]}
    images = {path.name: path for path in images_dir().glob("*")}
    found = [f"images/{name} is in no record: nobody refers to it; delete it" for name in images.keys() - latest.keys()]
    for name, run_id in latest.items():
        own = journal_dir() / "runs" / run_id / "figures" / name
        if name not in images:
            found.append(f"images/{name} is missing; run {run_id} has it")
        elif own.is_file() and images[name].read_bytes() != own.read_bytes():
            found.append(
                f"images/{name} is not the figure of the latest run that made it, {run_id}; copy it from there"
            )
    return sorted(found)


def _references() -> list[str]:
    path, found = journal_dir() / "reference.json", []
    for key, run_id in (read_json(path) if path.is_file() else {}).items():
        record = journal_dir() / "runs" / run_id / "run.json"
        if not record.is_file():
            found.append(f"reference.json: {key} is run {run_id}, which has no record")
            continue
        record = read_json(record)
        if record["status"] != "finished":
            found.append(f"reference.json: {key} is run {run_id}, which is {record['status']}")
        found += _spread(key, record)
    return found


def _spread(key: str, record: dict) -> list[str]:
    """A reference that leaves something to chance needs to know how much; else a re-run gets no verdict."""
    path = journal_dir() / "spread" / f"{key.replace('/', '-')}.json"
    remedy = f"`make bench ARGS='spread {key[:2]} --profile {record['profile']}'` measures it"
    if not path.is_file():
        needed = record["seed"] is not None and record["profile"] == readme.PROFILE
        return [f"spread/{path.name} is not there, so a re-run gets no verdict; {remedy}"] if needed else []
    known = read_json(path)
    if not agreement.belongs(known, record):
        return [f"spread/{path.name}: config or data is not the reference's; {remedy} again"]
    if len(known["seeds"]) < comparison.SEEDS:
        return [f"spread/{path.name} has {len(known['seeds'])} seeds, {comparison.SEEDS} are needed; {remedy} again"]
    missing = [name for name, m in record["metrics"].items() if m["kind"] == "result" and name not in known["metrics"]]
    if missing and record["profile"] == readme.PROFILE:
        return [f"spread/{path.name} knows nothing of {', '.join(missing[:3])}; {remedy} again"]
    return []


def _notebooks() -> list[str]:
    found = []
    for notebook in course.NOTEBOOKS:
        where = f"notebooks/{notebook.name}.ipynb"
        for cell in json.loads(notebook.path.read_text("utf-8"))["cells"]:
            typed = RESULT_NUMBER.search("".join(cell["source"])) if cell["cell_type"] == "markdown" else None
            if typed:
                found.append(f"{where}: {typed.group()!r} is typed into a markdown cell; let run.say fill it in")
        record = store.reference(notebook.name, readme.PROFILE)
        if record is None:
            found.append(f"{where} has no reference run")
        elif record.get("cells_hash") != provenance.cells_hash(notebook.path):
            found.append(f"{where}: its cells changed after its reference run {record['run_id']}; run it again")
    return found


def _readme() -> list[str]:
    current, wanted = readme.current(), readme.wanted()
    return [
        f"README.md: the block {name!r} is not what the records say; `python -m helpers.journal readme`"
        for name in wanted
        if current[name] != wanted[name]
    ]
