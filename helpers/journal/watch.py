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

from .. import paths
from . import notice, reports
from .markdown import number
from .progress import MARKS
from .record import JournalError, plain


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
            "name": name,
            "total": int(steps),
            "first": int(first),
            "unit": unit,
            "eval_every": eval_every,
            "save_every": save_every,
            "predicted": predicted or {},
        }
        self._marks = [mark for mark in MARKS if first < math.ceil(mark * steps / 100)]
        self._levels = levels or {}
        self._folder = tensorboard
        self._board = self._live = None
        self._given_up: set[str] = set()
        self._mark = 0.0
        self.over = False

    def __enter__(self) -> Watch:
        from scipy import stats  # noqa: F401 (for the trend: loaded now, it does not hold up a step later)

        from . import live

        self._run._event("train", **self._begin)
        self._training = self._run.progress.training
        self._live = live.Live(self._levels)
        if self._folder is not None:
            from .board import Board

            self._board = Board(self._folder, self._run.record)
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
        """
        took = self._lap()
        self._run._event("step", step=step, loss=loss, values=values, took=round(took, 5))
        self._export("step", step, loss, values)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {float(loss)} at step {step}; lower the learning rate")
        if not self._awaits_evaluation(step):
            self._report_at(step)
        self._show()
        self.mark()  # what watching took is not the next step's

    def evaluation(self, step: int, **metrics: float) -> None:
        """An evaluation after `step` is done and found `metrics`; log them with :meth:`.run.Run.log`, too."""
        self._aside("evaluation", step, metrics=metrics)
        self._export("evaluation", step, metrics)
        self._report_at(step)
        self.mark()

    def checkpoint(self, step: int, path) -> None:
        """A checkpoint of `step` lies in `path`; may also be said after the training."""
        self._aside("checkpoint", step, path=paths.relative(path))

    def __exit__(self, kind, error, trace) -> None:
        status, why = "finished", ""
        if error is not None:
            status = "diverged" if isinstance(error, FloatingPointError) else "failed"
            status = "interrupted" if isinstance(error, KeyboardInterrupt) else status
            why = f"{type(error).__name__}: {error}"[:500] if str(error) else type(error).__name__
        self._run._event("train_end", status=status, step=self._training.step, why=why)
        self.over = True
        self._report()
        self._export("close", status)
        begin, name = self._begin, self._run.record["notebook"]
        where = f"{number(self._training.step)} of {number(begin['total'])} steps"
        told = f"{begin['name'].capitalize()} {status}: {where}."
        self._safely("live display", self._live.end, told)
        loss = self._training.recent_loss()
        short = self._run.record["run_id"][-4:]
        said = f", training loss {loss:.4f}" if loss is not None else ""
        notice.tell(f"{name} {short}: {begin['name']} {status}, {where}{said}")

    def _lap(self) -> float:
        """Seconds since the last call ended."""
        return time.perf_counter() - self._mark

    def _aside(self, kind: str, step: int, **facts) -> None:
        self._run._event(kind, step=step, took=None if self.over else round(self._lap(), 5), **facts)
        if not self.over:
            self._show()
        self.mark()

    def _awaits_evaluation(self, step: int) -> bool:
        """An evaluation comes right after this step, and belongs into its report."""
        interval = self._begin["eval_every"]
        return bool(interval) and step % interval == 0

    def _report_at(self, step: int) -> None:
        """A report, if a quarter has been passed; two at once give one."""
        due = [mark for mark in self._marks if 100 * step >= mark * self._begin["total"]]
        self._marks = self._marks[len(due) :]
        if due and step < self._begin["total"]:
            self._report()

    def _report(self) -> None:
        from ..trend import trend  # scipy, only now

        t = self._training
        found = trend(t.losses, t.steps).as_dict() if t.losses else None
        self._run._event("report", report=plain(reports.facts(self._run.record, t, found)))
        self._run._keep_trainings()

    def _show(self) -> None:
        self._safely("live display", self._live.show, self._run)

    def _export(self, what: str, *facts) -> None:
        if self._board:
            self._safely("TensorBoard export", getattr(self._board, what), *facts)

    def _safely(self, name: str, call, *facts) -> None:
        """What only shows a training must not end it: it is given up, with a warning."""
        if name in self._given_up:
            return
        try:
            call(*facts)
        except Exception as error:
            self._given_up.add(name)
            why = f"{type(error).__name__}: {error}"
            warnings.warn(f"the {name} has failed and is given up, the training goes on ({why})", stacklevel=4)
