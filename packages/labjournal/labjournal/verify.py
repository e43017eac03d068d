"""Is the journal what its records say? Lines, entries, pages, figures, images and its README against them.

Lines of the open page and both READMEs are rendered again and compared byte for byte; entries and closed pages have
their hash. What was written by hand between the lines is nobody's business but its writer's.
"""

from __future__ import annotations

from collections import Counter

from . import agreement, comparison, index, metrics, pages, provenance, render, store
from .files import sha256_file
from .project import committed, current, images_dir, journal_dir, relative

KEPT = (("png", ".png"), ("data", ".json"), ("file", ".items.json"))  # key of an event -> what it names in figures/


def problems() -> list[str]:
    """Everything that is not as it should be, a line each: what, where, and what to do. Empty when all is well."""
    records, kept, found = _records()
    parts = [(_lines, records), (_pages,), (_entries, records), (_figures, records, kept), (_images, records),
             (_references,)]  # fmt: skip
    if journal_dir() == committed():  # the repository itself, not a workspace somewhere else
        parts += [(current().problems,)]
    for part, *facts in parts:
        try:
            found += part(*facts)
        except (ValueError, OSError) as damage:  # of one file; the rest is looked at all the same
            found.append(store.message(damage))
    return found


def gaps() -> list[str]:
    """What is not damaged but missing: references whose re-runs would get no verdict on some of their results."""
    found = []
    try:
        known = store.references()
    except ValueError:
        return []
    for key in known:
        notebook, _, profile = key.partition("/")
        try:
            record = store.reference(notebook, profile, journal_dir())
            found += [said] if record and (said := _spread(key, record)) else []
        except ValueError:
            continue  # a problem, not a gap
    return found


def mend() -> list[str]:
    """Append the lines that are missing, as after a merge or a full disk; returns the ids of their runs."""
    with store.locked():
        missing = pages.missing(list(_records()[0].values()))
        if missing:
            pages.add(journal_dir(), missing)
        pages.refresh()
    return [record["run_id"] for record in missing]


def _records() -> tuple[dict[str, dict], set[str], list[str]]:
    """(run id -> every readable record, names of the files that runs have kept by content, problems).

    Each closed record must follow from its events.
    """
    records, kept, found = {}, set(), []
    for folder in sorted(path for path in journal_dir().glob("runs/*") if path.is_dir()):
        where = f"journal/runs/{folder.name}"
        try:
            if not (folder / "run.json").is_file():
                found.append(f"{where} has no run.json: the run was killed before it began; delete the folder")
                continue
            record = records[folder.name] = store.read(folder / "run.json")
            events, _ = store.read_events(folder)
        except (ValueError, OSError) as error:
            found.append(f"{where}: {store.message(error)}")
            continue
        for event in events:  # also what a later figure of the same name took the place of
            kept |= {f"{event[key]}{kind}" for key, kind in KEPT if key in event}
        if record["status"] == "running" and not provenance.alive(record["resources"].get("process")):
            found.append(f"{where}: the run was killed; the next start of its notebook closes it")
        if record["format"] > 1 and record["status"] != "running":
            found += _changed(where, record, events)
    return records, kept, found


def _changed(where: str, record: dict, events: list[dict]) -> list[str]:
    try:
        again = metrics.replay(record, events)
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        return [f"{where}/events.jsonl does not fit together: {error!r}"]
    names = [name for name in ("predictions", "metrics", "figures", "tables") if again.get(name) != record.get(name)]
    first = events[0] if events else {}
    names += [name for name in ("config", "seed") if first.get(name) != record[name]]
    names += ["trainings"] if again.get("trainings") != record.get("trainings") else []
    if record["status"] == "finished" and again["notes"] != record["notes"]:
        names.append("notes")
    last = events[-1] if events else {}
    if last.get("event") == "end":  # not there when the disk was full at the very end
        names += [name for name in ("verdict", "decision", "entry") if name in last and last[name] != record.get(name)]
    return [f"{where}/run.json: its {name} are not those of its events.jsonl; restore both with git" for name in names]


def _lines(records: dict[str, dict]) -> list[str]:
    """Every closed run has its line in the open page, as its record renders, or stands in a closed page."""
    lines = [(match[1], match[0]) for match in pages.LINE.finditer(pages.text_of(pages.page()))]
    found = []
    for run_id, text in lines:
        if run_id not in records:
            found.append(f"journal.md has a line for {run_id}, which has no readable record in journal/runs/")
        elif records[run_id]["status"] != "running" and text.rstrip("\n") + "\n" != render.line(records[run_id]):
            found.append(f"journal.md: the line of {run_id} is not what its record renders to; restore it with git")
    for run_id, times in Counter(run_id for run_id, _ in lines).items():
        if times > 1:
            found.append(f"journal.md has {times} lines for {run_id}; delete all but one")
    return found + [
        f"no page tells of {record['run_id']}; `verify --mend` appends its line"
        for record in pages.missing(list(records.values()))
    ]


def _pages() -> list[str]:
    """Closed pages are what they were; the open one is not too long; the README is what they and the records say."""
    found = []
    for name, sealed in pages.sealed().items():
        path = journal_dir() / name
        if not path.is_file() or sha256_file(path) != sealed:
            found.append(f"journal/{name} is not the page that was closed; restore it with git")
    if len(pages.text_of(pages.page()).encode()) > pages.LONG:
        found.append(f"journal.md is longer than {pages.LONG:,} bytes; `python -m labjournal close` begins another")
    if pages.text_of(journal_dir() / "README.md") != (index.text() if any(journal_dir().glob("runs/*")) else ""):
        found.append("journal/README.md is not what the records say; `python -m labjournal readme`")
    return found


def _entries(records: dict[str, dict]) -> list[str]:
    """The long entries, by their hash: they are written once, and never rendered again."""
    found = []
    for run_id, record in records.items():
        path = journal_dir() / "runs" / run_id / "entry.md"
        if record.get("entry") and not (path.is_file() and sha256_file(path)[:16] == record["entry"]):
            found.append(f"journal/runs/{run_id}/entry.md is not the file that the run wrote; restore it with git")
    return found


def _figures(records: dict[str, dict], names: set[str]) -> list[str]:
    """What a record names is there and is what it was; what is there is named by a run (`names`, by content)."""
    found, known = [], {journal_dir() / "figures" / name for name in names}
    for run_id, record in records.items():
        kept = journal_dir() / ("figures" if record["format"] > 3 else f"runs/{run_id}/figures")
        named = [(f"{name}.{kind}", kind, figure.get(key), name) for name, figure in record["figures"].items()
                 for kind, key in (("png", "png"), ("json", "data"))]  # fmt: skip
        named += [
            ("", "items.json", metric["file"], name) for name, metric in record["metrics"].items() if metric.get("file")
        ]
        for own, kind, expected, name in named:
            path = kept / (f"{expected}.{kind}" if record["format"] > 3 else own)
            known.add(path)
            if not path.is_file():
                found.append(f"{relative(path)} is missing, {name} of run {run_id}; restore it with git")
            elif expected and sha256_file(path)[:16] != expected:
                found.append(f"{relative(path)} is not the file that run {run_id} wrote; restore it with git")
        found += [f"run {run_id}: {n} has no alt text" for n, f in record["figures"].items() if not f["alt"].strip()]
    running = any(record["status"] == "running" for record in records.values())
    there = {path for pattern in ("figures/*", "runs/*/figures/*") for path in journal_dir().glob(pattern)}
    return found + [f"{relative(p)} is in no record; delete it" for p in sorted(there - known) if not running]


def _images(records: dict[str, dict]) -> list[str]:
    """images/ holds each figure of the latest run that made it, and nothing else."""
    latest = {f"{name}.png": (record, name) for _, record in sorted(records.items()) for name in record["figures"]}
    for name, (record, figure) in list(latest.items()):  # what a newer reference no longer draws has left images/
        now = records.get(store.references().get(f"{record['notebook']}/{record['profile']}"), record)
        if now["run_id"] > record["run_id"] and figure not in now["figures"]:
            del latest[name]
    images = {path.name: path for path in images_dir().glob("*")}
    found = [
        f"images/{name} is drawn by no current run: nobody refers to it; delete it"
        for name in images.keys() - latest.keys()
    ]
    for name, (record, figure) in latest.items():
        own, run_id = store.picture(record, figure), record["run_id"]
        if name not in images:
            found.append(f"images/{name} is missing; run {run_id} has it")
        elif own.is_file() and images[name].read_bytes() != own.read_bytes():
            found.append(
                f"images/{name} is not the figure of the latest run that made it, {run_id}; copy it from there"
            )
    return sorted(found)


def _references() -> list[str]:
    found = []
    for path in sorted(journal_dir().glob("spread/*.json")):
        store.checked(path, "spread")
    for key, run_id in store.references().items():
        path = journal_dir() / "runs" / run_id / "run.json"
        if not path.is_file():
            found.append(f"reference.json: {key} is run {run_id}, which has no record")
            continue
        record = store.read(path)
        if key != f"{record['notebook']}/{record['profile']}":
            found.append(f"reference.json: {key} is run {run_id}, which is of {record['notebook']}/{record['profile']}")
        if record["status"] != "finished":
            found.append(f"reference.json: {key} is run {run_id}, which is {record['status']}")
    return found


def _spread(key: str, record: dict) -> str:
    """Why the spread over seeds of a reference that leaves something to chance is of no use; "" when it is."""
    path = journal_dir() / "spread" / f"{key.replace('/', '-')}.json"
    if record["seed"] is None:
        return ""
    remedy = f"`make bench ARGS='spread {key[:2]} --profile {record['profile']}'` measures it"
    if not path.is_file():
        return f"spread/{path.name} is not there, so a re-run gets no verdict; {remedy}"
    known = store.checked(path, "spread")
    if not agreement.belongs(known, record):
        return f"spread/{path.name}: config or data is not the reference's; {remedy} again"
    if len(known["seeds"]) < comparison.SEEDS:
        return f"spread/{path.name} has {len(known['seeds'])} seeds, {comparison.SEEDS} are needed; {remedy} again"
    if "rounding" not in known:
        return f"spread/{path.name} does not know how far other processors lie off; {remedy} again"
    missing = [name for name, m in record["metrics"].items() if m["kind"] == "result" and name not in known["metrics"]]
    return f"spread/{path.name} knows nothing of {', '.join(missing[:3])}; {remedy} again" if missing else ""
