"""An encoder of base size learns to judge film reviews: v1 to v4, each a run of its own that names its former.

    make bench ARGS="classifier v1"                          mpnet, one seed
    ENCODER=minilm make bench ARGS="classifier v1 --seeds 5"

The data is that of notebook 05: the same training, validation and test snippets. Every epoch the model is evaluated on
the validation snippets and on as many training snippets; the weights with the lowest validation cross-entropy are kept
and judge the test snippets. A start that was killed goes on after its last whole epoch.

v4 trains LoRA alone. What it learned is small: it is put into models/ in half precision, and judged as it lies there.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import re
import shutil
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import peft
import safetensors.torch
import torch

from helpers import budget, classify, encoder, finetune, hardware, journal, paths, plots, profile
from labjournal import store

from . import BENCHMARKS

SEEDS = (1337, 1, 2, 3, 4)
ENCODER_OF_ADAPTER = "sentence-transformers/all-mpnet-base-v2"


@dataclass(frozen=True)
class Recipe:
    learning_rate: float
    schedule: str  # of the Trainer: "linear" or "cosine", to zero
    epochs: int
    former: str = ""  # the recipe that this one changes
    why: str = ""
    rank: int = 0  # of LoRA; 0 means that all parameters learn


RECIPES = {
    "v1": Recipe(2e-5, "linear", 5),
    "v2": Recipe(
        1e-5, "cosine", 4, "v1",
        "Half the rate, so that the weights move less from what pre-training left, one epoch less, and a plan that "
        "stays high for longer and ends more gently",
    ),
    "v3": Recipe(
        3e-5, "linear", 1, "v1",
        "At half the rate v2 was still falling in its last epoch and never came as low as v1, so the rate was not too "
        "high; and all that v1 did after its second epoch made it surer than the raters are. So half as much again of "
        "v1's rate, and one epoch in which it comes down to zero; at a fifth of the steps three seeds can be paid",
    ),
    "v4": Recipe(
        5e-4, "linear", 1, "v3",
        "A model of 438 MB cannot be handed on with a notebook. With LoRA one parameter in a hundred learns, and what "
        "is kept is two megabytes; so few may move in larger steps. How much of the score does that cost?",
        rank=8,
    ),
}  # fmt: skip


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog='make bench ARGS="classifier v1"', description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=list(RECIPES))
    parser.add_argument("--seeds", type=int, default=1, choices=range(1, len(SEEDS) + 1), metavar="1 to 5")
    options = parser.parse_args(arguments)
    name, recipe, seeds = options.recipe, RECIPES[options.recipe], SEEDS[: options.seeds]
    which = os.environ.get("ENCODER") or "mpnet"
    if recipe.rank and which != "mpnet":
        parser.error(f"{name} is for mpnet: its adapter is handed on under that encoder's name, not {which}'s")
    settings = dataclasses.replace(
        profile.Finetune(), encoder=which, epochs=recipe.epochs, learning_rate=recipe.learning_rate, dropout=0.1
    )
    machine, folder, data = hardware.load(), encoder.find(which), Data.load()
    config = {**vars(settings), "recipe": name, "schedule": recipe.schedule, "seeds": list(seeds)}
    config = {key: value for key, value in config.items() if key not in ("train_items", "eval_items")}
    run = journal.start(
        BENCHMARKS["classifier"], config=config, seed=seeds[0], data_hash=data.test.hash, **_former(recipe, which)
    )
    run.note("Encoder {which}, weights {weights}.", which=which, weights=encoder.weights_hash(folder))
    plan(run, folder, settings, recipe, machine, data, len(seeds))
    found = {seed: trained(run, folder, settings, recipe, machine, data, seed, name) for seed in seeds}
    report(run, name, found, data)
    return 0


@dataclass(frozen=True)
class Data:
    fit: classify.Items
    val: classify.Items
    test: classify.Items

    @classmethod
    def load(cls) -> Data:
        """The parts of notebook 05."""
        train, test = classify.split_items(classify.load_reviews()[0])
        return cls(*classify.hold_out(train), test)


def _former(recipe: Recipe, which: str) -> dict[str, str]:
    """The latest run of the recipe that this one changes, with the same encoder, and the reason."""
    if not recipe.former:
        return {}
    for record in store.newest("bench_classifier", profile.load().name):
        if (record["config"].get("recipe"), record["config"].get("encoder")) == (recipe.former, which):
            return {"changed_from": record["run_id"], "reason": recipe.why}
    raise SystemExit(
        f'error: there is no run of {recipe.former} with {which}; make bench ARGS="classifier {recipe.former}"'
    )


def plan(run, folder: Path, settings, recipe: Recipe, machine, data: Data, seeds: int) -> None:
    """Predict from a few steps on a fresh model: the score is a guess, the time is counted."""
    tokenizer, model = encoder.load_classifier(folder, settings.dropout, machine, run.record["seed"])
    if recipe.rank:
        model = with_lora(model, recipe.rank)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.0)
    batches = iter(_batches(data.fit, tokenizer, settings, machine))
    model.train()

    def step() -> None:
        batch, labels = next(batches)
        finetune.step(model, optimizer, batch, labels, machine)

    seconds = budget.seconds_per_step(step, warm=2, timed=10)
    steps = settings.epochs * -(-len(data.fit) // settings.batch_size)
    evaluated = (settings.epochs + 1) * 2 * len(data.val) / settings.batch_size
    run.predict("train_seconds", seeds * seconds * (steps + evaluated / 3), unit="s", kind="timing")
    run.predict("test_accuracy", 0.92 if settings.encoder == "mpnet" else 0.87, unit="")
    run.predict("test_kl_divergence", 0.16 if settings.encoder == "mpnet" else 0.29, unit="nats")


def _batches(items, tokenizer, settings, machine):
    """Batches of snippets drawn at random, padded to their longest: what the Trainer's look like on average."""
    order = np.random.default_rng(0).permutation(len(items))
    lengths = [len(items.texts[i]) for i in order]
    order = order[np.argsort(lengths, kind="stable")]
    for start in np.random.default_rng(1).permutation(len(items) // settings.batch_size):
        few = items.take(order[start * settings.batch_size :][: settings.batch_size])
        batch = tokenizer(few.texts, truncation=True, max_length=settings.max_length, padding=True,
                          pad_to_multiple_of=8, return_tensors="pt").to(machine.device)  # fmt: skip
        yield batch, torch.tensor(few.labels, device=machine.device)


class Silent:
    """Stands in for the journal's run and its watch for the seeds whose curves are not shown."""

    def __getattr__(self, name):
        return lambda *args, **more: None


class Keeper(finetune.Recorder):
    """Keeps the best weights in a folder, and finds the history of an earlier process in the Trainer's log."""

    def __init__(self, run, watch, folder: Path):
        super().__init__(run, watch, last_good=folder / "last_good")
        self.folder, self.known, self.began = folder, set(), 0.0

    def on_train_begin(self, args, state, control, **kwargs):
        for entry in state.log_history:
            if "loss" in entry:
                for name, key in (("step", "step"), ("train_loss", "loss"), ("grad_norm", "grad_norm"),
                                  ("learning_rate", "learning_rate")):  # fmt: skip
                    self.steps.setdefault(name, []).append(float(entry[key]))
            elif any(key.startswith("eval_") and key.endswith("_accuracy") for key in entry):
                part = "val" if "eval_val_accuracy" in entry else "train"
                self._evaluated(entry, entry["step"], round(entry["epoch"], 2))
                self.known.add((part, entry["step"]))
        self.began = time.perf_counter()
        super().on_train_begin(args, state, control, **kwargs)

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        part = next(name for name in metrics if name.startswith("eval_")).split("_")[1]
        if (part, state.global_step) not in self.known:  # a resumed Trainer begins with one that was made
            self.known.add((part, state.global_step))
            super().on_evaluate(args, state, control, metrics=metrics, **kwargs)

    def on_save(self, args, state, control, **kwargs):
        with open(self.folder / "seconds.txt", "a") as file:
            file.write(f"{time.perf_counter() - self.began}\n")
        self.began = time.perf_counter()

    def _keep(self, model, epoch: float, step: int) -> None:
        if step and self.epochs["val_cross_entropy"][-1] == min(self.epochs["val_cross_entropy"][1:]):
            model.save_pretrained(self.folder / "best")


def trained(run, folder: Path, settings, recipe: Recipe, machine, data: Data, seed: int, name: str) -> dict:
    """What a training leaves: curves, the answers of its best weights, seconds. Kept on disk, so it is made once."""
    key = paths.sha256(json.dumps([vars(settings), vars(recipe), seed, data.fit.hash, machine.dtype]))[:8]
    place = paths.artifacts("bench", "classifier", f"{short(settings.encoder)}-{name}-{seed}-{key}")
    if (place / "result.json").is_file():
        return paths.read_json(place / "result.json")
    place.mkdir(parents=True, exist_ok=True)
    tokenizer, model = encoder.load_classifier(folder, settings.dropout, machine, seed)
    if recipe.rank:
        model = with_lora(model, recipe.rank)
    learn = finetune.dataset(data.fit, tokenizer, settings.max_length)
    evaluation = {"train": learn.select(range(len(data.val))),
                  "val": finetune.dataset(data.val, tokenizer, settings.max_length)}  # fmt: skip
    per_epoch = -(-len(data.fit) // settings.batch_size)
    done = max((int(path.name.partition("-")[2]) for path in place.glob("checkpoint-*")), default=0)
    steps = settings.epochs * per_epoch
    if done < steps:
        watched = run.watch(steps, unit="nats", name=f"seed {seed}", first=done, eval_every=per_epoch,
                            save_every=per_epoch, predicted={"test_accuracy": "val_accuracy"})  # fmt: skip
    else:
        watched = contextlib.nullcontext(Silent())
        run.note("Seed {seed} was trained to its end by an earlier start, which did not live to judge it.", seed=seed)
    with watched as watch, budget.PeakMemory(machine.device) as peak:
        keeper = Keeper(run if seed == SEEDS[0] else Silent(), watch, place)
        trainer = finetune.trainer(
            model, tokenizer, learn, evaluation, settings, machine, seed, callbacks=[keeper], output_dir=str(place),
            lr_scheduler_type=recipe.schedule, save_strategy="epoch", save_total_limit=1,
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=bool(done))
    if recipe.rank:
        halve(place / "best")
        _, model = encoder.load_classifier(folder, 0.0, machine, seed)
        model = peft.PeftModel.from_pretrained(model, place / "best")
    else:
        tokenizer.save_pretrained(place / "best")
        _, model = encoder.load_classifier(place / "best", 0.0, machine, seed, trained=True)
    best = int(np.argmin(keeper.epochs["val_cross_entropy"][1:])) + 1
    result = {
        "steps": keeper.steps,
        "epochs": keeper.epochs,
        "best_epoch": keeper.epochs["epoch"][best],
        "answers": finetune.predict(model, tokenizer, data.test.texts, settings, machine).tolist(),
        "peak_memory": None if done else peak.mb,  # of a training that this process saw from its start
        "seconds": sum(map(float, (place / "seconds.txt").read_text().split())),
        "trained": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "best": str(place / "best"),
    }
    paths.write_json(place / "result.json", result)
    for path in place.glob("checkpoint-*"):
        shutil.rmtree(path)
    return result


def with_lora(model, rank: int):
    """The model with LoRA beside query, key and value; all else is frozen but for the head."""
    names = ["q", "k", "v"] if model.config.model_type == "mpnet" else ["query", "key", "value"]
    return peft.get_peft_model(model, peft.LoraConfig(
        task_type=peft.TaskType.SEQ_CLS, r=rank, lora_alpha=2 * rank, target_modules=names,
    ))  # fmt: skip


def halve(folder: Path) -> None:
    """Make an adapter fit to be handed on: float16, and the encoder's name instead of a folder of this machine."""
    weights = safetensors.torch.load_file(folder / "adapter_model.safetensors")
    safetensors.torch.save_file({name: w.half() for name, w in weights.items()}, folder / "adapter_model.safetensors")
    config = paths.read_json(folder / "adapter_config.json")
    paths.write_json(folder / "adapter_config.json", {**config, "base_model_name_or_path": ENCODER_OF_ADAPTER})


def short(encoder: str) -> str:
    """A name for files, also of an encoder that is a folder or on a hub."""
    return re.sub(r"\W+", "_", Path(encoder).name)


def publish(run, folder: Path) -> None:
    """Put an adapter into models/, and what it weighs and its hash into the record."""
    place = paths.workspace() / "models" / f"films_{run.record['config']['encoder']}"
    place.mkdir(parents=True, exist_ok=True)
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        shutil.copyfile(folder / name, place / name)
    weights = place / "adapter_model.safetensors"
    run.log(adapter_megabytes=weights.stat().st_size / 1e6, unit="MB", better="lower")
    run.note("The adapter is {place}, sha256 {sha}.", place=paths.relative(weights), sha=paths.sha256_file(weights))


def report(run, name: str, found: dict[int, dict], data: Data) -> None:
    """Log what came out, seed by seed and together; draw the curves of the first; judge it against its former."""
    first, judged = next(iter(found.values())), {}
    for seed, result in found.items():
        judged[seed] = finetune.judge(np.array(result["answers"]), data.test.labels, data.test.soft)
    for metric in judged[SEEDS[0]]:
        unit, better = ("nats", "lower") if metric.endswith(("entropy", "divergence")) else ("", "higher")
        values = [scores[metric] for scores in judged.values()]
        run.log(**{f"test_{metric}": values[0]}, unit=unit, better=better)
        if len(values) > 1:
            run.log(**{f"mean_{metric}": statistics.mean(values)}, unit=unit, better=better)
            run.log(**{f"sd_{metric}": statistics.stdev(values)}, unit=unit)
            run.log(**{f"seed_{seed}_{metric}": scores[metric] for seed, scores in judged.items()}, unit=unit)
    if len(found) > 1:
        run.table("Seeds", [f"seed_{seed}" for seed in found], {m: f"{{}}_{m}" for m in judged[SEEDS[0]]})
    right = (np.array(first["answers"]) > 0.5) == (data.test.labels == 1)
    run.per_item("test_accuracy", right, items=data.test.hash)
    seconds = sum(result["seconds"] for result in found.values())
    run.log(train_seconds=seconds, unit="s", kind="timing")
    if peaks := [result["peak_memory"] for result in found.values() if result.get("peak_memory")]:
        run.log(peak_memory=max(peaks), unit="MB", kind="timing")
    snippets = sum(len(data.fit) * round(result["epochs"]["epoch"][-1]) for result in found.values())
    run.log(snippets_per_second=snippets / seconds, unit="1/s", better="higher", kind="timing")
    run.log(best_epoch=first["best_epoch"], unit="epoch")
    run.log(trained_parameters=first["trained"], unit="parameters")
    if RECIPES[name].rank:
        publish(run, Path(first["best"]))
    norms = np.array(first["steps"]["grad_norm"])
    run.log(clipped=float(np.mean(norms > 1)), unit="share")
    run.log(gradient_norm=float(np.median(norms)), unit="")
    which = run.record["config"]["encoder"]
    prefix = f"05_{name}" if which == "mpnet" else f"05_{short(which)}_{name}"
    training_metrics(run, f"{prefix}_training_metrics", first)
    eval_metrics(run, f"{prefix}_eval_metrics", first)
    run.finish(
        verdict="{name} with {which}: {test_accuracy:.2%} of {n:,} test snippets right, KL divergence from the raters "
        "{test_kl_divergence:.3f} nats, cross-entropy {test_cross_entropy:.3f}; the best of {epochs} epochs was "
        "{best_epoch:g}. The gradient norm has a median of {gradient_norm:.1f}; {clipped:.0%} of the steps are clipped."
        + (" Over {seeds} seeds: {mean_accuracy:.2%}, sd {sd_accuracy:.2%}." if len(found) > 1 else ""),
        decision="The next recipe is held against this one on the same snippets.",
        name=name,
        which=which,
        n=len(data.test),
        epochs=run.record["config"]["epochs"],
        seeds=len(found),
    )


def training_metrics(run, name: str, result: dict) -> None:
    """Loss, gradient norm and learning rate, step by step."""
    steps = result["steps"]
    block = max(1, len(steps["step"]) // 50)
    fig, axes = plots.figure(nrows=3, height=6, sharex=True)
    titles = {"train_loss": "loss (nats)", "grad_norm": "gradient norm", "learning_rate": "learning rate"}
    for ax, (key, title), color in zip(axes, titles.items(), ("blue", "green", "pink"), strict=True):
        n = len(steps[key]) // block * block
        means = np.reshape(steps[key][:n], (-1, block)).mean(axis=1)
        at = np.reshape(steps["step"][:n], (-1, block)).mean(axis=1)
        ax.plot(steps["step"], steps[key], color=plots.COLORS["grey"], linewidth=0.5)
        ax.plot(at, means, color=plots.COLORS[color])
        ax.set_ylabel(title)
    axes[1].axhline(1.0, color=plots.COLORS["black"], linestyle="--", linewidth=1)
    axes[2].set_xlabel("step")
    run.figure(
        name, fig, data=steps, block=block,
        alt="Loss, gradient norm and learning rate at each of {step.last:.0f} steps, with means over {block} steps. "
        "The loss begins at {train_loss[0]:.3f}; the norm lies between {grad_norm.min:.2f} and {grad_norm.max:.2f}; "
        "the learning rate rises to {learning_rate.max:.1e} and ends near zero.",
    )  # fmt: skip


def eval_metrics(run, name: str, result: dict) -> None:
    """The four metrics, epoch by epoch, on training and validation snippets."""
    epochs = result["epochs"]
    fig, axes = plots.figure(nrows=2, ncols=2, height=6, sharex=True)
    titles = {"accuracy": "accuracy", "f1": "F1", "cross_entropy": "cross-entropy (nats)",
              "kl_divergence": "KL divergence from the raters (nats)"}  # fmt: skip
    for ax, (metric, title) in zip(np.ravel(axes), titles.items(), strict=True):
        for part, color, text in (("train", "blue", "training"), ("val", "orange", "validation")):
            values = epochs[f"{part}_{metric}"]
            ax.plot(epochs["epoch"], values, color=plots.COLORS[color], marker="o", label=text)
        ax.axvline(result["best_epoch"], color=plots.COLORS["grey"], linestyle="--", linewidth=1)
        ax.set(title=title, xticks=range(round(epochs["epoch"][-1]) + 1))
    axes[0][0].legend()
    for ax in axes[1]:
        ax.set_xlabel("epoch")
    run.figure(
        name, fig, data=epochs, best=result["best_epoch"],
        alt="Four metrics at epochs {epoch:g}; a dashed line marks the best, {best:g}. Accuracy: training "
        "{train_accuracy:.3f}; validation {val_accuracy:.3f}. Cross-entropy: training {train_cross_entropy:.3f}; "
        "validation {val_cross_entropy:.3f}. KL divergence: training {train_kl_divergence:.3f}; validation "
        "{val_kl_divergence:.3f}.",
    )  # fmt: skip
