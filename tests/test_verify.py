"""The check of the repository by itself: everything it is there to find is planted once, and found."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter

import pytest

from helpers import journal, plots
from helpers.paths import ROOT, sha256, write_json
from labjournal import __main__ as command
from labjournal import index, pages, render, store, verify


def run(loss=2.0, notebook="03_gpt", **more):
    made = journal.start(notebook, config={"learning_rate": 1e-3}, seed=3, **more)
    made.log(val_loss=loss, unit="nats/token", better="lower")
    fig, _ = plots.figure()
    made.figure(f"{notebook[:2]}_x", fig, data={"x": [1, 2]}, alt="two points")
    made.finish(verdict=f"ends at {loss}")
    return made


def test_a_journal_as_code_wrote_it_has_no_problems(workspace):
    run()
    run(1.0)
    journal.start("03_gpt")
    assert verify.problems() == []


def test_the_committed_journal_is_what_its_records_say():
    assert verify.problems() == []


def change(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def kept(run, suffix):
    """The file of the run's figure below journal/figures."""
    return next((run.folder.parents[1] / "figures").glob(f"*{suffix}"))


PLANTED = {
    "a number in a line": (lambda w, r: change(w / "journal/journal.md", "ends at 2.0", "ends at 1.0"), "renders to"),
    "a line that is gone": (lambda w, r: (w / "journal/journal.md").write_text("# Journal\n"), "no page tells of"),
    "a line twice": (
        lambda w, r: (w / "journal/journal.md").write_text(2 * (w / "journal/journal.md").read_text("utf-8"), "utf-8"),
        "2 lines",
    ),
    "a line of nobody": (
        lambda w, r: change(w / "journal/journal.md", r.record["run_id"], "20260101T000000000Z-03_gpt-beef"),
        "no readable record",
    ),
    "a number in an entry": (
        lambda w, r: change(r.folder / "entry.md", "ends at 2.0", "ends at 1.0"),
        "entry.md is not",
    ),
    "an entry that is gone": (lambda w, r: (r.folder / "entry.md").unlink(), "entry.md is not"),
    "a number in the README": (lambda w, r: change(w / "journal/README.md", "ends at 2.0", "ends at 1.0"), "README.md"),
    "a note in a closed page": (
        lambda w, r: (pages.close(), change(next((w / "journal").glob("2*.md")), "# Journal", "# Mine")),
        "is not the page that was closed",
    ),
    "a page that has grown": (
        lambda w, r: store.append(pages.page(), "word " * 40_000),
        "labjournal close",
    ),
    "a number in a record": (
        lambda w, r: change(r.folder / "run.json", '"final": 2.0', '"final": 1.0'),
        "events.jsonl",
    ),
    "a verdict in a record": (lambda w, r: change(r.folder / "run.json", "ends at 2.0", "ends at 1.0"), "its verdict"),
    "a config in a record": (lambda w, r: change(r.folder / "run.json", "0.001", "0.002"), "its config"),
    "a damaged record": (lambda w, r: (r.folder / "run.json").write_text("{"), "not valid JSON"),
    "a record of another shape": (lambda w, r: change(r.folder / "run.json", '"count": 1', '"count": "x"'), "count"),
    "a missing record": (lambda w, r: (r.folder / "run.json").unlink(), "no run.json"),
    "series that were changed": (lambda w, r: change(r.folder / "series.json", "cpu", "gpu"), "series.json is not"),
    "series that are gone": (lambda w, r: (r.folder / "series.json").unlink(), "series.json is not"),
    "a figure without sidecar": (lambda w, r: kept(r, ".json").unlink(), ".json is missing, 03_x"),
    "a sidecar without figure": (lambda w, r: kept(r, ".png").unlink(), ".png is missing, 03_x"),
    "a changed sidecar": (lambda w, r: change(kept(r, ".json"), "2", "3"), "not the file that run"),
    "a figure in no record": (lambda w, r: shutil.copy(kept(r, ".png"), kept(r, ".png").with_name("y.png")), "y.png"),
    "an image nobody refers to": (lambda w, r: (w / "images/old.png").write_bytes(b""), "nobody refers"),
    "an image that is older": (lambda w, r: (w / "images/03_x.png").write_bytes(b"old"), "latest run"),
    "an image that is gone": (lambda w, r: (w / "images/03_x.png").unlink(), "missing"),
    "a reference to nothing": (lambda w, r: store.set_reference("03_gpt", "smoke", "nothing"), "no record"),
}


@pytest.mark.filterwarnings("ignore:.* is damaged")  # the page is read past the damage, with a warning
@pytest.mark.parametrize("name", PLANTED)
def test_it_finds(workspace, name):
    made = run()
    plant, told = PLANTED[name]
    plant(workspace, made)
    found = verify.problems()
    assert any(told in problem for problem in found), found


def test_a_figure_that_the_reference_no_longer_draws_leaves_images(workspace):
    run()
    made = journal.start("03_gpt")
    made.log(loss=1.0, unit="nats/token")
    made.finish(verdict="It ends at {loss}.", decision="Keep.")
    store.set_reference("03_gpt", "smoke", made.record["run_id"])
    (found,) = verify.problems()
    assert "images/03_x.png is drawn by no current run" in found
    (workspace / "images" / "03_x.png").unlink()
    assert verify.problems() == []


def test_mending_appends_what_is_missing_and_touches_nothing_else(workspace):
    first, second = run(), run(1.0)
    path = workspace / "journal" / "journal.md"
    whole = path.read_text("utf-8")
    kept = "my note before\n" + whole.replace(render.line(second.record), "") + "\nmy last line, without an end"
    path.write_text(kept, "utf-8")
    assert command.main(["verify"]) == 1
    assert command.main(["verify", "--mend"]) == 0
    assert path.read_text("utf-8") == kept + "\n" + render.line(second.record)
    assert render.line(first.record) in whole


def test_a_page_is_closed_as_it_stands_and_its_runs_and_notes_stay_known(workspace):
    first = run()
    path = workspace / "journal" / "journal.md"
    path.write_text(path.read_text("utf-8") + "\n## Mine\n\n**What is open.** Whether 1 < 2. Or not.\n", "utf-8")
    before = path.read_bytes()
    assert command.main(["close"]) == 0
    (closed,) = (workspace / "journal").glob("2*.md")
    assert closed.read_bytes() == before and pages.sealed() == {closed.name: sha256(before)}
    second = run(1.0)
    assert verify.problems() == []
    assert first.record["run_id"] not in path.read_text("utf-8") and second.record["run_id"] in path.read_text("utf-8")
    said = (workspace / "journal" / "README.md").read_text("utf-8")
    assert f"[Mine]({closed.name}#mine)" in said and f"[{closed.name}]({closed.name}) names 1 runs" in said
    assert f"- Whether 1 < 2. Or not. ([Mine: What is open]({closed.name}#mine))" in said
    path.write_text(path.read_text("utf-8") + "\n## Later\n\n**What is no longer open.** *Mine*: it is.\n", "utf-8")
    assert "Whether 1 < 2" not in index.text() and "Open questions" not in index.text()
    pages.close()
    assert len(pages.sealed()) == 2 and verify.problems() == []


def test_two_branches_that_both_appended_are_merged_without_loss(workspace):
    """git's union merge works by lines, and a run is one line: nothing can be torn."""

    def git(*arguments):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", "-C", str(workspace), *identity, *arguments], check=True, capture_output=True)

    shutil.copy(ROOT / ".gitattributes", workspace)
    (workspace / ".gitignore").write_text("artifacts/\n")
    git("init")
    run(3.0)
    git("add", "-A"), git("commit", "-m", "0"), git("branch", "other")
    run(2.0), run(1.9)
    git("add", "-A"), git("commit", "-m", "1"), git("checkout", "other")
    run(1.0)
    git("add", "-A"), git("commit", "-m", "2")
    git("merge", "main", "-m", "both")
    path = workspace / "journal" / "journal.md"
    path.write_text(path.read_text("utf-8") + "\nmy own last line, without an end", "utf-8")
    merged = path.read_text("utf-8")
    assert command.main(["verify", "--mend"]) == 0
    assert verify.problems() == [] and path.read_text("utf-8") == merged
    assert sum(path.read_text("utf-8").count(record["run_id"]) for record in store.all_records()) == 4


def test_the_same_picture_is_kept_once(workspace):
    for loss in (2.0, 1.0, 3.0):
        run(loss)
    files = [path for path in (workspace / "journal").rglob("*") if path.is_file()]
    hashes = [sha256(path.read_bytes()) for path in files]
    assert len(set(hashes)) == len(files)
    assert sum(path.suffix == ".png" for path in files) == 1


def test_no_two_files_of_the_committed_journal_have_the_same_bytes():
    """What closed pages show stands where they look for it: figures in the folders of runs up to format 3."""
    old = {record["run_id"] for record in store.all_records() if record["format"] < 4}
    files = [
        path
        for path in (ROOT / "journal").rglob("*")
        if path.is_file() and not (path.parent.name in ("figures", "items") and path.parents[1].name in old)
    ]
    twice = Counter(sha256(path.read_bytes()) for path in files)
    assert [path.name for path in files if twice[sha256(path.read_bytes())] > 1] == []


def test_a_reference_whose_reruns_would_get_no_verdict_is_a_gap(workspace, capsys):
    record = run().record
    store.set_reference("03_gpt", "smoke", record["run_id"])
    good = {key: record[key] for key in ("notebook", "profile", "config_hash", "data_hash")}
    good |= {"seeds": [1, 2, 3, 4, 5], "metrics": {"val_loss": [2.0] * 5}, "figures": {}}
    good["rounding"] = {"metrics": {}, "figures": {}}
    path = workspace / "journal" / "spread" / "03_gpt-smoke.json"
    for spread, told in (
        (None, "is not there"),
        ({**good, "config_hash": "x"}, "config or data"),
        ({**good, "seeds": [1, 2, 3]}, "3 seeds, 5 are needed"),
        ({name: value for name, value in good.items() if name != "rounding"}, "other processors"),
        ({**good, "metrics": {}}, "knows nothing of val_loss"),
    ):
        if spread:
            write_json(path, spread)
        (gap,) = verify.gaps()
        assert told in gap and "make bench ARGS='spread 03 --profile smoke'" in gap
    assert command.main(["verify"]) == 0 and "knows nothing of val" in capsys.readouterr().out
    write_json(path, good)
    assert verify.gaps() == []


def test_a_damaged_record_keeps_nobody_from_working(workspace, capsys):
    """It is told of and left aside: by start, by finish, and by a command about another run."""
    damaged, good = run(), run(1.0)
    (damaged.folder / "run.json").write_text('{"format": 4, "metrics": 3}')
    with pytest.warns(UserWarning, match="is damaged"):
        third = run(0.5)
    assert third.record["status"] == "finished"
    assert command.main(["show", good.record["run_id"]]) == 0
    assert command.main(["list"]) == 0
    assert "is damaged" in capsys.readouterr().err
    assert command.main(["show", damaged.record["run_id"]]) == 2
    assert "restore it with git" in capsys.readouterr().err
    assert store.latest("03_gpt", "smoke")["run_id"] == third.record["run_id"]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_what_a_journal_should_not_hold_is_told_and_ends_nothing(workspace, capsys):
    good = run()
    runs = workspace / "journal" / "runs"
    shutil.copytree(good.folder, runs / "20990101T000000000Z-03_gpt-beef")  # two with one id
    (runs / "20990101T000000001Z-03_gpt-\x1b[31mff").mkdir()
    (runs / "20990101T000000001Z-03_gpt-\x1b[31mff" / "run.json").write_text("{")
    os.symlink("20990101T000000002Z-03_gpt-loop", runs / "20990101T000000002Z-03_gpt-loop")
    write_json(workspace / "journal" / "reference.json", {"../../..": good.record["run_id"]})
    for line in ("list", "status", f"show {good.record['run_id']}", "readme", ""):
        assert command.main(line.split()) in (0, 1, 2), line
    assert command.main(["verify"]) == 1
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    for told in ("it says that it is", "beef", "ff/run.json is damaged", "../../.."):
        assert told in said.out + said.err, told


def test_a_verdict_does_not_order_a_terminal_about(workspace, capsys, monkeypatch):
    made = journal.start("03_gpt")
    made.finish(verdict="v \x1b[31mred\x1b]0;t\x07\u202eend")
    capsys.readouterr()
    assert command.main(["show", made.record["run_id"]]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\u202e" not in said and "red" in said


def test_of_many_runs_the_latest_are_listed(workspace, capsys):
    first, second = run(2.0), run(1.0)
    capsys.readouterr()
    assert command.main(["list", "-n", "1"]) == 0
    said = capsys.readouterr().out
    assert second.record["run_id"][-4:] in said and first.record["run_id"][-4:] not in said
    assert said.endswith("1 earlier ones: list -n 2\n")
    assert command.main(["list"]) == 0 and "earlier" not in capsys.readouterr().out


# -- the command line ------------------------------------------------------------------------------------------------


def journal_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "labjournal", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_every_command_is_readable_at_80_columns_and_those_of_data_speak_json(workspace):
    long = run(2.0).record["run_id"]
    run(1.0)
    for arguments in (
        ["list"],
        ["status"],
        ["events"],
        ["show"],
        ["show", long],
        ["compare", long, "latest"],
        ["verify"],
    ):
        done = journal_command(*arguments)
        assert not done.stderr and done.stdout.strip()
        assert max(map(len, done.stdout.splitlines())) <= 80, done.stdout
        assert "\x1b" not in done.stdout
        if arguments[0] in ("list", "status"):
            json.loads(journal_command(*arguments, "--json").stdout)
        if arguments[0] == "events":
            assert [json.loads(line) for line in journal_command("events", "--json").stdout.splitlines()]
    assert "val_loss" in journal_command("show", long[-4:]).stdout


def test_exit_status_tells_what_came_out(workspace, capsys):
    first = run(2.0).record["run_id"]
    assert command.main(["verify"]) == 0
    assert command.main(["show", first]) == 0
    store.set_reference("03_gpt", "smoke", first)
    facts = json.loads((workspace / "journal" / "runs" / first / "run.json").read_text("utf-8"))
    spread = {key: facts[key] for key in ("notebook", "profile", "config_hash", "data_hash")}
    spread |= {"seeds": [1, 2, 3, 4, 5], "metrics": {"val_loss": [2.0, 2.01, 1.99, 2.02, 1.98]}, "figures": {}}
    (workspace / "journal" / "spread").mkdir()
    (workspace / "journal" / "spread" / "03_gpt-smoke.json").write_text(json.dumps(spread))
    second = run(9.0).record["run_id"]
    assert command.main(["show", second]) == 1
    assert command.main(["compare", first, second]) == 1
    assert command.main(["compare", first, run(2.0).record["run_id"]]) == 0
    capsys.readouterr()
    assert command.main(["show", "nothing"]) == 2
    assert "no run 'nothing'" in capsys.readouterr().err
    assert command.main(["compare", first]) == 2
    with pytest.raises(SystemExit) as stopped:
        command.main(["unknown"])
    assert stopped.value.code == 2
