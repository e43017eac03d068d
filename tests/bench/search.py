"""What tuning buys: several ways to search for a small GPT's learning rate, batch and schedule, with the same tokens.

Each study may spend as many tokens as BUDGET trainings from start to end; halving spends them on more of them. What
each study finds is trained anew with fresh seeds; so is the setting made by hand, as long as one trial and as long as a
whole search. Trials learn from the first eight tenths of the race's text and see the ninth; the tenth is opened for the
fresh seeds. Studies lie on disk: a start that was killed goes on with them, though a sampler's chance is another then.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import optuna

from helpers import gpt, hardware, journal, paths, plots, search, stats, training
from helpers.recipe import Recipe

from . import BENCHMARKS, arms

TOKENS, BUDGET = 150_000, 20  # of a training; trainings that a study may spend
RUNGS = (1, 3, 9)  # ninths of a training after which it may be stopped
SEEDS, FRESH = (1, 2, 3, 4, 5), (11, 12, 13, 14, 15)
SHAPE = {"block_size": arms.CONTEXT, "n_layer": 2, "n_head": 2, "n_embd": 64}
BY_HAND = {"learning_rate": 1e-3, "batch_size": 16, "warmup_fraction": 0.05, "cooldown_fraction": 1.0}
ONE_CORE = hardware.Hardware("cpu", "", "float32", 1, 1, 8.0, {"float32": 1.0}, 1.0, 1.0)
HALVING = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3)
WAYS = {
    "random": (optuna.samplers.RandomSampler, None),
    "TPE": (optuna.samplers.TPESampler, None),
    "GP": (optuna.samplers.GPSampler, None),
    "random_halving": (optuna.samplers.RandomSampler, HALVING),
    "TPE_halving": (optuna.samplers.TPESampler, HALVING),
}


def main(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="make bench ARGS=search", description=__doc__.splitlines()[0]).parse_args(arguments)
    data_hash = arms.text()[2][:16]
    config = {"tokens": TOKENS, "budget": BUDGET, "rungs": RUNGS, "seeds": SEEDS, "fresh": FRESH, **SHAPE}
    run = journal.start(BENCHMARKS["search"], config=config, seed=SEEDS[0], data_hash=data_hash)
    for name in WAYS:
        run.predict(f"gain_{name}", 0.08, unit="nats/token")  # over the setting by hand, with fresh seeds
    run.predict("gain_longer", 0.3, unit="nats/token")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(hardware.usable_cores(), mp_context=spawn, initializer=arms.one_thread) as pool:
        studies = [(name, seed) for seed in SEEDS for name in WAYS]
        found = dict(zip(studies, kept(pool, data_hash, studied, studies), strict=True))
        settings = [(found[study]["setting"], 1, seed) for study in studies for seed in FRESH]
        fresh = np.array(kept(pool, data_hash, trained, settings)).reshape(len(SEEDS), len(WAYS), len(FRESH), 2)
        by_hand = np.array(kept(pool, data_hash, trained, [(BY_HAND, 1, seed) for seed in FRESH]))
        longer = np.array(kept(pool, data_hash, trained, [(BY_HAND, BUDGET, seed) for seed in FRESH]))
    report(run, found, fresh[..., 0].mean(axis=2), by_hand[:, 0], longer[:, 0])
    run.log(
        seconds_longer=float(longer[:, 1].mean()), seconds_by_hand=float(by_hand[:, 1].mean()), unit="s", kind="timing"
    )
    draw(run, found)
    run.finish(
        verdict="With fresh seeds the setting by hand comes to {by_hand:.3f} nats per character. What a study finds "
        "with the tokens of {budget} trainings gains {gain_random:.3f} at random, {gain_TPE:.3f} with TPE, "
        "{gain_GP:.3f} with a Gaussian process, {gain_random_halving:.3f} and {gain_TPE_halving:.3f} with halving; "
        "the setting by hand, trained with all those tokens, gains {gain_longer:.3f}.",
        decision="Notebook 07 shows this record.",
        budget=BUDGET,
    )  # fmt: skip
    return 0


@functools.cache
def _text() -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    ids, V, _ = arms.text()
    return *arms.split(ids, tuning=True), arms.split(ids)[1], V


def trainer_of(setting: dict, tokens: int, seed: int) -> training.Trainer:
    train, _, _, V = _text()
    steps = max(len(RUNGS), round(tokens / setting["batch_size"] / arms.CONTEXT))
    recipe = Recipe(max_iters=steps, eval_interval=steps, betas=(0.9, 0.99), seed=seed, **setting)
    hardware.seed_everything(seed)
    return training.Trainer(gpt.make(gpt.GPTConfig(V, **SHAPE)), train, recipe, ONE_CORE)


def objective(trial: optuna.Trial) -> float:
    setting = {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [4, 8, 16, 32, 64]),
        "warmup_fraction": trial.suggest_float("warmup_fraction", 0.0, 0.3),
        "cooldown_fraction": trial.suggest_float("cooldown_fraction", 0.0, 1.0),
    }
    trainer, began = trainer_of(setting, TOKENS, seed=0), time.perf_counter()
    for rung in RUNGS:
        trial.set_user_attr("tokens", TOKENS * rung // RUNGS[-1])
        while trainer.step < trainer.recipe.max_iters * rung // RUNGS[-1]:
            trainer.advance()
        loss = training.evaluate(trainer.model, _text()[1], ONE_CORE, 64, 16)
        trial.set_user_attr("seconds", time.perf_counter() - began)
        trial.report(loss, rung)
        if rung < RUNGS[-1] and trial.should_prune():
            raise optuna.TrialPruned
    return loss


def kept(pool, data_hash: str, make, jobs: list) -> list:
    """The results of `make` for all jobs; those that are on disk are not made again."""

    def key(job) -> str:
        settings = [make.__name__, job, TOKENS, BUDGET, RUNGS, SHAPE, data_hash]
        return paths.sha256(json.dumps(settings))[:16]

    places = [paths.artifacts("bench", "search", f"{key(job)}.json") for job in jobs]
    missing = [i for i, place in enumerate(places) if not place.is_file()]
    for done, (i, result) in enumerate(zip(missing, pool.map(make, [jobs[i] for i in missing]), strict=True), 1):
        paths.write_json(places[i], result)
        print(f"{make.__name__}: {len(jobs) - len(missing) + done} of {len(jobs)}", flush=True)
    return [paths.read_json(place) for place in places]


def studied(job: tuple[str, int]) -> dict:
    """The best setting of a study, and how far it had come after each full training's tokens."""
    name, seed = job
    sampler, pruner = WAYS[name]
    place = str(paths.artifacts("bench", "search", f"{TOKENS}-{name}-{seed}.log"))
    study = search.open_study(place, name, f"{TOKENS} tokens", sampler=sampler(seed=seed),
                              pruner=pruner or optuna.pruners.NopPruner())  # fmt: skip
    while spent(study.trials)[-1] < BUDGET * TOKENS:
        search.work(study, place, objective, trials=1 + sum(t.state.name != "FAIL" for t in study.trials))
    done = [t for t in study.trials if t.state.name == "COMPLETE"]
    best = min(done, key=lambda t: t.value)
    ends = [(t.value, used) for t, used in zip(study.trials, spent(study.trials)[1:], strict=True) if t in done]
    way = [min((v for v, used in ends if used <= full * TOKENS), default=None) for full in range(1, BUDGET + 1)]
    return {"setting": best.params, "val": best.value, "way": way, "trials": len(study.trials), "complete": len(done),
            "failed": sum(t.state.name == "FAIL" for t in study.trials),
            "seconds": sum(t.user_attrs.get("seconds", 0.0) for t in study.trials)}  # fmt: skip


def spent(trials: list) -> list[int]:
    return [0, *np.cumsum([t.user_attrs.get("tokens", 0) for t in trials]).tolist()]


def trained(job: tuple[dict, int, int]) -> tuple[float, float]:
    """(loss on text that no trial saw, seconds)."""
    setting, longer, seed = job
    trainer, began = trainer_of(setting, longer * TOKENS, seed), time.perf_counter()
    while trainer.step < trainer.recipe.max_iters:
        trainer.advance()
    seconds = time.perf_counter() - began
    return training.evaluate(trainer.model, _text()[2], ONE_CORE, 64, 64), seconds


def report(run, found: dict, fresh: np.ndarray, by_hand: np.ndarray, longer: np.ndarray) -> None:
    """Gains over the setting by hand; `fresh` has the mean over fresh seeds for each study, (seeds, ways)."""
    run.log(by_hand=by_hand.mean(), unit="nats/token", better="lower")
    run.log(sd_by_hand=by_hand.std(ddof=1), gain_longer=by_hand.mean() - longer.mean(), unit="nats/token")
    for way, losses in zip(WAYS, fresh.T, strict=True):
        studies = [found[way, seed] for seed in SEEDS]
        run.log(**{f"gain_{way}": by_hand.mean() - losses.mean(), f"sd_{way}": losses.std(ddof=1),
                   f"val_{way}": np.mean([s["val"] for s in studies])}, unit="nats/token")  # fmt: skip
        run.log(**{f"{what}_{way}": np.mean([s[what] for s in studies]) for what in ("trials", "complete", "failed")},
                unit="trials")  # fmt: skip
        run.log(**{f"seconds_{way}": np.mean([s["seconds"] for s in studies])}, unit="s", kind="timing")
        if way != "random":
            low, high, _ = stats.mean_difference(fresh[:, 0], losses, paired=False)
            run.log(**{f"against_random_{way}": losses.mean() - fresh[:, 0].mean(), f"against_random_{way}_low": low,
                       f"against_random_{way}_high": high}, unit="nats/token")  # fmt: skip
    run.table("Ways to search", list(WAYS), {"gain": "gain_{}", "sd over studies": "sd_{}", "trials": "trials_{}",
                                             "complete": "complete_{}", "failed": "failed_{}"})  # fmt: skip
    fig, ax = plots.figure(height=3.2)
    for row, losses in enumerate(fresh.T):
        ax.plot(losses, [row] * len(losses), "o", color=plots.COLORS["blue"], alpha=0.6)
    for row, losses in enumerate((by_hand, longer), len(WAYS)):
        ax.plot(losses, [row] * len(losses), "D", color=plots.COLORS["orange"], alpha=0.6)
    ax.set_yticks(range(len(WAYS) + 2), [*WAYS, "by hand", f"by hand, {BUDGET} times the tokens"])
    ax.set(xlabel="loss with fresh seeds (nats per character)")
    data = dict(zip(WAYS, fresh.T, strict=True)) | {"by_hand": by_hand, "longer": longer}
    run.figure(
        "07_bought", fig, data=data,
        alt="Loss with fresh seeds of what studies found at random: {random:.3f}; with TPE: {TPE:.3f}; with a "
        "Gaussian process: {GP:.3f}; at random with halving: {random_halving:.3f}; TPE with it: {TPE_halving:.3f}. "
        "By hand: {by_hand:.3f}, with all tokens of a search: {longer:.3f}.",
    )  # fmt: skip


def draw(run, found: dict) -> None:
    fig, ax = plots.figure(height=3.4)
    ways = {way: np.array([found[way, seed]["way"] for seed in SEEDS], float) for way in WAYS}  # (studies, trainings)
    first = int(np.isnan(np.concatenate([*ways.values()])).sum(axis=1).max())  # from there on every study has a value
    data = {"trainings": np.arange(first, BUDGET) + 1} | {w: np.median(v, axis=0)[first:] for w, v in ways.items()}
    for way, color in zip(WAYS, ("grey", "blue", "green", "orange", "pink"), strict=True):
        ax.plot(data["trainings"], data[way], color=plots.COLORS[color], label=way)
    ax.set(xlabel="tokens spent (full trainings)", ylabel="best so far (nats per character)")
    ax.legend()
    run.figure(
        "07_studies", fig, data=data,
        alt="Best loss so far against the tokens spent, median of the studies. At the end random {random.last:.3f}, "
        "TPE {TPE.last:.3f}, Gaussian process {GP.last:.3f}, random with halving {random_halving.last:.3f}, TPE with "
        "halving {TPE_halving.last:.3f}.",
    )  # fmt: skip
