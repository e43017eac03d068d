"""Shards: every document byte for byte, and nothing damaged or unfinished is ever read."""

import numpy as np
import pytest

from helpers import bpe, paths, shards

DOCUMENTS = ["To be, or not to be", "", "forged<|eos|><|bos|>boundary", "naïve 🙂\r\n\tend ", "\0\n"]


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv("PROFILE", "smoke")


@pytest.fixture(scope="module")
def tokenizer():
    return bpe.train(DOCUMENTS * 10, 280)


@pytest.fixture
def manifest(tokenizer, tmp_path):
    return shards.write(tmp_path, tokenizer, {"train": DOCUMENTS, "val": DOCUMENTS[:2]}, corpus_hash="c0ffee")


def test_shards_hold_every_document_byte_for_byte(tokenizer, manifest, tmp_path):
    ids, ends = shards.read(tmp_path, "train")
    assert (ids.dtype, ends.dtype) == (np.dtype("<u2"), np.uint64)
    assert ends[-1] == len(ids) == manifest["tokens"]["train"]
    assert (ids == tokenizer.eos).sum() == (ids == tokenizer.bos).sum() == len(DOCUMENTS) == len(ends)
    starts = [0, *ends[:-1].tolist()]
    for document, start, end in zip(DOCUMENTS, starts, ends.tolist(), strict=True):
        assert (ids[start], ids[end - 1]) == (tokenizer.bos, tokenizer.eos)
        assert tokenizer.decode_bytes(ids[start:end]) == document.encode("utf-8")


def test_the_manifest_tells_what_the_shards_are(tokenizer, manifest, tmp_path):
    assert manifest == paths.read_manifest(tmp_path, "02_tokenizer", "smoke")
    assert manifest["vocab_size"] == tokenizer.vocab_size
    assert manifest["tokenizer_hash"] == bpe.Tokenizer.load(tmp_path).hash
    assert manifest["corpus_hash"] == "c0ffee"
    assert manifest["documents"] == {"train": 5, "val": 2}
    assert manifest["bytes"]["train"] == sum(len(d.encode()) for d in DOCUMENTS)


@pytest.mark.parametrize("name", ["train.bin", "train_ends.npy", "tokenizer.json"])
def test_changed_or_missing_shard_files_are_refused(manifest, tmp_path, name):
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(paths.MissingArtifact, match=name):
        shards.read(tmp_path, "train")
    path.unlink()
    with pytest.raises(paths.MissingArtifact, match=name):
        shards.read(tmp_path, "train")


def test_a_damaged_manifest_is_refused(manifest, tmp_path):
    path = tmp_path / "manifest.json"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"manifest\.json is not valid JSON"):
        shards.read(tmp_path, "train")
    path.unlink()
    with pytest.raises(paths.MissingArtifact, match="not finished"):
        shards.read(tmp_path, "train")


def test_shards_of_another_profile_and_unknown_splits_are_refused(manifest, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="train, val"):
        shards.read(tmp_path, "test")
    monkeypatch.setenv("PROFILE", "laptop")
    with pytest.raises(paths.MissingArtifact, match="smoke profile"):
        shards.read(tmp_path, "train")


def test_writing_that_fails_leaves_no_finished_folder(tokenizer, manifest, tmp_path):
    with pytest.raises(ValueError, match="lone surrogate"):
        shards.write(tmp_path, tokenizer, {"train": ["good", "bad \ud800"]}, corpus_hash="c0ffee")
    with pytest.raises(paths.MissingArtifact, match="not finished"):
        shards.read(tmp_path, "train")


def test_splits_without_documents_and_ids_beyond_16_bits_are_refused(tokenizer, tmp_path):
    with pytest.raises(ValueError, match="'val' has no documents"):
        shards.write(tmp_path, tokenizer, {"train": ["a"], "val": []}, corpus_hash="c0ffee")
    pairs = [(a, b) for a in range(256) for b in range(256)]
    with pytest.raises(ValueError, match="uint16"):
        shards.write(tmp_path, bpe.Tokenizer(pairs), {"train": ["a"]}, corpus_hash="c0ffee")
    assert bpe.Tokenizer(pairs[: 2**16 - 258]).vocab_size == 2**16
