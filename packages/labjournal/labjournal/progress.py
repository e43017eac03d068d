"""What the events of a run add up to: where its training stands, in facts and in lines.

The same code for a run in this process and for one that a terminal watches through its files. Nothing here knows more
than the events say: where something is not known, it is None.
"""

from __future__ import annotations

import statistics

from .markdown import clean, number

WARM = 3  # first steps of a process: they pay for compilation and caches, and say nothing about the rest
ENOUGH = 5  # steps after those, before a time is told
RECENT = 100  # logged steps that the time left is worked out from …
CHUNKS = 10  # … in as many parts, so that a slow step now and then is in each
SMOOTH = 20  # losses in "the loss now": one batch is easy, the next one hard
ASIDE = ("evaluation", "checkpoint")  # what has a time of its own
MARKS = (25, 50, 75)  # per cent


class Training:
    """One training, from its "train" event to its "train_end"."""

    def __init__(self, begin: dict):
        self.begin = begin
        self.name, self.total, self.first = begin["name"], begin["total"], begin["first"]
        self.unit = begin["unit"]
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.values: dict[str, list] = {}  # gradient_norm, learning_rate …
        self.took: list[float] = []  # seconds since the step that was told before, of this process
        self.pace: list[float] = []  # the same for one step, where not every step is told
        self.aside: dict[str, list[float]] = {name: [] for name in ASIDE}
        self.done = dict.fromkeys(ASIDE, 0)  # step of the latest
        self.evaluations: list[tuple[int, dict]] = []
        self.reports: list[dict] = []
        self.end: dict | None = None
        self.last = begin["seconds"]  # of the run's clock
        self.best: tuple[float, int] | None = None  # lowest mean of SMOOTH losses, and its last step

    def take(self, event: dict) -> None:
        kind = event["event"]
        if self.end is None:
            self.last = event["seconds"]
        if kind == "step":
            loss = float(event["loss"])  # "nan" becomes a number that is none again
            self.pace.append(event["took"] / max(1, event["step"] - self.step))
            self.steps.append(event["step"])
            self.losses.append(loss)
            self.took.append(event["took"])
            mean = self.recent_loss()
            if len(self.losses) >= SMOOTH and (self.best is None or mean < self.best[0]):
                self.best = (mean, event["step"])
            for name, value in event["values"].items():
                self.values.setdefault(name, []).append(value)
        elif kind in ASIDE:
            if event["took"] is not None:
                self.aside[kind].append(event["took"])
            self.done[kind] = event["step"]
            if kind == "evaluation":
                self.evaluations.append((event["step"], event["metrics"]))
        elif kind == "report":
            self.reports.append(event["report"])
        elif kind == "train_end":
            self.end = event

    @property
    def step(self) -> int:
        return self.steps[-1] if self.steps else self.first

    @property
    def percent(self) -> int:
        return 100 * self.step // self.total

    @property
    def rest(self) -> dict[str, int]:
        """Steps, evaluations and checkpoints that are still to come."""
        due = {"step": self.total - self.step}
        for kind, interval in (("evaluation", self.begin["eval_every"]), ("checkpoint", self.begin["save_every"])):
            if interval:  # at its multiples, and at the end; the one of this very step may be on its way
                passed = max(self.done[kind], self.first, self.step - 1)
                due[kind] = 0 if passed >= self.total else -(-self.total // interval) - passed // interval
        return due

    def seconds_left(self) -> tuple[float, float] | None:
        """At the pace of the latest steps, from its 20th to its 80th percentile; None when that is not known."""
        warm = self.pace[WARM:][-RECENT:]
        if self.end is not None or len(warm) < ENOUGH:
            return None
        low = high = 0.0
        for kind, count in self.rest.items():
            times = warm
            if kind != "step":  # the first of several pays for setting up, like the first steps
                times = self.aside[kind][-RECENT:][1:] or self.aside[kind]
            if count and not times:
                return None
            if count:
                a, b = _percentiles(_chunks(times))
                low, high = low + count * a, high + count * b
        return low, high

    def recent_loss(self) -> float | None:
        known = self.losses[-SMOOTH:]
        return statistics.fmean(known) if known else None

    def seconds(self) -> dict[str, float]:
        """Where the time went: steps, evaluations, checkpoints, and the rest (drawing, reports, whatever else)."""
        spent = {"steps": sum(self.took), **{kind: sum(times) for kind, times in self.aside.items()}}
        spent["other"] = max(0.0, self.last - self.begin["seconds"] - sum(spent.values()))
        return {name: round(value, 1) for name, value in spent.items()}


class Progress:
    """Fed with every event of a run, oldest first."""

    def __init__(self):
        self.trainings: list[Training] = []
        self.samples: list[dict] = []
        self.seconds = 0.0  # of the latest event …
        self.heard = 0.0  # … and of the latest that the notebook, not the monitor, has written

    @property
    def training(self) -> Training | None:
        return self.trainings[-1] if self.trainings else None

    def take(self, event: dict) -> str | None:
        """Returns the event in words; None for one that a person need not see."""
        kind = event["event"]
        self.seconds = event["seconds"]
        if kind == "sample":
            self.samples.append(event["values"])
        else:
            self.heard = event["seconds"]
        if kind == "train":
            self.trainings.append(Training(event))
        elif kind in ("step", "report", "train_end", *ASIDE):
            self.trainings[event["training"]].take(event)
        return self._line(event)

    def _line(self, event: dict) -> str | None:
        kind = event["event"]
        if kind == "start":
            return f"run {event['run_id']} starts"
        if kind == "train":
            if event["first"]:
                return f"{event['name']} resumes after step {number(event['first'])} of {number(event['total'])}"
            return f"{event['name']} begins: {number(event['total'])} steps"
        if kind == "error":
            return f"a cell raised {clean(event['type'])}: {clean(event['message'])}"
        if kind == "end":
            return f"the run ends: {event['status']}"
        if "training" not in event:
            return None
        training = self.trainings[event["training"]]
        if kind == "step":
            return f"step {number(event['step'])} of {number(training.total)}: training loss {fixed(event['loss'])}"
        if kind == "evaluation":
            told = ", ".join(f"{clean(name)} {fixed(value)}" for name, value in event["metrics"].items())
            return f"evaluation after step {number(event['step'])}: {told}"
        if kind == "checkpoint":
            return f"checkpoint after step {number(event['step'])}: {clean(event['path'])}"
        if kind == "report":
            found = event["report"]
            trend = f", trend: {found['trend']['verdict']}" if found["trend"] else ""
            return f"report at {found['percent']} %: training loss {fixed(found['loss']['now'])}{trend}"
        if kind == "train_end":
            why = f": {clean(event['why'])}" if event["why"] else ""
            return (
                f"{training.name} {event['status']} after step {number(event['step'])} of {number(training.total)}{why}"
            )
        return None


def add_up(events: list[dict]) -> Progress:
    progress = Progress()
    for event in events:
        progress.take(event)
    return progress


def summary(progress: Progress) -> list[dict]:
    """What the record keeps of its trainings; made from the events alone, so that it can be made again."""
    return [
        {
            **{key: t.begin[key] for key in ("name", "total", "first", "unit")},
            "status": t.end["status"] if t.end else "cut off",
            "why": t.end["why"] if t.end else "",
            "step": t.step,
            "reports": t.reports,
        }
        for t in progress.trainings
    ]


def _chunks(times: list[float]) -> list[float]:
    """Means of consecutive parts: a sum of many steps varies as they do, not as a single step does."""
    size = max(1, len(times) // CHUNKS)
    return [statistics.fmean(times[i : i + size]) for i in range(len(times) % size, len(times), size)]


def _percentiles(times: list[float]) -> tuple[float, float]:
    if len(times) == 1:
        return times[0], times[0]
    cuts = statistics.quantiles(times, n=5, method="inclusive")
    return cuts[0], cuts[-1]


def fixed(value) -> str:
    """Four decimals, so that a row of losses stands in line; whatever is no number as it is."""
    if value is None:
        return "–"
    try:
        return f"{float(value):.4f}"
    except (TypeError, ValueError):
        return clean(value)
