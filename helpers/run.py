"""Run the notebooks in order, each in a fresh kernel.

    python -m helpers.run                     all of them, laptop profile; skips what is unchanged
    python -m helpers.run --only 03           one notebook
    python -m helpers.run --from 02 --force   from one on, unchanged or not
    python -m helpers.run --reproduce images/03_loss.png   make one figure again and say whether it is the same

Executed copies go to artifacts/notebooks/; the committed notebooks are left alone unless --in-place says otherwise.
--reproduce leaves journal/ and images/ alone, too: it works in artifacts/reproduce/, or where LAB_WORKSPACE= says.
Exit status: 0 when every chosen notebook ran or was unchanged, 1 when one failed or a figure is not the same, 2 for bad
usage, 130 after Ctrl-C, SIGTERM or SIGHUP. What a script puts into the background is deaf to Ctrl-C: there SIGTERM
ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from labjournal import follow, pages, provenance, say, store
from labjournal.markdown import spelled_out
from labjournal.run import BECAUSE, IN_PLACE

from . import course, hardware, journal, paths, profile, reproduce, sources
from .execution import Execution

LOOK = 15.0  # seconds between two looks at a training


def main(arguments: list[str] | None = None) -> int:
    try:
        options = _options(arguments)
        os.environ["PROFILE"] = profile.load(options.profile).name
        if options.reproduce:
            return _reproduce(options)
        _because(options)
        return Runner(_chosen(options), options).run()
    except (ValueError, sources.SourceError, paths.MissingArtifact) as error:
        print(spelled_out(f"error: {error}"), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; nothing half-made was kept, start again to go on", file=sys.stderr)
        return 130


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m helpers.run", description="Run the course's notebooks in order.")
    parser.add_argument("--profile", help=f"one of {', '.join(profile.PROFILES)} (default: PROFILE, else laptop)")
    parser.add_argument("--from", dest="first", metavar="NN", help="start with this notebook")
    parser.add_argument("--only", metavar="NN", help="run this notebook alone")
    parser.add_argument("--force", action="store_true", help="run unchanged notebooks too")
    parser.add_argument("--reproduce", metavar="PNG", help="make this figure again and compare it with the reference")
    parser.add_argument(
        "--in-place", action="store_true", help="for maintainers: write the executed notebooks over notebooks/"
    )
    parser.add_argument(
        "--because", metavar="WHY", help="with --in-place: why a run that is not like the reference takes its place"
    )
    return parser.parse_args(arguments)


def _because(options: argparse.Namespace) -> None:
    if options.because and not options.in_place:
        raise ValueError('--because goes with --in-place; in a notebook, say journal.start(…, reason="…")')
    os.environ[BECAUSE] = (options.because or "").strip()


def _chosen(options: argparse.Namespace) -> list[course.Notebook]:
    if options.only and options.first:
        raise ValueError("--only and --from exclude each other")
    if options.only:
        return [course.notebook(options.only)]
    notebooks = list(course.NOTEBOOKS)
    return notebooks[notebooks.index(course.notebook(options.first)) :] if options.first else notebooks


def _reproduce(options: argparse.Namespace) -> int:
    if options.only or options.first:
        raise ValueError("--reproduce chooses the notebooks itself: leave out --only and --from")
    profile_name, home = os.environ["PROFILE"], paths.artifacts("reproduce")
    name, notebook = reproduce.source(options.reproduce, profile_name)
    reference, chain = store.reference(notebook.name, profile_name), reproduce.chain(notebook)
    if not (options.in_place or os.environ.get("LAB_WORKSPACE")):
        _apart(home, chain[:-1])
    if Runner(chain, options, force=(notebook,)).run() != 0:
        return 1
    record = store.latest(notebook.name, profile_name)
    same, told = reproduce.verdict(name, record, reference)
    say.put(f"\n{name}: {told}")
    if name in record["figures"]:
        say.put(f"picture: {paths.shown(reproduce.both(name, record, reference, home / f'{name}.png'))}")
    return 0 if same else 1


def _apart(home: Path, needed: list[course.Notebook]) -> None:
    """Go on in the workspace `home`, with what the notebooks in `needed` have made here, where that is up to date."""
    for notebook in needed:
        if unchanged(notebook, inputs_hash(notebook, os.environ["PROFILE"])):
            for name in (*notebook.makes, f"notebooks/{notebook.name}.ipynb", f"notebooks/{notebook.name}.json"):
                here, there = paths.artifacts(name), home / "artifacts" / name
                there.parent.mkdir(parents=True, exist_ok=True)
                if here.is_dir():
                    shutil.rmtree(there, ignore_errors=True)
                (shutil.copytree if here.is_dir() else shutil.copy)(here, there)
    os.environ["LAB_WORKSPACE"] = str(home)


class Runner:
    """Runs `notebooks` in order; those in `force` also when they are unchanged."""

    def __init__(self, notebooks: list[course.Notebook], options: argparse.Namespace, force=()):
        self.notebooks = notebooks
        self.options = options
        self.force = notebooks if options.force else force
        self.profile = os.environ["PROFILE"]
        self.rows: list[tuple] = []  # notebook, predicted seconds, measured seconds, result
        self.peak_mb = 0.0
        self.line = Line()
        self._look, self._ends = 0.0, None  # when a training is looked at again, and when it says it ends

    def run(self) -> int:
        started, failed = time.perf_counter(), False
        for name in sorted({name for notebook in self.notebooks for name in notebook.sources}):
            sources.fetch(name)
        for position, notebook in enumerate(self.notebooks, 1):
            if not failed:
                failed = not self._one(notebook, position)
            else:
                self.rows.append(
                    (notebook.name, journal.predicted_seconds(notebook.name, self.profile), None, "not run")
                )
        self._report(time.perf_counter() - started, failed)
        return 1 if failed else 0

    def _one(self, notebook: course.Notebook, position: int) -> bool:
        predicted = journal.predicted_seconds(notebook.name, self.profile)
        if self.options.in_place and (why := self._unexplained(notebook)):
            self.rows.append((notebook.name, predicted, None, "not run"))
            print(why, file=sys.stderr)
            return False
        current = inputs_hash(notebook, self.profile)
        if notebook not in self.force and not os.environ.get(BECAUSE) and unchanged(notebook, current):
            self.rows.append((notebook.name, predicted, None, "unchanged, skipped"))
            say.put(f"{notebook.name}: unchanged since its last run in this profile, skipped (--force runs it again)")
            return True
        before = (store.latest(notebook.name, self.profile) or {"run_id": None})["run_id"]
        execution = Execution(notebook, self.profile, self.options.in_place)
        seconds = self._watch(execution, position, predicted)
        copy = paths.artifacts("notebooks", f"{notebook.name}.ipynb")
        paths.write_atomic(copy, execution.text())
        if execution.error is not None:
            self._close_failed(notebook, execution)
            self.rows.append((notebook.name, predicted, seconds, "failed"))
            print(spelled_out(execution.explain(copy)), file=sys.stderr)
            return False
        self.rows.append((notebook.name, predicted, seconds, "ran"))
        if self.options.in_place and not self._in_place(notebook, execution, before, copy):
            self.rows[-1] = (*self.rows[-1][:3], "not the reference")
            return False
        stamp = {"fingerprint": current, "profile": self.profile, "seconds": round(seconds, 1)}
        paths.write_json(copy.with_suffix(".json"), stamp)
        return True

    def _in_place(self, notebook: course.Notebook, execution: Execution, before: str | None, copy: Path) -> bool:
        """Put an executed notebook and its run in the place of the former ones, if they may take it."""
        finished = store.latest(notebook.name, self.profile)
        if finished is None or finished["run_id"] == before:
            raise ValueError(f"{notebook.name} ran but left no finished record; its last cell calls run.finish")
        if why := store.not_the_reference(finished):
            print(f"{why}; its executed copy is {paths.shown(copy)}", file=sys.stderr)
            return False
        paths.write_atomic(notebook.path, execution.text())
        store.set_reference(notebook.name, self.profile, finished["run_id"])
        pages.refresh()
        return True

    def _unexplained(self, notebook: course.Notebook) -> str:
        """What is known to be missing before minutes are spent on it: the reason for changed cells."""
        known = store.reference(notebook.name, self.profile)
        same = known is None or known.get("cells_hash") == provenance.cells_hash(notebook.path)
        if same or os.environ.get(BECAUSE):
            return ""
        return f"{notebook.name}: its cells are not those of its reference {known['run_id']}; {store.SAY_WHY}"

    def _watch(self, execution: Execution, position: int, predicted: float | None) -> float:
        """Start the execution, show where it is, and wait for it; Ctrl-C interrupts the kernel first."""
        started = time.perf_counter()
        later = [journal.predicted_seconds(n.name, self.profile) for n in self.notebooks[position:]]
        trained, expected = until_trained(execution.notebook.name, self.profile), predicted
        execution.start()
        try:
            while not execution.done.wait(0.5):
                self.peak_mb = max(self.peak_mb, tree_memory_mb())
                elapsed = time.perf_counter() - started
                if (training := self._training(execution)) is not None:  # it knows better than the prediction
                    expected = (elapsed + training) / trained
                left = time_left(elapsed, expected, later, self._slower(predicted, max(elapsed, expected or 0)))
                self.line.show(
                    f"notebook {position} of {len(self.notebooks)} ({execution.notebook.name}), "
                    f"cell {execution.cell} of {execution.cells}, {elapsed:.0f} s, {left}"
                )
        except KeyboardInterrupt:
            execution.interrupt()
            self._close_failed(execution.notebook, execution, status="interrupted")
            raise
        finally:
            self.line.clear()
        seconds = time.perf_counter() - started
        say.put(f"{execution.notebook.name}: {'failed after' if execution.error else 'ran in'} {seconds:.0f} s")
        return seconds

    def _slower(self, predicted: float | None, seconds: float) -> float:
        """How many times as long as predicted the notebooks take today, with one that is expected to take `seconds`."""
        known = [row[1:3] for row in [*self.rows, ("", predicted, seconds)] if row[1] and row[2]]
        return sum(took for _, took in known) / sum(thought for thought, _ in known) if known else 1.0

    def _training(self, execution: Execution) -> float | None:
        """The seconds that the notebook's training says are left, looked at now and then; None outside a training."""
        if time.monotonic() >= self._look:
            self._look = time.monotonic() + LOOK
            self._ends = None
            with contextlib.suppress(ValueError, OSError):  # it is being written; the next look will do
                made = sorted(paths.journal_dir().glob(f"runs/*-{execution.notebook.name}-*"))
                record = store.read(made[-1] / "run.json") if made else {"status": ""}
                training = follow.Tail(record).progress.training if record["status"] == "running" else None
                left = training.seconds_left() if training else None
                self._ends = left and time.monotonic() + sum(left) / 2
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    def _close_failed(self, notebook: course.Notebook, execution: Execution, status: str = "failed") -> None:
        """The kernel closes its own run when it exits; if it could not (killed), do it here."""
        journal.close_gone(notebook.name, status, execution.error)

    def _report(self, seconds: float, failed: bool) -> None:
        def cell(value):
            return "–" if value is None else f"{value:.0f}"

        width = max(len(row[0]) for row in self.rows)
        say.put(f"\n{'notebook':{width}}  predicted s  measured s  result")
        for name, predicted, measured, result in self.rows:
            say.put(f"{name:{width}}  {cell(predicted):>11}  {cell(measured):>10}  {result}")
        if not failed and [row[0] for row in self.rows if row[3] == "ran"] == [n.name for n in course.NOTEBOOKS]:
            self._record_course(seconds)
        print(
            f"\nnotebooks: {paths.shown(paths.artifacts('notebooks'))}/\n"
            f"journal:   {paths.shown(paths.journal_dir() / 'README.md')}\n"
            f"images:    {paths.shown(paths.images_dir())}/"
        )

    def _record_course(self, seconds: float) -> None:
        """When every notebook ran in one go, the journal gets an entry for the whole."""
        os.environ[IN_PLACE] = "1" if self.options.in_place else ""
        run = journal.start("course", config={"notebooks": [row[0] for row in self.rows]})
        predicted = [row[1] for row in self.rows]
        if None not in predicted:
            run.predict("run_seconds", sum(predicted), unit="s", kind="timing")
        run.log(run_seconds=seconds, unit="s", kind="timing")
        for name, _, measured, _ in self.rows:
            run.log(**{f"seconds_{name}": measured}, unit="s", kind="timing")
        run.log(peak_memory=self.peak_mb, unit="MB", kind="timing")
        setup = Path(sys.prefix) / "setup.json"  # left by the Makefile
        if setup.is_file():
            run.log(setup_seconds=paths.read_json(setup)["seconds"], unit="s", kind="timing")
        run.finish(verdict="Every notebook ran, in order, in one go, in {run_seconds:.0f} s.")
        if self.options.in_place and not store.not_the_reference(run.record):
            store.set_reference("course", self.profile, run.record["run_id"])
            pages.refresh()


def inputs_hash(notebook: course.Notebook, profile_name: str) -> str:
    """One hash over everything a notebook's outputs follow from: cells, profile, helpers, inputs."""
    cells = [[c["cell_type"], "".join(c["source"])] for c in json.loads(notebook.path.read_text("utf-8"))["cells"]]
    facts = [
        cells,
        profile.PROFILES[profile_name].as_dict(),
        os.environ.get("ENCODER"),
        os.environ.get("SEED"),
        [(path.relative_to(paths.ROOT).as_posix(), paths.hash_once(path)) for path in journal.own_files()],
        sources.data_hash(*notebook.sources),
        [_made(folder) for name in notebook.needs for folder in course.notebook(name).makes],
    ]
    return paths.sha256(json.dumps(facts, sort_keys=True))


def unchanged(notebook: course.Notebook, current: str) -> bool:
    """Whether the last run of this notebook followed from the same things and what it made is still there."""
    copy = paths.artifacts("notebooks", f"{notebook.name}.ipynb")
    stamp = copy.with_suffix(".json")
    if not (copy.is_file() and stamp.is_file() and all(_made(folder) for folder in notebook.makes)):
        return False
    found = paths.read_json(stamp)
    return isinstance(found, dict) and found.get("fingerprint") == current


def _made(name: str) -> str | None:
    """What identifies an artifact: its manifest's hash; of the hardware, only what changes a result."""
    if name == "hardware.json":
        found = hardware.known()
        return found and f"{found.device} {found.dtype} {found.threads}"
    folder = paths.artifacts(name)
    manifests = [folder / "manifest.json", *sorted(folder.glob("step-*/manifest.json"))]  # those of checkpoints
    return " ".join(paths.read_json(path)["hash"] for path in manifests if path.is_file()) or None


def until_trained(notebook: str, profile_name: str) -> float:
    """The share of a notebook's time that was over when its last training ended, in its latest run; 1 without one."""
    with contextlib.suppress(ValueError, OSError):  # a damaged run, of which `verify` tells
        record = journal.latest(notebook, profile_name)
        events = store.read_events(store.folder_of(record))[0] if record else []
        if ends := [event["seconds"] for event in events if event["event"] == "train_end"]:
            return ends[-1] / max(ends[-1], record["seconds"])
    return 1.0


def time_left(elapsed: float, expected: float | None, later: list[float | None], slower: float = 1.0) -> str:
    """Time left in words; nothing is claimed where no earlier run says how long something takes.

    Args:
        elapsed, expected: seconds of the notebook that is running: so far, and in all, as earlier runs or its training
            say. One that takes longer has no end that is known.
        later: predicted seconds of the notebooks after it.
        slower: how many times as long as predicted they take today.
    """
    if not expected:
        return "time left not known yet"
    said = f"about {_minutes(expected - elapsed)} left"
    if elapsed > expected:
        said = f"{elapsed / expected:.1f} times as long as expected"
    after = None if None in later else sum(later)
    return f"{said}, then about {_minutes(slower * after)} for the notebooks after it" if after else said


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"


def tree_memory_mb() -> float:
    """Resident memory of this process and all below it, in MB; pages they share are counted in each."""
    import psutil

    total = 0
    here = psutil.Process()
    for process in [here, *here.children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue  # ended meanwhile
    return total / 1e6


class Line:
    """One updating line on a terminal; elsewhere (a log file) a line every 30 seconds."""

    def __init__(self):
        self._terminal = sys.stdout.isatty()
        self._last = 0.0

    def show(self, text: str) -> None:
        if self._terminal:
            print(f"\r\x1b[K{text}", end="", flush=True)
        elif time.monotonic() - self._last >= 30:
            self._last = time.monotonic()
            say.put(text)

    def clear(self) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", flush=True)


def end_as_with_ctrl_c() -> None:
    """SIGTERM and SIGHUP interrupt like Ctrl-C, so that the run is closed; but not under nohup."""

    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    for number in (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")):
        if number and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)


if __name__ == "__main__":
    end_as_with_ctrl_c()
    say.go_on()
    sys.exit(main())
