"""The plain path of the journal: a run is recorded, closed and told, whatever its end."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from helpers import course, journal, plots
from helpers.paths import ROOT, read_json
from labjournal import JournalError, index, metrics, pictures, render, store, verify
from tests.bench import BENCHMARKS


@pytest.fixture
def run(workspace):
    run = journal.start("03_gpt", config={"n_layer": 2}, seed=1337)
    yield run
    run.close("superseded")


def entry_text(workspace) -> str:
    return (workspace / "journal" / "journal.md").read_text("utf-8")


def told(workspace, record) -> str:
    """Line and entry of a run."""
    line = next(line for line in entry_text(workspace).splitlines() if record["run_id"] in line)
    return line + (workspace / "journal" / "runs" / record["run_id"] / "entry.md").read_text("utf-8")


def record_on_disk(run) -> dict:
    return json.loads((run.folder / "run.json").read_text("utf-8"))


def small_figure():
    fig, ax = plots.figure()
    ax.plot([1, 2, 3], [3.0, 2.0, 1.5])
    return fig


def test_a_finished_run_has_record_events_figures_and_entry(run, workspace):
    run.predict("val_loss", 2.0, unit="nats/token")
    for step, loss in enumerate([4.0, 1.5, 1.75]):
        run.log(step=step, val_loss=loss, unit="nats/token", better="lower")
    run.figure("03_loss", small_figure(), data={"loss": np.array([3.0, 2.0, 1.5])}, alt="Loss falls from 3.0 to 1.5.")
    run.note("the best was {best.val_loss:.2f} at step {best_step.val_loss}")
    run.finish(verdict="ends at {val_loss:.2f}", decision="keep {config.n_layer} layers")

    record = record_on_disk(run)
    assert record["status"] == "finished"
    assert record["metrics"]["val_loss"] == {
        "start": 4.0, "best": 1.5, "best_step": 1, "final": 1.75, "unit": "nats/token",
        "better": "lower", "kind": "result", "count": 3,
    }  # fmt: skip
    assert record["predictions"]["val_loss"]["measured"] == 1.75
    assert (record["profile"], record["seed"], record["config"]) == ("smoke", 1337, {"n_layer": 2})
    events, _ = store.read_events(run.folder)
    told = [event["event"] for event in events if event["event"] != "sample"]  # the monitor's come when they come
    assert told == ["start", "predict", "log", "log", "log", "figure", "note", "end"]
    assert events[3]["metrics"] == {"val_loss": 1.5}
    assert metrics.replay(record, events) == record
    assert store.sidecar(record, "03_loss")["data"] == {"loss": [3.0, 2.0, 1.5]}
    assert (workspace / "images" / "03_loss.png").read_bytes() == store.picture(record, "03_loss").read_bytes()
    entry = (run.folder / "entry.md").read_text("utf-8")
    assert "the best was 1.50 at step 1" in entry
    assert "**Verdict.** ends at 1.75" in entry
    assert f"![Loss falls from 3.0 to 1.5.](../../figures/{record['figures']['03_loss']['png']}.png)" in entry
    assert hashlib.sha256(entry.encode()).hexdigest()[:16] == record["entry"]
    (line,) = [line for line in entry_text(workspace).splitlines() if record["run_id"] in line]
    assert line + "\n" == render.line(record) and "ends at 1.75 *keep 2 layers*" in line


def test_the_same_data_gives_the_same_picture():
    assert plots.png(small_figure()) == plots.png(small_figure())


def test_two_processes_draw_the_same_bytes():
    script = (
        "import sys; sys.path.insert(0, 'tests'); import hashlib; from helpers import plots; import test_journal\n"
        "print(hashlib.sha256(plots.png(test_journal.small_figure())).hexdigest())"
    )
    drawn = {subprocess.check_output([sys.executable, "-c", script], cwd=ROOT, text=True) for _ in range(2)}
    assert drawn == {hashlib.sha256(plots.png(small_figure())).hexdigest() + "\n"}


def test_the_record_is_there_before_anything_is_finished(run):
    run.log(train_loss=3.0, unit="nats/token")
    assert record_on_disk(run)["status"] == "running"
    assert '"train_loss": 3.0' in (run.folder / "events.jsonl").read_text("utf-8")


def test_numbers_that_are_no_json_are_kept_as_text(run, capsys):
    run.log(train_loss=float("nan"), grad_norm=np.float32(0.5), unit="")
    run.say("the loss is {train_loss:.2f}")
    assert capsys.readouterr().out.endswith("the loss is nan\n")
    run.close("failed", ValueError("loss is not finite"))
    record = record_on_disk(run)
    assert record["metrics"]["train_loss"]["final"] == "nan"
    assert record["metrics"]["grad_norm"]["final"] == 0.5


def test_a_number_that_was_never_measured_cannot_be_said(run):
    with pytest.raises(JournalError, match="val_los"):
        run.say("{val_los:.2f}")
    run.log(val_loss=1.0, unit="nats/token")
    with pytest.raises(JournalError, match=r"best\.val_loss"):
        run.say("{best.val_loss:.2f}")  # no direction was given, so there is no best


def test_a_prediction_comes_first_and_must_be_measured(run):
    run.log(seconds=3.0, unit="s")
    with pytest.raises(JournalError, match="before"):
        run.predict("seconds", 3.0, unit="s")
    run.predict("accuracy", 0.9, unit="")
    with pytest.raises(JournalError, match="accuracy"):
        run.finish(verdict="done")
    with pytest.raises(JournalError, match="predicted in"):
        run.log(accuracy=90, unit="%")


def test_a_unit_is_needed_once_and_does_not_change(run):
    with pytest.raises(JournalError, match="unit"):
        run.log(seconds=3.0)
    run.log(seconds=3.0, unit="s", kind="timing")
    run.log(seconds=4.0)
    with pytest.raises(JournalError, match="ms"):
        run.log(seconds=4.0, unit="ms")


@pytest.mark.parametrize("name", ["loss", "04_loss", "03_../../loss", "03 loss"])
def test_a_figure_name_begins_with_the_notebook_and_is_a_plain_file_name(run, name):
    with pytest.raises(JournalError, match="name"):
        run.figure(name, small_figure(), data={}, alt="something")


def test_a_figure_needs_an_alt_text(run):
    with pytest.raises(JournalError, match="alt"):
        run.figure("03_loss", small_figure(), data={}, alt=" ")


def test_a_finished_run_takes_nothing_more(run):
    run.finish(verdict="done")
    with pytest.raises(JournalError, match="set-up cell"):
        run.log(seconds=1.0, unit="s")


def test_starting_again_supersedes_the_open_run_in_one_line(run, workspace):
    second = journal.start("03_gpt")
    assert record_on_disk(run)["status"] == "superseded"
    assert entry_text(workspace).count("**superseded**") == 1
    assert not (run.folder / "entry.md").exists()
    second.finish(verdict="done")


def test_the_readers_own_notes_stay(run, workspace):
    path = workspace / "journal" / "journal.md"
    path.parent.mkdir(exist_ok=True)
    mine = "# My journal\n\nnotes | with `marks` and no newline at the end"
    path.write_text(mine, "utf-8")
    run.finish(verdict="done")
    assert entry_text(workspace).startswith(mine)


@pytest.mark.parametrize("seed", ["7", "x", "-1", "1.5"])
def test_the_seed_of_a_run_can_be_set_from_outside(workspace, monkeypatch, seed):
    monkeypatch.setenv("SEED", seed)
    if seed.isdecimal():
        assert journal.start("03_gpt", seed=1337).seed == 7
        with pytest.raises(JournalError, match="without a seed"):
            _ = journal.start("01_mrclean").seed
    else:
        with pytest.raises(ValueError, match="whole number"):
            journal.start("03_gpt", seed=1337)


SCRIPT = """
from helpers import journal
run = journal.start("03_gpt")
run.log(step=7, train_loss=2.5, unit="nats/token")
{end}
"""


@pytest.mark.parametrize(
    ("end", "status", "in_entry"),
    [
        ("raise ValueError('the | loss is <b>nan</b>')", "failed", "ValueError: the \\| loss is &lt;b&gt;nan"),
        ("raise KeyboardInterrupt", "interrupted", "**Interrupted**"),
        ("", "abandoned", "**Abandoned**"),
    ],
)
def test_a_process_that_ends_early_leaves_its_status(workspace, end, status, in_entry):
    subprocess.run([sys.executable, "-c", SCRIPT.format(end=end)], cwd=ROOT, capture_output=True, check=False)
    (record,) = store.all_records()
    assert record["status"] == status
    assert record["metrics"]["train_loss"]["final"] == 2.5
    assert in_entry in told(workspace, record) and f"**{status}**" in entry_text(workspace)


def test_a_killed_run_is_found_at_the_next_start(workspace):
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", SCRIPT.format(end=kill)], cwd=ROOT, capture_output=True, check=False)
    (record,) = store.all_records()
    assert record["status"] == "running"
    events = (workspace / "journal" / "runs" / record["run_id"] / "events.jsonl").read_text("utf-8")
    assert '"train_loss": 2.5' in events
    journal.start("03_gpt").finish(verdict="done")
    assert [r["status"] for r in store.all_records()] == ["abandoned", "finished"]


def test_a_run_of_a_living_process_is_left_alone(run):
    other = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(end="run.finish(verdict='done')")],
        cwd=ROOT, capture_output=True, env=os.environ, check=True,
    )  # fmt: skip
    assert other.returncode == 0
    assert record_on_disk(run)["status"] == "running"


def test_a_run_stays_in_the_workspace_it_began_in(run, workspace, tmp_path_factory, monkeypatch):
    """As at the exit of a process that has changed its environment meanwhile."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setenv("LAB_WORKSPACE", str(elsewhere))
    run.figure("03_x", small_figure(), data={"x": [1]}, alt="something")
    run.close("failed", ValueError("late"))
    assert "ValueError: late" in entry_text(workspace)
    assert (workspace / "images" / "03_x.png").is_file()
    assert not list(elsewhere.iterdir())


def test_the_reference_predicts_the_seconds(run):
    run.finish(verdict="done")
    elsewhere = read_json(run.folder / "run.json")
    elsewhere["resources"]["processor"] = {"name": "another", "model": "", "instructions": []}
    store.write(run.folder, elsewhere)
    assert journal.predicted_seconds("03_gpt", "smoke") is None
    store.set_reference("03_gpt", "smoke", run.record["run_id"])
    assert journal.predicted_seconds("03_gpt", "smoke") == run.record["seconds"]


def test_every_earlier_run_on_this_machine_predicts_the_seconds(workspace):
    for seconds in (10.0, 30.0, 11.0):
        made = journal.start("03_gpt")
        made.finish(verdict="done")
        store.write(made.folder, {**made.record, "seconds": seconds})
    assert journal.predicted_seconds("03_gpt", "smoke") == 11.0
    whole = journal.start("course")
    whole.log(seconds_03_gpt=12.5, unit="s", kind="timing")
    whole.finish(verdict="done")
    assert journal.predicted_seconds("03_gpt", "smoke") == (11.0 + 12.5) / 2


def test_every_notebook_can_be_looked_up_by_name_and_number():
    for notebook in course.NOTEBOOKS:
        assert course.notebook(notebook.name) is course.notebook(notebook.number) is notebook
    with pytest.raises(ValueError, match="03_gpt"):
        course.notebook("42")


def test_a_benchmark_record_comes_from_here_else_from_the_committed_journal(workspace):
    committed = journal.latest("bench_clean_effect", "laptop")
    assert committed["notebook"] == "bench_clean_effect" and committed["status"] == "finished"
    assert journal.latest("bench_clean_effect", "gpu") is None
    run = journal.start(BENCHMARKS["clean_effect"])
    run.log(gain_all=1.0, unit="bits/byte")
    run.finish(verdict="measured here")
    assert journal.latest("bench_clean_effect", run.record["profile"])["run_id"] == run.record["run_id"]


def test_the_arrays_of_a_figure_are_those_it_was_given(workspace):
    run = journal.start("03_gpt")
    run.figure("03_x", small_figure(), data={"loss": np.array([3.0, 2.0]), "rows": [[1, 2], [3]]}, alt="something")
    run.finish(verdict="drawn")
    assert journal.figure_data(run.record, "03_x") == {"loss": [3.0, 2.0], "rows": [[1, 2], [3]]}


def test_arms_stand_in_one_table_instead_of_a_row_for_each_metric(workspace):
    run = journal.start(BENCHMARKS["levers"])
    for arm, worth in (("Muon", 1.27), ("RoPE", 1.39)):
        run.log(**{f"worth_{arm}": worth, f"worth_{arm}_low": worth - 0.1}, unit="times")
    run.log(alone=1.0, unit="s")
    with pytest.raises(JournalError, match="none of its metrics"):
        run.table("Nothing", ["x"], {"a": "nothing_{}"})
    run.table("Parts", ["Muon", "RoPE", "another"], {"worth": "worth_{}", "from": "worth_{}_low"})
    run.finish(verdict="done")
    text = (run.folder / "entry.md").read_text("utf-8")
    assert "**Parts**" in text and "|  | worth, times | from, times |" in text
    assert "| Muon | 1.27 | 1.17 |" in text and "| another |  |  |" in text
    assert "worth\\_Muon" not in text and "| alone, s | 1 |" in text
    assert verify.problems() == []


def test_steps_and_samples_of_a_closed_run_are_arrays_and_come_back_as_they_were(workspace):
    run = journal.start("03_gpt", seed=1)
    with run.watch(300, unit="nats/token", eval_every=100) as watch:
        for step in range(1, 301):
            more = {"learning_rate": 1e-3} if step > 100 else {}
            watch.step(step, 5 - step / 100, gradient_norm=0.1 * step, **more)
            if step % 100 == 0:
                run.log(step=step, val_loss=4.0, unit="nats/token")
                watch.evaluation(step, val_loss=4.0)
    before, _ = store.read_events(run.folder)
    size = (run.folder / "events.jsonl").stat().st_size
    run.finish(verdict="done")
    after, _ = store.read_events(run.folder)
    assert after[: len(before)] == before and after[-1]["event"] == "end"
    lines = (run.folder / "events.jsonl").read_text("utf-8")
    assert '"event": "step"' not in lines and '"event": "evaluation"' in lines
    packed = sum((run.folder / name).stat().st_size for name in ("events.jsonl", "series.json"))
    assert packed < size / 2
    # A process that died between the two files left whole events and series nobody asks for.
    (run.folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in after), "utf-8")
    assert store.read_events(run.folder)[0] == after
    store.pack(run.folder)
    assert store.read_events(run.folder)[0] == after and verify.problems() == []


def test_a_picture_is_small_and_looks_the_same():
    import io

    from PIL import Image

    fig = small_figure()
    whole, small = plots.png(fig, small=False), plots.png(fig)
    assert len(small) < 0.6 * len(whole)
    images = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int) for data in (whole, small)]
    assert abs(images[0] - images[1]).max() <= pictures.UNSEEN
    # Where a palette would show, there is none: many colours, none of them near another.
    fig, ax = plots.figure()
    plots.picture(ax, np.random.default_rng(0).random((200, 200, 3)))
    assert Image.open(io.BytesIO(plots.png(fig))).mode == "RGB"


def test_the_readme_of_the_journal_tells_what_moved_a_number(workspace):
    def tokenizer(vocab_size, value, **more):
        run = journal.start("02_tokenizer", config={"vocab_size": vocab_size}, data_hash="d", **more)
        run.predict("bytes_per_token_all", 1.0, unit="bytes/token")
        run.log(bytes_per_token_all=value, unit="bytes/token")
        run.finish(verdict="{bytes_per_token_all} | bytes.")
        return run.record["run_id"]

    first = tokenizer(4096, 3.003)
    tokenizer(4096, 3.003)
    last = tokenizer(2048, 2.682, changed_from=first, reason="smaller is better at this compute")
    store.set_reference("02_tokenizer", "smoke", last)
    index.update()
    text = (workspace / "journal" / "README.md").read_text("utf-8")
    moved = "vocab\\_size 4096 → 2048 (because smaller is better at this compute)"
    assert f"3.003 (2 ×) [{first[-4:]}](runs/{first}/entry.md) → {moved}" in text
    assert f"**2.682** [{last[-4:]}]" in text and "2.682 | bytes." in text
    assert "was predicted as 1 bytes/token and is 2.682" in text
    assert verify.problems() == []


def test_a_folded_table_is_still_a_table(capsys):
    journal.table([["<b>", 1.0]], ["what", "value"], folded="More & more")
    shown = capsys.readouterr().out
    assert "<summary>More &amp; more</summary>" in shown and "&lt;b&gt;" in shown


def test_a_sentence_reaches_into_rows_and_tables(workspace, capsys):
    run = journal.start("03_gpt")
    run.say(
        "{row[0]:.1f} to {row.last:.1f}, {row.min:g} {row.max:g} {row.mean:.2f}, each {row:.0f}; {grid[1][0]}, "
        "{grid.max}; {worth[wide model].low:.2f}, {worth[2]}; {gaps:g}",
        row=np.array([1.5, 4.0, 2.0]), grid=[[1, 2], [3, None]], gaps=[1.0, float("nan"), None],
        worth={"wide model": {"low": 0.25}, 2: "<b>"},
    )  # fmt: skip
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == "1.5 to 2.0, 1.5 4 2.50, each 2, 4, 2; 3, 3; 0.25, &lt;b&gt;; 1"
    assert store.read_events(run.folder)[0][-1]["values"] == {}  # rows and tables are not kept once more
    for field, missing in (("{row.median}", "median"), ("{none.max}", "0 numbers"), ("{worth[narrow]}", "narrow")):
        with pytest.raises(JournalError, match=missing):
            run.say(field, row=[1], none=[], worth={"wide": 1})


def test_an_alt_text_is_filled_from_what_is_drawn_and_stays_plain(workspace):
    run = journal.start("03_gpt", config={"steps": 10})
    run.log(val_loss=2.5, unit="nats/token")
    data = {"loss": np.array([4.0, 2.5]), "by kind": [1, 2]}
    run.figure("03_loss", small_figure(), data=data, name="a*b",
               alt="Loss of {name} over {config.steps} steps: {loss[0]:.1f} to {loss.last:.1f} ({val_loss:.2f}); "
                   "{by kind[1]}. {{braces}}")  # fmt: skip
    alt = run.record["figures"]["03_loss"]["alt"]
    assert alt == "Loss of a*b over 10 steps: 4.0 to 2.5 (2.50); 2. {braces}"
    with pytest.raises(JournalError, match="'lost', which is not in the record"):
        run.figure("03_x", small_figure(), data={"x": [1]}, alt="{lost}")


def test_what_a_model_writes_does_not_command_a_terminal():
    from labjournal.markdown import spelled_out

    assert spelled_out("a\x1b[31mred\x07\n\tb\u202e\x9b") == "a\\x1b[31mred\\x07\n\tb\\u202e\\x9b"
