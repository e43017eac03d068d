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
    return bpe.train_tokenizer(DOCUMENTS * 10, 280)


@pytest.fixture
def manifest(tokenizer, tmp_path):
    return shards.write(tmp_path, tokenizer, {"train": DOCUMENTS, "val": DOCUMENTS[:2]}, corpus_hash="c0ffee")


def test_shards_hold_every_document_byte_for_byte(tokenizer, manifest, tmp_path):
    ids, ends = shards.read(tmp_path, "train", tokenizer)
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
    assert manifest["tokenizer_hash"] == bpe.load_tokenizer(tmp_path).hash
    assert manifest["corpus_hash"] == "c0ffee"
    assert manifest["documents"] == {"train": 5, "val": 2}
    assert manifest["bytes"]["train"] == sum(len(d.encode()) for d in DOCUMENTS)


@pytest.mark.parametrize("name", ["train.bin", "train_ends.npy", "tokenizer.json", "tokenizer.tiktoken"])
def test_changed_or_missing_shard_files_are_refused(tokenizer, manifest, tmp_path, name):
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(paths.MissingArtifact, match=name):
        shards.read(tmp_path, "train", tokenizer)
    path.unlink()
    with pytest.raises(paths.MissingArtifact, match=name):
        shards.read(tmp_path, "train", tokenizer)


def test_a_damaged_manifest_is_refused(tokenizer, manifest, tmp_path):
    path = tmp_path / "manifest.json"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"manifest\.json is not valid JSON"):
        shards.read(tmp_path, "train", tokenizer)
    path.unlink()
    with pytest.raises(paths.MissingArtifact, match="not finished"):
        shards.read(tmp_path, "train", tokenizer)


def test_shards_of_another_profile_and_unknown_splits_are_refused(tokenizer, manifest, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="train, val"):
        shards.read(tmp_path, "test", tokenizer)
    monkeypatch.setenv("PROFILE", "laptop")
    with pytest.raises(paths.MissingArtifact, match="smoke profile"):
        shards.read(tmp_path, "train", tokenizer)


def test_writing_that_fails_leaves_no_finished_folder(tokenizer, manifest, tmp_path):
    with pytest.raises(ValueError, match="lone surrogate"):
        shards.write(tmp_path, tokenizer, {"train": ["good", "bad \ud800"]}, corpus_hash="c0ffee")
    with pytest.raises(paths.MissingArtifact, match="not finished"):
        shards.read(tmp_path, "train", tokenizer)


def test_splits_without_documents_are_refused(tokenizer, tmp_path):
    with pytest.raises(ValueError, match="'val' has no documents"):
        shards.write(tmp_path, tokenizer, {"train": ["a"], "val": []}, corpus_hash="c0ffee")


def test_ids_are_16_bits_as_long_as_they_fit_and_32_beyond(tmp_path):
    pairs = [(a, b) for a in range(256) for b in range(256)]  # 65,536 merges
    for merges, dtype in ((pairs[: 2**16 - 258], "<u2"), (pairs[: 2**16 - 257], "<u4")):
        tokenizer = bpe.Tokenizer(merges)
        texts = ["\0\0", "naïve"]
        manifest = shards.write(tmp_path, tokenizer, {"train": texts}, corpus_hash="c0ffee")
        ids, ends = shards.read(tmp_path, "train", tokenizer)
        assert (manifest["dtype"], ids.dtype) == (dtype, np.dtype(dtype))
        assert ids[ends.astype(int) - 1].tolist() == [tokenizer.eos] * 2  # the largest id survives
        assert tokenizer.decode_bytes(ids) == "".join(texts).encode("utf-8")


def test_shards_are_memory_mapped_and_read_only(tokenizer, manifest, tmp_path):
    ids, _ = shards.read(tmp_path, "train", tokenizer)
    assert isinstance(ids, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        ids[0] = 1


def test_the_same_documents_give_the_same_bytes(tokenizer, manifest, tmp_path):
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = shards.write(
        tmp_path, bpe.load_tokenizer(tmp_path), {"train": DOCUMENTS, "val": DOCUMENTS[:2]}, corpus_hash="c0ffee"
    )
    assert again == manifest
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_the_data_hash_is_of_ids_and_tokenizer_only(tokenizer, manifest, tmp_path):
    splits = {"val": DOCUMENTS[:2], "train": DOCUMENTS}
    assert shards.write(tmp_path, tokenizer, splits, corpus_hash="another")["data_hash"] == manifest["data_hash"]
    other = shards.write(tmp_path, tokenizer, {"train": DOCUMENTS, "val": DOCUMENTS[:1]}, corpus_hash="c0ffee")
    assert other["data_hash"] != manifest["data_hash"]
    moved = bpe.Tokenizer(tokenizer.merges, specials={"<|eos|>": tokenizer.bos, "<|bos|>": tokenizer.eos})
    other = shards.write(tmp_path, moved, {"train": DOCUMENTS, "val": DOCUMENTS[:2]}, corpus_hash="c0ffee")
    assert other["data_hash"] != manifest["data_hash"]


def test_another_tokenizer_is_refused(tokenizer, manifest, tmp_path):
    other = bpe.Tokenizer(tokenizer.merges[:-1])
    with pytest.raises(ValueError, match=f"belong to tokenizer {tokenizer.hash[:12]}, this is tokenizer"):
        shards.read(tmp_path, "train", other)


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "<u4"},
        {"dtype": ">u2"},
        {"dtype": "banana"},
        {"dtype": None},
        {"tokens": {"train": 3}},
        {"tokens": None},
        {"tokens": 5},
        {"tokenizer_hash": None},
        {"files": {}},
        {"files": []},
        {"hash": "c0ffee"},
        {"made_by": "01_mrclean"},
    ],
)
def test_a_manifest_with_other_facts_is_refused(tokenizer, manifest, tmp_path, change):
    paths.write_json(tmp_path / "manifest.json", manifest | change)
    with pytest.raises((ValueError, paths.MissingArtifact), match=r"damaged|made by 01_mrclean|not recorded"):
        shards.read(tmp_path, "train", tokenizer)


def test_splits_that_are_no_more_leave_nothing_behind(tokenizer, manifest, tmp_path):
    shards.write(tmp_path, tokenizer, {"train": DOCUMENTS}, corpus_hash="c0ffee")
    assert not list(tmp_path.glob("val*"))
