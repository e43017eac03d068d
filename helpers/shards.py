"""Shards: a corpus as one long row of token ids on disk, memory-mapped, with the places where documents end."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from . import bpe, paths, profile

MADE_BY = "02_tokenizer"
DTYPES = ("<u2", "<u4")


def write(
    folder: Path,
    tokenizer: bpe.Tokenizer,
    splits: Mapping[str, Iterable[str]],
    corpus_hash: str,
    made_by: str = MADE_BY,
) -> dict:
    """Encode documents into shards for training; returns the manifest.

    For each split: ``<split>.bin``, all documents as ``bos … eos`` one after the other, little endian, uint16 if every
    id fits and uint32 otherwise; and ``<split>_ends.npy``, uint64 (documents,): document d is
    ``ids[ends[d - 1]:ends[d]]``. One document is held at a time. The tokenizer is saved beside them. The manifest
    comes last and counts documents, tokens (specials included) and bytes of text; its ``data_hash`` is that of the ids
    and the tokenizer, not of how other libraries write the tokenizer down.

    Raises:
        ValueError: a split without documents, or a document that cannot be encoded.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)  # from here on the folder is unfinished
    for stale in (*folder.glob("*.bin"), *folder.glob("*_ends.npy")):  # of splits that are no more
        stale.unlink()
    bpe.save_tokenizer(tokenizer, folder)
    dtype = DTYPES[tokenizer.vocab_size > 2**16]
    documents, tokens, size = {}, {}, {}
    for name, texts in splits.items():
        lengths, size[name] = [], 0
        with paths.atomic(folder / f"{name}.bin") as file:
            for text in texts:
                ids = np.array(tokenizer.encode_document(text), dtype=dtype)
                file.write(ids.tobytes())
                lengths.append(len(ids))
                size[name] += len(text.encode("utf-8"))
            if not lengths:
                raise ValueError(f"split {name!r} has no documents")
        ends = np.cumsum(lengths, dtype=np.uint64)
        np.save(npy := io.BytesIO(), ends)
        paths.write_atomic(folder / f"{name}_ends.npy", npy.getvalue())
        documents[name], tokens[name] = len(lengths), int(ends[-1])
    parts = [paths.sha256_file(folder / f"{name}{kind}") for name in sorted(splits) for kind in (".bin", "_ends.npy")]
    return paths.write_manifest(
        folder,
        made_by=made_by,
        profile=profile.load().name,
        vocab_size=tokenizer.vocab_size,
        dtype=dtype,
        documents=documents,
        tokens=tokens,
        bytes=size,
        corpus_hash=corpus_hash,
        tokenizer_hash=tokenizer.hash,
        data_hash=paths.sha256("".join([*parts, tokenizer.hash])),
    )


def read(folder: Path, split: str, tokenizer: bpe.Tokenizer, made_by: str = MADE_BY) -> tuple[np.memmap, np.ndarray]:
    """The ids of a split, read-only and not loaded (uint16 or uint32, (tokens,)), and its ends (uint64, (documents,)).

    Raises:
        MissingArtifact: unfinished, changed since it was made, or made with another profile.
        ValueError: the manifest is damaged, there is no such split, or `tokenizer` is not the one that made the ids.
    """
    folder = Path(folder)
    manifest = paths.read_manifest(folder, made_by, profile.load().name)
    where = paths.relative(folder)
    tokens, dtype = manifest.get("tokens"), manifest.get("dtype")
    if not isinstance(tokens, dict) or dtype not in DTYPES or "tokenizer_hash" not in manifest:
        raise ValueError(f"{where}/manifest.json is damaged: tokens, dtype or tokenizer_hash; run notebook 02 again")
    if split not in tokens:
        raise ValueError(f"{where} has no split {split!r}; it has {', '.join(tokens)}")
    tokenizer.check_hash(manifest["tokenizer_hash"], f"the shards in {where}")
    ids = np.memmap(folder / f"{split}.bin", dtype=dtype, mode="r")
    ends = np.load(folder / f"{split}_ends.npy", allow_pickle=False)
    if not len(ids) == ends[-1] == tokens[split]:
        raise ValueError(
            f"{where}/manifest.json is damaged: {tokens[split]} tokens of {dtype} in {split}, its files hold "
            f"{len(ids)} and end at {ends[-1]}; run notebook 02 again"
        )
    return ids, ends
