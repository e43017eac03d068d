"""Three races: time to a target loss, tokens per second in the asked-for configuration, and both against the limit.

1. The target is the mean validation loss that nanoGPT's recipe for a CPU ends with. All arms have the same depth,
   width and context and, within 5 %, the same number of parameters; one evaluator judges them: all of the validation
   text in windows of 64 characters, in the format that this machine multiplies fastest. Every training is a process
   of its own, the arms in turn, seed by seed; the clock runs from before Python starts to after the last evaluation.
   With NANOGPT=PATH the plain arm is that checkout itself, unchanged but for the seed. Without, it is our model of its
   shape under its recipe. "tuned" is that model under the best of the plain trials of `tune`. How many steps
   it and the fast one take was set after an earlier race, so that both meet the target with a little to spare.
2. 6 layers of 384, a context of 256, batches of 64, dropout 0.2. The classic recipe computes in float32 and drops
   attention weights, too. One rung at a time changes; all rungs are timed in turn.
3. Operations per second that a training step achieves, over those of the machine's best large matrix product in the
   same format, for four sizes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from helpers import budget, gpt, hardware, journal, plots, stats

from . import BENCHMARKS, arms, checkout, temporary

TURNS = 3  # of race 2 and 3
ASKED = {"block_size": 256, "n_layer": 6, "n_head": 6, "n_embd": 384, "dropout": 0.2}
RUNGS = {  # of race 2, each with what changes
    "classic": "float32, attention dropout",
    "no attention dropout": "dropout on what blocks add, not on attention weights",
    "numerics": "matrix products in bfloat16",
    "kernels": "attention written out, dropout from bytes, four parts that fit the cache",
    "fast": "the fast model and Muon",
    "compiled": "torch.compile",
}
SIZES = {  # of race 3: vocabulary, context, layers, heads, width, batch
    "race": (73, 64, 4, 2, 128, 24),
    "notebook 03": (2048, 128, 2, 4, 160, 8),
    "middle": (2048, 256, 4, 4, 256, 16),
    "asked for": (73, 256, 6, 6, 384, 64),
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=race", description=__doc__.splitlines()[0])
    parser.add_argument("--races", nargs="+", type=int, default=[1, 2, 3], choices=[1, 2, 3])
    options = parser.parse_args(arguments)
    ids, letters, data_hash = arms.text()
    place = os.environ.get("NANOGPT")
    if place and not (Path(place) / "train.py").is_file():
        raise SystemExit(f"error: NANOGPT is {place!r}, which holds no train.py; name a checkout of nanoGPT")
    config = {"books": arms.BOOKS, "steps": arms.FAST_STEPS, "batch_size": arms.FAST_BATCH, "races": options.races}
    config |= {"seeds": len(arms.SEEDS), "plain_is": "a checkout of nanoGPT" if place else "our model of its shape"}
    run = journal.start(BENCHMARKS["race"], config=config, data_hash=data_hash[:16])
    guesses = {1: ("speedup", 12, "times"), 2: ("throughput_fast", 4, "times"), 3: ("share_asked_for", 0.5, "")}
    for race in sorted({*options.races}):
        name, guess, unit = guesses[race]
        run.predict(name, guess, unit=unit, kind="timing")
    said = []
    with temporary() as folder:
        np.save(Path(folder) / "ids.npy", ids)
        for race, work in ((1, to_target), (2, throughput), (3, against_the_limit)):
            if race in options.races:
                said.append(work(run, Path(folder), letters, place))
                if hasattr(os, "getloadavg"):  # not on Windows; what else the machine does shows in the times
                    run.note(f"After race {race}: {os.getloadavg()[0]:.1f} processes wanted a core.")
    run.finish(verdict=" ".join(said), decision="Notebook 12 shows this record.")
    return 0


# -- race 1 ------------------------------------------------------------------------------------------------------------


def to_target(run, folder: Path, letters: int, place: str | None) -> str:
    if place:
        run.note(
            f"The plain arm is nanoGPT at commit {checkout.commit(Path(place))}. On its clock: a checkpoint at every "
            "evaluation, which our arms do not write. Not on its clock: the evaluation of all of the validation text. "
            "Its seconds of steps are the median iteration times their number."
        )
        ours, theirs = checkout.compare(Path(place), folder, letters)
        run.log(iteration_ratio=statistics.median(ours) / statistics.median(theirs), unit="", kind="timing")
        run.note("Milliseconds an iteration, ours: {ours}; the checkout's: {theirs}.", ours=shown(ours, 1e3),
                 theirs=shown(theirs, 1e3))  # fmt: skip
    found: dict[str, list[dict]] = {"plain": [], "tuned": [], "fast": []}
    for seed in arms.SEEDS:
        for name in found:
            if name == "plain" and place:
                result = checkout.train(Path(place), folder, letters, seed)
            else:
                result = alone("trained", name, seed, str(folder), letters)
            found[name].append(result)
            print(f"seed {seed}, {name}: {result}", flush=True)
    for name, results in found.items():
        for key, unit in (("val_loss", "nats/character"), ("seconds", "s"), ("train_seconds", "s")):
            values = [result[key] for result in results]
            kind = "result" if key == "val_loss" else "timing"
            run.log(**{f"{key}_{name}": statistics.fmean(values)}, unit=unit, better="lower", kind=kind)
            run.log(**{f"{key}_{name}_sd": statistics.stdev(values)}, unit=unit, kind=kind)
            run.note(f"{name}, seed by seed, {key}: {shown(values)} {unit}.")
        run.log(**{f"parameters_{name}": results[0]["parameters"]}, unit="")
        run.log(**{f"tokens_{name}": results[0]["tokens"]}, unit="characters")
    columns = {"loss": "val_loss_{}", "loss, sd": "val_loss_{}_sd", "from start to end": "seconds_{}",
               "from start to end, sd": "seconds_{}_sd", "steps alone": "train_seconds_{}"}  # fmt: skip
    run.table("The arms", list(found), columns | {"parameters": "parameters_{}", "characters": "tokens_{}"})
    target = statistics.fmean(result["val_loss"] for result in found["plain"])
    formats = [abs(r["in_float32"] - r["val_loss"]) for results in found.values() for r in results]
    run.log(evaluator_rounding=max(formats), unit="nats/character", better="lower")
    run.log(target=target, unit="nats/character")
    for name in ("fast", "tuned"):
        losses = np.array([result["val_loss"] for result in found[name]])
        margin = (target - losses.mean()) * len(losses) ** 0.5 / losses.std(ddof=1)
        run.log(**{f"target_margin_{name}": margin}, unit="standard errors", better="higher")
        run.log(**{f"target_met_{name}": int((losses <= target).sum())}, unit=f"of {len(losses)}", better="higher")
    for than, suffix in (("plain", ""), ("tuned", "_over_tuned")):
        for key, part in (("seconds", ""), ("train_seconds", "_training")):
            logs = [np.log([result[key] for result in found[arm]]) for arm in ("fast", than)]
            low, high, _ = stats.mean_difference(*logs, paired=True)
            name, mean = f"speedup{part}{suffix}", float(np.exp((logs[1] - logs[0]).mean()))
            run.log(**{name: mean}, unit="times", better="higher", kind="timing")
            run.log(**{f"{name}_low": np.exp(low), f"{name}_high": np.exp(high)}, unit="times", kind="timing")
    draw_race(run, found, target)
    get = {name: metric["final"] for name, metric in run.record["metrics"].items()}
    return (
        f"The target is {target:.3f} nats per character, where nanoGPT's recipe ends. The fast recipe ends at "
        f"{get['val_loss_fast']:.3f} ({get['target_met_fast']:.0f} of {len(arms.SEEDS)} seeds at or below the target) "
        f"with {get['speedup']:.1f} times less time from start to end ({get['speedup_low']:.1f} to "
        f"{get['speedup_high']:.1f} at 95 %), {get['speedup_training']:.1f} times less in the steps alone. Against a "
        f"plain recipe tuned with as many trials ({get['val_loss_tuned']:.3f}) it is "
        f"{get['speedup_over_tuned']:.1f} times."
    )


def draw_race(run, found: dict[str, list[dict]], target: float) -> None:
    fig, ax = plots.figure(height=3.4)
    for name, results in found.items():
        ax.plot([r["seconds"] for r in results], [r["val_loss"] for r in results], "o", ms=7, alpha=0.7, label=name)
    ax.axhline(target, color=plots.COLORS["grey"], lw=1)
    ax.set(xscale="log", xlabel="seconds from start to end", ylabel="validation loss (nats/character)")
    ax.legend()
    data = {name: [[r["seconds"], r["val_loss"]] for r in results] for name, results in found.items()}
    said = [f"{name}: {', '.join(f'{s:.1f} s and {v:.3f}' for s, v in points)}" for name, points in data.items()]
    alt = f"Seconds and final validation loss of every training. {'. '.join(said)}. Target {target:.3f}."
    run.figure("bench_race", fig, data={**data, "target": [target]}, alt=alt, kind="timing")


# -- race 2 ------------------------------------------------------------------------------------------------------------


def throughput(run, folder: Path, letters: int, place: str | None) -> str:
    steps: dict[str, list[float]] = {}
    for turn in range(TURNS):
        for name in RUNGS:
            found = alone("stepped", name, turn + 1, str(folder), letters)
            steps.setdefault(name, []).append(statistics.median(found["steps"]))
            if name == "compiled":
                run.log(step=turn + 1, compile_seconds=found["first"] - steps[name][-1], unit="s", kind="timing")
            print(f"turn {turn + 1}, {name}: {found}", flush=True)
    tokens = 64 * ASKED["block_size"]
    for name, seconds in steps.items():
        key = name.replace(" ", "_")
        run.log(**{f"tokens_per_second_{key}": tokens / statistics.median(seconds)}, unit="tokens/s", kind="timing")
        ratios = [base / one for base, one in zip(steps["classic"], seconds, strict=True)]
        run.log(**{f"throughput_{key}": statistics.median(ratios)}, unit="times", better="higher", kind="timing")
        run.note(f"{name} ({RUNGS[name]}), times the classic recipe's speed, turn by turn: {shown(ratios)}.")
    fig, ax = plots.figure(height=3.2)
    names = list(RUNGS)
    for i, name in enumerate(names):
        ax.plot([tokens / s for s in steps[name]], [i] * TURNS, "o", ms=7, alpha=0.7, color=plots.COLORS["blue"])
    ax.set_yticks(range(len(names)), [f"{name}: {RUNGS[name]}" for name in names], fontsize=9)
    ax.invert_yaxis()
    ax.set(xlabel="tokens per second", xlim=(0, None))
    data = {name: [tokens / s for s in steps[name]] for name in names}
    alt = "Tokens per second, rung by rung: "
    alt += "; ".join(f"{name} {statistics.median(speeds):,.0f}" for name, speeds in data.items()) + "."
    run.figure("bench_race_throughput", fig, data=data, alt=alt, kind="timing")
    get = {name: run.record["metrics"][f"throughput_{name.replace(' ', '_')}"]["final"] for name in RUNGS}
    return (
        f"In the asked-for configuration the fast recipe has {get['fast']:.1f} times the tokens per second of the "
        f"classic one, {get['compiled']:.1f} times when compiled; numerics alone give {get['numerics']:.1f}."
    )


# -- race 3 ------------------------------------------------------------------------------------------------------------


def against_the_limit(run, folder: Path, letters: int, place: str | None) -> str:
    shares: dict[str, dict[str, list[float]]] = {"classic": {}, "fast": {}}
    for turn in range(TURNS):
        for size in SIZES:
            for name in shares:
                found = alone("limited", name, turn + 1, str(folder), letters, size)
                shares[name].setdefault(size, []).append(found["achieved"] / found["possible"])
                print(f"turn {turn + 1}, {size}, {name}: {found}", flush=True)
    for name, sizes in shares.items():
        for size, values in sizes.items():
            key = f"share_{size}".replace(" ", "_") + ("" if name == "fast" else "_classic")
            run.log(**{key: statistics.median(values)}, unit="", better="higher", kind="timing")
            run.note(f"{name}, {size}, share of the limit, turn by turn: {shown(values)}.")
    fig, ax = plots.figure(height=3.2)
    for name, sizes in shares.items():
        for i, values in enumerate(sizes.values()):
            side, color = (-0.08, plots.COLORS["grey"]) if name == "classic" else (0.08, plots.COLORS["blue"])
            ax.plot([i + side] * len(values), values, "o", color=color, ms=7, alpha=0.7, label="" if i else name)
    ax.set_xticks(range(len(SIZES)), [f"{n}\n{s[2]} layers of {s[4]}" for n, s in SIZES.items()], fontsize=10)
    ax.set(ylabel="share of the measured limit", ylim=(0, None))
    ax.legend()
    alt = "Share of the machine's matrix speed that a step achieves: " + "; ".join(
        f"{size}, {name}, {statistics.median(values):.0%}" for name, of in shares.items() for size, values in of.items()
    )
    run.figure("bench_race_limit", fig, data=shares, alt=alt + ".", kind="timing")
    low, high = (f(statistics.median(v) for v in shares["fast"].values()) for f in (min, max))
    return f"The fast steps reach {low:.0%} to {high:.0%} of what this machine's matrix products reach, by size."


# -- in a process of its own -------------------------------------------------------------------------------------------


def alone(work: str, *given) -> dict:
    """What `work` of this module returned in a new process, and the seconds from before it started to its end."""
    code = f"import json; from tests.bench import race; print(json.dumps(race.{work}(*{given!r})))"
    began = time.time()  # a process has its own performance counter
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: {work}{given} failed:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return {**found, "seconds": found.pop("finished", time.time()) - began}


def trained(name: str, seed: int, folder: str, letters: int) -> dict:
    """A training of race 1, with its loss by the one evaluator; and, after the clock has stopped, in float32."""
    from helpers import training

    sides = arms.split(np.load(Path(folder) / "ids.npy"))
    machine = arms.machine()
    if name == "fast":
        config, recipe = arms.fast_config(letters), arms.fast_recipe(arms.FAST_STEPS, seed)
        found = arms.run(config, recipe, sides, machine)
    else:
        chosen = {"steps": arms.TUNED_STEPS, **arms.TUNED} if name == "tuned" else {}
        config, recipe = gpt.GPTConfig(letters, n_head=4, **arms.SHAPE), arms.plain_recipe(seed=seed, **chosen)
        found = arms.run_plainly(config, recipe, sides, dataclasses.replace(machine, dtype="float32"), machine)
    model = found.pop("model")
    found["finished"] = time.time()
    found["in_float32"] = training.evaluate(model, sides[1], dataclasses.replace(machine, dtype="float32"), 256)
    found["parameters"] = sum(p.numel() for p in gpt.make(config).parameters())
    return {**found, "tokens": recipe.max_iters * recipe.batch_size * arms.CONTEXT}


def stepped(name: str, seed: int, folder: str, letters: int) -> dict:
    """Seconds of two steps of race 2 after a first one."""
    from helpers import training

    rung = list(RUNGS).index(name)
    machine = arms.machine()
    if rung < 2:
        machine = dataclasses.replace(machine, dtype="float32")
    recipe = arms.plain_recipe(1000, seed, batch_size=64, accumulate=4 if rung >= 3 else 1)
    if rung < 3:
        model = gpt.GPT(gpt.GPTConfig(letters, **ASKED))
        if rung == 0:
            checkout.drop_attention(model, ASKED["dropout"])
    elif rung == 3:
        model = gpt.make(gpt.FastConfig(letters, **ASKED, **arms.OFF))
    else:
        recipe = arms.fast_recipe(1000, seed, batch_size=64, accumulate=4)
        model = gpt.make(gpt.FastConfig(letters, **ASKED))
    trainer = training.Trainer(model, arms.split(np.load(Path(folder) / "ids.npy"))[0], recipe, machine)
    if name == "compiled":
        # A cache of its own: what an earlier process compiled would make this one look quick.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(dir=folder)
        trainer.model.compile()
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        trainer.advance()
        seconds.append(time.perf_counter() - began)
    return {"first": seconds[0], "steps": seconds[1:]}


def limited(name: str, seed: int, folder: str, letters: int, size: str) -> dict:
    """Operations per second of a training step, and of matrix products before and after it."""
    import torch

    from helpers import training

    machine = arms.machine()
    vocab_size, block_size, n_layer, n_head, n_embd, batch = SIZES[size]
    shape = (vocab_size, block_size, n_layer, n_head, n_embd)
    parts = 4 if size == "asked for" and name == "fast" else 1
    if name == "fast":
        config, recipe = gpt.FastConfig(*shape), arms.fast_recipe(1000, seed, batch_size=batch, accumulate=parts)
    else:
        config, recipe = gpt.GPTConfig(*shape), arms.plain_recipe(1000, seed, batch_size=batch)
    ids = np.random.default_rng(seed).integers(0, vocab_size, 100_000).astype(np.uint16)
    trainer = training.Trainer(gpt.make(config), ids, recipe, machine)
    dtype = getattr(torch, machine.dtype)
    possible = hardware.matmul_gflops(torch, machine.device, dtype, 1.5, n=2048)
    timed = 2 if size == "asked for" else 10
    step = budget.seconds_per_step(trainer.advance, warm=2, timed=timed)
    possible = max(possible, hardware.matmul_gflops(torch, machine.device, dtype, 1.5, n=2048))
    achieved = budget.flops_per_token(config) * batch * block_size / step / 1e9
    return {"achieved": achieved, "possible": possible}


def shown(values: list[float], scale: float = 1.0) -> str:
    return ", ".join(f"{value * scale:.4g}" for value in values)
