"""Clean documents -> training and validation -> parquet."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from . import files
from .account import size
from .document import Document
from .pipeline import Result
from .rules import KINDS

COLUMNS = ("id", "kind", "source", "title", "text")


def split_corpus(result: Result, val_fraction: float) -> dict[str, list[Document]]:
    """{"train": …, "val": …}: whole clusters, per kind, in the order of a hash of their name.

    A kind's clusters go to val as long as they fit into `val_fraction` of its bytes; if none fits, the smallest goes.
    No document is in both, and neither are two documents of one cluster. Nothing is drawn at random.
    """
    val: set[str] = set()
    for kind in KINDS:
        bytes_of: Counter = Counter()
        for document in result.kept:
            if document.kind == kind:
                bytes_of[result.cluster[document.id]] += size(document)
        if len(bytes_of) < 2:
            continue  # one cluster cannot be on both sides
        room = val_fraction * sum(bytes_of.values())
        order = sorted(bytes_of, key=lambda name: hashlib.sha256(name.encode("utf-8")).hexdigest())
        chosen = []
        for name in order:
            if bytes_of[name] <= room:
                chosen.append(name)
                room -= bytes_of[name]
        val.update(chosen or [min(order, key=lambda name: bytes_of[name])])
    sides: dict[str, list[Document]] = {"train": [], "val": []}
    for document in result.kept:
        sides["val" if result.cluster[document.id] in val else "train"].append(document)
    return sides


def straddling(result: Result, sides: dict[str, list[Document]]) -> list[tuple[float, str, str]]:
    """Pairs with one document in train and one in val that share at least their kind's `same_side` of word runs.

    Counted from the measured pairs, not from the clusters, so it can contradict `split`.
    """
    in_val = {d.id for d in sides["val"]}
    in_train = {d.id for d in sides["train"]}
    found = [(1.0, both, both) for both in sorted(in_val & in_train)]
    for kind, pairs in result.closest.items():
        for share, _, a, b in pairs:
            if share >= KINDS[kind].same_side.value and (
                (a in in_val and b in in_train) or (a in in_train and b in in_val)
            ):
                found.append((share, a, b))
    return found


def write_corpus(sides: dict[str, list[Document]], folder: Path) -> dict:
    """Write train.parquet and val.parquet, one row per document; gives documents and bytes, by side and kind.

    Columns: id, kind, source, title, text (all strings). The same documents give the same bytes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = [kind for kind in KINDS if any(d.kind == kind for documents in sides.values() for d in documents)]
    facts: dict = {"documents": {}, "bytes": {}}
    for side, documents in sides.items():
        columns = {name: [getattr(d, name) for d in documents] for name in COLUMNS}
        table = pa.table(columns, schema=pa.schema([(name, pa.string()) for name in COLUMNS]))
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", row_group_size=1024)
        files.write(folder / f"{side}.parquet", sink.getvalue().to_pybytes())
        facts["documents"][side] = {kind: sum(d.kind == kind for d in documents) for kind in kinds}
        facts["bytes"][side] = {kind: sum(size(d) for d in documents if d.kind == kind) for kind in kinds}
    return facts


def read_corpus(folder: Path) -> dict[str, list[dict[str, str]]]:
    """What `write_corpus` left: {"train": rows, "val": rows}, a dict for each document."""
    import pyarrow.parquet as pq

    return {side: pq.read_table(folder / f"{side}.parquet").to_pylist() for side in ("train", "val")}
