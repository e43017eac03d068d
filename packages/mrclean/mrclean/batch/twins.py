"""Duplicates among more documents than fit into memory, in two passes.

The first pass was over the texts and left signatures. Here they alone are looked at: equal fingerprints are exact
duplicates; per band, documents with the same hash are joined to the first of them (a *star*: n - 1 edges, where all
pairs would be n²/2), and what is connected is a group. The second pass fetches the texts of these groups only, and
compares them for real, by the same rule as `dedup.near_duplicates`, up to a number of comparisons for each document.

Documents are numbered through all shards, in reading order. In memory are a few numbers for each document and a line
for each duplicate, never a text.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .. import dedup, files
from ..files import read_note, write_note
from ..rules import KINDS
from .work import Job

PART_BYTES = 64_000_000  # of shingles that one worker compares, where the groups are smaller than that
# Texts made from one template may all share a band and yet not be near duplicates. So that the work does not grow with
# the square of their number, a document is compared with no more than these: of each band those nearest in size, and of
# them those that share most bands. In a very large group a twin may be missed.
BAND_MEMBERS, COMPARED = 1000, 200


class Numbering:
    """All candidates, numbered through the shards in their order."""

    def __init__(self, job: Job, counts: dict[str, int]):
        self.job, self.shards = job, list(counts)
        self.begins = np.cumsum([0, *counts.values()])

    def __len__(self) -> int:
        return int(self.begins[-1])

    def column(self, name: str) -> np.ndarray:
        """One column of all signatures."""
        return np.concatenate([_column(self.job, shard, name) for shard in self.shards])

    def by_shard(self, numbers: np.ndarray) -> Iterable[tuple[str, np.ndarray, np.ndarray]]:
        """(shard, where in `numbers`, rows of the shard) for every shard that has some of `numbers`."""
        of = np.searchsorted(self.begins, numbers, "right") - 1
        for k in np.unique(of).tolist():
            at = np.flatnonzero(of == k)
            yield self.shards[k], at, numbers[at] - self.begins[k]

    def ids(self, numbers: np.ndarray) -> list[str]:
        found = [""] * len(numbers)
        for shard, at, rows in self.by_shard(numbers):
            ids = _column(self.job, shard, "id")
            for place, row in zip(at.tolist(), rows.tolist(), strict=True):
                found[place] = ids[row]
        return found


def _column(job: Job, shard: str, name: str) -> np.ndarray:
    import pyarrow.parquet as pq

    path = job.path("signatures", f"{shard}.parquet")
    column = pq.read_table(path, columns=[name]).column(0).combine_chunks()
    if name != "fingerprint":
        return column.to_numpy(zero_copy_only=False)
    return np.frombuffer(column.buffers()[1] or b"", "S32")[column.offset :][: len(column)]


def find_once(job: Job, counts: dict[str, int], signatures: list[str], engine) -> dict[str, dict]:
    """What `find` gives, or gave an earlier start for the same signatures (their hashes, in order)."""
    path = job.path("duplicates.json")
    facts = [job.config_twins, list(counts.items()), signatures]
    if (found := read_note(path)) and found["facts"] == json.loads(json.dumps(facts)):
        return {shard: {int(row): tuple(why) for row, why in of.items()} for shard, of in found["drops"].items()}
    drops = find(job, counts, engine)
    write_note(path, {"facts": facts, "drops": drops})
    return drops


def find(job: Job, counts: dict[str, int], engine) -> dict[str, dict[int, tuple[str, str]]]:
    """{shard: {row: (reason, evidence)}} of all duplicates. `counts` has the candidates of each shard, in order."""
    documents = Numbering(job, counts)
    drops: dict[str, dict[int, tuple[str, str]]] = {shard: {} for shard in counts}
    if len(documents) < 2:
        return drops

    def drop(numbers, others, reason: str, words: list[str]) -> None:
        evidence = [f"{text} {id}" for text, id in zip(words, documents.ids(np.array(others)), strict=True)]
        for shard, at, rows in documents.by_shard(np.array(numbers)):
            drops[shard].update({r: (reason, evidence[k]) for k, r in zip(at.tolist(), rows.tolist(), strict=True)})

    _, first, inverse = np.unique(documents.column("fingerprint"), return_index=True, return_inverse=True)
    twin = first[inverse]  # of each document, the first with the same fingerprint
    copies = np.flatnonzero(twin != np.arange(len(documents)))
    if len(copies):
        drop(copies, twin[copies], "exact_duplicate", ["the same text as"] * len(copies))
    sizes = documents.column("shingles")
    skip = sizes == 0
    skip[copies] = True
    near = [] if "near_duplicates" in job.skip else sorted(_near(documents, sizes, skip, engine))
    if near:
        numbers, others, similarity = zip(*near, strict=True)
        drop(numbers, others, "near_duplicate", [f"Jaccard similarity {s:.2f} with" for s in similarity])
    return drops


def _near(documents: Numbering, sizes: np.ndarray, skip: np.ndarray, engine) -> list[tuple[int, int, float]]:
    job = documents.job
    for name in ("edges", "groups"):
        shutil.rmtree(job.path(name), ignore_errors=True)
    with files.atomic(job.path("edges", "skip.npy")) as file:
        np.save(file, skip)
    labels = np.arange(len(documents))
    bands = [(job, documents.shards, band) for band in range(job.bands[0])]
    for path in engine.map(star_edges, bands):
        labels = joined(labels, np.load(path))
    members = np.flatnonzero((np.bincount(labels)[labels] > 1) & ~skip)
    if not len(members):
        return []
    parts = int(np.ceil(8 * sizes[members].sum() / PART_BYTES))
    tasks = [
        (job, shard, rows, members[at], labels[members[at]], parts) for shard, at, rows in documents.by_shard(members)
    ]
    for _ in engine.map(gather, tasks):
        pass
    found = engine.map(compare_signatures, [(job, part) for part in np.unique(labels[members] % parts).tolist()])
    return [drop for of_part in found for drop in of_part]


def star_edges(job: Job, shards: list[str], band: int) -> str:
    """Joins documents with the same hash in `band` to the first of them; gives the path of the edges, (m, 2) int64."""
    hashes = np.concatenate([_column(job, shard, f"band_{band}") for shard in shards])
    at = np.flatnonzero(~np.load(job.path("edges", "skip.npy")))
    order = at[np.argsort(hashes[at], kind="stable")]
    same = hashes[order[1:]] == hashes[order[:-1]]
    begin = np.flatnonzero(np.append(True, ~same))  # where a run of equal hashes begins
    first = np.repeat(order[begin], np.diff(np.append(begin, len(order)))) if len(order) else order
    edges = np.stack([first, order], axis=1)[first != order]
    path = job.path("edges", f"{band}.npy")
    with files.atomic(path) as file:
        np.save(file, edges)
    return str(path)


def joined(labels: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """`labels` of connected documents after `edges` were added to what connects them."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(edges):
        return labels
    a, b = labels[edges].T
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(len(labels), len(labels)))
    return connected_components(graph, directed=False)[1][labels].astype(np.int64)


def gather(job: Job, shard: str, rows: np.ndarray, numbers: np.ndarray, labels: np.ndarray, parts: int) -> None:
    """Puts the shingles of some documents of a shard to those of the same group: the groups are dealt into `parts`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = {"number": pa.int64(), "label": pa.int64(), "bands": pa.list_(pa.uint64())}
    schema = pa.schema(list({**fields, "shingles": pa.large_list(pa.uint64())}.items()))
    begin = 0
    with pq.ParquetFile(job.path("candidates", f"{shard}.parquet")) as file:
        for group in range(file.num_row_groups):
            end = begin + file.metadata.row_group(group).num_rows
            here = np.flatnonzero((rows >= begin) & (rows < end))
            if len(here):
                texts = file.read_row_group(group, columns=["text"]).column(0)
                found: dict[int, list[tuple]] = defaultdict(list)
                for k in here.tolist():
                    shingles = dedup.shingles(texts[int(rows[k]) - begin].as_py())
                    hashes = dedup.band_hashes(dedup.signature(shingles, int(np.prod(job.bands))), *job.bands)
                    found[int(labels[k]) % parts].append((int(numbers[k]), int(labels[k]), hashes, shingles))
                for part, documents in found.items():
                    # Arrow's own format, not packed: `compare` maps it into memory instead of reading it.
                    with files.atomic(job.path("groups", str(part), f"{shard}.{group}.arrow")) as out:
                        table = pa.table(dict(zip(schema.names, zip(*documents, strict=True), strict=True)), schema)
                        with pa.ipc.new_file(out, schema) as writer:
                            writer.write_table(table)
            begin = end


def compare_signatures(job: Job, part: int) -> list[tuple[int, int, float]]:
    """(number, survivor, Jaccard) of every near duplicate in the groups of a part.

    As in `dedup.near_duplicates`: the largest document survives, of equals the first, and a document is only compared
    with survivors that share a band. Here these are at most `COMPARED`, so in a very large group a twin may be missed.
    """
    threshold = KINDS[job.kind].near_duplicate.value
    groups: dict[int, list[tuple[int, np.ndarray, np.ndarray]]] = defaultdict(list)
    for path in sorted(Path(job.path("groups", str(part))).glob("*.arrow")):
        for number, label, bands, shingles in _mapped(path):
            groups[label].append((number, bands, shingles))
    dropped = []
    for group in groups.values():
        buckets: dict[tuple[int, int], deque[int]] = defaultdict(lambda: deque(maxlen=BAND_MEMBERS))
        survivors: dict[int, np.ndarray] = {}
        for number, bands, shingles in sorted(group, key=lambda d: (-len(d[2]), d[0])):
            keys = list(enumerate(bands.tolist()))
            similar = {}
            shared = Counter(other for key in keys for other in buckets.get(key, ()))
            able = [other for other in shared if len(shingles) >= threshold * len(survivors[other])]  # else they cannot
            for other in sorted(able, key=lambda other: (-shared[other], len(survivors[other]), other))[:COMPARED]:
                similarity = dedup.jaccard(shingles, survivors[other])
                if similarity >= threshold:
                    similar[other] = similarity
            if similar:
                other = max(similar, key=lambda other: (similar[other], -other))
                dropped.append((number, other, similar[other]))
            else:
                survivors[number] = shingles
                for key in keys:
                    buckets[key].append(number)  # the largest come first, so the last are nearest to the next in size
    return dropped


def _mapped(path: Path) -> Iterable[tuple[int, int, np.ndarray, np.ndarray]]:
    import pyarrow as pa

    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    for batch in table.to_batches():
        number, label, bands, shingles = batch.columns
        for k in range(len(batch)):
            yield number[k].as_py(), label[k].as_py(), bands[k].values.to_numpy(), shingles[k].values.to_numpy()
