"""Watch one training of a run: its steps, evaluations and checkpoints as they come, and a report at each quarter.

with run.watch(500, unit="nats/token", eval_every=100) as watch:
    for step in …:
        watch.step(step, loss, gradient_norm=norm)

Time is accounted by what a call says has just been done: everything since the call before it was that step, that
evaluation, that checkpoint. What the watching itself takes is none of them.
"""

from __future__ import annotations

import math
import time
import warnings

from . import notice, reports
from .markdown import clean, number
from .progress import MARKS
from .project import relative
from .store import JournalError, message, plain


class Watch:
    """Made by :meth:`.run.Run.watch`; a context manager, so that a training that fails is told, too."""

    def __init__(self, run, steps, *, unit, name, first, eval_every, save_every, predicted, tensorboard, levels):
        if steps < 1 or not 0 <= first < steps:
            raise JournalError(f"{name}: {steps} steps, the first {first} of them done; there must be steps to go")
        unknown = [metric for metric in predicted or {} if metric not in run.record["predictions"]]
        if unknown:
            raise JournalError(f"{name}: {', '.join(unknown)} has not been predicted; run.predict comes first")
        self._run = run
        self._begin = {
            "name": clean(name),
            "total": int(steps),
            "first": int(first),
            "unit": clean(unit),
            "eval_every": eval_every,
            "save_every": save_every,
            "predicted": predicted or {},
        }
        run.check("train", self._begin)
        self._marks = [mark for mark in MARKS if first < math.ceil(mark * steps / 100)]
        self._levels = levels or {}
        self._folder = tensorboard
        self._training = self._board = self._live = None
        self._given_up: set[str] = set()
        self._mark = 0.0
        self._deferred = False  # a report that waits for its evaluation

    def __enter__(self) -> Watch:
        from scipy import stats  # noqa: F401 (for the trend: loaded now, it does not hold up a step later)

        from .board import Board
        from .live import Live

        run = self._run
        if self._training is not None or run.watched is not None:
            raise JournalError(f"{self._begin['name']}: one training at a time, and each with its own run.watch")
        # Last what has to be undone: an interrupt in the seconds that an import takes leaves nothing behind.
        self._live = Live(self._levels)
        if self._folder is not None:
            self._board = self._safely("TensorBoard export", Board, self._folder, run.record)
        run._event("train", **self._begin)
        self._training = run.progress.training
        self._index = len(run.progress.trainings) - 1
        run.watched = self
        self.mark()
        return self

    @property
    def steps(self) -> list[int]:
        """The steps that are done, those of this process."""
        return list(self._training.steps)

    @property
    def losses(self) -> list[float]:
        """Their raw training losses."""
        return list(self._training.losses)

    def mark(self) -> None:
        """What was done since the last call is nobody's time: a Trainer was built, say."""
        self._mark = time.perf_counter()

    def step(self, step: int, loss: float, **values: float) -> None:
        """A step is done. `loss` is its raw training loss, `values` go beside it (gradient_norm, learning_rate).

        Raises:
            FloatingPointError: the loss is not a finite number; it is in the record, and the training has diverged.
            JournalError: the step is not a later one, or beyond the last; the loss is no number; nothing is watched.
        """
        took = time.perf_counter() - self._mark
        self._check()
        loss = _number("loss", loss)
        values = {name: _number(name, value) for name, value in values.items()}
        if not self._training.step < step <= self._begin["total"]:
            where = f"step {self._training.step} of {self._begin['total']}"
            raise JournalError(f"{self._begin['name']} is at {where}; step {step} cannot come next")
        self._tell("step", step=int(step), loss=loss, values=values, took=round(took, 5))
        self._export("step", step, loss, values)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} at step {step}; lower the learning rate")
        # An evaluation that comes right after this step belongs into the report; but only one step waits for it.
        interval = self._begin["eval_every"]
        if interval and step % interval == 0 and not self._deferred:
            self._deferred = True
        else:
            self._report_at(step)
        self._show()
        self.mark()  # what watching took is not the next step's

    def evaluation(self, step: int, **metrics: float) -> None:
        """An evaluation after `step` is done and found `metrics`; log them with :meth:`.run.Run.log`, too."""
        took = time.perf_counter() - self._mark
        self._check()
        metrics = {name: _number(name, value) for name, value in metrics.items()}
        self._tell("evaluation", step=int(step), metrics=metrics, took=round(took, 5))
        self._export("evaluation", step, metrics)
        self._report_at(step)
        self._show()
        self.mark()

    def checkpoint(self, step: int, path) -> None:
        """A checkpoint of `step` lies in `path`; may also be said after the training, as long as the run is open."""
        took = time.perf_counter() - self._mark
        if self._training is None:
            self._check()
        self._run._check_open()
        over = self._training.end is not None
        self._tell("checkpoint", step=int(step), path=relative(path), took=None if over else round(took, 5))
        self.mark()

    def __exit__(self, kind, error, trace) -> None:
        status, why = "finished", ""
        if error is not None:
            status = "diverged" if isinstance(error, FloatingPointError) else "failed"
            status = "interrupted" if isinstance(error, KeyboardInterrupt) else status
            told = message(error)
            why = f"{type(error).__name__}: {told}"[:500] if told else type(error).__name__
        self.end(status, why)

    def end(self, status: str, why: str = "") -> None:
        """Tell how the training ended. Whatever goes wrong here, an error of the training itself comes out."""
        run, name = self._run, self._begin["name"]
        if run.watched is not self or not run.mine:  # it was closed inside its training; a forked child
            return
        run.watched = None
        self._tell("train_end", status=status, step=self._training.step, why=why)
        self._report()
        self._given_up.discard("TensorBoard export")  # its file has to be closed all the same
        self._export("close", status)
        where = f"{number(self._training.step)} of {number(self._begin['total'])} steps"
        self._safely("live display", self._live.end, self._run, f"{reports.title(name)} {status}: {where}.")
        loss = self._training.recent_loss()
        said = "" if loss is None else f", training loss {loss:.4f}"
        short = f"{run.record['notebook']} {run.record['run_id'][-4:]}"
        self._safely("notice", notice.tell, f"{short}: {name} {status}, {where}{said}")

    def _check(self) -> None:
        self._run._check_open()
        if self._run.watched is not self:
            raise JournalError(f"{self._begin['name']} is not being watched: inside `with run.watch(…) as watch:` only")

    def _tell(self, event: str, **facts) -> None:
        self._run._event(event, training=self._index, **facts)

    def _report_at(self, step: int) -> None:
        """A report, if a quarter has been passed; two at once give one."""
        self._deferred = False
        due = [mark for mark in self._marks if 100 * step >= mark * self._begin["total"]]
        self._marks = self._marks[len(due) :]
        if due and step < self._begin["total"]:
            self._report()

    def _report(self) -> None:
        from . import trend

        t = self._training
        found = self._safely("trend", trend.trend, t.losses, t.steps) if t.losses else None
        facts = self._safely("report", reports.snapshot, self._run.record, t, found and found.as_dict())
        if facts is not None:
            self._tell("report", report=plain(facts))
            self._run._keep_trainings()

    def _show(self) -> None:
        self._safely("live display", self._live.show, self._run)

    def _export(self, what: str, *facts) -> None:
        if self._board:
            self._safely("TensorBoard export", getattr(self._board, what), *facts)

    def _safely(self, name: str, call, *facts):
        """What only shows a training must not end it: it is given up, with a warning; returns None then."""
        if name in self._given_up:
            return None
        try:
            return call(*facts)
        except Exception as error:
            self._given_up.add(name)
            why = f"{type(error).__name__}: {error}"
            warnings.warn(f"the {name} has failed and is given up, the training goes on ({why})", stacklevel=4)
            return None


def _number(name: str, value) -> float:
    """`value` as a float; a tensor's or array's one number, too.

    Raises:
        JournalError: it is none.
    """
    try:
        if isinstance(value, str):
            raise TypeError
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, OverflowError) as error:
        raise JournalError(f"{name} is {value!r}, and has to be one number") from error
