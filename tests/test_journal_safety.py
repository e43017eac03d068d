"""The journal under stress: many writers, a full disk, no lock, a kill, texts that want to be something else."""

import json
import os
import re
import subprocess
import sys

import pytest
from markdown_it import MarkdownIt

from helpers import journal
from helpers.journal import JournalError, index, pages, render, verify
from helpers.journal import record as store
from helpers.paths import ROOT, artifacts

MINE = "# Mine\n\nnotes | with `marks`, <b>html</b> and no newline at the end"


def python(script: str, *arguments: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def finished(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    return out + err


def test_eight_processes_append_a_hundred_entries_each(workspace):
    path = workspace / "journal" / "journal.md"
    path.parent.mkdir()
    path.write_text(MINE, "utf-8")
    script = (
        "import sys; from helpers.journal import pages, record\n"
        "for i in range(100):\n"
        "    record.append(pages.page(), f'\\n<{sys.argv[1]}.{i} ' + 'x' * 3000 + f' {sys.argv[1]}.{i}>\\n')"
    )
    for process in [python(script, str(number)) for number in range(8)]:
        finished(process)
    text = path.read_text("utf-8")
    entries = re.findall(r"\n<(\d\.\d+) x{3000} (\d\.\d+)>\n", text)
    assert sorted(entries) == sorted((f"{p}.{i}", f"{p}.{i}") for p in range(8) for i in range(100))
    assert text.startswith(MINE)
    assert len(text) == len(MINE) + sum(len(f"\n<{a} {'x' * 3000} {b}>\n") for a, b in entries)


def test_without_a_lock_nothing_is_written_and_the_error_says_so(workspace, monkeypatch):
    store.append(pages.page(), "\nfirst\n")
    before = (workspace / "journal" / "journal.md").read_bytes()
    holder = python(
        "import sys, filelock\nwith filelock.FileLock(sys.argv[1]):\n    print('held', flush=True)\n    input()",
        str(artifacts(".journal.lock")),
        stdin=subprocess.PIPE,
    )
    assert holder.stdout.readline() == "held\n"
    elsewhere = "from helpers.journal import pages, record\nrecord.LOCK_SECONDS = 0.2\nrecord.append(pages.page(), 'x')"
    _, err = python(elsewhere).communicate(timeout=60)
    holder.communicate("\n")
    assert "no lock on artifacts/.journal.lock" in err and "verify --mend" in err
    assert (workspace / "journal" / "journal.md").read_bytes() == before


FULL = """
import resource, sys, warnings
from helpers import journal, plots
from helpers.journal import record as store

journal.start("03_gpt", seed=1).finish(verdict="before the disk was full")
run = journal.start("03_gpt", seed=1)
fig, ax = plots.figure()
none = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (700, none[1]))  # every file ends at 700 bytes, in the middle of a line
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    for step in range(500):
        run.log(step=step, train_loss=5 - step / 100, unit="nats/token", better="lower")
    run.figure("03_x", fig, data={"x": [1, 2]}, alt="nothing much")
print("warnings:", len(warned), warned[0].message)
before = (store.journal_dir() / "journal.md").read_bytes()
try:
    run.finish(verdict="lost?")
except journal.JournalError as error:
    print("error:", error)
assert (store.journal_dir() / "journal.md").read_bytes() == before
resource.setrlimit(resource.RLIMIT_FSIZE, none)
run.finish(verdict="nothing lost")
"""


@pytest.mark.skipif(os.name != "posix", reason="limits file sizes")
def test_a_full_disk_ends_no_training_and_loses_nothing(workspace):
    out = finished(python(FULL))
    assert "warnings: 1 the journal cannot write" in out
    assert "**Disk.** Some writes failed" in out
    assert "error: the record of run" in out and "run this cell again" in out
    record = store.all_records()[-1]
    assert (record["status"], record["verdict"], record["metrics"]["train_loss"]["count"]) == (
        "finished", "nothing lost", 500,
    )  # fmt: skip
    events, torn = store.read_events(store.folder_of(record))
    assert [e["step"] for e in events if e["event"] == "log"] == list(range(500)) and not torn
    assert "**Disk.** Some writes failed" in (store.folder_of(record) / "entry.md").read_text("utf-8")
    assert (workspace / "images" / "03_x.png").is_file()
    assert verify.problems() == []


@pytest.mark.skipif(os.name != "posix", reason="limits file sizes")
def test_an_append_that_fails_halfway_leaves_the_old_journal(workspace):
    store.append(pages.page(), "\nold\n")
    before = (workspace / "journal" / "journal.md").read_bytes()
    script = (
        "import resource, sys; from helpers.journal import pages, record\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1))\n"
        "record.append(pages.page(), 'x' * 10_000)"
    )
    _, err = python(script, str(len(before) + 1000)).communicate(timeout=60)
    assert "JournalError" in err and "It is what it was before" in err
    assert (workspace / "journal" / "journal.md").read_bytes() == before


HOSTILE = [
    "a | b\n\n## forged heading\n\n| x | y |\n|---|---|\n",
    "<!-- end {run_id} -->\n\n<!-- entry 20260101T000000000Z-03_gpt-beef format 2 -->\n\n## forged\n",
    "<script>alert(1)</script><img src=http://example.org/pixel.png><details open>",
    "![x](http://example.org/pixel.png) [link](javascript:alert(1)) <http://example.org> www.example.org",
    "[x]: http://example.org\n\n[x]",
    "http://example.org https://example.org/a?b=c ftp://example.org mailto:somebody@example.org",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \u202eesrever\u2066 \x00\x07 zero\u200bwidth",
    "```\nfence\n```\n~~~\ntilde\n~~~",
    "- list\n1. list\n> quote\n---\n===\n    code",
    "$$x$$ *em* _em_ ~~no~~ `code` \\| \\",
    "\ud800 lone surrogate",
    "x" * 10_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_text_that_wants_to_be_something_else_stays_text(workspace, text):
    former = journal.start("03_gpt", config={"lr": 1})
    former.finish(verdict="former")
    run = journal.start("03_gpt", config={"lr": 2, "text": text}, changed_from=former.record["run_id"], reason=text)
    text = text.replace("{run_id}", run.record["run_id"])
    run.log(**{f"m {text}": 1.0}, unit=text)
    run.predict("p", 1, unit=text)
    run.log(p=text, unit=text)
    run.note("said {text} and {config.text}", text=text)
    run.finish(verdict="{said}", decision="{a_list}", said=text, a_list=[text])
    assert verify.problems() == []

    line, entry = render.line(run.record), (run.folder / "entry.md").read_text("utf-8")
    assert line.count("\n") == 1
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    own = {"link_open", "em_open"}  # of a line: to the entry; its decision
    for page, headings, allowed in ((line, 0, own), (entry, 1, set()), (index.text(), 5, own)):
        tokens = [t for token in parser.parse(page) for t in (token, *(token.children or ()))]
        kinds = [token.type for token in tokens]
        assert kinds.count("heading_open") <= headings
        made = {"image", "link_open", "fence", "code_block", "hr", "blockquote_open", "em_open"} - allowed
        assert not made & set(kinds) and kinds.count("code_inline") <= (headings == 5)
        links = {token.attrs["href"] for token in tokens if token.type == "link_open"}
        assert all(link in ("journal.md", "README.md") or link.startswith("runs/2") for link in links), links
        html = "".join(token.content for token in tokens if token.type in ("html_block", "html_inline"))
        assert set(re.findall(r"<[^>]+>", html)) <= {"<details>", "<summary>", "</summary>", "</details>"}
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u200b\u202a-\u202e\u2066-\u2069]", page)
        # What GitHub would turn into a link by itself.
        assert not re.search(r"(https?|ftp|mailto):|www\.", page)


def test_a_close_that_fails_leaves_the_run_open(workspace, monkeypatch):
    run = journal.start("03_gpt")
    run.log(loss=1.0, unit="nats")
    with monkeypatch.context() as broken:
        broken.setattr(render, "entry", lambda record: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.finish(verdict="first try")
    assert run.record["status"] == json.loads((run.folder / "run.json").read_text("utf-8"))["status"] == "running"
    run.finish(verdict="second try")
    assert verify.problems() == []


def test_a_refused_call_changes_nothing(workspace):
    run = journal.start("03_gpt")
    run.log(loss=2.0, unit="nats")
    with pytest.raises(JournalError, match="accuracy"):
        run.log(loss=1.0, accuracy=0.5)
    with pytest.raises(JournalError, match="finite"):
        run.predict("seconds", float("nan"), unit="s")
    run.log(loss=1.5)
    run.finish(verdict="{loss}")
    assert run.record["metrics"]["loss"]["count"] == 2
    assert verify.problems() == []


def test_a_sentence_takes_arrays_and_conversions_as_text(workspace, capsys):
    run = journal.start("03_gpt")
    run.say("{x} and {text!r}", x=[1, 2], text="*bold* [l](u)")
    assert capsys.readouterr().out.endswith("\\[1, 2\\] and \\*bold\\* \\[l\\](u)\n")
    with pytest.raises(JournalError, match="has a name"):
        run.say("{}")


def test_an_empty_event_file_keeps_no_run_from_starting(workspace):
    run = journal.start("03_gpt")
    record = json.loads((run.folder / "run.json").read_text("utf-8"))
    record["resources"]["process"]["created"] = 0
    (run.folder / "run.json").write_text(json.dumps(record), "utf-8")
    (run.folder / "events.jsonl").write_bytes(b"")
    journal.close_gone("03_gpt", "abandoned")
    assert store.find(record["run_id"])["status"] == "abandoned"


def test_a_reference_that_is_gone_is_no_reference(workspace):
    store.set_reference("03_gpt", "smoke", "gone")
    journal.start("03_gpt").finish(verdict="done")
    assert any("no record" in problem for problem in verify.problems())


KILLED = """
import os, signal
from helpers import journal
run = journal.start("03_gpt", seed=1)
run.predict("val_loss", 2.0, unit="nats/token")
for step in range(1000):
    run.log(step=step, val_loss=5 - step / 250, unit="nats/token", better="lower")
run.note("the loss stands at {val_loss:.3f}")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
@pytest.mark.parametrize("torn", [b"", b'{"seconds": 1.0, "event": "log", "st'])
def test_what_a_killed_run_had_logged_is_in_its_record_and_entry(workspace, torn):
    python(KILLED).communicate(timeout=60)
    (record,) = store.all_records()
    assert record["status"] == "running"
    with open(store.folder_of(record) / "events.jsonl", "ab") as file:
        file.write(torn)
    journal.start("03_gpt").finish(verdict="the next one")
    abandoned = store.find(record["run_id"])
    assert abandoned["status"] == "abandoned"
    assert abandoned["metrics"]["val_loss"]["count"] == 1000
    assert abandoned["metrics"]["val_loss"]["best_step"] == 999
    assert abandoned["predictions"]["val_loss"]["measured"] == pytest.approx(1.004)
    assert abandoned["notes"][0] == "the loss stands at 1.004"
    text = (store.folder_of(abandoned) / "entry.md").read_text("utf-8")
    assert "**Abandoned**" in text and ("cut off" in text) == bool(torn)
    assert verify.problems() == []


def test_a_damaged_event_is_told_and_keeps_no_run_from_starting(workspace):
    run = journal.start("03_gpt")
    run.log(loss=1.0, unit="nats")
    path = run.folder / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"event": "log"', b'"event": "l', 1))
    record = json.loads((run.folder / "run.json").read_text("utf-8"))
    record["resources"]["process"]["created"] = 0  # as if its process were gone
    (run.folder / "run.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(JournalError, match="line 2 is damaged"):
        store.read_events(run.folder)
    journal.close_gone("03_gpt", "abandoned")
    assert "cannot be read" in store.find(record["run_id"])["notes"][0]
    assert any("line 2 is damaged" in problem for problem in verify.problems())


def test_a_cell_that_is_not_in_the_file_makes_the_run_dirty(workspace):
    """What ran is what counts: a learner's unsaved change is in the record."""
    from types import SimpleNamespace

    def ran(source):
        return SimpleNamespace(info=SimpleNamespace(raw_cell=source), error_before_exec=None, error_in_exec=None)

    run = journal.start("03_gpt")
    run.after_cell(ran(run._code["cells"][1] + "\n"))
    run.finish(verdict="as in the file")
    assert "edited_cells" not in run.record
    run = journal.start("03_gpt")
    run.after_cell(ran("run.log(val_loss=0.0, unit='')"))
    run.finish(verdict="not as in the file")
    assert (run.record["edited_cells"], run.record["dirty"]) == (1, True)
    assert "notebooks/03_gpt.ipynb" in run.record["changed_files"]
