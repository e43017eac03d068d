"""python -m mrclean INPUT... --out DIR --kind KIND: clean a folder of your own.

Exit status: 0 all well, 1 something was quarantined (see the report), 2 wrong usage, nothing could be read, or it had
to stop before the end.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import tomllib
import traceback
from pathlib import Path

import filelock

from . import batch
from .batch.report import summary
from .batch.tables import FORMATS
from .pipeline import STEPS
from .rules import RULES, limits
from .wording import one_line


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    screen = _Screen()
    try:
        limits, skip = _set(options)
        report = batch.clean_folder(
            options.inputs, options.out, options.kind, options.workers, options.engine,
            options.text_column, options.format, limits, skip, screen.say,
        )  # fmt: skip
    except FileNotFoundError as error:
        return screen.fail(f"there is no {error.filename}")
    except filelock.Timeout:
        return screen.fail(f"another start is at work in {options.out}; wait for it, or name another --out")
    except (ValueError, batch.Stopped, OSError) as error:
        return screen.fail(str(error))
    except KeyboardInterrupt:
        return screen.fail("stopped by you; start again to go on")
    except Exception:
        screen.say(traceback.format_exc(), True)
        return screen.fail("this is a fault of the program; please report what stands above, and start again to go on")
    screen.say(f"{summary(report)}\nreport: {options.out / 'report.md'}", True)
    if not report["documents_read"]:
        aside = ", ".join(f"{n:,} {what}" for what, n in report["left_aside"].items())
        nothing = "there is nothing to read in the input" + (f" (left aside: {aside})" if aside else "")
        return screen.fail("nothing could be read" if report["documents_in"] else nothing)
    return 1 if report["quarantined"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mrclean",
        description="Clean text: repair it, replace private data, drop what is no text and what is there twice, and "
        "account for every document. An interrupted run goes on when it is started again.",
        epilog="Exit status: 0 all well; 1 something was quarantined, see the report; 2 wrong usage, nothing could be "
        "read, or stopped before the end. RAY_ADDRESS names the cluster for --engine ray, else it starts one here.",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="files and folders: text; rows in .jsonl, .json, .csv, .tsv, .parquet; for wiki .xml dumps; packed: .gz, "
        ".bz2, .zst. What is something else (HTML, PDF, pictures …) is left out, and the report says what",
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="a new folder, or an earlier one to go on with"
    )
    kinds = "book, wiki, review: English; code: Python; text: any"
    parser.add_argument("--kind", required=True, choices=list(STEPS), help=kinds)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser.add_argument("--workers", type=_positive, default=cores, metavar="N", help=f"processes (default: {cores})")
    parser.add_argument("--engine", choices=list(batch.ENGINES), default="local", help="ray needs the extra [ray]")
    parser.add_argument(
        "--text-column", default="text", metavar="NAME", help="of rows (default: text); other columns stay as they are"
    )
    parser.add_argument(
        "--format", choices=list(FORMATS), default="parquet", help="of the clean documents (default: parquet)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="LIMIT=NUMBER", help="another limit, as text_min_chars=200"
    )
    parser.add_argument("--skip", action="append", default=[], metavar="STEP", help="leave a step out, as private_data")
    parser.add_argument(
        "--rules", type=Path, metavar="FILE", help="a TOML file of limits, and of steps in skip = [...]"
    )
    parser.add_argument("--limits", action=_Limits, nargs=0, help="show all limits with their sources, and stop")
    return parser


class _Limits(argparse.Action):
    def __call__(self, parser, *_) -> None:
        for name, number in limits().items():
            rule = RULES.get(name)
            print(f"{name} = {number:g}" + (f"  # {rule.unit}; {rule.why}" if rule else ""))
        parser.exit()


def _set(options: argparse.Namespace) -> tuple[dict[str, float], tuple[str, ...]]:
    """The limits and the steps to skip that the user gave, in a file or one by one; the latter count."""
    found = {}
    if options.rules:
        try:
            found = tomllib.loads(options.rules.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{options.rules} is not TOML: {error}") from None
    skip = found.pop("skip", [])
    if not isinstance(skip, list):  # of a string, each letter would be a step
        raise ValueError(f'{options.rules}: skip = {skip!r}: give a list of steps, as ["private_data"]')
    for pair in options.set:
        name, equal, number = pair.partition("=")
        if not equal:
            raise ValueError(f"--set {pair}: give the limit and its number, as text_min_chars=200")
        found[name.strip()] = number.strip()
    for name, number in found.items():
        try:
            found[name] = float(number)
        except (ValueError, TypeError):
            raise ValueError(f"{name} = {number!r}: a limit is a number") from None
    return found, (*map(str, skip), *options.skip)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"at least one worker is needed, not {text!r}")
    return int(text)


class _Screen:
    """Progress on one line of a terminal; in a log, a line every ten seconds. Without a reader, the work goes on."""

    def __init__(self):
        sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - closed by whoever started us
        self._terminal = sys.stderr.isatty()
        self._shown = 0.0

    def say(self, text: str, last: bool) -> None:
        if not last and not self._terminal and time.monotonic() - self._shown < 10:
            return
        self._shown = time.monotonic()
        begin, end = ("\r\x1b[K" if self._terminal else ""), ("" if self._terminal and not last else "\n")
        try:
            print(f"{begin}{text}", end=end, file=sys.stderr, flush=True)
        except OSError:  # a pipe whose reader has left, a terminal that is gone, a full disk
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    def fail(self, text: str) -> int:
        self.say(f"error: {one_line(text, limit=1000)}", True)
        return 2


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    for number in (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")):  # asked to end: as with Ctrl-C
        if number and signal.getsignal(number) is not signal.SIG_IGN:  # but not under nohup
            signal.signal(number, _interrupt)
    try:
        status = main()
    except SystemExit as ended:  # of --help and --limits
        status = ended.code
    except BrokenPipeError:  # as in `--limits | head`: nobody reads on
        status = 0
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(status)
