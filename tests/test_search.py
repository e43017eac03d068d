"""One study, several workers: killed ones, damaged files, failing trials, and studies that are not the one meant."""

import os
import signal
import subprocess
import sys
import time

import optuna
import pytest
from optuna.trial import TrialState

from helpers import paths, search

OBJECTIVE = """
import os, pathlib, time
import optuna
purpose = "a parabola"

def sampler(rank):
    return optuna.samplers.RandomSampler(seed=rank)

def objective(trial):
    x = trial.suggest_float("x", -1, 1)
    if os.environ.get("HANG"):
        time.sleep(600)
    if "TOGETHER" in os.environ:  # no worker may make all trials while another is still starting
        here = pathlib.Path(os.environ["TOGETHER"])
        (here / f"here-{os.getpid()}").touch()
        while len(list(here.glob("here-*"))) < 3:
            time.sleep(0.02)
    time.sleep(0.02)
    return x * x
"""


def worker(folder, storage, rank=0, trials=24, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "helpers.search", str(folder / "trial.py"), str(storage), "study",
         "--trials", str(trials), "--rank", str(rank)],
        cwd=paths.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "trial.py").write_text(OBJECTIVE)
    return tmp_path


def wait_for_a_trial(storage):
    for _ in range(600):
        if storage.is_file() and b"worker" in storage.read_bytes():
            return
        time.sleep(0.1)
    raise AssertionError("no trial began within a minute")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_four_workers_of_which_one_is_killed_make_just_as_many_trials_as_were_wanted(folder):
    storage = folder / "study.log"
    lost = worker(folder, storage, rank=9, HANG="1")
    wait_for_a_trial(storage)
    lost.send_signal(signal.SIGKILL)
    lost.communicate()
    with open(storage, "ab") as file:
        file.write(b'{"op_code":5,"worker_id":"half a li')  # what a kill in the middle of a write leaves
    workers = [worker(folder, storage, rank, TOGETHER=str(folder)) for rank in range(3)]
    told = [one.communicate(timeout=120) for one in workers]
    assert [one.returncode for one in workers] == [0, 0, 0], told
    trials = search.open_study(str(storage), "study", "a parabola").trials
    states = [t.state for t in trials]
    assert states.count(TrialState.COMPLETE) == 24 and states.count(TrialState.FAIL) == 1 and len(states) == 25
    complete = [t for t in trials if t.state is TrialState.COMPLETE]
    assert len({t.params["x"] for t in complete}) == 24  # samplers of other ranks draw other points
    assert len({t.user_attrs["worker"] for t in complete}) == 3
    assert all("best so far" in out for out, _ in told)
    again = worker(folder, storage)
    again.communicate(timeout=60)
    assert again.returncode == 0 and len(search.open_study(str(storage), "study", "a parabola").trials) == 25


def test_a_trial_that_fails_is_one_that_failed_and_the_search_goes_on(tmp_path, capsys):
    place = str(tmp_path / "study.log")
    values = iter([float("nan"), float("inf"), None, "raise", 2.0, -float("inf"), "prune", 1.0])

    def objective(trial):
        value = next(values)
        if value == "raise":
            raise ZeroDivisionError("by zero")
        if value == "prune":
            trial.report(5.0, 1)
            raise optuna.TrialPruned
        return value

    study = search.open_study(place, "study")
    search.work(study, place, objective, trials=3)
    states = [t.state.name for t in study.trials]
    assert states == ["FAIL", "FAIL", "FAIL", "FAIL", "COMPLETE", "FAIL", "PRUNED", "COMPLETE"]
    assert study.best_value == 1.0
    assert study.trials[3].user_attrs["error"] == "ZeroDivisionError: by zero"
    assert "trial 1: the value is inf" in capsys.readouterr().out


def test_where_every_trial_fails_the_search_says_why(tmp_path):
    place = str(tmp_path / "study.log")
    study = search.open_study(place, "study")
    with pytest.raises(search.SearchError, match=r"11 trials failed; the last: ValueError: The `choices` must contain"):
        search.work(study, place, lambda trial: trial.suggest_categorical("x", []), trials=5)


def test_ctrl_c_leaves_no_trial_running_and_the_study_goes_on(tmp_path):
    place = str(tmp_path / "study.log")
    study = search.open_study(place, "study")

    def stopped(trial):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.work(study, place, stopped, trials=2)
    assert [t.state.name for t in study.trials] == ["FAIL"]
    search.work(study, place, lambda trial: trial.suggest_float("x", 0, 1), trials=2)
    assert [t.state.name for t in study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]


def test_a_trial_of_another_machine_is_left_alone(tmp_path):
    study = search.open_study(str(tmp_path / "study.log"), "study")
    study.ask().set_user_attr("worker", "another.machine 1 0")
    study.ask().set_user_attr("worker", search._name())
    study.ask()  # its worker was killed before it could say its name
    search.bury(study)
    assert [trial.state.name for trial in study.trials] == ["RUNNING", "RUNNING", "FAIL"]


@pytest.mark.parametrize("kind", ["file", "database"])
def test_a_study_of_this_name_that_is_another_one_is_refused(tmp_path, kind):
    place = str(tmp_path / "study.log") if kind == "file" else f"sqlite:///{tmp_path}/study.db"
    study = search.open_study(place, "study", "some data")
    search.work(study, place, lambda trial: trial.suggest_float("x", 0, 1), trials=1)
    assert len(search.open_study(place, "study", "some data").trials) == 1
    with pytest.raises(search.SearchError, match="choose a new name"):
        search.open_study(place, "study", "other data")
    optuna.create_study(storage=search._storage(place), study_name="upwards", direction="maximize")
    with pytest.raises(search.SearchError, match=r"MAXIMIZE.*choose a new name"):
        search.open_study(place, "upwards", "some data")
    assert search.open_study(place, "another", "other data").trials == []


@pytest.mark.parametrize("place", ["{}", "{}/trial.py", "{}/trial.py/study.log", "nosuch://host/study",
                                   "sqlite:///{}/no/such/folder/study.db"])  # fmt: skip
def test_a_storage_that_cannot_be_used_is_named(folder, place):
    place = place.format(folder)
    with pytest.raises(search.SearchError, match="cannot hold a study"):
        search.open_study(place, "study")
    assert (folder / "trial.py").read_text() == OBJECTIVE  # not cut as if its last line were torn


@pytest.mark.parametrize("trials", [0, -3])
def test_no_trials_are_refused(folder, trials):
    done = worker(folder, folder / "study.log", trials=trials)
    assert f"error: trials is {trials}; it must be at least 1" in done.communicate(timeout=60)[1]
    assert done.returncode == 2


def test_a_file_without_an_objective_is_refused(folder):
    (folder / "trial.py").write_text("purpose = 'none'\n")
    done = worker(folder, folder / "study.log")
    told = done.communicate(timeout=60)[1]
    assert done.returncode == 2 and "error: 'objective'" in told and "Traceback" not in told
