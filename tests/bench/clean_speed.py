"""How fast is cleaning, beside datatrove on the same documents? And do the recorded decisions of datatrove still hold?

datatrove pins other versions than this project, so it lives in an environment of its own below artifacts/peers, made at
the first call (half a gigabyte). The two run in turns, one process each and one core each, on the same documents.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from helpers import journal, paths
from labjournal.markdown import number
from tests import peers

from . import BENCHMARKS, checkout, temporary

ROUNDS = 5
SAMPLE_BYTES = 1_200_000  # datatrove takes about ten seconds for it
OURS = """
import json, sys, time
from mrclean import dedup, scores
texts = json.load(open(sys.argv[1]))
def quality(text): scores.measure(text)
def minhash(text): dedup.signature(dedup.shingles(text), 112)
seconds = {}
for name, work in (("filters", quality), ("minhash", minhash)):
    work("warm up. " * 100)
    began = time.perf_counter()
    for text in texts:
        work(text)
    seconds[name] = time.perf_counter() - began
print(json.dumps(seconds))
"""

PIPELINE = """
import json, sys, time
from helpers import mrclean, profile
documents = [d for d in mrclean.read_sources(profile.load().clean) if d.kind == sys.argv[1]]
evaluation = mrclean.evaluation_texts()
began = time.perf_counter()
mrclean.clean(documents, evaluation)
seconds = time.perf_counter() - began
print(json.dumps({"megabytes_per_second": sum(d.bytes_in for d in documents) / 1e6 / seconds}))
"""

COMMAND = """
import json, pathlib, subprocess, sys, tempfile, time
out = tempfile.mkdtemp(dir="{out}")
began = time.perf_counter()
subprocess.run([sys.executable, "-m", "{name}", "{folder}", "--out", out, "--kind", "text", "--workers", "1"],
               capture_output=True)
seconds = time.perf_counter() - began
report = json.loads((pathlib.Path(out) / "report.json").read_text())
private = sum(line["seconds"] for of in report["sources"].values() for line in of["steps"]
              if line["step"] == "private_data")
print(json.dumps({{"command": seconds, "private_data": private}}))
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=clean_speed", description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write datatrove's decisions to tests/peers/ anew")
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="another version, for the whole pipeline in turn"
    )
    parser.add_argument("--folder", type=Path, help="files of your own, for the command of both versions in turn")
    options = parser.parse_args(arguments)
    if options.against and not (options.against / "helpers" / "profile.py").is_file():
        raise SystemExit(f"error: {options.against} is no checkout of this project")
    if options.folder and not (options.against and options.folder.is_dir()):
        raise SystemExit("error: --folder needs --against, and a folder")
    python = peers.environment("datatrove")
    documents = peers.oracle_documents()
    decisions = peers.datatrove_decisions(python, documents)
    if options.record:
        peers.record_decisions(documents, decisions)
    recorded = peers.recorded_decisions()
    if recorded["texts"] != peers.hashes(documents):
        raise SystemExit("error: the texts are not those that were recorded; --record writes anew")
    different = [id for id in recorded["decisions"] if recorded["decisions"][id] != decisions["decisions"].get(id)]
    if different:
        raise SystemExit(
            f"error: datatrove decides otherwise than recorded about {different[:5]}; --record writes anew"
        )

    run = journal.start(BENCHMARKS["clean_speed"], config={"rounds": ROUNDS, "sample_bytes": SAMPLE_BYTES})
    run.predict("filters_ratio", 10, unit="", kind="timing")
    run.predict("minhash_ratio", 8, unit="", kind="timing")
    for kind, guess in {"book": 1.2, "wiki": 1.2, "code": 0.8}.items():
        run.predict(f"pipeline_{kind}", guess, unit="MB/s", kind="timing")
    texts = sample(documents)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    rounds = {name: [] for name in ("filters", "minhash")}
    with temporary() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps(texts))
        for turn in range(ROUNDS):
            theirs = [python, str(peers.FOLDER / "datatrove_speed.py")]
            commands = {"ours": [sys.executable, "-c", OURS], "datatrove": theirs}
            order = ("ours", "datatrove") if turn % 2 == 0 else ("datatrove", "ours")
            seconds = {who: alone([*commands[who], str(path)]) for who in order}
            for name in rounds:
                rounds[name].append({who: megabytes / seconds[who][name] for who in seconds})
            print(f"round {turn + 1}: " + ", ".join(f"{n} {r[-1]['ours']:.2f} / {r[-1]['datatrove']:.3f} MB/s"
                                                    for n, r in rounds.items()), flush=True)  # fmt: skip
    for name, both in rounds.items():
        ratios = [r["ours"] / r["datatrove"] for r in both]
        run.log(**{f"{name}_ours": statistics.median(r["ours"] for r in both),
                   f"{name}_datatrove": statistics.median(r["datatrove"] for r in both)},
                unit="MB/s", better="higher", kind="timing")  # fmt: skip
        run.log(**{f"{name}_ratio": statistics.median(ratios), f"{name}_ratio_smallest": min(ratios)},
                unit="", better="higher", kind="timing")  # fmt: skip
        run.note(f"{name}, ratio round by round: {', '.join(map(number, ratios))}.")
    pipeline(run, options.against)
    if options.folder:
        command(run, options.against.resolve(), options.folder.resolve())
    run.finish(
        verdict="On one core and the same documents, all scores together take {filters_ours:.1f} MB/s against "
        "{filters_datatrove:.2f} for datatrove's quality and repetition filters ({filters_ratio:.0f} times, at least "
        "{filters_ratio_smallest:.0f}), MinHash with shingling {minhash_ours:.1f} against {minhash_datatrove:.2f} "
        "({minhash_ratio:.0f} times). The whole pipeline reads {pipeline_book:.2f} MB/s of books, {pipeline_wiki:.2f} "
        "of wikitext and {pipeline_code:.2f} of code.",
        decision="datatrove {version} decides as recorded; tests/test_scores.py holds this project against that.",
        version=recorded["version"],
    )  # fmt: skip
    return 0


def pipeline(run, against: Path | None) -> None:
    """MB/s of raw bytes through all steps and both searches for duplicates, one core, a fresh process each time."""
    places = {"ours": paths.ROOT, **({"before": against.resolve()} if against else {})}
    for kind in ("book", "wiki", "code"):
        found = {who: [] for who in places}
        for turn in range(3):
            for who in list(places)[:: 1 if turn % 2 == 0 else -1]:
                measured = alone([sys.executable, "-c", PIPELINE, kind], places[who])
                found[who].append(measured["megabytes_per_second"])
        run.log(**{f"pipeline_{kind}": statistics.median(found["ours"])}, unit="MB/s", better="higher", kind="timing")
        run.note(f"pipeline, {kind}, three processes: {', '.join(map(number, found['ours']))} MB/s.")
        if against:
            ratios = [now / before for now, before in zip(found["ours"], found["before"], strict=True)]
            name = f"pipeline_{kind}_ratio"
            run.log(**{name: statistics.median(ratios)}, unit="times", better="higher", kind="timing")
            run.note(
                f"pipeline, {kind}, beside commit {checkout.commit(against)}: {', '.join(map(number, ratios))} times."
            )


def command(run, against: Path, folder: Path) -> None:
    """Seconds of the command with one worker on files of any kind, and those of its step for private data."""
    ratios = {"command": [], "private_data": []}
    for turn in range(3):
        seconds = {}
        for place in (paths.ROOT, against)[:: 1 if turn % 2 == 0 else -1]:
            name = "mrclean" if (place / "packages" / "mrclean").is_dir() else "helpers.mrclean"
            with temporary() as out:
                script = COMMAND.format(name=name, folder=str(folder), out=out)
                seconds[place] = alone([sys.executable, "-c", script], place)
        for what, found in ratios.items():
            found.append(seconds[against][what] / seconds[paths.ROOT][what])
    for what, found in ratios.items():
        run.log(**{f"{what}_ratio": statistics.median(found)}, unit="times", better="higher", kind="timing")
        run.note(f"{what} on files of any kind, beside commit {checkout.commit(against)}: "
                 f"{', '.join(map(number, found))} times.")  # fmt: skip


def sample(documents: list[dict]) -> list[str]:
    """Whole documents of every kind, in a fixed order, until there are enough bytes."""
    texts, size = [], 0
    for document in documents:
        if size < SAMPLE_BYTES:
            texts.append(document["text"])
            size += len(document["text"].encode())
    return texts


def alone(command: list[str], place: Path = paths.ROOT) -> dict[str, float]:
    """Seconds by name, as the process prints them on its last line; one thread, the code of the checkout `place`."""
    # A version without packages/ has its rooms in helpers/, which lies in the folder itself.
    rooms = os.pathsep.join([*(str(place / "packages" / room) for room in ("mrclean", "labjournal")), str(place)])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": rooms,
                   "LAB_WORKSPACE": str(paths.workspace())}  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"error: {command[0]} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
