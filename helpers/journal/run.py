"""One run of a notebook, from its set-up cell to its last: log, predict, show, say, finish."""

from __future__ import annotations

import atexit
import string
import sys
import time

from .. import paths
from . import record as store
from . import render

KINDS = ("result", "timing")
DIRECTIONS = ("lower", "higher", None)


class JournalError(ValueError):
    """The journal was used in a way that would make it wrong; the message says how to do it right."""


class Run:
    """Made by :func:`helpers.journal.start`; every method writes through to the run's folder."""

    def __init__(self, folder, record: dict):
        self.folder = folder
        self.record = record
        self.error: BaseException | None = None  # of the last cell that raised and was not followed by a good one
        self._events = store.Events(folder)
        self._started = time.perf_counter()
        self._events.write("start", run_id=record["run_id"], config=record["config"], seed=record["seed"])
        store.write(folder, record)
        atexit.register(self.close_at_exit)

    # -- what happened -------------------------------------------------------------------------------------------

    def predict(self, name: str, value: float, *, unit: str, kind: str = "result") -> None:
        """Write a prediction down before the measurement: `name` is the metric that will be logged."""
        self._check_open()
        self._check_kind(kind)
        if name in self.record["metrics"]:
            raise JournalError(f"{name} has been measured already; a prediction comes before the measurement")
        self.record["predictions"][name] = {
            "predicted": store.plain(value),
            "measured": None,
            "unit": unit,
            "kind": kind,
        }
        self._events.write("predict", name=name, value=value, unit=unit)

    def log(self, *, step=None, unit=None, better=None, kind=None, **metrics: float) -> None:
        """Log metrics, at a step or once. Unit, direction and kind are remembered per name from the first time.

        Args:
            step: training step, epoch or size the values belong to.
            unit: "nats/token", "s", "MB" …; "" for a pure number.
            better: "lower" or "higher" keeps the best value and its step; None keeps none.
            kind: "result" is compared when the notebook is re-run, "timing" depends on the machine.
        """
        self._check_open()
        for name, value in metrics.items():
            self._update(name, store.plain(value), step, unit, better, kind)
        self._events.write("log", step=step, **metrics)

    def figure(self, name: str, fig, *, data: dict, alt: str, kind: str = "result") -> None:
        """Save a figure with the arrays it shows, and show it.

        Args:
            name: file name without suffix, beginning with the notebook's number.
            fig: matplotlib figure from ``plots.figure``.
            data: name -> plotted array; agreement with another run is judged on these.
            alt: what the figure shows, in words, with its numbers.
            kind: "timing" for a figure of measured times.
        """
        self._check_open()
        self._check_kind(kind)
        if not name.startswith(self.record["notebook"][:2]) or not name.replace("_", "").isalnum():
            raise JournalError(f"figure {name!r}: a name is letters, digits and _, and begins with the notebook number")
        if not alt.strip():
            raise JournalError(f"figure {name!r} needs an alt text that says what it shows")
        from .. import plots

        picture = plots.png(fig)
        sidecar = {"alt": alt, "kind": kind, "data": store.plain(data)}
        paths.write_atomic(self.folder / "figures" / f"{name}.png", picture)
        paths.write_json(self.folder / "figures" / f"{name}.json", sidecar)
        paths.write_atomic(paths.images_dir() / f"{name}.png", picture)
        self.record["figures"][name] = {"alt": alt, "kind": kind}
        self._events.write("figure", name=name)
        store.write(self.folder, self.record)
        show_image(picture, alt)

    def say(self, text: str, **values) -> None:
        """Show a sentence whose numbers come from the record.

        ``{val_loss:.2f}`` is the last value of a metric; ``start.``, ``best.``, ``best_step.``, ``predicted.`` and
        ``config.`` reach the rest. Extra keyword values are written to the record with the sentence.
        """
        said = self._fill(text, values)
        self._events.write("say", text=said, values=values)
        show_markdown(said)

    def note(self, text: str, **values) -> None:
        """A remark for the journal's entry, filled in like :meth:`say`."""
        self._check_open()
        self.record["notes"].append(self._fill(text, values))

    def finish(self, verdict: str, decision: str = "", **values) -> None:
        """Close the run: verdict and decision (filled in like :meth:`say`), the journal's entry, the closing table."""
        self._check_open()
        unmet = [name for name, p in self.record["predictions"].items() if p["measured"] is None]
        if unmet:
            raise JournalError(f"predicted but never measured: {', '.join(unmet)}; log these metrics before finishing")
        self.record["verdict"] = self._fill(verdict, values)
        self.record["decision"] = self._fill(decision, values)
        self.close("finished")
        show_markdown(render.closing(self.record))

    # -- how it ends ---------------------------------------------------------------------------------------------

    def close(self, status: str, error: BaseException | None = None) -> None:
        """End the run with `status` and write its journal entry (one line for runs that never came to an end)."""
        if self.record["status"] != "running":
            return
        from .provenance import peak_memory_mb

        if error is not None:
            self.record["error"] = {"type": type(error).__name__, "message": str(error)[:2000]}
        self.record["status"] = status
        self.record["seconds"] = round(time.perf_counter() - self._started, 1)
        self.record["resources"]["peak_memory_mb"] = peak_memory_mb()
        self._events.write("end", status=status, error=self.record["error"])
        self._events.close()
        store.write(self.folder, self.record)
        store.append(render.line(self.record) if status == "superseded" else render.entry(self.record))
        atexit.unregister(self.close_at_exit)

    def close_at_exit(self) -> None:
        """The process ends with the run still open: failed if the last thing it did was raise."""
        error = self.error or getattr(sys, "last_value", None)
        if isinstance(error, KeyboardInterrupt):
            self.close("interrupted", error)
        elif error is not None:
            self.close("failed", error)
        else:
            self.close("abandoned")

    def after_cell(self, result) -> None:
        """IPython's post_run_cell: a raising cell is logged and the run stays open, so it can be mended."""
        if self.record["status"] != "running":
            return
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            self._events.write("error", type=type(error).__name__, message=str(error)[:2000])
        self.error = error

    # -- inside --------------------------------------------------------------------------------------------------

    def _update(self, name: str, value, step, unit, better, kind) -> None:
        known = self.record["metrics"].get(name)
        if known is None:
            self._check_kind(kind or "result")
            if unit is None:
                raise JournalError(f'{name} is logged for the first time: give its unit, as in unit="s" (or unit="")')
            if better not in DIRECTIONS:
                raise JournalError(f"better={better!r}; choose 'lower', 'higher' or None")
            known = self.record["metrics"][name] = {
                "start": value,
                "best": value if better else None,
                "best_step": step if better else None,
                "final": value,
                "unit": unit,
                "better": better,
                "kind": kind or "result",
                "count": 0,
            }
        for given, key in ((unit, "unit"), (better, "better"), (kind, "kind")):
            if given is not None and given != known[key]:
                raise JournalError(f"{name} was logged with {key} {known[key]!r} before, now {given!r}")
        known["count"] += 1
        known["final"] = value
        if known["better"] and isinstance(value, (int, float)) and _beats(value, known["best"], known["better"]):
            known["best"], known["best_step"] = value, step
        predicted = self.record["predictions"].get(name)
        if predicted is not None:
            if predicted["unit"] != known["unit"]:
                raise JournalError(f"{name} was predicted in {predicted['unit']!r} and measured in {known['unit']!r}")
            predicted["measured"] = value

    def _fill(self, text: str, values: dict) -> str:
        escaped = {k: render.escape(v) if isinstance(v, str) else v for k, v in values.items()}
        return string.Formatter().vformat(text, (), _Names(self.record, escaped))

    def _check_open(self) -> None:
        if self.record["status"] != "running":
            raise JournalError(
                f"run {self.record['run_id']} is {self.record['status']}; run the set-up cell again to start a new one"
            )

    @staticmethod
    def _check_kind(kind: str) -> None:
        if kind not in KINDS:
            raise JournalError(f"kind={kind!r}; choose one of {', '.join(KINDS)}")


def _beats(value: float, best, better: str) -> bool:
    if not isinstance(best, (int, float)):
        return True
    return value < best if better == "lower" else value > best


class _Names(dict):
    """What a sentence may name: metrics by their last value, and the namespaces below."""

    def __init__(self, record: dict, values: dict):
        metrics = record["metrics"]
        super().__init__({name: m["final"] for name, m in metrics.items()})
        for key in ("start", "best", "best_step"):
            self[key] = _Space(key, {name: m[key] for name, m in metrics.items() if m[key] is not None})
        self["predicted"] = _Space("predicted", {k: p["predicted"] for k, p in record["predictions"].items()})
        self["config"] = _Space("config", record["config"])
        self.update(values)

    def __missing__(self, name: str):
        raise JournalError(f"a sentence names {name!r}, which is not in the record; it has {', '.join(sorted(self))}")


class _Space:
    def __init__(self, name: str, values: dict):
        self._name, self._values = name, values

    def __getattr__(self, key: str):
        try:
            return self._values[key]
        except KeyError:
            raise JournalError(
                f"a sentence names {self._name}.{key}, which is not in the record; "
                f"{self._name} has {', '.join(sorted(self._values)) or 'nothing'}"
            ) from None


def show_markdown(text: str) -> None:
    """Rendered in a notebook, printed elsewhere."""
    if _in_ipython():
        from IPython.display import Markdown, display

        display(Markdown(text))
    else:
        print(text)


def show_image(picture: bytes, alt: str) -> None:
    if _in_ipython():
        from IPython.display import Image, display

        display(Image(picture, format="png", alt=alt, width=800))


def _in_ipython() -> bool:
    # Not imported, so not running in it.
    module = sys.modules.get("IPython")
    return module is not None and module.get_ipython() is not None
