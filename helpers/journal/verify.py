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
from . import agreement, metrics, provenance, readme, render
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
        after, mended = _untangled(before, records)
        if after != before:
            paths.write_atomic(journal_dir() / "journal.md", after)
        missing = [record for record in records.values() if not _told(record, after)]
        for record in missing:
            store.append(render.block(record))
    return mended + [record["run_id"] for record in missing]


def _untangled(journal: str, records: dict[str, dict]) -> tuple[str, list[str]]:
    """(journal with every damaged stretch written again, ids of the runs in them)."""
    kept, mended, position = [], [], 0
    begin, ids, open_ids = None, [], set()
    for marker in _MARKER.finditer(journal):
        kind, run_id = marker[1], marker[2]
        if run_id not in records:
            continue
        if kind == "entry":
            begin = begin if open_ids else marker.start() - 1  # an entry begins with an empty line
            ids = [run_id] if not open_ids else [*ids, run_id]
            open_ids.add(run_id)
            continue
        open_ids.discard(run_id)
        if open_ids or begin is None:
            continue
        end = marker.end() + 1
        stretch, blocks = journal[begin:end], [render.block(records[name]) for name in sorted(set(ids))]
        if stretch != "".join(blocks):
            ours = {line for block in blocks for line in block.splitlines()}
            foreign = [line for line in stretch.splitlines() if line not in ours]
            kept += [journal[position:begin], *blocks, *(f"\n{line}\n" for line in foreign)]
            mended += sorted(set(ids))
            position = end
        begin = None
    return "".join([*kept, journal[position:]]), mended


def _journal() -> str:
    path = journal_dir() / "journal.md"
    # Bytes as they are: text mode would turn a foreign line end into ours and hide it.
    return path.read_bytes().decode("utf-8", errors="replace") if path.is_file() else ""


def _told(record: dict, journal: str) -> bool:
    """Running ones are not in the journal yet."""
    return (
        record["status"] == "running" or f"<!-- entry {record['run_id']} " in journal or render.block(record) in journal
    )


def _records() -> tuple[dict[str, dict], list[str]]:
    """(run id -> record of every readable closed run, problems): each record must follow from its events."""
    records, found = {}, []
    for folder in sorted(path for path in journal_dir().glob("runs/*") if path.is_dir()):
        where = f"journal/runs/{folder.name}"
        if not (folder / "run.json").is_file():
            found.append(f"{where} has no run.json: the run was killed before it began; delete the folder")
            continue
        try:
            record = read_json(folder / "run.json")
            events, torn = store.read_events(folder)
        except (ValueError, OSError) as error:
            found.append(f"{where}: {error}")
            continue
        records[folder.name] = record
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
    except (KeyError, ValueError) as error:
        return [f"{where}/events.jsonl does not fit together: {error!r}"]
    names = [name for name in ("predictions", "metrics", "figures") if again[name] != record[name]]
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
    for run_id in set(re.findall(r"<!-- (?:entry|end) (\S+)", journal)) - {run_id for run_id, _ in blocks}:
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
        elif read_json(record)["status"] != "finished":
            found.append(f"reference.json: {key} is run {run_id}, which is {read_json(record)['status']}")
        elif (spread := store.spread(*key.split("/"))) and not agreement.belongs(spread, read_json(record)):
            number = key[:2]
            found.append(f"spread of {key}: config or data is not the reference's; `make bench ARGS='spread {number}'`")
    return found


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
    same = readme.current() == readme.block()
    return (
        []
        if same
        else ["README.md: the headline table is not what the records say; `python -m helpers.journal readme`"]
    )
