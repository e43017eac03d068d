"""Shards: a corpus as one long row of token ids on disk, memory-mapped, with the places where documents end."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from . import paths, profile
from .bpe import Tokenizer

MADE_BY = "02_tokenizer"


def write(folder: Path, tokenizer: Tokenizer, splits: Mapping[str, Iterable[str]], corpus_hash: str) -> dict:
    """Encode documents into shards for training; returns the manifest.

    For each split: ``<split>.bin``, all documents as ``bos … eos`` one after the other, uint16 little endian; and
    ``<split>_ends.npy``, uint64 (documents,): document d is ``ids[ends[d - 1]:ends[d]]``. The manifest comes last and
    counts documents, tokens (specials included) and bytes of text.

    Raises:
        ValueError: ids that do not fit 16 bits, or a split without documents.
    """
    folder = Path(folder)
    if tokenizer.vocab_size > 2**16:
        raise ValueError(f"vocab_size {tokenizer.vocab_size} does not fit uint16 shards; at most {2**16}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)  # from here on the folder is unfinished
    tokenizer.save(folder)
    documents, tokens, size = {}, {}, {}
    for name, texts in splits.items():
        parts, size[name] = [], 0
        for text in texts:
            parts.append(np.array(tokenizer.encode_document(text), dtype="<u2"))
            size[name] += len(text.encode("utf-8"))
        if not parts:
            raise ValueError(f"split {name!r} has no documents")
        ends = np.cumsum([len(part) for part in parts], dtype=np.uint64)
        paths.write_atomic(folder / f"{name}.bin", np.concatenate(parts).tobytes())
        np.save(npy := io.BytesIO(), ends)
        paths.write_atomic(folder / f"{name}_ends.npy", npy.getvalue())
        documents[name], tokens[name] = len(parts), int(ends[-1])
    return paths.write_manifest(
        folder,
        made_by=MADE_BY,
        profile=profile.load().name,
        vocab_size=tokenizer.vocab_size,
        documents=documents,
        tokens=tokens,
        bytes=size,
        corpus_hash=corpus_hash,
        tokenizer_hash=tokenizer.hash,
    )


def read(folder: Path, split: str) -> tuple[np.memmap, np.ndarray]:
    """The ids of a split, read-only and not loaded (uint16, (tokens,)), and its document ends (uint64, (documents,)).

    Raises:
        MissingArtifact: unfinished, changed since it was made, or made with another profile.
        ValueError: the manifest is damaged, or there is no such split.
    """
    folder = Path(folder)
    manifest = paths.read_manifest(folder, MADE_BY, profile.load().name)
    if split not in manifest["tokens"]:
        raise ValueError(f"{paths.relative(folder)} has no split {split!r}; it has {', '.join(manifest['tokens'])}")
    ids = np.memmap(folder / f"{split}.bin", dtype="<u2", mode="r")
    return ids, np.load(folder / f"{split}_ends.npy", allow_pickle=False)
