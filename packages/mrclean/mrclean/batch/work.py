"""What a worker does with one shard: clean it, and write what is left of it.

These are functions of their arguments and the files named in them. They write each file whole or not at all, so doing
one again, after a failure or on another machine, changes nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import account, decoding, dedup, files, pipeline, private, scores
from ..document import Document, Drop, Keep, Step
from ..files import read_note, write_note
from ..rules import KINDS
from . import streams
from .listing import Shard
from .tables import FORMATS, table

advance: Callable[[int], None] = lambda n: None  # noqa: E731 - the local engine counts bytes with it


LOOKED_AT = 20  # kept documents of each shard that the report may show, and whose languages it counts


@dataclass(frozen=True)
class Job:
    """What all workers must know."""

    out: str  # the output folder; everything on the way is below out/.work
    kind: str
    column: str
    config: str  # sha256 of all that decides what cleaning makes of a document: rules, steps, code and versions
    config_twins: str = ""  # of what decides which documents are duplicates
    form: str = "parquet"  # of the clean documents; one of tables.FORMATS
    limits: tuple[tuple[str, float], ...] = ()  # numbers of rules.py that the user has set
    skip: tuple[str, ...] = ()  # names of steps that are left out

    def path(self, *parts: str) -> Path:
        return Path(self.out, ".work", *parts)

    @property
    def bands(self) -> tuple[int, int]:
        """(bands, rows) of this kind."""
        return int(KINDS[self.kind].bands.value), int(KINDS[self.kind].rows.value)


def steps(kind: str, skip: tuple[str, ...] = ()) -> tuple[Step, ...]:
    """The steps of a kind, one document at a time, without those to `skip`; nothing is scored that cuts nothing."""
    found = pipeline.STEPS[kind] + ((scores.score_to_cut, scores.cut) if KINDS[kind].cuts else ())
    return tuple(step for step in found if step.__name__ not in skip)


def clean_shard(job: Job, shard: Shard) -> dict:
    """Read and clean `shard`. Leaves its candidates (documents that may be duplicates), their signatures and what was
    dropped, and gives the manifest: hashes of input, config and outputs, and the counters."""
    outputs = {
        "candidates": job.path("candidates", f"{shard.name}.parquet"),
        "signatures": job.path("signatures", f"{shard.name}.parquet"),
        "dropped": job.path("dropped", f"{shard.name}.jsonl"),
    }
    before = _stamps(shard)
    facts = {"shard": shard.name, "input": _input_hash(shard), "config": job.config}
    manifest = job.path("manifests", f"{shard.name}.json")
    if done := _done(manifest, facts, outputs):
        return done
    result = pipeline.Result(kept=[], dropped=[])
    refused_by_system, began = False, time.thread_time()
    arrived: dict[str, account.Sums] = {}
    with (
        table(outputs["candidates"], _candidate_columns()) as candidates,
        table(outputs["signatures"], _signature_columns(job)) as signatures,
        files.atomic(outputs["dropped"]) as dropped,
    ):
        for entry in shard.entries:
            sums = arrived.setdefault(entry.source, account.Sums())
            for found in streams.read(entry, job.kind, job.column, advance):
                if (document := _arrived(found, entry.source, job.kind, sums, result)) is not None:
                    document = pipeline.through_steps(document, steps(job.kind, job.skip), result, guard=True)
                elif found.reason == "unreadable" and not entry.problem:
                    refused_by_system = True
                if document is not None:
                    changed = document.id in result.edited
                    candidates.add(_candidate(document, changed), account.size(document))
                    signatures.add(_signature(document, job), 8 * job.bands[0])
                result.edited.clear()
                _write(result.dropped, dropped)
    if refused_by_system or _stamps(shard) != before:
        facts["input"] = "not read as it is, or changed meanwhile"  # so the next start reads it again
    lines = _counted(result)
    counters = {source: {"arrived": sums.as_dict(), "lines": lines[source]} for source, sums in arrived.items()}
    edits = [asdict(edit) for edit in pipeline.examples(result.edits)]
    in_steps = sum(line["seconds"] for of_source in lines.values() for line in of_source)
    told = {"counters": counters, "edits": edits, "seconds": time.thread_time() - began - in_steps}
    return _close(manifest, facts, outputs, candidates=candidates.rows, **told)


def _arrived(found, source: str, kind: str, sums: account.Sums, result: pipeline.Result) -> Document | None:
    """`found` in the account: as a document that was read, or as what could not be."""
    if isinstance(found, Document):
        sums.add(found)
        result.line(found, "read").add(found, Keep(found))
        return found
    sums.documents += 1
    sums.bytes += found.bytes
    refused = Document(found.id, kind, source, found.id, bytes_in=found.bytes)
    result.line(refused, "read").refuse(found.reason, found.bytes)
    pipeline.drop(refused, "read", Drop(found.reason, found.evidence), result)
    return None


def _candidate_columns() -> dict:
    import pyarrow as pa

    texts = ("id", "source", "title", "text", "codec", "redacted", "left_out", "row", "licence")
    numbers = {"replaced": pa.int64(), "changed": pa.bool_(), "bytes_in": pa.int64()}
    return {**{name: pa.string() for name in texts}, **numbers}


def _candidate(d: Document, changed: bool) -> tuple:
    title, licence = private.redact(d.title)[0], private.redact(d.licence)[0]
    return (
        *(d.id, d.source, title, d.text, d.codec, json.dumps(d.redacted), json.dumps(d.left_out), d.row, licence),
        *(d.replaced, changed, d.bytes_in),
    )


def document_columns() -> dict:
    """What the output has of each clean document: `row` and `redacted` are JSON, the rest plain."""
    import pyarrow as pa

    texts = ("id", "kind", "source", "title", "text", "codec", "licence", "redacted", "row")
    return {**{name: pa.string() for name in texts}, "replaced": pa.int64()}


def _document(d: Document) -> tuple:
    texts = (d.id, d.kind, d.source, d.title, d.text, d.codec, d.licence)
    return (*texts, json.dumps(d.redacted, sort_keys=True), d.row, d.replaced)


def candidates(job: Job, shard: str) -> Iterator[tuple[Document, bool]]:
    """(document, was it changed) of every candidate of a shard, in order."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(job.path("candidates", f"{shard}.parquet")) as file:
        for batch in file.iter_batches(batch_size=64):
            for row in batch.to_pylist():
                changed = row.pop("changed")
                counted = {name: Counter(json.loads(row.pop(name))) for name in ("redacted", "left_out")}
                yield Document(kind=job.kind, **counted, **row), changed


def _signature_columns(job: Job) -> dict:
    import pyarrow as pa

    fixed = {"id": pa.string(), "fingerprint": pa.binary(32), "shingles": pa.int64()}
    return fixed | {f"band_{k}": pa.uint64() for k in range(job.bands[0])}


def _signature(document: Document, job: Job) -> tuple:
    """What finds a document's duplicates, as a row: some hundred bytes, however long the text."""
    shingles = dedup.shingles(document.text)
    bands, rows = job.bands
    hashes = dedup.band_hashes(dedup.signature(shingles, bands * rows), bands, rows)
    fingerprint = bytes.fromhex(dedup.text_hash(document.text, job.kind == "code"))
    return (document.id, fingerprint, len(shingles), *hashes.tolist())


def write_shard(job: Job, shard: str, drops: dict[int, tuple[str, str]]) -> dict:
    """The clean documents of a shard: its candidates without the rows in `drops` {row: (reason, evidence)}."""
    source = job.path("candidates", f"{shard}.parquet")
    told = job.path("dropped", f"{shard}.jsonl")
    inputs = json.dumps([files.sha256_file(source), files.sha256_file(told), sorted(drops.items())])
    facts = {"shard": shard, "input": files.sha256(inputs), "config": job.config}
    outputs = {
        "documents": Path(job.out, "documents", f"{shard}{FORMATS[job.form]}"),
        "dropped": Path(job.out, "dropped", f"{shard}.jsonl"),
    }
    manifest = job.path("written", f"{shard}.json")
    if done := _done(manifest, facts, outputs):
        return done
    result = pipeline.Result(kept=[], dropped=[])
    kept: dict[str, account.Sums] = {}
    looked_at: list[tuple[str, str, str]] = []
    began = time.thread_time()
    with (
        table(outputs["documents"], document_columns()) as rows,
        files.atomic(outputs["dropped"]) as dropped,
    ):
        with open(told, "rb") as file:
            shutil.copyfileobj(file, dropped)
        for row, (document, changed) in enumerate(candidates(job, shard)):
            reason, evidence = drops.get(row, ("", ""))
            for step, name in (("exact_duplicates", "exact_duplicate"), ("near_duplicates", "near_duplicate")):
                answer = Drop(reason, evidence) if reason == name else Keep(document)
                result.line(document, step).add(document, answer)
                if reason == name:
                    pipeline.drop(document, step, answer, result)
                    break
            else:
                rows.add(_document(document), account.size(document))
                kept.setdefault(document.source, account.Sums()).add(document, changed)
                if len(looked_at) < LOOKED_AT:
                    looked_at.append((document.id, decoding.language(document.text)[0], private.excerpt(document.text)))
            _write(result.dropped, dropped)
    empty = account.Sums()
    counters = {
        source: {"kept": kept.get(source, empty).as_dict(), "lines": lines}
        for source, lines in _counted(result).items()
    }
    told = {"counters": counters, "looked_at": looked_at, "seconds": time.thread_time() - began}
    return _close(manifest, facts, outputs, documents=rows.rows, **told)


def _write(dropped: list[pipeline.Dropped], file) -> None:
    """Moves what was dropped from the list into the file."""
    for one in dropped:
        file.write((json.dumps(asdict(one), ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))
    dropped.clear()


def _counted(result: pipeline.Result) -> dict[str, list[dict]]:
    lines: dict[str, list[dict]] = {}
    for (source, _), of_source in result.lines.items():
        lines[source] = [line.as_dict() for line in of_source.values()]
    return lines


def _stamps(shard: Shard) -> list:
    found = []
    for entry in shard.entries:
        try:
            stat = os.stat(entry.path)
            found.append((stat.st_size, stat.st_mtime_ns))
        except OSError:
            found.append(None)
    return found


def _input_hash(shard: Shard) -> str:
    parts = []
    for entry in shard.entries:
        try:
            content = f"{entry.problem} {entry.size}" if entry.problem else files.sha256_file(Path(entry.path))
        except OSError as error:
            content = f"unreadable: {error.strerror}"
        parts.append([entry.id, entry.source, content])
    return files.sha256(json.dumps(parts))


def _done(manifest: Path, facts: dict, outputs: dict[str, Path]) -> dict | None:
    """The manifest of earlier work, if its input and config were the same and its outputs are unchanged."""
    found = read_note(manifest)
    if found is None or any(found[name] != wanted for name, wanted in facts.items()):
        return None
    try:
        same = found["outputs"] == {name: files.sha256_file(path) for name, path in outputs.items()}
    except OSError:
        return None
    return {**found, "again": False} if same else None


def _close(manifest: Path, facts: dict, outputs: dict[str, Path], **more) -> dict:
    found = {**facts, "outputs": {name: files.sha256_file(path) for name, path in outputs.items()}, **more}
    write_note(manifest, found)
    return {**found, "again": True}
