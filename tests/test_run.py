"""The runner: order, skipping, failures told well, nothing half written."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import filelock
import nbformat
import PIL.Image
import pytest

from helpers import course, execution, paths, reproduce, run
from helpers.paths import ROOT
from labjournal import project, store
from tests import bench


@dataclass(frozen=True)
class Somewhere(course.Notebook):
    folder: str = ""

    @property
    def path(self):
        return Path(self.folder) / f"{self.name}.ipynb"


def notebook(folder, *cells, name="03_gpt", **facts):
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    made = Somewhere(name, "A test", "Does it run?", folder=str(folder), **facts)
    nbformat.write(node, made.path)
    return made


def execute(*notebooks, **options) -> int:
    defaults = {"force": False, "in_place": False}
    return run.Runner(list(notebooks), argparse.Namespace(**{**defaults, **options})).run()


def test_a_notebook_runs_and_is_then_skipped_until_it_changes(workspace, capsys):
    made = notebook(workspace, "x = 1", "x + 1")
    assert execute(made) == 0
    copy = nbformat.read(workspace / "artifacts" / "notebooks" / "03_gpt.ipynb", as_version=4)
    assert [c.execution_count for c in copy.cells] == [1, 2]
    assert copy.cells[1].outputs[0].data["text/plain"] == "2"
    assert nbformat.read(made.path, as_version=4).cells[0].execution_count is None, "the original is left alone"

    assert execute(made) == 0
    assert "unchanged" in capsys.readouterr().out
    assert execute(made, force=True) == 0
    assert "unchanged" not in capsys.readouterr().out
    changed = notebook(workspace, "x = 2", "x + 1")
    assert execute(changed) == 0
    assert "ran in" in capsys.readouterr().out


def test_a_notebook_runs_again_when_its_input_changed(workspace, capsys):
    manifest = workspace / "artifacts" / "corpus" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text('{"hash": "one"}', "utf-8")
    made = notebook(workspace, "1", needs=("01_mrclean",))
    assert execute(made) == 0
    manifest.write_text('{"hash": "two"}', "utf-8")
    capsys.readouterr()
    assert execute(made) == 0
    assert "ran in" in capsys.readouterr().out


def test_a_failing_cell_stops_everything_and_is_told(workspace, capsys):
    first = notebook(
        workspace,
        "from helpers import journal\nrun = journal.start('03_gpt')",
        "run.log(loss=1.0, unit='nats')\nraise ValueError('the loss is not finite')",
        "run.finish(verdict='never')",
    )
    second = notebook(workspace, "1", name="04_learning_curves")
    assert execute(first, second) == 1
    told = capsys.readouterr()
    assert "cell 2 of 3 failed" in told.err
    assert "raise ValueError" in told.err
    assert "ValueError: the loss is not finite" in told.err
    assert "artifacts/notebooks/03_gpt.ipynb" in told.err
    assert "not run" in told.out
    partly = nbformat.read(workspace / "artifacts" / "notebooks" / "03_gpt.ipynb", as_version=4)
    assert partly.cells[1].outputs[-1].output_type == "error"
    (record,) = store.all_records()
    assert record["status"] == "failed"
    assert record["error"]["message"] == "the loss is not finite"
    line = (workspace / "journal" / "journal.md").read_text("utf-8").splitlines()[-1]
    assert line.endswith(": ValueError: the loss is not finite.") and "**failed** after" in line


def test_an_error_that_quotes_data_cannot_command_the_terminal(workspace, capsys):
    assert execute(notebook(workspace, "raise ValueError('bad: \\x1b]0;mine\\x07 \\x1b[2J')")) == 1
    told = capsys.readouterr().err
    assert "\\x1b]0;mine" in told and "\x1b" not in told and "\x07" not in told


def test_a_failed_notebook_is_not_skipped(workspace, capsys):
    assert execute(notebook(workspace, "1 / 0")) == 1
    assert execute(notebook(workspace, "1 / 0")) == 1


def test_a_kernel_that_dies_leaves_a_failed_run(workspace, capsys):
    made = notebook(
        workspace,
        "from helpers import journal\nrun = journal.start('03_gpt')",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    )
    assert execute(made) == 1
    (record,) = store.all_records()
    assert record["status"] == "failed"


def test_in_place_writes_the_notebook_and_moves_the_reference(workspace):
    made = notebook(workspace, "from helpers import journal\njournal.start('03_gpt').finish(verdict='done')")
    assert execute(made, in_place=True) == 0
    assert nbformat.read(made.path, as_version=4).cells[0].execution_count == 1
    assert store.reference("03_gpt", "smoke")["verdict"] == "done"


MEASURED = """
from pathlib import Path
from helpers import course, journal
course.Notebook.path = property(lambda self: Path("{folder}") / (self.name + ".ipynb"))
run = journal.start("03_gpt", config={"steps": %s}, seed=1)
run.log(loss=%s, unit="nats/token")
run.log(seconds=%s, unit="s", kind="timing")
run.finish(verdict="done")
"""


def test_a_run_becomes_the_reference_when_it_agrees_or_somebody_says_why(workspace, capsys, monkeypatch):
    def in_place(steps, loss, seconds=1.0, because=None):
        cells = MEASURED.replace("{folder}", str(workspace)) % (steps, loss, seconds)
        monkeypatch.setattr(course, "NOTEBOOKS", (made := notebook(workspace, cells),))
        monkeypatch.setattr(course, "notebook", lambda name: course.COURSE if name == "course" else made)
        arguments = ["--in-place", "--force", *(["--because", because] if because else [])]
        return (
            run.main(arguments),
            store.reference("03_gpt", "smoke"),
            len(list(workspace.glob("journal/runs/*-03_gpt-*"))),
        )

    status, first, _ = in_place(10, 2.0)
    assert status == 0
    status, second, _ = in_place(10, 2.0)  # the same again
    assert status == 0 and second["run_id"] != first["run_id"] and second["reason"] is None
    capsys.readouterr()
    status, kept, runs = in_place(20, 1.5)  # other cells: refused before it runs
    assert status == 1 and kept["run_id"] == second["run_id"] and runs == 2
    assert "its cells are not those of its reference" in (told := capsys.readouterr().err) and "--because" in told
    status, third, _ = in_place(20, 1.5, because="it was still falling")
    assert status == 0 and third["metrics"]["loss"]["final"] == 1.5
    assert (third["changed_from"], third["reason"]) == (second["run_id"], "it was still falling")
    assert third["changed"]["steps"] == [10, 20]


def test_a_run_that_does_not_agree_is_recorded_and_takes_nobodys_place(workspace, capsys, monkeypatch):
    cells = "import os\n" + MEASURED.replace("{folder}", str(workspace))
    made = notebook(workspace, cells % (10, "float(os.environ.get('LOSS', 2))", 1.0))
    assert execute(made, in_place=True) == 0
    reference, text = store.reference("03_gpt", "smoke"), made.path.read_text("utf-8")
    monkeypatch.setenv("LOSS", "3")
    assert execute(made, in_place=True, force=True) == 1
    assert store.reference("03_gpt", "smoke") == reference and made.path.read_text("utf-8") == text
    assert len(store.all_records()) == 2  # the run is kept all the same
    assert "verdict 'cannot compare'" in (told := capsys.readouterr().err) and "--because" in told
    monkeypatch.setenv("COURSE_BECAUSE", "it is meant")
    assert execute(made, in_place=True) == 0  # what it said to do, without --force
    assert store.reference("03_gpt", "smoke")["reason"] == "it is meant"


def test_an_execution_without_a_finished_run_does_not_take_an_earlier_one_for_its_own(workspace, monkeypatch):
    cells = MEASURED.replace("{folder}", str(workspace)) % (10, 2.0, 1.0)
    assert execute(notebook(workspace, cells), in_place=True) == 0
    reference = store.reference("03_gpt", "smoke")
    made = notebook(workspace, cells.replace('run.finish(verdict="done")', ""))
    monkeypatch.setenv("COURSE_BECAUSE", "for the test")
    with pytest.raises(ValueError, match="left no finished record"):
        execute(made, in_place=True, force=True)
    assert store.reference("03_gpt", "smoke") == reference


def test_a_reason_goes_with_in_place(capsys):
    assert run.main(["--because", "it is better"]) == 2
    assert "--in-place" in capsys.readouterr().err


def runner(made) -> subprocess.Popen:
    """The runner on one notebook in a process of its own, which has said that it is about to begin."""
    script = (
        # A shell that starts the tests in the background lets them ignore SIGINT, and children inherit that.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys; sys.path[:0] = [sys.argv[1]]; from helpers import run; from test_run import *\n"
        "course.notebook = lambda name: Somewhere('03_gpt', '', '', folder=sys.argv[2])\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); run.end_as_with_ctrl_c()\n"
        "print('begins', flush=True); sys.exit(run.main(['--only', '03']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(ROOT / "tests"), str(made.path.parent)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline() == "begins\n", process.communicate()
    return process


def wait_for(process, workspace, logged: str) -> None:
    """Until the notebook has logged something."""
    end = time.monotonic() + 60
    while not any(logged in p.read_text("utf-8") for p in workspace.glob("journal/runs/*/events.jsonl")):
        assert time.monotonic() < end and process.poll() is None, process.communicate()
        time.sleep(0.1)


BUSY = (
    "from helpers import journal\nrun = journal.start('03_gpt')",
    "run.log(loss=1.0, unit='nats')\nimport time\ntime.sleep(120)",
)


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ctrl_c_interrupts_the_run_and_leaves_nothing_half_written(workspace, number):
    process = runner(notebook(workspace, *BUSY))
    wait_for(process, workspace, "loss")
    process.send_signal(getattr(signal, number))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err and "Traceback" not in err
    (record,) = store.all_records()
    assert record["status"] == "interrupted"
    assert not list((workspace / "artifacts").rglob("*.part"))
    assert not list((workspace / "artifacts" / "notebooks").glob("*"))


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("seconds", [0, 0.2, 0.5, 1, 1.5])
def test_ctrl_c_while_the_kernel_starts(workspace, seconds):
    process = runner(notebook(workspace, *BUSY))
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in err, err
    assert not any(word in out + err for word in ("Traceback", "Error", "assert")), out + err


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_a_second_ctrl_c_ends_a_kernel_that_does_not_listen(workspace):
    deaf = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nrun.log(deaf=1.0, unit='')\ntime.sleep(120)"
    process = runner(notebook(workspace, BUSY[0], "import time\n" + deaf))
    wait_for(process, workspace, "deaf")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err and time.monotonic() - began < 14
    assert [record["status"] for record in store.all_records()] == ["interrupted"]


def test_folders_of_killed_runners_go_and_those_of_others_stay(workspace, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(workspace / "tmp"))
    killed, new, busy = (workspace / "tmp" / f"{execution.PREFIX}{name}" for name in ("killed", "new", "busy"))
    for folder in (killed, new, busy):
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text("{}")
    with filelock.FileLock(busy / "lock"):
        for folder in (killed, busy):
            os.utime(folder, (0, 0))
        assert execute(notebook(workspace, "x = 1")) == 0
    assert sorted(path.name for path in (workspace / "tmp").iterdir()) == [busy.name, new.name]


KILLED = """
import os, signal
from pathlib import Path
from tests.bench import temporary
with temporary() as folder:
    (Path(folder) / "big.bin").write_bytes(b"x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_what_a_killed_benchmark_left_goes_at_the_next_start(workspace):
    assert subprocess.run([sys.executable, "-c", KILLED], cwd=ROOT, timeout=60).returncode == -signal.SIGKILL
    (left,) = (workspace / "artifacts" / "bench" / "tmp").iterdir()
    assert (left / "big.bin").is_file()
    os.utime(left, (0, 0))
    with bench.temporary() as folder:
        assert [path.name for path in left.parent.iterdir()] == [Path(folder).name]
    assert not list(left.parent.iterdir())


def test_nothing_of_a_benchmark_is_left_in_the_systems_temporary_folder():
    for path in [*Path(bench.__file__).parent.glob("*.py"), *(ROOT / "tests" / "peers").glob("*.py")]:
        for made in re.findall(r"tempfile\.\w+\(.*", path.read_text("utf-8")):
            assert "dir=" in made, f"{path.name}: {made}; use tests.bench.temporary"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "42"], "03_gpt"),
        (["--profile", "huge"], "laptop"),
        (["--only", "01", "--from", "02"], "exclude"),
        (["--reproduce", "images/nothing.png", "--profile", "laptop"], "there are: 00_machine"),
        (["--reproduce", "images/03_los.png", "--profile", "laptop"], "in the laptop profile; there are: 03_loss"),
        (["--reproduce", "images/bench_race_limit.png", "--profile", "laptop"], "`make bench ARGS=race` measures it"),
        (["--reproduce", "images/03_loss.png", "--only", "03"], "leave out --only"),
    ],
)
def test_bad_usage_is_refused_with_the_choices(arguments, told, capsys):
    assert run.main(arguments) == 2
    assert told in capsys.readouterr().err


def test_what_a_figure_needs_is_run_in_order():
    name, made_by = reproduce.source("somewhere/images/03_loss.png", "laptop")
    assert (name, made_by.name) == ("03_loss", "03_gpt")
    assert [n.number for n in reproduce.chain(made_by)] == ["00", "01", "02", "03"]
    assert [n.number for n in reproduce.chain(course.notebook("05"))] == ["00", "01", "02", "03", "04", "05"]


FIGURE = """
from helpers import journal, plots
run = journal.start("03_gpt", seed=1)
fig, _ = plots.figure()
run.figure("03_x", fig, data={"x": [1.0, %s]}, alt="two points")
run.finish(verdict="done")
"""


def only_03(monkeypatch, made):
    """The course has notebook `made`, and needs nothing else for it."""
    real = course.notebook
    monkeypatch.setattr(course, "notebook", lambda name: made if name.startswith("03") else real(name))
    monkeypatch.setattr(course, "NOTEBOOKS", (made, course.notebook("04")))


def test_a_figure_made_again_is_told_in_a_sentence_and_shown_with_the_reference(workspace, capsys, monkeypatch):
    made = notebook(workspace, FIGURE % 2)
    assert execute(made, in_place=True) == 0
    only_03(monkeypatch, made)
    reproduced = ["--reproduce", "images/03_x.png"]
    shown = workspace / "artifacts" / "reproduce" / "03_x.png"
    for value, status, said in [
        ("2", 0, "03_x: identical: every value is the reference's"),
        ("2 * (1 + 4e-13)", 0, "03_x: the same to 4e-13"),
        ("3", 1, "03_x: cannot compare: its spread over seeds was not measured"),
    ]:
        notebook(workspace, FIGURE % value)
        assert run.main(reproduced) == status
        assert f"{said}\n" in (told := capsys.readouterr().out) and f"picture: {shown}" in told
    width, height = PIL.Image.open(shown).size
    assert width > 3 * height, "a short row is no curve: the two pictures stand side by side"


def test_reproducing_leaves_the_checkout_alone_and_takes_what_is_made(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LAB_WORKSPACE", "")
    monkeypatch.setenv("PROFILE", "smoke")
    monkeypatch.setattr(paths, "ROOT", tmp_path)  # the checkout: LAB_WORKSPACE is not set
    monkeypatch.setattr(project.current(), "root", tmp_path)
    first = notebook(tmp_path, "1", name="01_mrclean", makes=("corpus",))
    made = notebook(tmp_path, FIGURE % 2, needs=("01_mrclean",))
    (tmp_path / "artifacts" / "corpus").mkdir(parents=True)
    (tmp_path / "artifacts" / "corpus" / "manifest.json").write_text('{"hash": "one"}', "utf-8")
    monkeypatch.setattr(course, "notebook", lambda name: first if name.startswith("01") else made)
    monkeypatch.setattr(course, "NOTEBOOKS", (first, made))
    assert execute(first) == execute(made, in_place=True) == 0

    def everything():
        folders = ("journal", "images", "artifacts/corpus", "artifacts/notebooks")
        files = [path for name in folders for path in (tmp_path / name).rglob("*") if path.is_file()]
        return {path: path.read_bytes() for path in [*files, *tmp_path.glob("*.ipynb")]}

    before = everything()
    capsys.readouterr()
    assert run.main(["--reproduce", "images/03_x.png"]) == 0
    told = capsys.readouterr().out
    assert "01_mrclean: unchanged" in told and "03_x: identical: every value is" in told
    assert everything() == before
    home = tmp_path / "artifacts" / "reproduce"
    assert (home / "03_x.png").is_file() and (home / "images" / "03_x.png").is_file()
    assert len(list((home / "journal" / "runs").iterdir())) == 1


def test_time_left_is_told_only_when_known():
    assert run.time_left(10, None, [60]) == run.time_left(10, 0.0, [60]) == "time left not known yet"
    assert run.time_left(10, 60, [None]) == "about 50 s left"
    assert run.time_left(10, 60, [100]) == "about 50 s left, then about 1.7 min for the notebooks after it"
    assert run.time_left(10, 60, []) == "about 50 s left"


def test_time_left_goes_on_when_a_notebook_takes_longer_than_expected():
    """It stood still at the sum of the later ones; now they are expected to be as slow."""
    assert run.time_left(90, 60, [100], 1.5) == (
        "1.5 times as long as expected, then about 2.5 min for the notebooks after it"
    )
    assert run.time_left(70, 60, []) == "1.2 times as long as expected"


def test_later_notebooks_are_as_slow_as_all_so_far(workspace):
    """Not as the running one alone: load in its first minute would be carried over to an hour."""
    made = run.Runner([], argparse.Namespace(force=False))
    assert made._slower(None, 60) == 1.0
    assert made._slower(100, 300) == 3.0
    made.rows = [("00", 300, 300, "ran"), ("01", 50, None, "unchanged, skipped"), ("02", None, 20, "ran")]
    assert made._slower(100, 300) == 1.5


TRAINS = """
import time
from helpers import journal
run = journal.start("03_gpt", seed=1)
with run.watch(40, unit="nats") as watch:
    for step in range(1, 41):
        time.sleep(%s)
        watch.step(step, 1.0)
time.sleep(%s)
run.finish(verdict="done")
"""


def test_time_left_is_what_the_training_says_and_what_came_after_it_last_time(workspace, monkeypatch):
    """At twice the pace of the run before, twice of what is left after the training is still to come."""
    assert execute(notebook(workspace, TRAINS % (0.025, 1.0))) == 0
    share = run.until_trained("03_gpt", "smoke")
    assert 0.3 < share < 0.8
    assert run.until_trained("04_learning_curves", "smoke") == 1.0
    told = []
    monkeypatch.setattr(run, "LOOK", 0.0)
    monkeypatch.setattr(run.Runner, "_training", lambda self, execution: 30.0)
    monkeypatch.setattr(run, "time_left", lambda elapsed, expected, *_: told.append((elapsed, expected)) or "")
    assert execute(notebook(workspace, TRAINS % (0.05, 0.0))) == 0
    assert told and all(expected == pytest.approx((elapsed + 30) / share) for elapsed, expected in told)


def test_a_workspace_is_the_same_folder_for_runner_and_kernel(tmp_path, monkeypatch):
    """The kernel stands in notebooks/, where LAB_WORKSPACE=some/folder would be another one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_WORKSPACE", "try")
    monkeypatch.setenv("PROFILE", "smoke")
    (tmp_path / "notebooks").mkdir()
    cell = "from helpers import journal\njournal.start('03_gpt').finish(verdict='done')"
    assert execute(notebook(tmp_path / "notebooks", cell)) == 0
    assert store.latest("03_gpt", "smoke") and not (tmp_path / "notebooks" / "try").exists()


def test_executed_notebooks_name_no_folder_of_this_machine(workspace):
    execute(notebook(workspace, "1"))
    text = (workspace / "artifacts" / "notebooks" / "03_gpt.ipynb").read_text("utf-8")
    assert json.loads(text)["metadata"] == execution.KERNEL_METADATA
