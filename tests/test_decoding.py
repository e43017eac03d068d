"""Bytes as they lie on disks: old codecs, damage, orders to terminals, and files that are no text at all."""

import io
import json
import random
import tomllib
import zipfile
from pathlib import Path

import pytest

from helpers import mrclean
from mrclean import Document, decoding, formats, steps
from mrclean.batch import listing, streams

TEXTS = tomllib.loads((Path(__file__).parent / "languages.toml").read_text("utf-8"))


def test_old_codecs_are_told_from_what_they_say():
    right, wrong = [], []
    for name, of in TEXTS.items():
        text = of["text"]
        for codec in of["codecs"]:
            found = decoding.decoded(text.encode(codec))
            if found.text is not None:
                (right if found.text == text else wrong).append(f"{name} in {codec}: {found.codec}")
    total = sum(len(of["codecs"]) for of in TEXTS.values())
    assert len(right) >= 0.92 * total and len(wrong) <= 0.02 * total, wrong


def test_rulers_between_the_lines_are_no_language():
    aside = []
    for name, of in TEXTS.items():
        text = ("\n" + "=" * 79 + "\n").join(["", *of["text"].split(". "), ""])
        for codec in of["codecs"]:
            found = decoding.decoded(text.encode(codec))
            aside += [(name, codec, found.why or found.codec)] if found.text != text else []
    assert len(aside) <= 0.08 * sum(len(of["codecs"]) for of in TEXTS.values()), aside


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[32mOK\x1b[0m step 1\n", "OK step 1\n"),
        ("\x1b]0;title\x07done\n", "done\n"),
        ("_\x08w_\x08o_\x08r_\x08d b\x08bo\x08ol\x08ld\n", "word bold\n"),
        ("page one\x0cpage two\n", "page one\npage two\n"),
        ("node\x1f\nnext\n", "node\n\nnext\n"),
        ("soft\u00adhyphen\n", "softhyphen\n"),
        ("word " * 20 + "end\x1a\n", "word " * 20 + "end\n"),
    ],
)
def test_control_characters_are_understood_before_a_text_is_refused(text, cleaned):
    many = text * 50
    found = steps.decode(Document("a", "text", "t", "a", raw=many.encode()))
    assert steps.unicode_form(found.document).document.text == cleaned * 50


def test_bells_and_what_only_fills_up_are_no_damage():
    log = "".join(f"\x0712:00:{i} disk full\n" for i in range(10, 50))
    for raw, cleaned in ((log, log.replace("\x07", "")), ("word " * 140 + "\0" * 100, "word " * 140)):
        found = steps.decode(Document("a", "text", "t", "a", raw=raw.encode()))
        assert steps.unicode_form(found.document).document.text == cleaned
    assert decoding.decoded(bytes(range(1, 28)) * 40 + b"\0" * 100_000).text is None  # zeros make no text of it


def test_utf8_with_a_few_broken_bytes_is_mended_and_counted():
    german = TEXTS["German"]["text"]
    cut = decoding.decoded(german.encode() + "ü".encode()[:1])
    assert (cut.text, cut.codec, cut.replaced) == (german, "utf-8", 1)
    mixed = (german * 10).encode() + "Müller".encode("latin-1") + german.encode()
    assert decoding.decoded(mixed).text == german * 10 + "Müller" + german and decoding.decoded(mixed).replaced == 1
    russian = (TEXTS["Russian"]["text"] * 10).encode() + b"\xfc" + b" end"
    assert decoding.decoded(russian).text.endswith("\ufffd end")  # among Cyrillic letters nobody knows what it was
    broken = "ü".encode() * 300 + b"\xfc" * 100
    assert decoding.decoded(broken).text is None and "broken" in decoding.decoded(broken).why


def test_words_of_two_alphabets_are_no_words():
    raw = "thänh äb shörtérg mïnimumä thérsö wörds ären't".encode("cp1252")
    assert not decoding._mixed(decoding.decoded(raw).text or "")


def test_a_common_codec_is_preferred_and_letters_in_no_order_are_no_language():
    for name in ("Albanian", "Estonian"):
        for codec in TEXTS[name]["codecs"]:
            assert decoding.decoded(TEXTS[name]["text"].encode(codec)).text == TEXTS[name]["text"], (name, codec)
    chance, taken = random.Random(1), []
    for _ in range(100):
        words = [bytes(chance.randrange(0xA1, 0x100) for _ in range(chance.randrange(3, 9))) for _ in range(60)]
        taken += [decoding.decoded(b" ".join(words)).codec]
    assert len([codec for codec in taken if codec]) <= 5, taken


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, "picture"),
        (b"\x7fELF\x02\x01\x01" + bytes(900), "program"),
        (bytes(range(1, 256)) * 20, "begins with 01 02"),
    ],
)
def test_the_reason_says_what_was_refused(raw, told):
    answer = steps.decode(Document("a", "text", "t", "a", raw=raw))
    assert answer.reason == "undecodable" and told in answer.evidence


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


PAGE = "<!DOCTYPE html>\n<html><head><title>T</title></head><body><p>Text.</p></body></html>"
REFUSED = {
    "page.txt": (PAGE.encode(), "HTML"),
    "mail.txt": (b"From jo@example.org Mon Jan  1 00:00:00 2024\nFrom: Jo\nSubject: x\n\nText\n", "mbox"),
    "pages.txt": (b"WARC/1.0\r\nWARC-Type: warcinfo\r\n\r\n", "WARC"),
    "data.json": (b'{"a": {"b": [1, 2]}}', "JSON"),
    "note.ipynb": (json.dumps({"cells": [{"cell_type": "code", "source": []}], "nbformat": 4}).encode(), "notebook"),
    "dump.txt": (b"".join(b"%08x: 0011 2233 4455 6677 8899  ......\n" % (16 * i) for i in range(30)), "hex dump"),
    "picture.txt": ((b"iVBORw0KGgoAAAANSUhEUgAAAAUA" * 3 + b"\n") * 30, "base64"),
    "letter.docx": (zipped("[Content_Types].xml", "word/document.xml"), "Word"),
    "book.epub": (zipped("mimetype", "OEBPS/a.xhtml"), "zip"),
    "paper.txt": (b"%PDF-1.7\n1 0 obj\n", "PDF"),
    "rich.txt": (b"{\\rtf1\\ansi text}", "RTF"),
    "image.svg": (b'<?xml version="1.0"?>\n<svg></svg>', "XML"),
    "help.page": (b'<page xmlns="http://example.org/1.0/"\n      id="a">\n<title>T</title></page>', "XML"),
    "paragraphs.txt": (b"<p>One day\nhe came.</p>\n<p>And went.</p>\n", "HTML"),
    "menu.txt": (b"<div class='menu'><ul>\n<li>One</li>\n</ul>\nText of it.\n</div>\n", "HTML"),
    "script.txt": (b"<script>\nvar a = 1;\n</script>\n<p>Text", "HTML"),
    "titled.txt": (b"My page\n<p>One day he came.</p>\n<p>And went.</p>\n", "HTML"),
    "plain.html": (b"My page\nOne day he came.<br>And went.\n", "HTML"),
    "tei.txt": (b"<TEI>\n<teiHeader>\n<title>T</title>\n</teiHeader>\n<text>x</text>\n</TEI>\n", "XML"),
    "feed.txt": (b"<rss version='2.0'><channel><title>T</title><item></item></channel></rss>\n", "XML"),
    "saved.mht": (
        b"From: <Saved by Browser>\nMIME-Version: 1.0\nContent-Type: multipart/related;\n\tboundary=x\n",
        "MIME",
    ),
    "attached.txt": (b"begin 644 a.gif\n" + b"M" * 61 + (b"\nM" + b"A" * 60) * 9 + b"\n`\nend\n", "uuencoded"),
    "firmware.txt": (b":10010000214601360121470136007EFE09D2190140\n" * 9 + b":00000001FF\n", "Intel hex"),
    "people.txt": (b"name,town,street\n" + b'Jo,Rome,"Via, Appia"\n' * 9, "without a column 'text'"),
    "sound.txt": (b"OggS\0\2\0\0" + bytes(100), "sound"),
    "table.csv": (b"a,b\n1,2\n", "without a column 'text'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_format_that_is_not_read_is_named(tmp_path, name):
    raw, told = REFUSED[name]
    (tmp_path / name).write_bytes(raw)
    (found,) = streams.read(listing.find([tmp_path / name])[0][0], "text")
    assert found.reason in ("format", "no_text", "archive") and told in found.evidence


LINES = "\n".join(json.dumps({"text": f"Text {i}.", "url": f"https://example.org/{i}"}) for i in range(3)) + "\n"
ROWS = {
    "c4-train.00000.json": LINES,
    "lines.txt": LINES,
    "without_an_end.json": LINES[:-1],
    "long.json": "".join(line[:-1] + ', "x": "' + "x" * 100_000 + '"}\n' for line in LINES.splitlines()),
    "table.txt": "id;text;url\n" + "".join(f"{i};Text {i}.;https://example.org/{i}\n" for i in range(3)),
    "rows.csv": "id,text,url\n1,Text 0.,https://example.org/0\n2,Text 1.,https://example.org/1\n3,Text 2.,https://example.org/2\n",
    "rows.tsv": "text\turl\nText 0.\thttps://example.org/0\nText 1.\thttps://example.org/1\nText 2.\thttps://example.org/2\n",
    "list.json": json.dumps([{"text": f"Text {i}.", "url": f"https://example.org/{i}"} for i in range(3)]),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_read_under_any_name_with_their_columns(tmp_path, name):
    (tmp_path / name).write_text(ROWS[name], "utf-8")
    found = list(streams.read(listing.find([tmp_path / name])[0][0], "text"))
    assert [d.text for d in found] == ["Text 0.", "Text 1.", "Text 2."]
    assert [json.loads(d.row)["url"][-1] for d in found] == ["0", "1", "2"]


def test_one_line_of_json_is_a_row_however_it_ends(tmp_path):
    (tmp_path / "a.json").write_text('{"text": "To be."}')
    (tmp_path / "b.txt").write_text('{"id": 1, "text": "' + "To be. " * 200_000 + '"}\n{"text": "Or not."}\n')
    found = [d for entry in listing.find([tmp_path])[0] for d in streams.read(entry, "text")]
    assert [d.text[:6] for d in found] == ["To be.", "To be.", "Or not"]


@pytest.mark.parametrize(
    "prose",
    ["OTTO was a king.\n", "[Enter HAMLET]\nTo be.\n", "{curly} words begin this.\n",
     
     "From the hills he came in 1900.\n",     "a, b, c\nd, e, f\n",
     "Dear sir,\n<b>bold</b>\n",
     "GIF89 is an old format.\n", "\"Well,\" said he, \"no.\"\n"],
)  # fmt: skip
def test_prose_is_no_format(tmp_path, prose):
    (tmp_path / "a.txt").write_text(prose * 20)
    (found,) = streams.read(listing.find([tmp_path / "a.txt"])[0][0], "text")
    assert isinstance(found, Document) and formats.not_prose(prose) == ""


def test_a_story_shorter_than_its_licence_loses_the_licence():
    header = "The Project Gutenberg EBook of A Story\n*** START OF THIS PROJECT GUTENBERG EBOOK A STORY ***\n"
    licence = "End of the Project Gutenberg EBook\n" + "Project Gutenberg is a trademark of Project Gutenberg. " * 180
    story = "Once there was a house by the sea, and in it lived an old woman.\n" * 60
    found = mrclean.books.gutenberg_licence(
        Document("a", "book", "t", "a", text=header + story + licence, codec="utf-8")
    )
    assert found.document.text.strip() == story.strip()


def test_only_an_index_is_cut_as_one():
    story = "A line of the story that says what there is to be said about it all.\n" * 200
    sign = "INDEX\n" + "He read the word on the door and went in, although nobody had asked him to.\n" * 10
    index = "INDEX\n" + "".join(f"Name {i}, {i + 3}, {i + 40}\n" for i in range(40))
    chapter = "And so the last chapter begins, with a line that is long enough to be prose.\n" * 8

    def cut(text):
        return mrclean.books.apparatus(Document("a", "book", "t", "a", text=text, codec="utf-8")).document.text

    assert cut(story + sign) == story + sign
    assert cut(story + index) == story
    assert cut(story + index + chapter) == story + chapter


def test_a_review_loses_its_tags_before_its_words_are_counted():
    review = (
        "It was good.<br /><br />The story follows a young doctor through the winter, and I liked it &amp; them.<br />"
        * 6
    )
    (kept,) = mrclean.clean([Document("a", "review", "t", "a", raw=review.encode())]).kept
    assert "<" not in kept.text and "good.\n" in kept.text and "it & them" in kept.text
    loud = ("THIS WAS THE BEST FILM OF THE YEAR AND I WOULD SEE IT WITH MY FRIENDS. " * 8).encode()
    for said in (loud, loud + b"a"):  # one small letter is no whisper
        assert mrclean.clean([Document("a", "review", "t", "a", raw=said)]).kept
    page = "<!-- a --><style>p {}</style>OK&lt;br /&gt;film<img src='a.png'>, 2<sup>nd</sup> <q>best</q><pre>x</pre>1<2"
    seen = steps.tags(Document("a", "review", "t", "a", text=page + "<script>a = '<b>'</script>.", codec="utf-8"))
    assert seen.document.text == "OK\nfilm, 2nd best\nx\n1<2."


def test_duplicates_without_blanks_and_marks_that_belong_to_letters():
    chinese = TEXTS["Chinese"]["text"]
    changed = chinese.replace("河边", "湖边").replace("热汤", "热茶")
    assert mrclean.jaccard(mrclean.shingles(chinese), mrclean.shingles(changed)) > 0.5
    from mrclean.words import plain_words

    assert plain_words("हिन्दी में") == ["हिन्दी", "में"] and len(plain_words("สวัสดี")) == 4
    assert plain_words("Don't re-do 3,000") == ["don", "t", "re", "do", "3", "000"]


def test_a_poem_of_a_script_without_blanks_is_long_enough():
    poem = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n"
    assert mrclean.clean([Document("a", "text", "t", "a", raw=poem.encode())]).kept


def test_small_faults_stay_mended():
    from mrclean import code

    comment = "# Reads the licence plates of cars.\nimport os\n"
    assert code.licence_header(Document("a", "code", "t", "a", text=comment, codec="utf-8")).document.text == comment
    assert steps.mojibake(Document("a", "text", "t", "a", text="a ×Ø b\n", codec="utf-8")).document.text == "a ×Ø b\n"


def test_what_an_attacker_found_about_bytes_stays_mended():
    english = (
        "It’s been a long time and I’m sorry. We don’t have a telephone in the house, so please write to us instead."
    )
    assert decoding.decoded(english.encode("cp1252")).text == english
    assert decoding.decoded("The word is café".encode("latin-1")).text == "The word is café"
    assert decoding.decoded(b"\x1b[32mOK\x1b(B\x1b[m step 1\n").text
    assert decoding.decoded(b"\xef\xbb\xbf" + "Grüße ".encode() * 200 + b"\xff").replaced == 1
    assert decoding.decoded("\ufeffHallo Welt".encode("utf-16-le") + b"x").text == "Hallo Welt"
    assert decoding.without_controls("a" * 100_000 + "\b" * 100_000) == ""


@pytest.mark.parametrize(
    "prose",
    ["<!-- licence line -->\n" * 40 + "# Title", "<book review> by Jo", '["Hamlet", "Macbeth"] are plays of his',
     "1234 5678 9012 3456 7890\n" * 20,
     '<p align="center"><img src="a.png"></p>\n<div>\n\n# Title\n\nA tool.', "<jo> hi\n<al> hello\n<jo> bye\n" * 9,
     "Write <p> before each paragraph and </p> behind it.", "<s><pad> <user> Hi.\n" * 5, "<stage>\nEnter a king.\n",
     "Red, white, blue,\nand one, two, three,\n" * 9, "From: Jo\nSubject: x\nContent-Type: text/plain\n\nHi.\n",
     "begin 644 times\nand end\n" * 9, "Name,Meaning\nJo,horse\nAl,boar\nBo,bear\nTo,tin\n"],
)  # fmt: skip
def test_what_only_begins_like_a_format_is_none(prose):
    assert (
        formats.not_prose(prose) == ""
        and not formats.is_table(prose, "text")
        and formats.binary(b"RIFFs of guitar players") == ""
    )


def test_a_quotation_mark_between_tabs_swallows_no_row(tmp_path):
    (tmp_path / "a.tsv").write_text('id\ttext\n1\tfirst\n2\t"To be\n3\tthird\n4\t"Yes," he said.\n')
    found = list(streams.read(listing.find([tmp_path / "a.tsv"])[0][0], "text"))
    assert [d.text for d in found] == ["first", '"To be', "third", '"Yes," he said.']


def test_what_a_reviewer_types_between_angles_is_no_tag():
    text = "<i think this is great> a <b grade movie>, ?a=1&copy=2\n"
    assert steps.tags(Document("a", "review", "t", "a", text=text, codec="utf-8")).document.text == text
