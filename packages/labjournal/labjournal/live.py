"""A training while it runs: a chart that is drawn again in a notebook, one line that is written again in a terminal."""

from __future__ import annotations

import sys
import time

from . import reports
from .progress import MARKS, Training
from .say import image

PAUSE = 0.5  # seconds between two drawings, at least
SHARE = 0.02  # of the training's time, at most: the slower the drawing, the rarer
POINTS = 400  # of the raw loss, at most


class Live:
    """Shows the training of a run where it can be seen; what it shows last is the chart, or a sentence, without times.

    Args:
        levels: name -> loss, drawn as dashed lines.
    """

    def __init__(self, levels: dict[str, float]):
        self._levels = levels
        self._next = time.perf_counter() + PAUSE
        self._shell = _kernel()
        self._handle = None
        self._told = 0  # per cent, where a line cannot be written again
        self._width = 0

    def show(self, run) -> None:
        before = time.perf_counter()
        if before < self._next or not run.progress.training.losses:
            return
        line = reports.one_line(reports.standing(run.record, run.progress))
        if self._shell is not None:
            self._draw(run.progress.training, line)
        elif sys.stderr.isatty():
            self._write(line)
        else:
            self._tell(run.progress.training, line)
        after = time.perf_counter()
        self._next = after + max(PAUSE, (after - before) / SHARE)

    def end(self, run, told: str) -> None:
        training = run.progress.training
        if self._shell is not None:
            if training.losses:
                self._draw(training, told, small=True)
            else:
                print(told)
        elif sys.stderr.isatty():
            self._write(told)
            sys.stderr.write("\n")
        else:
            print(told, file=sys.stderr)

    def _draw(self, training: Training, line: str, small: bool = False) -> None:
        from IPython.display import HTML, display

        from . import pictures

        fig = chart(training, self._levels, line)
        picture = HTML(image(pictures.png(fig, small), line))
        fig.clear()  # its parts refer to each other, and would stay in memory until a collection comes by
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)

    def _write(self, line: str) -> None:
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def _tell(self, training: Training, line: str) -> None:
        """A file, say: one line at each quarter."""
        reached = max((mark for mark in MARKS if training.percent >= mark), default=0)
        if reached > self._told:
            self._told = reached
            print(line, file=sys.stderr)


def chart(training: Training, levels: dict[str, float], title: str):
    """The raw loss of every step, their means, and the evaluations so far."""
    from .pictures import COLORS, figure

    fig, ax = figure(height=3.2)
    stride = -(-len(training.losses) // POINTS)
    ax.plot(training.steps[::stride], training.losses[::stride], color=COLORS["sky"], linewidth=0.7)
    size = max(1, len(training.losses) // 40)
    whole = range(0, len(training.losses) - size + 1, size)
    means = [sum(training.losses[i : i + size]) / size for i in whole]
    ax.plot([training.steps[i + size - 1] for i in whole], means, color=COLORS["blue"])
    dots: dict[str, list] = {}
    for step, metrics in training.evaluations:
        for name, value in metrics.items():
            if name.endswith(("loss", "entropy")):
                dots.setdefault(name, []).append((step, value))
    for (name, points), color in zip(dots.items(), ("orange", "green", "pink", "amber", "black"), strict=False):
        ax.plot(*zip(*points, strict=True), "o-", color=COLORS[color], linewidth=1, label=name.replace("_", " "))
    for name, level in levels.items():
        ax.axhline(level, color=COLORS["grey"], linestyle="--", linewidth=1.5)
        ax.text(training.total, level, name, color=COLORS["grey"], ha="right", va="bottom")
    if dots:
        ax.legend(loc="center right")
    ax.set(xlim=(training.first, training.total), xlabel="step", ylabel=f"loss ({training.unit})", title=title)
    return fig


def _kernel():
    """The shell of a notebook's kernel, whose outputs can be drawn again; None elsewhere."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    return shell if hasattr(shell, "kernel") else None
