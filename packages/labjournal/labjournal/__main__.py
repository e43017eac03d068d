"""python -m labjournal [list|show|status|events|compare|verify|readme|close] [run …] [--follow]

Without a command: what the journal says, as journal/README.md has it. A run is named by any part of its id that no
other has, or by "latest". Exit status: 0; 1 when runs differ or something is damaged; 2 for bad usage.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import warnings

from . import follow, render, say, store
from .markdown import clean, escape, spelled_out
from .project import committed, current, journal_dir, relative

WIDTH = 80  # columns, where the output is not a terminal
LISTED = 100  # runs, of what may be thousands


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda told, *_, **__: print(spelled_out(f"warning: {told}"), file=sys.stderr)
            status = options.call(options)
        if sys.stdout:
            sys.stdout.flush()
        return status
    except KeyboardInterrupt:  # how --follow ends
        return 0
    except (ValueError, OSError) as error:
        print(spelled_out(f"error: {store.message(error)}"), file=sys.stderr)
        return 2


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m labjournal", description="Read and check the journal.")
    parser.set_defaults(call=_page)
    commands = parser.add_subparsers(metavar="command")
    run = {"nargs": "?", "default": "latest", "help": 'any part of the id that no other run has, or "latest" (default)'}
    for call, what, argument in (
        (_list, "the latest runs, oldest first", None),
        (_show, "one run: its entry, beside its reference; while it trains, its latest report", run),
        (_status, "where a training stands: per cent, time left, losses, trend", run),
        (_events, "the latest events of a run, the newest last", run),
        (_compare, "runs against the first: what changed, better, worse or cannot tell", {"nargs": "+"}),
        (_verify, "hold lines, entries, figures, images, notebooks and READMEs against the records", None),
        (_readme, "write journal/README.md and README's tables from the records", None),
        (_close, "seal journal.md under a name of its own and begin a new page", None),
    ):
        command = commands.add_parser(call.__name__[1:], help=what, description=what)
        command.set_defaults(call=call)
        if call in (_list, _status, _events):
            command.add_argument("--json", action="store_true", help="for machines")
        if argument:
            command.add_argument("run", **argument)
        if argument is run:
            command.add_argument("--follow", action="store_true",
                                 help="go on, also with the run that takes its place; Ctrl-C ends")  # fmt: skip
        if call in (_events, _list):
            many = 10 if call is _events else LISTED
            command.add_argument("-n", type=_count, default=many, help=f"how many ({many})")
        if call is _verify:
            command.add_argument("--mend", action="store_true", help="append lines that are missing")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 1 or more")
    return int(text)


def _page(options: argparse.Namespace) -> int:
    from . import index

    _print(re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", index.text()))  # links lead nowhere in a terminal
    return 0


def _list(options: argparse.Namespace) -> int:
    known: dict = {}
    rows = []
    for r in store.all_records(last=options.n):
        key = r["notebook"], r["profile"]
        if key not in known:
            known[key] = _reference(*key)
        found = r.get("agreement")
        said = (
            "reference" if known[key] == r["run_id"] else found and (found["verdict"] if found["of"] else "times only")
        )
        facts = {name: r[name] for name in ("run_id", "notebook", "profile", "status", "started", "seed", "seconds")}
        rows.append({**facts, "agreement": said})
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    cells = [("run", "started", "notebook", "profile", "status", "reference")]
    for r in rows:
        said = "no verdict" if r["agreement"] == "cannot compare" else r["agreement"] or ""
        started = r["started"][5:16].replace("T", " ")
        cells.append((r["run_id"][-4:], started, clean(r["notebook"]), clean(r["profile"]), r["status"], said))
    for row in cells:  # it has to fit 80 columns
        print(spelled_out("{:5} {:12} {:23} {:8} {:12} {}".format(*row).rstrip()))
    if (earlier := len(store.folders()) - options.n) > 0:
        print(f"{earlier:,} earlier ones: list -n {earlier + options.n}")
    return 0


def _reference(*key: str) -> str | None:
    try:
        return (store.reference(*key) or {"run_id": None})["run_id"]
    except ValueError as damage:
        warnings.warn(str(damage), stacklevel=2)
        return None


def _following(options: argparse.Namespace):
    """:func:`.follow.follow`, with the terminal's bell when a training ends, in whatever way."""
    terminal = sys.__stdout__  # rich takes over sys.stdout while it draws
    for look, (tail, new) in enumerate(follow.follow(store.find(options.run))):
        yield tail, new
        # The first look is at what has long happened.
        ended = look and any(event["event"] == "train_end" for event, _ in new)
        if ended and options.follow and not getattr(options, "json", False) and terminal and terminal.isatty():
            terminal.write("\a")
            terminal.flush()
        if 1 in say.unread:  # as in `events --follow | head`
            return


def _status(options: argparse.Namespace) -> int:
    from . import reports

    if not options.follow:
        found = follow.Tail(store.find(options.run)).status()
        if options.json:
            print(json.dumps(found, indent=2, allow_nan=False))
        else:
            _print(reports.status(found))
        return 0
    with _Screen(options) as screen:
        for tail, _ in _following(options):
            screen.show(found := tail.status(), reports.status(found), reports.one_line(found))
    return 0


def _events(options: argparse.Namespace) -> int:
    latest = options.n  # of what was there before
    for _, new in _following(options):
        said = [(event, line) for event, line in new if line]
        if latest is not None:
            said, latest = said[-latest:], None
        for event, line in said:
            print(json.dumps(event) if options.json else spelled_out(line), flush=True)
        if not options.follow:
            break
    return 0


def _show(options: argparse.Namespace) -> int:
    from . import reports

    tail, told = None, set()
    for tail, _ in _following(options) if options.follow else ():
        for index, training in enumerate(tail.progress.trainings):
            for number, found in enumerate(training.reports):
                key = (tail.record["run_id"], index, number)
                if key not in told:
                    _print(reports.report(tail.record, found, training.reports[:number]))
                told.add(key)
    record = tail.record if tail else store.find(options.run)
    if record["status"] != "running":
        return _closed(record)
    tail = tail or follow.Tail(record)
    training = tail.progress.training
    if training is None or not training.reports:
        _print(reports.status(tail.status()) + "\nNo report yet.\n")
        return 0
    *earlier, latest = training.reports
    if not tail.alive and training.end is None:
        latest = reports.late(latest, "cut off", training.step)
    _print(reports.report(tail.record, latest, earlier))
    return 0


def _closed(record: dict) -> int:
    """The entry of a closed run; where its reference is another by now, against that one."""
    from .agreement import agree

    reference, found, said = store.readable(store.reference, record["notebook"], record["profile"]), None, ""
    if reference is None:
        said = "This notebook has no reference run in this profile."
    elif reference["run_id"] == record["run_id"]:
        said = "This run is the reference now; what stands above was the reference before it."
    elif record["status"] == "finished":
        found = agree(record, reference, store.spread(record["notebook"], record["profile"]))
    # What it was held against then is told anew.
    text = render.entry({**record, "agreement": found or (record.get("agreement") if said else None)})
    _print(f"{text}\n{said}\n")
    return int(found is not None and found["verdict"] == "differs")


def _compare(options: argparse.Namespace) -> int:
    from . import comparison

    found = comparison.compare_runs(*options.run)
    _print(comparison.render(found))
    return int(found.verdict not in ("identical", "cannot tell"))


def _verify(options: argparse.Namespace) -> int:
    from . import verify

    mended = verify.mend() if options.mend else []
    found = verify.problems()
    said = [f"- appended the line of {run_id}" for run_id in mended]
    said += [f"- {escape(problem)}" for problem in found]
    gaps = verify.gaps()
    said += ["\nNo problem, but missing:\n", *(f"- {escape(gap)}" for gap in gaps)] if gaps else []
    runs = len(list(journal_dir().glob("runs/*/run.json")))
    count = f"{len(found) or 'No'} problem{'' if len(found) == 1 else 's'}"
    said.append(f"\n{count} in {runs} runs, their entries, figures and images.")
    _print("\n".join(said))
    return int(bool(found))


def _readme(options: argparse.Namespace) -> int:
    from . import index

    index.update()
    if journal_dir() == committed():
        current().update()
    return 0


def _close(options: argparse.Namespace) -> int:
    from . import pages

    print(f"{relative(pages.close())} is closed; journal/journal.md begins anew")
    return 0


class _Screen:
    """A status that is shown again: in place in a terminal, a line for each change elsewhere."""

    def __init__(self, options: argparse.Namespace):
        from rich.console import Console
        from rich.live import Live

        self._json = options.json
        console = Console(highlight=False)
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal and not options.json else None
        self._last = None

    def __enter__(self) -> _Screen:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error) -> None:
        if self._live:
            self._live.stop()

    def show(self, found: dict, text: str, line: str) -> None:
        if self._live:
            self._live.update(_markdown(spelled_out(text)), refresh=True)
            return
        said = json.dumps(found) if self._json else spelled_out(f"{found['run_id'][-4:]} {line}")
        if said != self._last:
            print(said, flush=True)
        self._last = said


def _print(text: str) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH, no_color=True)
    console.print(_markdown(spelled_out(text)))


def _caption(figure: re.Match) -> str:
    return f"Figure {figure[3]}: {figure[1]}{'…' if figure[2] else ''}"


def _markdown(text: str):
    from rich.markdown import Markdown, TableElement

    class Folded(TableElement):
        """A cell that is too long goes on in the next line; cut off, two metrics could look the same."""

        def __rich_console__(self, console, options):
            for shown in super().__rich_console__(console, options):
                for column in shown.columns:
                    column.overflow = "fold"
                yield shown

    Markdown.elements["table_open"] = Folded
    text = re.sub(r"<summary>(.*?)</summary>", r"\n\n**\1**\n\n", text)  # a terminal folds nothing …
    # … and shows no pictures; of a long alt text, `show` has the rest.
    text = re.sub(r"^!\[(.{0,150})(.*)\]\((.*)\)$", _caption, text, flags=re.MULTILINE)
    return Markdown(text, hyperlinks=False)


if __name__ == "__main__":
    say.go_on()
    sys.exit(main())
