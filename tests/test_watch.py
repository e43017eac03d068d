"""A run that is watched: runs that finish, stall, fail, diverge, are killed or resumed must look like what they are."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from helpers import journal
from helpers.paths import ROOT, read_json
from labjournal import JournalError, follow, monitor, notice, progress, reports, store, verify
from labjournal import __main__ as terminal

UNIT = "nats/token"


@pytest.fixture
def run(workspace):
    run = journal.start("03_gpt", config={"learning_rate": 1e-3}, data_hash="d", seed=1)
    yield run
    run.close("interrupted")


def losses(n, shape="falling", seed=0):
    """A training loss with its steep first drop, and what comes after it."""
    t = np.arange(n)
    slope = {"falling": -1.0, "flat": 0.0, "rising": 1.0}[shape]
    chance = np.random.default_rng(seed)
    return 5 + 3 * np.exp(-t / (n / 60)) + slope * t / n + 0.2 * chance.normal(size=n)


def train(run, n=200, shape="falling", stop=None, **options):
    """Watch a training of `n` steps with an evaluation at each fifth; returns the watch."""
    every = n // 5
    with run.watch(n, unit=UNIT, eval_every=every, **options) as watch:
        for step, loss in enumerate(losses(n, shape), 1):
            if step == stop:
                break
            watch.step(step, loss, gradient_norm=1.0 + step / n, learning_rate=1e-3)
            if step % every == 0:
                run.log(step=step, val_loss=loss + 0.1, unit=UNIT, better="lower")
                watch.evaluation(step, val_loss=loss + 0.1)
    return watch


def status_of(run):
    return reports.standing(run.record, run.progress)


# -- events ----------------------------------------------------------------------------------------------------------


def test_events_are_told_newest_last(run, capsys):
    train(run)
    run.events(4)
    step, evaluation, end, report = capsys.readouterr().out.splitlines()
    assert step == f"step 200 of 200: training loss {losses(200)[-1]:.4f}"
    assert evaluation == f"evaluation after step 200: val_loss {losses(200)[-1] + 0.1:.4f}"
    assert end == "training finished after step 200 of 200"
    assert report.startswith("report at 100 %: training loss")
    run.events(10_000)
    told = capsys.readouterr().out
    assert told.startswith("run ") and "training begins: 200 steps" in told
    assert [f"report at {percent} %" in told for percent in (25, 50, 75)] == [True] * 3


def test_a_checkpoint_is_an_event_with_a_path_that_names_no_folder_of_the_machine(run, workspace, capsys):
    watch = train(run)
    watch.checkpoint(200, workspace / "artifacts" / "checkpoints" / "03_gpt")
    capsys.readouterr()
    run.events(1)
    assert capsys.readouterr().out == "checkpoint after step 200: artifacts/checkpoints/03_gpt\n"


def test_text_from_an_exception_cannot_forge_a_line(run, capsys):
    with pytest.raises(ValueError), run.watch(10, unit=UNIT):
        raise ValueError("bad\nstep 9 of 10: training loss 0.0001\x1b[2J")
    run.events(2)
    first, _ = capsys.readouterr().out.splitlines()
    assert first == "training failed after step 0 of 10: ValueError: bad step 9 of 10: training loss 0.0001"


# -- status ----------------------------------------------------------------------------------------------------------


def test_a_status_has_nothing_where_nothing_is_known(run):
    assert status_of(run)["training"] is None
    with run.watch(100, unit=UNIT, eval_every=50) as watch:
        t = status_of(run)["training"]
        assert (t["percent"], t["seconds_left"], t["loss"]["now"], t["trend"]) == (0, None, None, None)
        for step in range(1, 20):
            watch.step(step, 5.0)
        assert status_of(run)["training"]["seconds_left"] is None  # an evaluation is due, and none was timed
        assert "left" not in reports.one_line(status_of(run))
        watch.evaluation(19, val_loss=5.0)
        assert status_of(run)["training"]["seconds_left"] is not None
    for text in (reports.status(status_of(run)), json.dumps(status_of(run), allow_nan=False)):
        assert "None" not in text and "nan" not in text


def step_event(step, took=1.0, loss=5.0):
    return {
        "event": "step", "seconds": 0.0, "training": 0, "step": step, "loss": loss, "values": {}, "took": took
    }  # fmt: skip


def evaluation_event(step, took=10.0):
    return {"event": "evaluation", "seconds": 0.0, "training": 0, "step": step, "metrics": {}, "took": took}


def begun(total, **options):
    found = progress.Progress()
    begin = {"name": "training", "total": total, "first": 0, "unit": UNIT, "eval_every": None, "save_every": None}
    found.take({"event": "train", "seconds": 0.0, "predicted": {}, **begin, **options})
    return found


def test_time_left_counts_steps_evaluations_and_checkpoints_apart():
    """From made-up times: the first steps are slow and must not count, evaluations have their own time."""
    found = begun(100, eval_every=20, save_every=50)
    found.take(evaluation_event(0, took=99.0))  # compilation, too
    took = [30.0, 9.0, 5.0] + [1.0] * 20 + [2.0] * 17  # compilation, caches, then 1 to 2 s
    for step, seconds in enumerate(took, 1):
        found.take(step_event(step, seconds))
        if step % 20 == 0:
            found.take(evaluation_event(step))
    t = found.training
    assert t.rest == {"step": 60, "evaluation": 3, "checkpoint": 2}
    assert t.seconds_left() is None  # no checkpoint has been timed yet
    found.take({"event": "checkpoint", "seconds": 0.0, "training": 0, "step": 40, "path": "x", "took": 4.0})
    assert t.rest["checkpoint"] == 2
    low, high = t.seconds_left()
    assert (low, high) == (60 * 1.0 + 3 * 10 + 2 * 4, 60 * 2.0 + 3 * 10 + 2 * 4)


def test_the_last_step_leaves_only_its_evaluation():
    found = begun(50, eval_every=20)
    for step in range(1, 51):
        found.take(step_event(step))
        if step in (20, 40):
            assert found.training.rest["evaluation"] == (3 if step == 20 else 2)  # at 20 (due now), 40 and 50
            found.take(evaluation_event(step))
    assert found.training.rest == {"step": 0, "evaluation": 1}
    found.take(evaluation_event(50))
    assert found.training.seconds_left() == (0, 0)


def test_time_left_knows_of_slow_steps_now_and_then():
    """Every tenth step takes ten times as long: a quantile of single steps would never see them."""
    found = begun(1200)
    for step in range(1, 201):
        found.take(step_event(step, 10.0 if step % 10 == 0 else 1.0))
    low, high = found.training.seconds_left()
    assert low <= 1000 * 1.9 <= high and high - low < 200


def test_time_left_is_right_where_only_every_tenth_step_is_told():
    found = begun(1000)
    for step in range(10, 501, 10):
        found.take(step_event(step, took=20.0))
    assert found.training.seconds_left() == pytest.approx((1000, 1000))
    assert found.training.seconds()["steps"] == 50 * 20.0


def test_status_follows_a_training_from_start_to_end(run, capsys):
    with run.watch(100, unit=UNIT) as watch:
        for step in range(1, 61):
            time.sleep(0.01)
            watch.step(step, 6 - step / 50, gradient_norm=2.0)
        t = status_of(run)["training"]
        assert (t["status"], t["step"], t["percent"]) == ("running", 60, 60)
        assert t["loss"]["start"] == 5.98 and t["loss"]["best"] == t["loss"]["now"] and t["loss"]["best_step"] == 60
        assert t["loss"]["now"] == pytest.approx(np.mean([6 - s / 50 for s in range(41, 61)]))
        assert 40 * 0.01 <= t["seconds_left"][0] <= t["seconds_left"][1] < 40
        assert {row["name"]: row["now"] for row in t["rows"]}["gradient_norm"] == 2.0
        assert (t["trend"]["verdict"], t["trend_at"]) == ("falling", 50)
        run.status()
        assert "Elapsed" in capsys.readouterr().out
    run.status()
    said = capsys.readouterr().out
    assert "Training stopped, 60 %: step 60 of 100." in said
    assert "Elapsed" not in said and "left" not in said and "memory" not in said  # of no use any more, never the same


def test_watching_is_not_counted_as_step_time(run, monkeypatch):
    monkeypatch.setattr("labjournal.live.Live.show", lambda *args: time.sleep(0.05))
    with run.watch(20, unit=UNIT) as watch:
        for step in range(1, 21):
            watch.step(step, 5.0)
    seconds = run.progress.training.seconds()
    assert seconds["steps"] < 0.2 and seconds["other"] > 0.9


# -- reports and trend -----------------------------------------------------------------------------------------------


def test_reports_come_at_the_quarters_and_the_end_and_stay_in_record_and_journal(run, workspace):
    run.predict("val_loss_all", 4.2, unit=UNIT)
    train(run, predicted={"val_loss_all": "val_loss"})
    found = run.record["trainings"][0]["reports"]
    assert [(r["percent"], r["status"]) for r in found] == [
        (25, "running"), (50, "running"), (75, "running"), (100, "finished")
    ]  # fmt: skip
    row = next(r for r in found[1]["rows"] if r["name"] == "val_loss")
    assert (row["start"], row["now"]) == (losses(200)[39] + 0.1, losses(200)[79] + 0.1)  # of steps 40 and 80
    assert (row["predicted"], row["prediction"]) == (4.2, "val_loss_all")
    assert found[1]["remaining"] == {"step": 100, "evaluation": 3}
    run.log(val_loss_all=4.1, unit=UNIT)
    run.finish("v")
    entry = (run.folder / "entry.md").read_text("utf-8")
    assert (
        "**Final report**: finished after step 200 of 200." in entry
        and "| at 25 % | at 50 % | at 75 % | end |" in entry
    )
    assert verify.problems() == []


def test_a_report_does_not_wait_for_an_evaluation_that_never_comes(run):
    with run.watch(100, unit=UNIT, eval_every=5) as watch:
        for step in range(5, 101, 5):
            watch.step(step, 5.0)
    assert [r["percent"] for r in run.record["trainings"][0]["reports"]] == [30, 50, 80, 100]


def test_an_evaluation_that_is_due_with_a_quarter_is_in_its_report(run):
    with run.watch(100, unit=UNIT, eval_every=25) as watch:
        for step in range(1, 101):
            watch.step(step, 5.0)
            if step % 25 == 0:
                watch.evaluation(step, val_loss=step / 100)
    rows = [next(r for r in one["rows"] if r["name"] == "val_loss") for one in run.record["trainings"][0]["reports"]]
    assert [row["now"] for row in rows] == [0.25, 0.5, 0.75, 1.0]


def test_the_best_of_a_training_is_its_own_and_not_that_of_another(run):
    for name, values in (("first", (3.0, 2.0)), ("second", (2.5, 2.4))):
        with run.watch(20, unit=UNIT, name=name, eval_every=10) as watch:
            for step in range(1, 21):
                watch.step(step, 1.0)
                if step % 10 == 0:
                    run.log(step=step, val_loss=values[step // 10 - 1], unit=UNIT, better="lower")
                    watch.evaluation(step, val_loss=values[step // 10 - 1])
    last = [one["reports"][-1] for one in run.record["trainings"]]
    rows = [next(row for row in one["rows"] if row["name"] == "val_loss") for one in last]
    assert [(row["best"], row["best_step"]) for row in rows] == [(2.0, 20), (2.4, 20)]


def test_a_report_tells_what_was_changed_and_why(run, workspace, capsys):
    train(run)
    run.finish("v")
    second = journal.start(
        "03_gpt", config={"learning_rate": 5e-4}, data_hash="d", seed=1,
        changed_from=run.record["run_id"], reason="it jumped",
    )  # fmt: skip
    train(second)
    capsys.readouterr()
    second.report()
    said = capsys.readouterr().out
    assert f"Changed since {run.record['run_id']}: learning\\_rate 0.001 → 0.0005, because it jumped." in said
    assert "seconds" not in said
    second.finish("v")


@pytest.mark.parametrize(
    ("shape", "verdict", "words"),
    [
        ("falling", "falling", "falling over the steps tested"),
        ("flat", "noise", "no trend that could be told from noise"),
        ("rising", "rising", "rising over the steps tested"),
    ],
)
def test_progress_noise_and_rising_are_told_apart(run, shape, verdict, words):
    train(run, 600, shape)
    last = run.record["trainings"][0]["reports"][-1]
    assert last["trend"]["verdict"] == verdict and last["trend"]["drop"] is not None
    assert words in reports.report(run.record, last)


def test_a_short_training_has_too_few_points(run):
    train(run, 15)
    assert [r["trend"]["verdict"] for r in run.record["trainings"][0]["reports"]] == ["too few points"] * 4


def test_a_run_may_watch_several_trainings(run, workspace):
    train(run, 20, name="first")
    train(run, 30, name="second")
    assert [t["name"] for t in run.record["trainings"]] == ["first", "second"]
    run.finish("v")
    assert (run.folder / "entry.md").read_text("utf-8").count("**Final report**") == 2
    assert verify.problems() == []


def test_a_loss_above_its_start_is_named_where_the_trend_is_refused(run):
    with run.watch(200, unit=UNIT) as watch:
        for step in range(1, 201):
            watch.step(step, 5.0 + 5 * (step > 140) + step % 7 / 100)
    last = run.record["trainings"][0]["reports"][-1]
    assert last["trend"]["verdict"] == "too few points"
    assert "the loss is above where it began." in reports.report(run.record, last)
    midterm = run.record["trainings"][0]["reports"][2]
    assert "the loss is above where it began; stop and look" in reports.report(run.record, midterm)


def test_one_rising_look_does_not_say_stop_and_two_do():
    found = {"status": "running", "loss": {"first": 6.0, "now": 5.0}, "trend": {"verdict": "rising"}}
    assert "stop" not in reports.verdict(found)
    assert "stop" not in reports.verdict(found, [{"trend": {"verdict": "noise"}}])
    twice = [{"trend": {"verdict": "rising"}}]
    assert reports.verdict(found, twice).startswith("rising, twice in a row; stop")
    assert reports.verdict({**found, "status": "finished"}, twice) == "rising, twice in a row."
    # One batch above another says nothing, and a trend that is known says more.
    flat = {"status": "running", "loss": {"first": 5.0, "now": 5.01}, "trend": {"verdict": "noise"}}
    assert "above" not in reports.verdict(flat)


@pytest.mark.parametrize("loss", [None, "3.5", "abc", np.array([3.2, 1.0]), 10**400])
def test_what_is_no_number_is_refused_before_it_reaches_the_files(run, loss):
    with run.watch(10, unit=UNIT) as watch:
        watch.step(1, np.float32(5.0))
        with pytest.raises(JournalError, match=r"loss is .*, and has to be one number"):
            watch.step(2, loss)
        watch.step(2, np.array([4.5]))
    assert watch.losses == [5.0, 4.5]
    run.finish("v")
    assert verify.problems() == []


@pytest.mark.parametrize("step", [3, 2, 11])
def test_steps_that_cannot_come_next_are_refused(run, step):
    with run.watch(10, unit=UNIT) as watch:
        watch.step(3, 5.0)
        with pytest.raises(JournalError, match=f"training is at step 3 of 10; step {step} cannot come next"):
            watch.step(step, 5.0)
    assert status_of(run)["training"]["percent"] == 30


def test_only_one_training_is_watched_at_a_time_and_only_inside_its_block(run, workspace, capsys):
    watch = run.watch(10, unit=UNIT)
    with pytest.raises(JournalError, match="is not being watched"):
        watch.step(1, 5.0)
    with watch, pytest.raises(JournalError, match="one training at a time"), run.watch(5, unit=UNIT):
        pass
    for late in (lambda: watch.step(1, 5.0), lambda: watch.evaluation(1, val_loss=5.0)):
        with pytest.raises(JournalError, match="is not being watched"):
            late()
    with pytest.raises(JournalError, match=r"each with its own run\.watch"), watch:
        pass
    train(run, 10, name="second")
    watch.checkpoint(0, workspace / "x")  # belongs to the first
    assert [t.done["checkpoint"] for t in run.progress.trainings] == [0, 0]
    capsys.readouterr()
    run.events(1)
    assert capsys.readouterr().out == "checkpoint after step 0: x\n"
    run.finish("v")
    with pytest.raises(JournalError, match="is finished"):
        watch.checkpoint(0, workspace / "x")
    assert verify.problems() == []


def test_closing_the_run_inside_a_training_does_not_hide_its_error(run):
    with pytest.raises(KeyError, match="the real one"), run.watch(10, unit=UNIT) as watch:
        watch.step(4, 5.0)
        run.close("interrupted")
        raise KeyError("the real one")
    found = run.record["trainings"][0]
    assert (found["status"], found["why"]) == ("interrupted", "the run was closed inside its training")
    assert verify.problems() == []


def test_an_interrupt_while_a_training_is_set_up_leaves_nothing_behind(run, workspace, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("labjournal.board.Board.__init__", interrupted)
        train(run, 10, tensorboard=workspace / "board")
    assert run.progress.trainings == []
    train(run, 10)  # the cell can be run again
    assert [t["status"] for t in run.record["trainings"]] == ["finished"]


def test_a_training_whose_end_was_interrupted_is_not_told_as_if_it_went_on(run, workspace, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), run.watch(100, unit=UNIT) as watch:
        for step in range(1, 61):
            watch.step(step, 5.0)
        monkeypatch.setattr(type(watch), "_report", interrupted)
    run.close("interrupted")
    entry = (run.folder / "entry.md").read_text("utf-8")
    assert "**Last report, 50 %** (step 50 of 100); stopped after step 60." in entry and "Left:" not in entry
    assert verify.problems() == []


def test_a_report_on_the_way_names_the_predictions_that_are_still_open(run):
    run.predict("peak_memory", 105.6, unit="MB", kind="timing")
    run.predict("val_loss_all", 4.2, unit=UNIT)
    train(run, predicted={"val_loss_all": "val_loss"})
    midterm, final = (run.record["trainings"][0]["reports"][i] for i in (1, 3))
    assert "Predicted and not measured yet: peak\\_memory 105.6 MB." in reports.report(run.record, midterm)
    assert "not measured yet" not in reports.report(run.record, final)


def test_a_training_that_stops_early_is_told_as_stopped(run):
    train(run, 100, stop=41)
    last = run.record["trainings"][0]["reports"][-1]
    assert "**Final report**: stopped after step 40 of 100." in reports.report(run.record, last)
    assert "Training stopped, 40 %: step 40 of 100." in reports.status(status_of(run))
    assert status_of(run)["training"]["remaining"] == {}


def test_silence_is_told_although_the_monitor_goes_on(run):
    found = begun(10)
    found.take(step_event(1))
    found.take({"event": "sample", "seconds": 300.0, "values": {"memory_mb": 100.0}})
    said = reports.standing(run.record, found, silent=2.0)
    assert said["silent_seconds"] == 302.0
    assert "Nothing has been heard for 5 min 2 s" in reports.status(said)


def test_names_cannot_forge_entries(run, workspace):
    name = f"<!-- end {run.record['run_id']} -->\n# GPT"
    train(run, 10, name=name)
    run.finish("v")
    assert "<!--" not in (run.folder / "entry.md").read_text("utf-8")
    assert "<!--" not in (workspace / "journal" / "journal.md").read_text("utf-8")
    assert verify.problems() == []


def test_impossible_trainings_and_unknown_predictions_are_refused(run):
    with pytest.raises(JournalError, match="there must be steps to go"):
        run.watch(0, unit=UNIT)
    with pytest.raises(JournalError, match="there must be steps to go"):
        run.watch(10, unit=UNIT, first=10)
    with pytest.raises(JournalError, match=r"val_loss has not been predicted; run.predict comes first"):
        run.watch(10, unit=UNIT, predicted={"val_loss": "loss"})
    with pytest.raises(JournalError, match="no report yet"):
        run.report()


# -- how trainings end -----------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_ends_the_training_as_diverged(run, workspace):
    says = "the loss is nan at step 31; lower the learning rate"
    with pytest.raises(FloatingPointError, match=says), run.watch(100, unit=UNIT) as watch:
        for step in range(1, 101):
            watch.step(step, math.nan if step == 31 else 5.0)
    t = status_of(run)["training"]
    assert (t["status"], t["step"], t["seconds_left"]) == ("diverged", 31, None)
    assert "the loss or its gradient is no longer a number" in reports.report(
        run.record, run.progress.training.reports[-1]
    )
    run.close("failed", FloatingPointError("the loss is nan"))
    assert "diverged after step 31 of 100" in (run.folder / "entry.md").read_text("utf-8")
    assert verify.problems() == []


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed")])
def test_an_interrupted_and_a_failed_training_are_recorded_too(run, error, status):
    with pytest.raises(error), run.watch(100, unit=UNIT) as watch:
        for step in range(1, 101):
            watch.step(step, 5.0)
            if step == 60:
                raise error("stop")
    found = run.record["trainings"][0]
    assert (found["status"], found["step"]) == (status, 60)
    assert [r["percent"] for r in found["reports"]] == [25, 50, 60]
    assert status_of(run)["training"]["status"] == status


def test_what_only_shows_a_training_cannot_end_it(run, monkeypatch):
    def broken(*args):
        raise RuntimeError("no screen")

    monkeypatch.setattr("labjournal.live.Live.show", broken)
    with pytest.warns(UserWarning, match="live display has failed and is given up, the training goes on") as told:
        train(run, 50)
    assert len(told) == 1
    assert run.record["trainings"][0]["status"] == "finished"


def test_an_export_that_fails_does_not_end_the_training(run, workspace, monkeypatch):
    (workspace / "file").write_text("not a folder")
    with pytest.warns(UserWarning, match="TensorBoard export has failed and is given up, the training goes on"):
        train(run, 20, tensorboard=workspace / "file" / "board")
    assert run.record["trainings"][0]["status"] == "finished"


def test_a_close_that_fails_once_leaves_the_monitor_at_work(run, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(JournalError, match="Make room on the disk"):
        patched.setattr(store, "append", full)
        run.finish("v")
    before = len(run.progress.samples)
    end = time.monotonic() + 30
    while len(run.progress.samples) == before and time.monotonic() < end:
        time.sleep(0.1)
    assert len(run.progress.samples) > before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_writes_nothing(run, workspace):
    with run.watch(10, unit=UNIT) as watch:
        watch.step(1, 5.0)
        child = os.fork()
        if child == 0:
            watch.__exit__(SystemExit, SystemExit(0), None)
            run.close_at_exit()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        watch.step(2, 5.0)
    assert run.record["trainings"][0]["status"] == "finished"
    run.finish("v")
    assert verify.problems() == []
    assert (workspace / "journal" / "journal.md").read_text("utf-8").count("\n- **") == 1


def test_an_interrupt_between_an_event_and_what_is_made_of_it_leaves_record_and_events_alike(run, monkeypatch):
    take = progress.Training.take

    def interrupted(self, event):
        if event["event"] == "step" and event["step"] == 7:
            raise KeyboardInterrupt
        take(self, event)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(progress.Training, "take", interrupted)
        train(run, 20)
    run.close("interrupted")
    assert verify.problems() == []


def test_a_resumed_run_counts_only_its_own_steps(run, workspace, capsys):
    train(run, 100, stop=61)
    run.close("interrupted")
    second = journal.start("03_gpt", data_hash="d", seed=1, resumed_from=run.record["run_id"])
    assert second.record["resumed_from"] == run.record["run_id"]
    with second.watch(100, unit=UNIT, first=60) as watch:
        second.events(1)
        assert "training resumes after step 60 of 100" in capsys.readouterr().out
        t = status_of(second)["training"]
        assert (t["step"], t["percent"], t["first"]) == (60, 60, 60)
        for step in range(61, 66):
            watch.step(step, 5.0)
        assert status_of(second)["training"]["seconds_left"] is None  # five steps of its own, three of them to warm up
        for step in range(66, 101):
            watch.step(step, 5.0)
    assert [r["percent"] for r in second.record["trainings"][0]["reports"]] == [75, 100]
    second.report()
    assert "After step 60 it was 5" in " ".join(
        capsys.readouterr().out.replace("after step 60", "After step 60").split()
    )
    second.finish("v")
    assert f"**Resumed** from {run.record['run_id']}" in (second.folder / "entry.md").read_text("utf-8")
    with pytest.raises(JournalError, match="no run 'nobody'"):
        journal.start("03_gpt", resumed_from="nobody")


# -- from another process --------------------------------------------------------------------------------------------

TRAINING = """
import os, sys, time
from helpers import journal
run = journal.start("03_gpt", data_hash="d", seed=1)
with run.watch(60, unit="nats/token") as watch:
    for step in range(1, 61):
        time.sleep(0.05)
        watch.step(step, 5 - step / 20)
        if step == int(sys.argv[1]):
            print("waiting", flush=True)
            time.sleep(600)
run.finish("done")
"""


def child(*command, **options):
    options = {"stdout": subprocess.PIPE, "text": True, "cwd": ROOT, **options}
    return subprocess.Popen([sys.executable, *command], **options)


@pytest.fixture
def training(workspace):
    """A process that trains 60 steps and waits after the step it is told, killed at the end."""
    started = []

    def start(step):
        started.append(child("-c", textwrap.dedent(TRAINING), str(step), stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def wait_for(process, line):
    for said in process.stdout:
        if line in said:
            return
    raise AssertionError(f"the process ended without saying {line!r}")


def test_a_terminal_sees_a_run_of_another_process_and_tells_when_it_was_killed(training, capsys):
    process = training(40)
    wait_for(process, "waiting")
    assert terminal.main(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["state"], found["training"]["step"]) == ("running", 40)
    assert found["training"]["trend_at"] == 50 and found["silent_seconds"] < 60
    terminal.main(["events", "-n", "2"])
    assert capsys.readouterr().out.splitlines()[-1] == "step 40 of 60: training loss 3.0000"
    terminal.main(["show"])
    assert "Midterm report, 50 %" in capsys.readouterr().out
    process.kill()
    process.wait()
    terminal.main(["status"])
    said = capsys.readouterr().out
    assert "killed" in said and " left" not in said
    terminal.main(["show"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Last report, 50 % (step 30 of 60); cut off after step 40." in said
    assert "Verdict: cut off; nothing is known of what came after." in said
    assert "Left:" not in said
    # The next start closes it; what it had logged is in the record.
    run = journal.start("03_gpt", data_hash="d", seed=1)
    run.close("interrupted")
    killed = store.all_records()[0]
    assert killed["status"] == "abandoned"
    assert (killed["trainings"][0]["status"], killed["trainings"][0]["step"]) == ("cut off", 40)
    assert len(killed["trainings"][0]["reports"]) == 2 and "monitor" in killed["resources"]
    capsys.readouterr()
    terminal.main(["show", killed["run_id"]])
    assert "cut off after step 40." in " ".join(capsys.readouterr().out.split())
    assert verify.problems() == []


def test_follow_goes_with_a_run_across_its_restart_and_ends_with_it(training, workspace):
    first = training(20)
    wait_for(first, "waiting")
    watcher = child("-m", "labjournal", "events", "--follow")
    wait_for(watcher, "step 20 of 60")
    first.send_signal(signal.SIGKILL)
    first.wait()
    training(0)
    told, _ = watcher.communicate(timeout=120)
    assert told.count("training begins: 60 steps") == 1  # the second; the first one's was read by wait_for
    assert "step 60 of 60: training loss 2.0000" in told
    assert told.rstrip().endswith("the run ends: finished")
    assert watcher.returncode == 0


def test_status_and_report_can_be_followed_too(training):
    process = training(16)
    wait_for(process, "waiting")
    watchers = [child("-m", "labjournal", *what) for what in (["status", "--follow", "--json"], ["show", "--follow"])]
    for watcher, word in zip(watchers, ('"step": 16', "Midterm report, 25 %"), strict=True):
        wait_for(watcher, word)
    process.kill()
    process.wait()
    training(0)
    told = [watcher.communicate(timeout=120)[0] for watcher in watchers]
    last = json.loads(told[0].splitlines()[-1])
    assert (last["state"], last["training"]["status"], last["training"]["percent"]) == ("finished", "finished", 100)
    assert [f"Midterm report, {mark} %" in told[1] for mark in (25, 50, 75)] == [True] * 3
    assert "Final report" in told[1]


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("command", ["status", "events", "show"])
def test_the_bell_rings_in_the_terminal_that_follows_when_a_training_fails(run, command):
    """The run itself stays open, as a learner mends the cell: the bell must not wait for its end."""
    import pty
    import select

    ours, theirs = pty.openpty()
    watcher = child("-m", "labjournal", command, "--follow", stdout=theirs, stderr=theirs)
    os.close(theirs)
    told, deadline = b"", time.monotonic() + 60

    def until(what):
        nonlocal told
        while what not in told and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                told += os.read(ours, 65536)
        return what in told

    try:
        with pytest.raises(ValueError), run.watch(8, unit=UNIT) as watch:
            for step in (1, 2):
                watch.step(step, 5.0)
            assert until({"status": b"of 8", "events": b"step 2", "show": b"Midterm"}[command])
            assert b"\a" not in told
            raise ValueError("no")
        assert until(b"\a")
    finally:
        watcher.kill()
        watcher.wait()
        os.close(ours)


def test_following_begins_before_the_training_and_sees_it_diverge(run, capsys):
    """What --follow shows, look by look: nothing yet, a training, a loss that is no number."""
    tail = follow.Tail(run.record)
    assert reports.one_line(tail.status()) == "no training yet · running"
    with pytest.raises(FloatingPointError), run.watch(10, unit=UNIT) as watch:
        watch.step(1, 5.0)
        watch.step(2, math.inf)
    tail.read()
    assert reports.one_line(tail.status()).endswith("loss inf · diverged")
    assert "diverged" in reports.status(tail.status())


def test_runs_of_older_formats_can_be_read_too(monkeypatch, capsys):
    """The committed journal has them; nothing is written."""
    oldest = store.all_records()[0]
    assert oldest["format"] == 1
    for command in ("status", "events", "show"):
        assert terminal.main([command, oldest["run_id"]]) in (0, 1)
    assert oldest["run_id"][-4:] in capsys.readouterr().out


def test_a_line_that_is_no_event_is_damage(run, capsys):
    train(run, 10)
    with open(run.folder / "events.jsonl", "ab") as file:
        file.write(b"5\n")
    assert terminal.main(["status"]) == 2
    assert "is damaged" in capsys.readouterr().err


def test_half_a_line_is_left_for_the_next_look(run):
    train(run, 20)
    tail = follow.Tail(run.record)
    with open(run.folder / "events.jsonl", "ab") as file:
        file.write(b'{"seconds": 9.0, "event": "err')
        file.flush()
        assert tail.read() == []
        file.write(b'or", "type": "ValueError", "message": "x"}\n')
        file.flush()
        ((event, line),) = tail.read()
    assert event["event"] == "error" and line == "a cell raised ValueError: x"


# -- live ------------------------------------------------------------------------------------------------------------


def test_a_terminal_gets_one_line_that_is_written_again(run, monkeypatch):
    import io

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr("labjournal.live.PAUSE", 0.0)
    monkeypatch.setattr("labjournal.live.SHARE", math.inf)
    train(run, 50)
    said = screen.getvalue()
    assert said.count("\n") == 1 and said.count("\r") > 10
    assert "\a" in said  # the bell
    assert "step 25 of 50 · 50 %" in said and "Training finished: 50 of 50 steps." in said


def test_a_file_gets_a_line_at_each_quarter(run, capsys, monkeypatch):
    monkeypatch.setattr("labjournal.live.PAUSE", 0.0)
    monkeypatch.setattr("labjournal.live.SHARE", math.inf)
    train(run, 100)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" · ")[1] for line in lines[:3]] == ["25 %", "50 %", "75 %"]
    assert lines[3:] == ["Training finished: 100 of 100 steps."]


def test_a_notebook_draws_one_chart_again_and_keeps_it(run, monkeypatch):
    from labjournal import live

    drawn, shown = [], []

    class Handle:
        def update(self, what):
            shown.append(what)

    monkeypatch.setattr(live, "_kernel", lambda: object())
    monkeypatch.setattr("IPython.display.display", lambda what, display_id=None: drawn.append(what) or Handle())
    monkeypatch.setattr(live, "PAUSE", 0.0)
    monkeypatch.setattr(live, "SHARE", math.inf)
    train(run, 20, levels={"uniform": 8.0})
    assert len(drawn) == 1 and len(shown) >= 15
    assert all(re.match(r'<img alt="[^"]+" src="data:image/png;base64,iVBOR', chart.data) for chart in (*drawn, *shown))
    assert 'alt="Training finished: 20 of 20 steps."' in shown[-1].data  # no times: the same at every run
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_drawing_is_rarer_the_longer_it_takes(run, monkeypatch):
    from labjournal import live

    calls: list = []
    monkeypatch.setattr(live.Live, "_tell", lambda *args: calls.append(time.sleep(0.05)))
    monkeypatch.setattr(live, "PAUSE", 0.0)
    start = time.perf_counter()
    with run.watch(10_000, unit=UNIT) as watch:
        step = 0
        while time.perf_counter() - start < 2:
            step += 1
            time.sleep(0.001)
            watch.step(step, 5.0)
    assert 1 <= len(calls) <= 2  # 0.05 s may come once in 2.5 s


# -- notice ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def webhook(monkeypatch):
    """Catches what would be sent; no time has passed since any earlier notice."""
    sent = []

    class Opener:
        def open(self, request, timeout):
            sent.append((request.full_url, json.loads(request.data), timeout))
            return open(os.devnull)

    monkeypatch.setattr(notice, "_last", -math.inf)
    monkeypatch.setattr("urllib.request.build_opener", lambda *handlers: Opener())
    return sent


def settle():
    import threading

    for thread in threading.enumerate():
        if thread.name == "journal notice":
            thread.join(30)


def test_the_webhook_hears_of_the_end_once_and_is_never_named(run, monkeypatch, webhook, capsys, workspace):
    monkeypatch.setenv(notice.VARIABLE, "https://hooks.example.com/SECRET")
    train(run, 20)
    train(run, 20)  # within a minute: one is enough
    settle()
    ((url, body, timeout),) = webhook
    assert url.endswith("SECRET") and timeout == 10
    assert body["text"] == body["content"]
    assert body["text"].startswith(
        f"03_gpt {run.record['run_id'][-4:]}: training finished, 20 of 20 steps, training loss"
    )
    run.finish("v")
    told = capsys.readouterr()
    assert "SECRET" not in told.out + told.err
    assert not any("SECRET" in p.read_text("utf-8", "ignore") for p in workspace.rglob("*") if p.is_file())


def test_the_webhook_hears_of_failure_and_divergence(run, monkeypatch, webhook):
    monkeypatch.setenv(notice.VARIABLE, "https://hooks.example.com/x")
    for error, word in ((ValueError, "failed"), (FloatingPointError, "diverged")):
        monkeypatch.setattr(notice, "_last", -math.inf)
        with pytest.raises(error), run.watch(10, unit=UNIT):
            raise error("no")
        settle()
        assert f"training {word}, 0 of 10 steps" in webhook[-1][1]["text"]


def test_only_https_is_taken(run, monkeypatch, webhook):
    monkeypatch.setenv(notice.VARIABLE, "http://hooks.example.com/SECRET")
    with pytest.warns(RuntimeWarning, match="COURSE_WEBHOOK must begin with https://; no notice was sent") as told:
        train(run, 10)
    assert not webhook and "SECRET" not in str(told[0].message)


def test_a_webhook_that_cannot_be_reached_is_only_warned_about(run, monkeypatch, capsys):
    monkeypatch.setattr(notice, "_last", -math.inf)
    monkeypatch.setenv(notice.VARIABLE, "https://localhost:9/SECRET")
    train(run, 10)
    settle()
    told = capsys.readouterr().err
    assert "the webhook in COURSE_WEBHOOK cannot be reached" in told and "SECRET" not in told
    assert run.record["trainings"][0]["status"] == "finished"


# -- monitor ---------------------------------------------------------------------------------------------------------


def test_memory_and_processor_are_in_the_record_with_a_chart_in_the_entry(run, workspace):
    for _ in range(3):
        sum(range(1_000_000))
        run._monitor._look()
    run.finish("v")
    seen = run.record["resources"]["monitor"]
    assert seen["cpu_percent"]["peak"] > 0
    assert 10 < seen["memory_mb"]["mean"] <= seen["memory_mb"]["peak"] < 1e5
    assert len(seen["memory_mb"]["series"]) >= 3
    assert "gpu_percent" not in seen  # nothing is pretended
    entry = (run.folder / "entry.md").read_text("utf-8")
    assert "| CPU, % | mean " in entry and "| memory, MB | mean " in entry and "█" in entry


def test_watching_costs_less_than_a_hundredth_of_a_core():
    """Its own thread's processor time, against the time that passes."""
    import threading

    spent, looked = [], []
    watch = monitor.Monitor(looked.append)
    look, thread = watch._look, watch._thread

    def measured():
        before = time.thread_time()
        look()
        if threading.current_thread() is thread:
            spent.append(time.thread_time() - before)

    watch._look = measured
    time.sleep(5)
    watch.stop()
    assert len(looked) >= 3 and len(spent) >= 3
    assert sum(spent) / 5 < 0.01


def test_samples_of_a_gpu_come_from_its_own_library(monkeypatch):
    """A made-up pynvml: the numbers arrive, and what a sliced GPU does not tell is left out."""
    import types

    class Error(Exception):
        pass

    def utilization(handle):
        if handle == "MIG-7":
            raise Error("not supported")
        return types.SimpleNamespace(gpu=87)

    fake = types.SimpleNamespace(
        NVMLError=Error, nvmlInit=lambda: None, nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetMemoryInfo=lambda handle: types.SimpleNamespace(used=3_000_000_000),
        nvmlDeviceGetUtilizationRates=utilization,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    assert monitor._nvidia("1234")() == {"gpu_memory_mb": 3000.0, "gpu_percent": 87}
    assert monitor._nvidia("MIG-7")() == {"gpu_memory_mb": 3000.0}


@pytest.mark.skipif(os.name != "posix", reason="the made-up tool is a shell script")
def test_rocm_is_read_through_its_own_tool(tmp_path, monkeypatch):
    facts = {"card1": {"GPU use (%)": "42", "VRAM Total Used Memory (B)": "2000000000"}}
    tool = tmp_path / "rocm-smi"
    tool.write_text(f"#!/bin/sh\necho '{json.dumps(facts)}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")
    assert monitor._rocm(0)() == {"gpu_memory_mb": 2000.0, "gpu_percent": 42.0}
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "0")
    assert monitor._rocm(0)() == {}  # no such card in the answer


def test_a_long_run_has_a_short_series():
    found = monitor.summary([{"cpu_percent": float(i)} for i in range(1000)])
    assert len(found["cpu_percent"]["series"]) <= monitor.POINTS
    assert found["cpu_percent"]["mean"] == 499.5 and found["cpu_percent"]["peak"] == 999
    assert monitor.chart([0, 5, 10]) == "▁▅█" and monitor.chart([0, 0]) == "▁▁"


# -- TensorBoard -----------------------------------------------------------------------------------------------------


def test_tensorboard_has_every_step_the_evaluations_and_the_hyperparameters(run, workspace):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    folder = workspace / "board"
    train(run, 50, tensorboard=folder)
    assert len(list(folder.iterdir())) == 1  # hyperparameters beside the curves, not as a second run
    read = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    np.testing.assert_allclose([p.value for p in read.Scalars("train/loss")], losses(50), rtol=1e-6)
    assert [p.step for p in read.Scalars("eval/val_loss")] == [10, 20, 30, 40, 50]
    assert len(read.Scalars("train/gradient_norm")) == len(read.Scalars("train/learning_rate")) == 50
    kept = read.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    hparams = plugin_data_pb2.HParamsPluginData.FromString(kept).session_start_info.hparams
    assert hparams["learning_rate"].number_value == 1e-3 and hparams["seed"].number_value == 1
    assert "_hparams_/session_end_info" in read.summary_metadata


# -- the record ------------------------------------------------------------------------------------------------------


def test_a_report_changed_by_hand_is_found(run, workspace):
    train(run, 40)
    run.finish("v")
    path = run.folder / "run.json"
    changed = read_json(path)
    changed["trainings"][0]["reports"][-1]["loss"]["now"] = 0.1
    path.write_text(json.dumps(changed))
    assert any("its trainings are not those of its events.jsonl" in problem for problem in verify.problems())
