"""Training: batches, schedule, optimizer groups, determinism, and how it stops."""

import copy
import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from helpers import profile, training
from helpers.gpt import GPT, FastConfig, FastGPT, GPTConfig, fast
from helpers.hardware import Hardware
from helpers.paths import ROOT
from helpers.recipe import make_optimizers

CPU = Hardware("cpu", "test", "float32", 1, 1, 8.0, {"float32": 1.0}, 1.0, 1.0)
CONFIG = GPTConfig(vocab_size=50, block_size=16, n_layer=2, n_head=2, n_embd=32, dropout=0.1)
RECIPE = training.Recipe(max_iters=6, batch_size=4, learning_rate=3e-3, eval_interval=3)
IDS = np.random.default_rng(0).integers(0, 50, 2000).astype("<u2")


def trainer_of(recipe=RECIPE, config=CONFIG, ids=IDS):
    torch.manual_seed(recipe.seed)
    return training.Trainer(GPT(config), ids, recipe, CPU)


def test_batches_depend_on_seed_and_step_alone():
    recipe, other = RECIPE, training.Recipe(6, 4, 3e-3, 3, seed=7)
    x, y = training.batch(IDS, recipe, 5, 16)
    again, _ = training.batch(IDS, recipe, 5, 16)
    assert torch.equal(x, again)
    assert x.shape == y.shape == (4, 16) and x.dtype == torch.int64
    assert not torch.equal(x, training.batch(IDS, recipe, 6, 16)[0])
    assert not torch.equal(x, training.batch(IDS, other, 5, 16)[0])


def test_batches_reach_both_ends_of_the_shard_and_targets_are_one_later():
    ids = np.arange(20, dtype="<u2")
    seen = set()
    for step in range(200):
        x, y = training.batch(ids, RECIPE, step, 16)
        assert torch.equal(y, x + 1)
        seen |= set(y.flatten().tolist()) | set(x.flatten().tolist())
    assert seen == set(range(20))
    with pytest.raises(ValueError, match="has 16 tokens, a window needs block_size"):
        training.batch(ids[:16], RECIPE, 0, 16)


def test_batches_from_a_memory_mapped_shard_equal_those_from_memory(tmp_path):
    IDS.tofile(tmp_path / "ids.bin")
    shard = np.memmap(tmp_path / "ids.bin", dtype="<u2", mode="r")
    part = slice(100, 700)
    for ids, same in ((shard, IDS), (shard[part], IDS[part]), (shard[::2], IDS[::2]), (shard[part][50:], IDS[150:700])):
        assert torch.equal(training.batch(ids, RECIPE, 2, 16)[0], training.batch(same, RECIPE, 2, 16)[0])


@pytest.mark.parametrize("length", [2, 16, 17, 18, 100, 2000])
def test_a_validation_pass_predicts_each_token_once(length):
    ids = np.arange(length, dtype="<u2")
    targets = [y.flatten() for _, y in training.validation_batches(ids, 16, 4)]
    assert torch.cat(targets).tolist() == list(range(1, length))


def test_a_partial_validation_pass_is_fixed_and_spread():
    ids = np.arange(2000, dtype="<u2")
    first = [y for _, y in training.validation_batches(ids, 16, 5, batches=2)]
    again = [y for _, y in training.validation_batches(ids, 16, 5, batches=2)]
    flat = torch.cat(first).flatten()
    assert flat.numel() == 160 and flat.unique().numel() == 160
    assert flat.min() < 20 and flat.max() > 1900
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_evaluation_weighs_tokens_not_batches():
    model = GPT(CONFIG)
    loss = training.evaluate(model, IDS[:37], CPU, batch_size=1)  # windows of 16, 16 and 4 predictions
    model.eval()
    nats = 0.0
    for start, end in ((0, 16), (16, 32), (32, 36)):
        window = torch.from_numpy(IDS[start : end + 1].astype(np.int64))[None]
        nats += model(window[:, :-1], window[:, 1:])[1].item() * (end - start)
    assert loss == pytest.approx(nats / 36, rel=1e-6)


def test_bits_per_byte_of_guessing_bytes_is_eight():
    assert training.bits_per_byte(math.log(256), tokens=1000, size=1000) == pytest.approx(8)
    assert training.bits_per_byte(math.log(256), tokens=1000, size=4000) == pytest.approx(2)


def test_the_schedule_warms_up_and_comes_down_to_nearly_nothing():
    recipe = training.Recipe(max_iters=100, batch_size=1, learning_rate=1.0, eval_interval=10, warmup_fraction=0.1)
    rates = [training.learning_rate(recipe, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[9] == rates[10] == 1.0
    assert rates[99] == pytest.approx(1 / 90)
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert training.learning_rate(training.Recipe(1, 1, 0.5, 1), 0) == 0.5


def test_only_matrices_decay_and_every_parameter_is_in_one_group():
    model = GPT(CONFIG)
    (optimizer,) = make_optimizers(model, RECIPE)
    *decayed, kept = optimizer.param_groups
    assert all(group["weight_decay"] == RECIPE.weight_decay for group in decayed) and kept["weight_decay"] == 0
    assert all(p.ndim == 2 for group in decayed for p in group["params"]) and all(p.ndim == 1 for p in kept["params"])
    counted = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert counted == sum(p.numel() for p in model.parameters())


def test_one_batch_can_be_overfitted():
    recipe = training.Recipe(max_iters=60, batch_size=4, learning_rate=1e-2, eval_interval=60, weight_decay=0.0)
    config = GPTConfig(vocab_size=50, block_size=16, n_layer=2, n_head=2, n_embd=32)
    trainer = trainer_of(recipe, config, ids=IDS[:17])  # one window, so one batch
    losses = [trainer.advance()[0] for _ in range(60)]
    assert losses[0] > 3.5
    assert losses[-1] < 0.1


def run_of(recipe):
    rows = []
    training.train_model(trainer_of(recipe), IDS[:200], lambda step, **values: rows.append((step, values)))
    return rows


def test_the_same_seed_gives_the_same_losses_and_another_seed_others():
    def losses(seed):
        recipe = training.Recipe(max_iters=6, batch_size=4, learning_rate=3e-3, eval_interval=3, seed=seed)
        return [(row["train_loss"], row["val_loss"]) for _, row in run_of(recipe)]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def test_training_reports_at_the_start_each_interval_and_the_end():
    rows = run_of(training.Recipe(max_iters=7, batch_size=4, learning_rate=3e-3, eval_interval=3))
    assert [step for step, _ in rows] == [0, 3, 6, 7]
    assert rows[0][1]["gradient_norm"] is None
    assert all(values["gradient_norm"] > 0 and values["tokens_per_second"] > 0 for _, values in rows[1:])


def test_evaluation_time_does_not_count(monkeypatch):
    def slow(*args, **kwargs):
        time.sleep(0.3)
        return 1.0

    monkeypatch.setattr(training, "evaluate", slow)
    trainer, start = trainer_of(), time.perf_counter()
    training.train_model(trainer, IDS[:200])
    assert 0 < trainer.seconds <= time.perf_counter() - start - 3 * 0.3  # at the start, halfway and at the end


def test_a_watched_training_tells_every_step_and_every_evaluation():
    told = []

    class Watch:
        def mark(self):
            pass

        def step(self, step, loss, **values):
            told.append(("step", step, loss, sorted(values)))

        def evaluation(self, step, **metrics):
            told.append(("evaluation", step, metrics["val_loss"], []))

        def checkpoint(self, step, place):
            told.append(("checkpoint", step, place, []))

    recipe = training.Recipe(max_iters=5, batch_size=4, learning_rate=3e-3, eval_interval=3)
    rows, looks = [], []
    trainer = trainer_of(recipe)
    training.train_model(
        trainer,
        IDS[:200],
        lambda step, **v: rows.append((step, v)),
        Watch(),
        lambda t: looks.append((t, t.step)),
        lambda t: f"step {t.step}",
    )
    assert [(kind, step) for kind, step, *_ in told] == [
        ("evaluation", 0), ("step", 1), ("step", 2), ("step", 3), ("evaluation", 3),
        ("checkpoint", 3), ("step", 4), ("step", 5), ("evaluation", 5), ("checkpoint", 5),
    ]  # fmt: skip
    assert looks == [(trainer, step) for step in range(6)]
    losses = [loss for kind, _, loss, _ in told if kind == "step"]
    assert rows[1][1]["train_loss"] == pytest.approx(sum(losses[:3]) / 3)
    assert told[1][3] == ["gradient_norm", "learning_rate"]


def test_watching_and_looking_do_not_change_the_training():
    recipe = training.Recipe(max_iters=6, batch_size=4, learning_rate=3e-3, eval_interval=3)

    def look(trainer):
        with torch.no_grad():
            trainer.model.eval()(torch.arange(16)[None])
        trainer.model.train()

    rows = []
    training.train_model(trainer_of(recipe), IDS[:200], lambda step, **v: rows.append((step, v)), None, look)
    assert [v["train_loss"] for _, v in rows] == [v["train_loss"] for _, v in run_of(recipe)]


def test_a_loss_that_is_no_number_stops_with_its_step_and_leaves_the_weights():
    trainer = trainer_of()
    trainer.advance()
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    forward = trainer.model.forward
    trainer.model.forward = lambda *inputs: (None, forward(*inputs)[1] * math.nan)
    with pytest.raises(training.NonFiniteLoss, match="the loss is nan at step 1, learning rate"):
        trainer.advance()
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())
    assert all(p.grad is None for p in trainer.model.parameters())


def test_a_gradient_that_is_no_number_stops_too():
    trainer = trainer_of()
    trainer.model.norm.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(training.NonFiniteLoss, match=r"norm of the gradient is \w+ at step 0"):
        trainer.advance()


def test_the_gradient_is_clipped_but_its_norm_is_told():
    recipe = training.Recipe(max_iters=6, batch_size=4, learning_rate=3e-3, eval_interval=3, max_norm=1e-3)
    trainer = trainer_of(recipe)
    seen = []
    (optimizer,) = trainer.optimizers
    optimizer.register_step_pre_hook(
        lambda optimizer, *rest: seen.append(
            math.sqrt(sum(p.grad.square().sum().item() for g in optimizer.param_groups for p in g["params"]))
        )
    )
    _, norm = trainer.advance()
    assert norm > 0.1
    assert seen[0] == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_iters": 0}, "max_iters is 0; it must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be greater than 0"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"learning_rate": math.inf}, "learning_rate is inf"),
        ({"weight_decay": math.nan}, "weight_decay is nan"),
        ({"betas": (0.9, 2.0)}, r"betas are \(0.9, 2.0\); each must be"),
        ({"warmup_fraction": 1.0}, "warmup_fraction is 1.0"),
        ({"accumulate": 3}, "accumulate is 3, which does not divide batch_size 4"),
    ],
)
def test_impossible_recipes_are_refused_by_name(values, message):
    with pytest.raises(ValueError, match=message):
        training.Recipe(**{"max_iters": 6, "batch_size": 4, "learning_rate": 1e-3, "eval_interval": 3, **values})


def test_the_gpu_profile_is_the_asked_for_recipe_to_the_letter():
    asked = profile.PROFILES["gpu"].gpt
    recipe = training.classic(asked)
    assert (recipe.batch_size, recipe.max_iters, recipe.learning_rate) == (64, 5000, 3e-4)
    assert (recipe.eval_interval, recipe.eval_batches) == (500, 200)
    assert (asked.block_size, asked.n_embd, asked.n_head, asked.n_layer, asked.dropout) == (256, 384, 6, 6, 0.2)


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_parts_give_the_gradient_of_the_whole_batch(parts):
    whole, cut = (trainer_of(replace(RECIPE, accumulate=n), replace(CONFIG, dropout=0.0)) for n in (1, parts))
    loss, norm = whole.advance()
    assert cut.advance() == pytest.approx((loss, norm), rel=1e-5)
    for ours, theirs in zip(cut.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_diverging_training_names_its_last_good_checkpoint(tmp_path):
    trainer, saved = trainer_of(replace(RECIPE, eval_interval=2)), []

    def break_it(trainer):
        if trainer.step == 5:
            trainer.model.norm.weight.data.fill_(math.inf)

    def save(trainer):
        saved.append(trainer.step)
        return tmp_path / f"step-{trainer.step}"

    with pytest.raises(training.NonFiniteLoss, match=r"the loss is nan at step 5.*the last good checkpoint is step-4"):
        training.train_model(trainer, IDS[:200], look=break_it, save=save)
    assert saved == [2, 4]


def test_a_validation_loss_that_is_no_number_is_not_kept(monkeypatch):
    losses, saved = iter([3.0, math.nan]), []
    monkeypatch.setattr(training, "evaluate", lambda *how: next(losses))
    with pytest.raises(training.NonFiniteLoss, match=r"loss is nan after step 2.*this process kept no checkpoint"):
        training.train_model(trainer_of(replace(RECIPE, eval_interval=2)), IDS[:200], save=saved.append)
    assert not saved


def test_parity_passes_here_and_names_the_difference_where_numerics_are_wrong(monkeypatch):
    torch.manual_seed(0)
    model, idx = GPT(CONFIG), torch.arange(16)[None]
    assert training.check_parity(model, idx, CPU)["largest"] == 0
    found = training.check_parity(model, idx, replace(CPU, dtype="bfloat16"))
    assert 0 < found["largest"] < training.PARITY["bfloat16"] * found["spread"]
    monkeypatch.setattr(training, "PARITY", {"bfloat16": 1e-6})
    with pytest.raises(AssertionError, match="logits in bfloat16 on cpu are up to"):
        training.check_parity(model, idx, replace(CPU, dtype="bfloat16"))


def test_parity_looks_behind_a_head_that_begins_at_zero(monkeypatch):
    torch.manual_seed(0)
    model, idx = FastGPT(FastConfig(vocab_size=50, block_size=16, n_layer=2, n_head=2, n_embd=32)), torch.arange(16)
    before = copy.deepcopy(model.state_dict())
    found = training.check_parity(model, idx[None], replace(CPU, dtype="bfloat16"))
    assert 0 < found["largest"] < training.PARITY["bfloat16"] * found["spread"]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    attend = fast.attend  # below, with a kernel that is wrong in one dtype
    monkeypatch.setattr(fast, "attend", lambda q, k, v: attend(q, k, v if q.dtype == torch.float32 else v.flip(2)))
    with pytest.raises(AssertionError, match="logits in bfloat16 on cpu are up to"):
        training.check_parity(model, idx[None], replace(CPU, dtype="bfloat16"))


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="needs a file system with holes")
def test_a_large_shard_needs_no_more_memory_than_a_small_one(tmp_path):
    """10 GB of zeros that take no room on the disk; memory as the system counts it, in a process of its own."""
    check = """
import sys, numpy as np, psutil
from helpers import profile, training
ids = np.memmap(sys.argv[1], dtype="<u2", mode="r")
recipe = training.Recipe(max_iters=1, batch_size=64, learning_rate=1e-3, eval_interval=1)
training.batch(ids, recipe, 0, 256)
before = psutil.Process().memory_info().rss
most = before
for step in range(150):
    training.batch(ids, recipe, step, 256)
    most = max(most, psutil.Process().memory_info().rss)
print((most - before) / 1e6)
"""
    grown = {}
    for size in (10**7, 10**10):
        with open(tmp_path / "shard", "wb") as file:
            file.truncate(size)
        done = subprocess.run(
            [sys.executable, "-c", check, tmp_path / "shard"], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
        grown[size] = float(done.stdout)
    # 9,600 windows lie on as many pages of 4 kB at least: 39 MB, were they kept.
    assert grown[10**10] < grown[10**7] + 10
