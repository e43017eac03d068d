"""One run of a notebook, from its set-up cell to its last: log, predict, show, say, finish."""

from __future__ import annotations

import atexit
import copy
import json
import math
import os
import re
import sys
import time

from . import metrics as logged
from . import pages, progress, provenance, render, reports, say, schema, store
from .markdown import clean
from .monitor import Monitor
from .store import JournalError
from .watch import Watch
from .writer import Writer

IN_PLACE = "COURSE_IN_PLACE"  # environment variables of the runner: this run may become the reference …
BECAUSE = "COURSE_BECAUSE"  # … and why it may, where it is not the same as the one before


class Run:
    """Made by :func:`labjournal.start`; every method writes through to the run's folder.

    A disk that takes no more does not end a training: there is one warning, the run goes on in memory, and what is
    missing is written as soon as there is room, at the latest when the run is closed.
    """

    def __init__(self, folder, record: dict, code: dict, own_figures: tuple[str, ...] = ()):
        self.folder = folder
        self.record = record
        self.error: BaseException | None = None  # of the last cell that raised and was not followed by a good one
        self.progress = progress.Progress()
        self.watched: Watch | None = None  # the training that is being watched
        self._files = Writer(folder, record)
        self._started = time.perf_counter()
        self._own_figures = own_figures
        self._code = code  # as it was at the start, see provenance.code
        self._edited: set[str] = set()  # cells that ran and are not in the notebook's file
        self._behind = 0  # events that may be in the file and not in the record
        self._event("start", run_id=record["run_id"], config=record["config"], seed=record["seed"])
        self._files.save()
        self._monitor = self._watch_machine()
        atexit.register(self.close_at_exit)

    @property
    def seed(self) -> int:
        """The seed everything random comes from: the notebook's, or what SEED= says."""
        if self.record["seed"] is None:
            raise JournalError("this run was started without a seed: journal.start(…, seed=1337)")
        return self.record["seed"]

    # -- what happened -------------------------------------------------------------------------------------------

    def predict(self, name: str, value: float, *, unit: str, kind: str = "result") -> None:
        """Write a prediction down before the measurement: `name` is the metric that will be logged.

        Raises:
            OpenGuess: `value` is ``...``, as in a learner's copy of a notebook.
        """
        self._check_open()
        if value is ...:
            what = f", in {unit}" if unit else ""
            raise store.OpenGuess(
                f"Your guess of {name} is open: write a number{what} where the three dots are, and run this cell "
                "again. No guess is wrong; what counts is that it stands here before the measurement."
            )
        self._event("predict", name=name, value=value, unit=unit, kind=kind)

    def log(self, *, step=None, unit=None, better=None, kind=None, **metrics: float) -> None:
        """Log metrics, at a step or once. Unit, direction and kind are remembered per name from the first time.

        Args:
            step: training step, epoch or size the values belong to.
            unit: "nats/token", "s", "MB" …; "" for a pure number.
            better: "lower" or "higher" keeps the best value and its step; None keeps none.
            kind: "result" is compared when the notebook is re-run, "timing" depends on the machine.
        """
        self._check_open()
        self._event("log", step=step, metrics=metrics, unit=unit, better=better, kind=kind)

    def table(self, name: str, rows: list[str], columns: dict[str, str]) -> None:
        """Have logged metrics stand as one table in the entry, instead of a row for each.

        Args:
            name: what the table shows, as its heading.
            rows: an arm, a setting, a size each.
            columns: heading -> the metric's name, with {} where that of the row stands: "worth_{}_low".
        """
        self._check_open()
        rows = [str(row) for row in rows]
        missing = [m for row in rows for c in columns.values() if (m := c.format(row)) not in self.record["metrics"]]
        if len(missing) == len(rows) * len(columns):
            raise JournalError(f"table {name!r}: none of its metrics has been logged, such as {missing[0]}")
        self._event("table", name=str(name), rows=rows, columns=columns)

    def per_item(self, metric: str, values, *, items: str) -> None:
        """Keep what a logged metric is the mean of, so that another run can be compared on the same items.

        Args:
            values: one number or truth value for each evaluated item, shape (items,).
            items: hash of the evaluated items; runs with different ones are not compared.
        """
        self._check_open()
        values = [float(value) for value in store.plain(values)]
        known = self.record["metrics"].get(metric)
        mean = math.fsum(values) / len(values) if values else None
        final = known["final"] if known else None
        if not (mean is not None and isinstance(final, (int, float)) and math.isclose(mean, final, rel_tol=1e-6)):
            raise JournalError(
                f"the items' mean is {mean}, {metric} was logged as {final}; log the mean of the items first"
            )
        self.check("items", {"metric": metric, "items": items})
        name = self._keep(json.dumps({"items": items, "values": values}), ".items.json")
        self._event("items", metric=metric, items=items, file=name)
        self._files.save()

    def figure(
        self, name: str, fig, /, *, data: dict, alt: str, kind: str = "result", record: dict | None = None, **values
    ) -> None:
        """Save a figure with the arrays it shows, and show it.

        Args:
            name: file name without suffix, beginning with the notebook's number.
            fig: matplotlib figure from ``pictures.figure``.
            data: name -> plotted array; agreement with another run is judged on these.
            alt: what the figure shows, in words, with its numbers: filled in like :meth:`say`, from `data` as well:
                "Loss falls to {val_loss.min:.2f} and ends at {val_loss.last:.2f}."
            kind: "timing" for a figure of measured times.
            record: of an earlier run that measured what is only drawn again here; caption and verdict say so.
        """
        self._check_open()
        logged.check_kind(kind)
        begin = re.match(r"\d\d|", self.record["notebook"])[0]
        if not name.startswith(begin) or not name.replace("_", "").isalnum():
            raise JournalError(f"figure {name!r}: a name is letters, digits and _, and begins with the notebook number")
        if not alt.strip():
            raise JournalError(f"figure {name!r} needs an alt text that says what it shows")
        from . import pictures

        data = store.plain(data)
        alt = say.fill(self.record, alt, {**data, **values}, clean)
        picture = pictures.png(fig)
        data = json.dumps({"alt": alt, "kind": kind, "data": data}, ensure_ascii=False)
        facts = {"png": self._keep(picture, ".png"), "data": self._keep(data, ".json")}
        self._files.file(self.folder.parents[2] / "images" / f"{name}.png", picture)
        main = not self._own_figures or name in self._own_figures
        more = {"main": True} if main else {}
        if record is not None:
            more["from"] = record["run_id"]
        self._event("figure", name=name, alt=alt, kind=kind, **facts, **more)
        self._files.save()
        say.show_image(picture, alt)
        if record is not None:
            say.show_markdown(render.origin(record))

    def say(self, text: str, /, **values) -> None:
        """Show a sentence whose numbers come from the record.

        ``{val_loss:.2f}`` is the last value of a metric; ``start.``, ``best.``, ``best_step.``, ``predicted.`` and
        ``config.`` reach the rest. Single keyword values are written to the record with the sentence. A row of numbers
        has ``{row[0]:.2f}``, ``row.last``, ``row.min``, ``row.max``, ``row.mean`` and ``{row:.2f}`` for each; a table
        ``{table[name].column}``.
        """
        said = say.fill(self.record, text, values)
        if self.record["status"] == "running":  # an exercise after the end may speak, too
            named = {name: str(value) for name, value in values.items() if not say.has_parts(value)}
            self._event("say", text=said, values=named)
        say.show_markdown(said)

    def note(self, text: str, /, **values) -> None:
        """A remark for the journal's entry, filled in like :meth:`say`."""
        self._check_open()
        self._event("note", text=say.fill(self.record, text, values))

    def finish(self, verdict: str, decision: str = "", **values) -> None:
        """Close the run: verdict and decision (filled in like :meth:`say`), the journal's entry, the closing table."""
        self._check_open()
        unmet = [name for name, p in self.record["predictions"].items() if p["measured"] is None]
        if unmet:
            raise JournalError(f"predicted but never measured: {', '.join(unmet)}; log these metrics before finishing")
        self.record["verdict"] = say.fill(self.record, verdict, values)
        self.record["decision"] = say.fill(self.record, decision, values)
        self.close("finished")
        say.show_markdown(render.closing(self.record))

    # -- watching a training ---------------------------------------------------------------------------------------

    def watch(
        self,
        steps: int,
        *,
        unit: str,
        name: str = "training",
        first: int = 0,
        eval_every: int | None = None,
        save_every: int | None = None,
        predicted: dict[str, str] | None = None,
        tensorboard=None,
        levels: dict[str, float] | None = None,
    ) -> Watch:
        """Watch a training: ``with run.watch(500, unit="nats/token") as watch``, then ``watch.step`` after each step.

        While it runs, a chart or a line shows where it stands; reports are written at 25, 50 and 75 per cent and at the
        end; a notice tells that it is over.

        Args:
            steps: of the whole training, those before `first` included.
            unit: of the training loss.
            first: steps that an earlier process has done, for one that is resumed.
            eval_every, save_every: steps between two evaluations, two checkpoints; for the time that is left.
            predicted: predicted metric -> what stands for it while the training runs: "loss", "seconds" (of steps), an
                evaluated metric or a value of the steps.
            tensorboard: folder for an export of the training; None for none.
            levels: name -> loss to draw beside it.
        """
        self._check_open()
        return Watch(
            self, steps, unit=unit, name=name, first=first, eval_every=eval_every, save_every=save_every,
            predicted=predicted, tensorboard=tensorboard, levels=levels,
        )  # fmt: skip

    def events(self, n: int = 10) -> None:
        """Print the last `n` events, the newest last."""
        if n < 1:
            raise JournalError(f"events({n}): at least 1")
        known = progress.Progress()
        said = [line for event in store.read_events(self.folder)[0] if (line := known.take(event))]
        say.put("\n".join(said[-n:]))

    def status(self) -> None:
        """Show where the training stands; times only as long as it runs, as they are of no use afterwards."""
        found = reports.standing(self.record, self.progress)
        say.show_markdown(reports.status(found, times=self._training()))

    def report(self) -> None:
        """Show the latest report on the training: where it started, where it is, what it means."""
        training = self.progress.training
        if training is None or not training.reports:
            raise JournalError("no report yet: the first comes at a quarter of a watched training (run.watch)")
        *earlier, latest = training.reports
        say.show_markdown(reports.report(self.record, latest, earlier, times=self._training()))

    @property
    def mine(self) -> bool:
        """Whether this is the process that the run was started in, and not a fork with a copy of it."""
        return self._files.mine

    def _watch_machine(self) -> Monitor:
        return Monitor(lambda values: self._event("sample", values=values))

    def _training(self) -> bool:
        return self.progress.training is not None and self.progress.training.end is None

    def _keep_trainings(self) -> None:
        logged.add_trainings(self.record, self.progress)
        self._files.save()

    # -- how it ends ---------------------------------------------------------------------------------------------

    def close(self, status: str, error: BaseException | None = None) -> None:
        """End the run with `status` and write its journal entry (one line where there is nothing new to read).

        Raises:
            JournalError: record or entry cannot be written. The run stays open, so that the cell can be run again.
        """
        if self.record["status"] != "running" or not self.mine:
            return
        if self.watched is not None:
            self.watched.end("interrupted", "the run was closed inside its training")
        self._monitor.stop()
        before = copy.deepcopy(self.record)
        try:
            self._files.catch_up()
            if self._behind:  # an interrupt came between an event and what was made of it
                self.record.update(logged.replay(self.record, store.read_events(self.folder)[0]))
            else:
                logged.add_trainings(self.record, self.progress)
            if error is not None:
                self.record["error"] = {"type": type(error).__name__, "message": store.message(error)[:2000]}
            self.record["status"] = status
            self.record["seconds"] = round(time.perf_counter() - self._started, 1)
            self.record["resources"]["peak_memory_mb"] = provenance.peak_memory_mb()
            self._close_code()
            if status == "finished":
                self._judge()
            pages.tell(self.folder, self.record)
        except BaseException as failed:  # Ctrl-C, too: the run stays open and can be closed again
            self.record.clear()
            self.record.update(before)
            self._monitor = self._watch_machine()
            if not isinstance(failed, OSError):
                raise
            raise JournalError(
                f"the record of run {self.record['run_id']} cannot be written: {store.message(failed)}. Its numbers "
                f"are still in memory. {store.remedy(failed)}, then run this cell again"
            ) from failed
        ending = ("status", "error", "verdict", "decision", "entry")
        self._event("end", **{name: self.record[name] for name in ending})
        self._files.close()
        atexit.unregister(self.close_at_exit)
        store.pack(self.folder)
        pages.refresh(self.folder.parents[1])

    def close_at_exit(self) -> None:
        """The process ends with the run still open: failed if the last thing it did was raise."""
        error = self.error or getattr(sys, "last_value", None)
        status = "abandoned" if error is None else "failed"
        try:
            self.close("interrupted" if isinstance(error, KeyboardInterrupt) else status, error)
        except JournalError as failed:
            print(f"the journal has no entry for run {self.record['run_id']}: {failed}", file=sys.stderr)

    def after_cell(self, result) -> None:
        """IPython's post_run_cell: a raising cell is logged and the run stays open, so it can be mended."""
        if self.record["status"] != "running":
            return
        cell = getattr(result.info, "raw_cell", None)
        if cell and cell.rstrip() not in self._code["cells"]:
            self._edited.add(cell)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            self._event("error", type=type(error).__name__, message=store.message(error)[:2000])
        self.error = error

    # -- inside --------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        """Hold the finished run against its reference, and against the run it says it changed."""
        from . import agreement

        name, profile = self.record["notebook"], self.record["profile"]
        reference, spread = store.readable(store.reference, name, profile), store.readable(store.spread, name, profile)
        if reference is not None:
            if (found := store.readable(agreement.agree, self.record, reference, spread)) is not None:
                self.record["agreement"] = found
            guessed = {name: p["predicted"] for name, p in reference["predictions"].items()}
            mine = {name: p["predicted"] for name, p in self.record["predictions"].items()}
            self.record["guesses"] = {n: v for n, v in guessed.items() if n in mine and mine[n] != v}
        if self.record["changed_from"]:
            store.readable(self._outcome)
        # What the runner is about to do; the line in the journal says so.
        self.record["reference"] = bool(os.environ.get(IN_PLACE)) and (
            store.readable(store.not_the_reference, self.record) == ""
        )

    def _outcome(self) -> None:
        from . import changes, comparison

        former = store.find(self.record["changed_from"])
        self.record["changed"] = changes.between(former, self.record)  # the code is known by now
        self.record["outcome"] = comparison.judge([[former], [self.record]]).as_dict()

    def _close_code(self) -> None:
        """Which code it was, now that the helpers it used are known; and the machine, if this run measured it."""
        self.record.update(provenance.used(self._code))
        if self.record["device"] == "not measured":
            here = provenance.machine()
            self.record["resources"]["probe"] = here["resources"]["probe"]
            self.record.update({name: here[name] for name in ("device", "numerics", "threads")})
        if self._edited:
            path = f"notebooks/{self.record['notebook']}.ipynb"
            self.record["dirty"] = True
            self.record["changed_files"] = sorted({*self.record["changed_files"], path})
            self.record["edited_cells"] = len(self._edited)

    def _keep(self, data: bytes | str, suffix: str) -> str:
        """Keep `data` once, whoever made it; returns its hash."""
        name, path = store.keep(self.folder.parents[1], data, suffix)
        if not path.is_file():
            self._files.file(path, data)
        return name

    def _event(self, event: str, **facts) -> None:
        """The one road: checked against the record, into the file, into the record, which is a cache of the file."""
        if not self.mine:
            return
        facts = store.plain(facts)
        with self._files.lock:
            new = logged.apply(self.record, {"event": event, **facts})
            self.check(event, facts)
            self._behind += 1
            seconds = self._files.event(event, facts)
            self.progress.take({"seconds": seconds, "event": event, **facts})
            logged.put(self.record, new)
            self._behind -= 1

    @staticmethod
    def check(event: str, facts: dict) -> None:
        """Raises JournalError: an event that nobody could read again."""
        try:
            schema.check_event({"seconds": 0, "event": event, **facts})
        except ValueError as error:
            raise JournalError(f"{event}: {clean(error)}; nothing was written") from error

    def _check_open(self) -> None:
        if self.record["status"] != "running":
            raise JournalError(
                f"run {self.record['run_id']} is {self.record['status']}; run the set-up cell again to start a new one"
            )
