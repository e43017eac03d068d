"""The check of the repository by itself: everything it is there to find is planted once, and found."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from helpers import journal, plots
from helpers.journal import __main__ as command
from helpers.journal import record as store
from helpers.journal import verify
from helpers.paths import ROOT


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


PLANTED = {
    "a number in an entry": (lambda w, r: change(w / "journal/journal.md", "ends at 2.0", "ends at 1.0"), "renders to"),
    "an entry that is gone": (lambda w, r: (w / "journal/journal.md").write_text("# Journal\n"), "no entry for"),
    "an entry twice": (
        lambda w, r: (w / "journal/journal.md").write_text(2 * (w / "journal/journal.md").read_text("utf-8"), "utf-8"),
        "2 entries",
    ),
    "an entry of nobody": (
        lambda w, r: change(w / "journal/journal.md", r.record["run_id"], "20260101T000000000Z-03_gpt-beef"),
        "no record",
    ),
    "a torn entry": (lambda w, r: change(w / "journal/journal.md", f"<!-- end {r.record['run_id']} -->\n", ""), "torn"),
    "a number in a record": (
        lambda w, r: change(r.folder / "run.json", '"final": 2.0', '"final": 1.0'),
        "events.jsonl",
    ),
    "a verdict in a record": (lambda w, r: change(r.folder / "run.json", "ends at 2.0", "ends at 1.0"), "its verdict"),
    "a config in a record": (lambda w, r: change(r.folder / "run.json", "0.001", "0.002"), "its config"),
    "a damaged record": (lambda w, r: (r.folder / "run.json").write_text("{"), "not valid JSON"),
    "a missing record": (lambda w, r: (r.folder / "run.json").unlink(), "no run.json"),
    "a figure without sidecar": (lambda w, r: (r.folder / "figures/03_x.json").unlink(), "03_x.json is missing"),
    "a sidecar without figure": (lambda w, r: (r.folder / "figures/03_x.png").unlink(), "03_x.png is missing"),
    "a changed sidecar": (lambda w, r: change(r.folder / "figures/03_x.json", "2", "3"), "not the file that the run"),
    "a figure in no record": (
        lambda w, r: shutil.copy(r.folder / "figures/03_x.png", r.folder / "figures/y.png"),
        "y.png",
    ),
    "an image nobody refers to": (lambda w, r: (w / "images/old.png").write_bytes(b""), "nobody refers"),
    "an image that is older": (lambda w, r: (w / "images/03_x.png").write_bytes(b"old"), "latest run"),
    "an image that is gone": (lambda w, r: (w / "images/03_x.png").unlink(), "missing"),
    "a reference to nothing": (lambda w, r: store.set_reference("03_gpt", "smoke", "nothing"), "no record"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_it_finds(workspace, name):
    made = run()
    plant, told = PLANTED[name]
    plant(workspace, made)
    found = verify.problems()
    assert any(told in problem for problem in found), found


def test_mending_writes_missing_and_damaged_entries_again_and_keeps_the_readers_text(workspace):
    first, second = run(), run(1.0)
    path = workspace / "journal" / "journal.md"
    whole = path.read_text("utf-8")
    change(path, "ends at 2.0\n", "ends at 2.0\nmy note inside\n")
    path.write_text(
        "my note before\n" + path.read_text("utf-8").split(f"\n<!-- entry {second.record['run_id']}")[0] + "my end"
    )
    assert command.main(["verify"]) == 1
    assert command.main(["verify", "--mend"]) == 0
    text = path.read_text("utf-8")
    assert text.startswith("my note before\n") and "\nmy note inside\n" in text and "my end" in text
    for block in re.findall(r"\n<!-- entry .*?<!-- end \S+ -->\n", whole, re.DOTALL):
        assert text.count(block) == 1
    assert first.record["run_id"] in text


@pytest.mark.parametrize("cut", [5, 30, 300, 900])
def test_mending_an_entry_that_was_torn_off_at_the_end(workspace, cut):
    run(), run(1.0)
    path = workspace / "journal" / "journal.md"
    whole = path.read_text("utf-8")
    path.write_text(whole[:-cut], "utf-8")
    assert verify.problems()
    verify.mend()
    assert verify.problems() == []
    assert path.read_text("utf-8").count("<!-- entry") == 2
    run(0.5)
    assert verify.problems() == []


def test_mending_after_an_editor_changed_line_ends_or_a_line(workspace):
    first = run()
    store.set_reference("03_gpt", "smoke", first.record["run_id"])
    run()  # identical: one line
    path = workspace / "journal" / "journal.md"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"\n", b"\r\n").replace(b"1 of 1", b"2 of 1").replace(b"2 of 2", b"3 of 2"))
    assert verify.problems()
    verify.mend()
    assert verify.problems() == []
    assert path.read_bytes() == whole


def test_a_readers_table_inside_an_entry_stays_a_table(workspace):
    run()
    path = workspace / "journal" / "journal.md"
    change(path, "**Verdict.**", "| mine | x |\n|:--|--:|\n| 1 | 2 |\n\n**Verdict.**")
    verify.mend()
    assert verify.problems() == []
    assert "\n| mine | x |\n|:--|--:|\n| 1 | 2 |\n" in path.read_text("utf-8")


def test_two_branches_that_both_appended_are_merged_without_loss(workspace):
    """git's union merge works by lines and may interleave two entries; mending puts them right."""

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
    (workspace / "images" / "03_x.png").unlink()
    git("merge", "main", "-m", "both")
    git("checkout", "--", "images")
    path = workspace / "journal" / "journal.md"
    path.write_text(path.read_text("utf-8") + "\nmy own last line, without an end", "utf-8")
    verify.mend()
    assert verify.problems() == []
    assert path.read_text("utf-8").count("<!-- entry") == 4
    assert path.read_text("utf-8").endswith("\nmy own last line, without an end")


# -- the command line ------------------------------------------------------------------------------------------------


def journal_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "helpers.journal", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_every_command_is_readable_at_80_columns_and_speaks_json(workspace):
    long = run(2.0).record["run_id"]
    run(1.0)
    for arguments in (["list"], ["show"], ["report", "latest"], ["compare", long, "latest"], ["verify"]):
        done = journal_command(*arguments)
        assert not done.stderr and done.stdout.strip()
        assert max(map(len, done.stdout.splitlines())) <= 80, done.stdout
        assert "\x1b" not in done.stdout
        json.loads(journal_command(*arguments, "--json").stdout)
    assert "val_loss" in journal_command("show", long[-4:]).stdout


def test_exit_status_tells_what_came_out(workspace, capsys):
    first = run(2.0).record["run_id"]
    assert command.main(["verify"]) == 0
    assert command.main(["report", first]) == 0
    store.set_reference("03_gpt", "smoke", first)
    facts = json.loads((workspace / "journal" / "runs" / first / "run.json").read_text("utf-8"))
    spread = {key: facts[key] for key in ("notebook", "profile", "config_hash", "data_hash")}
    spread |= {"seeds": [1, 2, 3, 4, 5], "metrics": {"val_loss": [2.0, 2.01, 1.99, 2.02, 1.98]}, "figures": {}}
    (workspace / "journal" / "spread").mkdir()
    (workspace / "journal" / "spread" / "03_gpt-smoke.json").write_text(json.dumps(spread))
    second = run(9.0).record["run_id"]
    assert command.main(["report", second]) == 1
    assert command.main(["compare", first, second]) == 1
    assert command.main(["compare", first, run(2.0).record["run_id"]]) == 0
    capsys.readouterr()
    assert command.main(["show", "nothing"]) == 2
    assert "no run 'nothing'" in capsys.readouterr().err
    assert command.main(["compare", first]) == 2
    with pytest.raises(SystemExit) as stopped:
        command.main(["unknown"])
    assert stopped.value.code == 2
