"""Is a training that is killed again and again the one that was never stopped? Bit for bit, on the CPU."""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from helpers import checkpoint, hardware, journal, paths

from . import BENCHMARKS, temporary

KILLS = 20
STEPS = 400
TEXT = ("The king is dead. Long live the king! ", "Who goes there, friend or foe? ", "So shaken as we are, so wan. ")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=resume", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    kills = parser.parse_args(arguments).kills
    run = journal.start(BENCHMARKS["resume"], config={"kills": kills, "steps": STEPS, "sizes": "smoke"}, seed=1)
    run.predict("different_losses", 0, unit="steps")
    with temporary() as folder:
        found = killed_and_resumed(Path(folder), kills, STEPS, random.Random(1))
    run.log(kills=found["kills"], unit="kills")
    run.log(steps=found["steps"], unit="steps")
    run.log(different_losses=found["different_losses"], different_norms=found["different_norms"], unit="steps")
    run.log(different_evaluations=found["different_evaluations"], unit="evaluations")
    run.log(different_weights=found["different_weights"], unit="tensors")
    run.log(restart_seconds=found["restart_seconds"], unit="s", kind="timing")
    same = not sum(value for name, value in found.items() if name.startswith("different"))
    run.finish(
        verdict="Killed at {kills:.0f} random moments and started again, a training of {steps:.0f} steps {outcome} the "
        "one that was never stopped: {different_losses:.0f} losses, {different_norms:.0f} gradient norms, "
        "{different_evaluations:.0f} evaluations and {different_weights:.0f} tensors differ.",
        outcome="equals, bit for bit," if same else "differs from",
    )
    return 0 if same else 1


def killed_and_resumed(folder: Path, kills: int, steps: int, chance: random.Random) -> dict[str, float]:
    """Train twice on the same text, once without a break, once killed at `kills` random moments; what differs."""
    text = folder / "text.txt"
    text.write_text("\n".join(TEXT[chance.randrange(len(TEXT))] for _ in range(4000)), "utf-8")
    whole, broken = folder / "whole", folder / "broken"
    machine = hardware.known() or hardware.probe()
    for workspace in (whole, broken):
        paths.write_json(workspace / "artifacts" / "hardware.json", {**machine.as_dict(), "device": "cpu"})
    began = time.perf_counter()
    _finish(_start(text, whole, steps, []))
    seconds = time.perf_counter() - began
    done, restarts = 0, []
    while True:
        began = time.perf_counter()
        process = _start(text, broken, steps, ["--resume"] if done else [])
        if done < kills:
            _wait_for_training(process, broken)
            restarts.append(time.perf_counter() - began)
            # Anywhere in it: in a step, in an evaluation, while a checkpoint is being written.
            time.sleep(chance.uniform(0, max(0.2, 1.5 * seconds / (kills + 1))))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
                done += 1
                continue
        _finish(process)
        break
    return {
        "kills": done,
        "steps": steps,
        "restart_seconds": sum(restarts) / len(restarts),
        **_differences(whole, broken),
    }


def _start(text: Path, workspace: Path, steps: int, more: list[str]) -> subprocess.Popen:
    command = [
        "-m",
        "helpers.own_text",
        "train",
        "--text",
        text,
        "--out",
        workspace / "out",
        "--steps",
        str(steps),
        *more,
    ]
    return subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, "LAB_WORKSPACE": str(workspace), "PROFILE": "smoke"},
        cwd=paths.ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(process: subprocess.Popen) -> None:
    _, told = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError(f"a training failed: {told[-2000:]}")


def _wait_for_training(process: subprocess.Popen, workspace: Path) -> None:
    """Until this process has opened its run: from here on it trains, and before it there is nothing to lose."""
    known = set((workspace / "journal" / "runs").glob("*"))
    while process.poll() is None and set((workspace / "journal" / "runs").glob("*")) == known:
        time.sleep(0.02)


def _differences(whole: Path, broken: Path) -> dict[str, int]:
    from safetensors.torch import load_file

    ours, theirs = (checkpoint.last(workspace / "out" / "checkpoints") for workspace in (broken, whole))
    found = {}
    for name, short in (("losses", "different_losses"), ("norms", "different_norms")):
        a, b = (load_file(place / "trainer.safetensors")[name] for place in (ours, theirs))
        found[short] = abs(len(a) - len(b)) + sum(x != y for x, y in zip(a.tolist(), b.tolist(), strict=False))
    a, b = (paths.read_json(place / "state.json")["evaluations"] for place in (ours, theirs))
    found["different_evaluations"] = abs(len(a) - len(b)) + sum(x != y for x, y in zip(a, b, strict=False))
    weights = [load_file(place / "model.safetensors") for place in (ours, theirs)]
    found["different_weights"] = sum(not weights[0][name].equal(weights[1][name]) for name in weights[1])
    return found
