"""One Optuna study, several processes, any of which may be killed: what Optuna leaves open then.

    python -m helpers.search FILE STORAGE NAME --trials 24     one worker; start as many as there are cores

FILE is Python with a function ``objective(trial)`` and, if wanted, a ``sampler(seed)`` and a ``pruner``. STORAGE is a
file to which trials are appended, or the URL of a database.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import runpy
import socket
import sys
import tempfile
import warnings
from pathlib import Path

import psutil
from filelock import FileLock

with warnings.catch_warnings(action="ignore"):  # of widgets for progress bars, which are not drawn
    import optuna
    from optuna.trial import TrialState

from labjournal import say

optuna.logging.set_verbosity(optuna.logging.WARNING)


class SearchError(Exception):
    """A study that cannot be used or does not get on; the message says what to do."""


def open_study(place: str, name: str, purpose: str = "", **settings) -> optuna.Study:
    """Create a study, or go on with the one of this name; `settings` are Optuna's sampler and pruner.

    Args:
        place: a file, or the URL of a database.
        purpose: what is searched, on which data: a study of this name that was made for something else is refused.

    Raises:
        SearchError: the storage cannot be used, or its study has another purpose, or looks for a maximum.
    """
    try:
        study = optuna.create_study(storage=_storage(place), study_name=name, load_if_exists=True, **settings)
    except Exception as error:  # no folder, no rights, no driver, no server, a file that is no study's
        raise SearchError(f"{place} cannot hold a study ({error}); name another file or URL") from error
    found, wanted = (study.direction.name, study.user_attrs.get("purpose", purpose)), ("MINIMIZE", purpose)
    if found != wanted:
        raise SearchError(f"{place} has another study {name!r}: {found}, not {wanted}; choose a new name")
    study.set_user_attr("purpose", purpose)
    return study


def _storage(place):
    if "://" in str(place):
        return optuna.storages.RDBStorage(place)
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(place)  # Optuna's own would outlive a killed worker by half a minute
    with lock, open(place, "a+b") as file:  # a worker that was killed while it wrote leaves half a line
        file.truncate(Path(place).read_bytes().rfind(b"\n") + 1)
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(place), lock_obj=lock))


def _lock(place) -> FileLock:
    """Workers on this machine take turns: beside the file, or for a database by its URL. It ends with its process."""
    if "://" in str(place):
        place = Path(tempfile.gettempdir(), f"study-{hashlib.sha256(place.encode()).hexdigest()[:16]}")
    return FileLock(f"{place}.lock", is_singleton=True)


def work(study: optuna.Study, place: str, objective, trials: int) -> None:
    """Make trials until all workers together have `trials` that did not fail.

    A trial fails where its worker was killed or stopped, where the objective raises, and where its value is no finite
    number (Optuna takes infinity for one). The others go on.

    Raises:
        ValueError: `trials` is below 1.
        SearchError: more trials failed than were wanted.
    """
    if trials < 1:
        raise ValueError(f"trials is {trials}; it must be at least 1")
    while True:
        with _lock(place):  # count and ask in one turn: two workers must not both make the last trial
            bury(study)
            made = study.get_trials(deepcopy=False)
            failed = [t for t in made if t.state is TrialState.FAIL]
            if len(made) - len(failed) >= trials:
                return
            if len(failed) > max(trials, 10):
                last = failed[-1].user_attrs.get("error", "its worker was killed")
                raise SearchError(f"{len(failed)} trials failed; the last: {last}")
            trial = study.ask()
            trial.set_user_attr("worker", _name())
        value, state, error = None, TrialState.FAIL, "stopped"
        try:
            value = float(objective(trial))
            state, error = (TrialState.COMPLETE, "") if math.isfinite(value) else (state, f"the value is {value}")
        except optuna.TrialPruned:
            state, error = TrialState.PRUNED, ""
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
        finally:  # Ctrl-C, too
            trial.set_user_attr("error", error)
            study.tell(trial.number, value if state is TrialState.COMPLETE else None, state)
        best = [t.value for t in study.get_trials(deepcopy=False) if t.state is TrialState.COMPLETE]
        best = f", best so far {min(best):.4f}" if best else ""
        print(f"trial {trial.number}: {error or state.name.lower()}{best}", flush=True)


def bury(study: optuna.Study) -> None:
    """Trials whose worker, a process of this machine, is gone count as failed from now on."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        worker = trial.user_attrs.get("worker", f"{socket.gethostname()} 0 0")
        host, pid, _ = worker.rsplit(" ", 2)
        if host == socket.gethostname() and worker != _name(int(pid)):
            study.tell(trial.number, state=TrialState.FAIL)


def _name(pid: int | None = None) -> str:
    """Machine, process and when it began: a process id alone may have been given to another since."""
    try:
        return f"{socket.gethostname()} {(process := psutil.Process(pid)).pid} {process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m helpers.search", description=__doc__.splitlines()[0])
    for name in ("file", "storage", "name"):
        parser.add_argument(name)
    parser.add_argument("--trials", type=int, required=True, help="that all workers together make")
    parser.add_argument("--rank", type=int, default=0, help="of this worker: equal samplers would draw equal points")
    given = parser.parse_args(arguments)
    try:
        code = runpy.run_path(given.file)
        chosen = {"sampler": code["sampler"](given.rank) if "sampler" in code else None, "pruner": code.get("pruner")}
        study = open_study(given.storage, given.name, code.get("purpose", ""), **chosen)
        work(study, given.storage, code["objective"], given.trials)
    except (OSError, KeyError, SearchError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on with the study", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    say.go_on()
    sys.exit(main(sys.argv[1:]))
