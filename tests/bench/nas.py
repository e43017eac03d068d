"""Every architecture of a small space, trained alone for equally many seconds: a table on which searches are tried.

The space is that of `supernet.py`: eight decisions, 256 GPTs. The text is that of the race; its first eight tenths are
learned from, the ninth is what a search sees, the tenth what its winner is judged on. How long a step of each takes is
measured first, alone on the machine and in turn; all get as many steps as fit into SECONDS on one core. Then:

- the table: each architecture once, with the loss on the way, which stands for cheaper estimates;
- the best of it and the one made by hand again with fresh seeds; some drawn at random with another seed; and some with
  LONGER times the seconds;
- the one made by hand for as long as a whole search takes;
- the supernet, with its decisions mixed and learned (DARTS, first order) or drawn anew for each step.

Each result is kept on disk, so a start that was killed goes on with the next one.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

from helpers import budget, hardware, journal, paths, plots, stats, training
from helpers.recipe import Recipe

from . import BENCHMARKS, arms
from .supernet import SPACE, Net, bits

SECONDS = 4.0  # of steps, on one core
LONGER = 4
PRICE, PRICE_SEEDS = 40, (1, 2)  # trainings of a search in notebook 07: the one made by hand, trained for as long
BATCH, EVALUATED = 16, 32  # windows; batches of either side
SIZE = 2 ** len(SPACE)
BY_HAND = 0b00001111  # as large as the space allows, and otherwise as GPT-2 has it
TOP, FRESH = 32, (1, 2, 3, 4, 5)
AGAIN = 48  # drawn at random, with another seed
LONG = 32  # of these
ON_THE_WAY = 8  # evaluations
DARTS_SEEDS, DARTS_STEPS, DARTS_RATE = FRESH, 400, 0.02
PATHS_SEEDS, PATHS_STEPS = FRESH[:3], 1500
ONE_CORE = hardware.Hardware("cpu", "", "float32", 1, 1, 8.0, {"float32": 1.0}, 1.0, 1.0)


def main(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="make bench ARGS=nas", description=__doc__.splitlines()[0]).parse_args(arguments)
    data_hash = arms.text()[2][:16]
    config = {"space": SPACE, "seconds": SECONDS, "longer": LONGER, "price": PRICE, "batch_size": BATCH, "top": TOP,
              "fresh": FRESH, "again": AGAIN, "long": LONG, "darts_steps": DARTS_STEPS, "darts_rate": DARTS_RATE,
              "paths_steps": PATHS_STEPS}  # fmt: skip
    run = journal.start(BENCHMARKS["nas"], config=config, seed=0, data_hash=data_hash)
    run.predict("tau_half", 0.8, unit="")  # the order at half the steps, against that at the end
    run.predict("tau_longer", 0.5, unit="")
    run.predict("tau_shared", 0.4, unit="")
    run.predict("darts_rank", 100, unit="rank")  # the mean of five seeds, of 256
    steps = paced(data_hash)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(hardware.usable_cores(), mp_context=spawn, initializer=arms.one_thread) as pool:
        make = functools.partial(made, run, pool, data_hash)
        table = make("alone", [{"number": n, "steps": steps[n], "seed": 0} for n in range(SIZE)])
        seen = np.array([one["val"] for one in table])
        fresh = np.unique([*np.argsort(seen)[:TOP], BY_HAND])
        redrawn = np.random.default_rng(0).permutation(SIZE)[:AGAIN]
        best = make("alone", [{"number": int(n), "steps": steps[n], "seed": s} for n in fresh for s in FRESH])
        again = make("alone", [{"number": int(n), "steps": steps[n], "seed": 1} for n in redrawn])
        longer = np.unique([*redrawn[:LONG], *np.argsort(seen)[:8], BY_HAND])
        long = make("alone", [{"number": int(n), "steps": LONGER * steps[n], "seed": 0} for n in longer])
        price = make("alone", [{"number": BY_HAND, "steps": PRICE * steps[BY_HAND], "seed": s} for s in PRICE_SEEDS])
        darts = make("darts", [{"steps": DARTS_STEPS, "seed": s} for s in DARTS_SEEDS])
        shared = make("paths", [{"steps": PATHS_STEPS, "seed": s} for s in PATHS_SEEDS])
    report(run, table, steps, seen)
    report_fresh(run, fresh, np.array([one["test"] for one in best]).reshape(len(fresh), -1))
    estimates = {f"step_{part}_of_8": [one["way"][part - 1] for one in table] for part in (1, 2, 4)}
    estimates |= {"sum": [one["sum"] for one in table], "parameters": [one["parameters"] for one in table],
                  "shared": np.mean([one["losses"] for one in shared], axis=0)}  # fmt: skip
    report_ranks(run, seen, estimates, (redrawn, again), (longer, long))
    report_darts(run, seen, darts, shared)
    run.log(by_hand_at_the_price=np.mean([one["test"] for one in price]), unit="nats/token", better="lower")
    everything = [*table, *best, *again, *long, *price, *darts, *shared]
    run.log(machine_seconds=sum(one["seconds"] for one in everything), unit="s", kind="timing")
    run.finish(
        verdict="{n} architectures, {seconds:g} seconds of steps each: {best_val:.3f} to {worst_val:.3f} nats. With "
        "fresh seeds the best has {best_fresh:.3f}, the one made by hand {by_hand:.3f}, and "
        "{by_hand_at_the_price:.3f} after as long as a search. Kendall's tau with the end: "
        "half the steps {tau_half:.2f}, {longer} times the steps {tau_longer:.2f}, another seed {tau_seed:.2f}, shared "
        "weights {tau_shared:.2f}. What DARTS chose has rank {darts_rank:.0f} in the mean of {d} seeds.",
        decision="Notebook 07 searches on this table.",
        n=SIZE, seconds=SECONDS, longer=LONGER, d=len(darts),
    )  # fmt: skip
    return 0


def paced(data_hash: str) -> list[int]:
    """Steps of each architecture that fit into SECONDS: the median of three looks, made in turn; kept on disk."""
    place = paths.artifacts("bench", "nas", f"steps-{_key(data_hash)}.json")
    if place.is_file():
        return paths.read_json(place)
    torch.set_num_threads(1)
    train, _, _, V = _text()
    looks = np.empty((3, SIZE))
    for look in looks:
        for n in range(SIZE):
            trainer = training.Trainer(net(V, n, 0), train, recipe(1000, 0), ONE_CORE)
            look[n] = budget.seconds_per_step(trainer.advance, warm=2, timed=8)
        print(f"a step takes {1000 * np.median(look):.1f} ms in the median of all architectures", flush=True)
    steps = [round(SECONDS / seconds) for seconds in np.median(looks, axis=0)]
    paths.write_json(place, steps)
    return steps


def net(vocab_size: int, number: int | None, seed: int) -> Net:
    hardware.seed_everything(seed)
    return Net(vocab_size, arms.CONTEXT, None if number is None else bits(number))


def recipe(steps: int, seed: int) -> Recipe:
    return Recipe(max_iters=steps, batch_size=BATCH, learning_rate=3e-3, betas=(0.9, 0.99), seed=seed,
                  eval_interval=max(1, -(-steps // ON_THE_WAY)), eval_batches=EVALUATED)  # fmt: skip


@functools.cache
def _text() -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """What is learned from, what a search sees, what its winner is judged on; how many characters there are."""
    ids, V, _ = arms.text()
    return *arms.split(ids, tuning=True), arms.split(ids)[1], V


def _key(data_hash: str, **what) -> str:
    settings = [SPACE, SECONDS, BATCH, EVALUATED, ON_THE_WAY, DARTS_RATE, data_hash, what]
    return paths.sha256(json.dumps(settings))[:16]


def made(run, pool, data_hash: str, kind: str, jobs: list[dict]) -> list[dict]:
    """The results of all jobs, in their order; those that are not on disk are made, a process for each core."""
    places = [paths.artifacts("bench", "nas", f"{kind}-{_key(data_hash, **job)}.json") for job in jobs]
    missing = [i for i, place in enumerate(places) if not place.is_file()]
    if missing:
        there = len(jobs) - len(missing)
        with run.watch(len(jobs), unit="nats/token", name=f"{kind}, {len(jobs)}", first=there) as told:
            waiting = pool.map(MAKE[kind], [jobs[i] for i in missing])
            for step, (i, result) in enumerate(zip(missing, waiting, strict=True), there + 1):
                paths.write_json(places[i], result)
                told.step(step, result["val"])
    return [paths.read_json(place) for place in places]


def alone(job: dict) -> dict:
    began, (train, val, test, V) = time.perf_counter(), _text()
    model = net(V, job["number"], job["seed"])
    trainer = training.Trainer(model, train, recipe(job["steps"], job["seed"]), ONE_CORE)
    training.train_model(trainer, val)
    way = [one.val_loss for one in trainer.evaluations[1:]]
    return {
        "val": way[-1], "way": way, "sum": float(np.mean(trainer.losses)), "seconds": time.perf_counter() - began,
        "test": training.evaluate(model, test, ONE_CORE, BATCH, EVALUATED),
        "parameters": sum(p.numel() for p in model.parameters()),
    }  # fmt: skip


def darts(job: dict) -> dict:
    """First-order DARTS: the decisions learn from the second half of the text, the weights from the first, in turn."""
    began, (train, val, _, V) = time.perf_counter(), _text()
    model, half = net(V, None, job["seed"]), len(train) // 2
    trainer = training.Trainer(model, train[:half], recipe(job["steps"], job["seed"]), ONE_CORE)
    alpha, way = torch.zeros(len(SPACE), 2, requires_grad=True), []
    optimizer = torch.optim.Adam([alpha], lr=DARTS_RATE, betas=(0.5, 0.999))
    while trainer.step < job["steps"]:
        model.mix = alpha.softmax(dim=1)
        model(*training.batch(train[half:], trainer.recipe, trainer.step, arms.CONTEXT))[1].backward()
        optimizer.step()
        alpha.grad = None
        model.zero_grad()
        model.mix = alpha.detach().softmax(dim=1)
        trainer.advance()
        way.append(model.mix[:, 1].tolist())
    chosen = sum(1 << place for place, weight in enumerate(way[-1]) if weight > 0.5)
    loss = training.evaluate(model, val, ONE_CORE, BATCH, EVALUATED)
    return {"val": loss, "way": way, "chosen": chosen, "seconds": time.perf_counter() - began}


def paths_of(job: dict) -> dict:
    """One architecture, drawn anew, for each step of the shared weights; then the loss of all of them (SPOS)."""
    began, (train, val, _, V) = time.perf_counter(), _text()
    model, chance = net(V, None, job["seed"]), np.random.default_rng(job["seed"])
    trainer = training.Trainer(model, train, recipe(job["steps"], job["seed"]), ONE_CORE)
    while trainer.step < job["steps"]:
        model.choose(bits(chance.integers(SIZE)))
        trainer.advance()
    losses = []
    for number in range(SIZE):
        model.choose(bits(number))
        losses.append(training.evaluate(model, val, ONE_CORE, BATCH, EVALUATED // 4))
    return {"val": min(losses), "losses": losses, "seconds": time.perf_counter() - began}


MAKE = {"alone": alone, "darts": darts, "paths": paths_of}


def report(run, table: list[dict], steps: list[int], seen: np.ndarray) -> None:
    run.log(best_val=seen.min(), worst_val=seen.max(), median_val=np.median(seen), unit="nats/token", better="lower")
    run.log(best_number=int(seen.argmin()), unit="")
    data = {"val": seen, "steps": steps}
    data |= {name: [one[name] for one in table] for name in ("test", "sum", "parameters", "seconds")}
    data |= {f"way_{part}": [one["way"][part - 1] for one in table] for part in (1, 2, 4)}
    fig, ax = plots.figure(height=3.4)
    ax.plot(steps, seen, ".", color=plots.COLORS["blue"])
    ax.plot([steps[BY_HAND]], [seen[BY_HAND]], "D", color=plots.COLORS["orange"], label="made by hand")
    ax.set(xscale="log", xlabel=f"steps in {SECONDS:g} seconds", ylabel="loss (nats per character)")
    ax.legend()
    run.figure(
        "07_space", fig, data=data, n=len(seen),
        alt="Loss of {n} architectures against the steps that fit into the same seconds: from {val.min:.3f} to "
        "{val.max:.3f} nats per character, with {steps.min:.0f} to {steps.max:.0f} steps.",
    )  # fmt: skip


def report_fresh(run, numbers: np.ndarray, losses: np.ndarray) -> None:
    """Mean and spread over fresh seeds, on text that no search saw."""
    means, spread = losses.mean(axis=1), losses.std(axis=1, ddof=1)
    by_hand = list(numbers).index(BY_HAND)
    run.log(best_fresh=means.min(), by_hand=means[by_hand], unit="nats/token", better="lower")
    run.log(sd_of_a_seed=float(np.sqrt(np.mean(spread**2))), unit="nats/token")
    fig, ax = plots.figure(height=3.4)
    order = np.argsort(means)
    ax.errorbar(range(len(means)), means[order], spread[order], fmt="o", capsize=3, color=plots.COLORS["blue"])
    ax.set(xlabel="the best of the table, ordered by fresh seeds", ylabel="loss (nats per character)")
    data = {"number": numbers, "mean": means, "sd": spread}
    data |= {f"seed_{seed}": column for seed, column in zip(FRESH, losses.T, strict=True)}
    run.figure(
        "07_fresh", fig, data=data, n=len(FRESH),
        alt="Loss of the best architectures with {n} fresh seeds, mean and spread: {mean.min:.3f} to {mean.max:.3f}.",
    )  # fmt: skip


def report_ranks(run, seen: np.ndarray, estimates: dict, again: tuple, long: tuple) -> None:
    """Kendall's tau between what an architecture comes to and cheaper or other estimates of it, with an interval."""
    pairs = {name: (seen, np.array(values)) for name, values in estimates.items()}
    pairs["seed"] = seen[again[0]], np.array([one["val"] for one in again[1]])
    pairs["longer"] = seen[long[0]], np.array([one["val"] for one in long[1]])
    found = {}
    for name, (one, other) in pairs.items():
        rows = stats.resample(len(one), 1000, seed=0)
        draws = [tau(one[row], other[row]) for row in rows]
        found[name] = tau(one, other), *np.quantile(draws, [0.025, 0.975])
        short = {"step_4_of_8": "half", "step_2_of_8": "quarter", "step_1_of_8": "eighth"}.get(name, name)
        run.log(**{f"tau_{short}": found[name][0], f"tau_{short}_low": found[name][1],
                   f"tau_{short}_high": found[name][2]}, unit="")  # fmt: skip
    fig, ax = plots.figure(height=3.2)
    for row, (value, low, high) in enumerate(found.values()):
        ax.errorbar([value], [row], xerr=[[value - low], [high - value]], marker="o", color=plots.COLORS["blue"])
    ax.set_yticks(range(len(found)), found)
    ax.set(xlabel="Kendall's tau with the loss at the end")
    run.figure(
        "07_ranks", fig, data={"tau": [f[0] for f in found.values()], "low": [f[1] for f in found.values()],
                               "high": [f[2] for f in found.values()]}, names=", ".join(found),
        alt="Kendall's tau of each estimate ({names}) with the loss at the end: {tau:.2f}.",
    )  # fmt: skip
    fig, ax = plots.figure(height=3.2)
    ax.plot(pairs["longer"][0], pairs["longer"][1], "o", color=plots.COLORS["blue"])
    ax.set(xlabel=f"loss after {SECONDS:g} seconds", ylabel=f"loss after {LONGER * SECONDS:g} seconds")
    run.figure(
        "07_long", fig, data={"number": long[0], "short": pairs["longer"][0], "long": pairs["longer"][1],
                              "test": [one["test"] for one in long[1]]},
        alt="Loss after long training against that after short training: {short:.3f}; {long:.3f}.",
    )  # fmt: skip


def tau(one, other) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(one, other).statistic)


def report_darts(run, seen: np.ndarray, found: list[dict], shared: list[dict]) -> None:
    """What the gradient chose, seed by seed, and what the shared weights would choose; a rank of 1 is the best."""
    ranks = seen.argsort().argsort() + 1
    chosen = [one["chosen"] for one in found]
    run.log(darts_rank=float(np.mean(ranks[chosen])), shared_rank=float(np.mean(
        [ranks[np.argmin(one["losses"])] for one in shared])), unit="rank")  # fmt: skip
    run.log(darts_evaluations=float(np.mean([one["seconds"] for one in found])) / SECONDS,
            shared_evaluations=float(np.mean([one["seconds"] for one in shared])) / SECONDS, unit="evaluations",
            kind="timing")  # fmt: skip
    way = np.array([one["way"] for one in found])  # (seeds, steps, decisions)
    fig, axes = plots.figure(nrows=2, ncols=4, height=4.4, sharex=True, sharey=True)
    for place, (ax, (name, options)) in enumerate(zip(np.ravel(axes), SPACE.items(), strict=True)):
        ax.plot(way[:, :, place].T, linewidth=1)
        ax.axhline(0.5, color=plots.COLORS["grey"], linewidth=0.8)
        ax.set(title=f"{name}: {options[1]}", ylim=(0, 1))
    data = {name: way[:, -1, place] for place, name in enumerate(SPACE)}
    data |= {f"way_{name}": way[:, ::10, place].mean(axis=0) for place, name in enumerate(SPACE)}
    run.figure(
        "07_darts", fig, data=data | {"chosen": chosen, "rank": ranks[chosen]}, n=len(found),
        alt="Weight of the second answer of eight decisions while {n} supernets learn. What they choose has the ranks "
        "{rank:.0f}.",
    )  # fmt: skip
    run.figure(
        "07_shared", _shared_figure(seen, shared), data={"alone": seen, "shared": np.mean(
            [one["losses"] for one in shared], axis=0)},
        alt="Loss with shared weights against the loss trained alone, for each architecture: alone {alone.min:.3f} to "
        "{alone.max:.3f}, shared {shared.min:.3f} to {shared.max:.3f}.",
    )  # fmt: skip


def _shared_figure(seen, shared):
    fig, ax = plots.figure(height=3.2)
    ax.plot(seen, np.mean([one["losses"] for one in shared], axis=0), ".", color=plots.COLORS["blue"])
    ax.set(xlabel="trained alone (nats per character)", ylabel="with shared weights")
    return fig
