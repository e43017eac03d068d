"""The race's rules: what is split, interpolated and copied, and that both arms are of one size."""

import math

import numpy as np
import pytest
import torch

from helpers import gpt, journal
from tests.bench import BENCHMARKS, arms, checkout, levers, numerics


def test_tuning_never_sees_the_last_tenth():
    ids = np.arange(1000)
    train, held = arms.split(ids, tuning=True)
    judged = arms.split(ids)[1]
    assert list(judged) == list(range(900, 1000))
    assert not {*train, *held} & {*judged} and not {*train} & {*held}
    assert len(train) == 800 and len(held) == 100


def test_the_arms_have_the_same_size_within_five_percent():
    plain = gpt.make(gpt.GPTConfig(73, n_head=4, **arms.SHAPE))
    fast = gpt.make(arms.fast_config(73))
    sizes = [sum(p.numel() for p in model.parameters()) for model in (plain, fast)]
    assert abs(sizes[1] / sizes[0] - 1) < 0.05
    same = ("block_size", "n_layer", "n_embd")
    assert all(getattr(plain.config, name) == getattr(fast.config, name) for name in same)


def test_the_plain_recipe_is_nanogpts():
    recipe = arms.plain_recipe()
    rates = [arms.training.learning_rate(recipe, step) for step in (0, 99, 100, 1050, 1999)]
    assert rates[:3] == pytest.approx([1e-5, 1e-3, 1e-3])
    assert rates[3] == pytest.approx((1e-3 + 1e-4) / 2)
    assert rates[4] == pytest.approx(1e-4, rel=1e-3)
    assert (recipe.max_iters, recipe.batch_size, recipe.betas, recipe.weight_decay) == (2000, 12, (0.9, 0.99), 0.1)


def test_characters_to_the_target_are_interpolated(monkeypatch):
    monkeypatch.setattr(levers, "wanted", 2.0, raising=False)
    for steps in (40, 100, 300):  # a loss that is a straight line in the logarithm of the length
        monkeypatch.setattr(levers, "fast_loss", lambda name, seed, n, s=steps: 2.0 - math.log(n / s))
        characters, losses = levers.to_target("fast", 1)
        assert characters == pytest.approx(steps * arms.FAST_BATCH * arms.CONTEXT, rel=1e-9)
        assert min(losses.values()) <= 2.0 < max(losses.values())


def test_a_target_that_is_never_met_is_infinite(monkeypatch):
    monkeypatch.setattr(levers, "wanted", 2.0, raising=False)
    monkeypatch.setattr(levers, "fast_loss", lambda name, seed, n: 3.0)
    assert levers.to_target("fast", 1)[0] == math.inf


def test_steps_for_a_loss_are_read_from_the_plain_curve():
    lengths, losses = np.array([100, 200, 400]), np.array([3.0, 2.5, 2.0])
    assert levers.steps_for(2.5, lengths, losses) == pytest.approx(200)
    assert levers.steps_for(2.25, lengths, losses) == pytest.approx(200 * 2**0.5)
    assert levers.steps_for(1.0, lengths, losses) == pytest.approx(400)  # no further than was measured


def test_short_windows_first_have_the_same_characters():
    ids = np.arange(5000).astype(np.uint16) % 73
    recipe = arms.plain_recipe(10)
    trainer = arms.Short(gpt.make(arms.plain_config(73)), ids, recipe, hardware())
    long = arms.training.batch(ids, recipe, 0, arms.CONTEXT)
    x, y = trainer.batch()
    assert x.shape == (2 * recipe.batch_size, arms.CONTEXT // 2)
    assert torch.equal(x.reshape(long[0].shape), long[0]) and torch.equal(y.reshape(long[1].shape), long[1])
    trainer.step = 5
    assert trainer.batch()[0].shape == long[0].shape


def hardware():
    from helpers.hardware import Hardware

    return Hardware("cpu", "test", "float32", 1, 1, 8.0, {"float32": 1.0}, 1.0, 1.0)


def fake_checkout(folder, line):
    (folder / "config").mkdir(parents=True)
    (folder / "train.py").write_text(f"import torch\n{line}\n")
    for name in ("model.py", "configurator.py", "config/train_shakespeare_char.py"):
        (folder / name).write_text("# nothing\n")


def test_a_checkout_is_copied_and_gets_text_and_seed(tmp_path):
    fake_checkout(tmp_path / "there", checkout.SEED_LINE)
    ids = np.arange(1000).astype(np.uint16) % 73
    np.save(tmp_path / "ids.npy", ids)
    copy = checkout.prepare(tmp_path / "there", tmp_path, 73, 7)
    assert "torch.manual_seed(7)" in (copy / "train.py").read_text()
    assert checkout.SEED_LINE in (tmp_path / "there" / "train.py").read_text()  # the checkout itself is not touched
    read = [np.fromfile(copy / "data" / "tragedies" / f"{side}.bin", dtype=np.uint16) for side in ("train", "val")]
    assert np.array_equal(np.concatenate(read), ids) and len(read[1]) == 100


def test_a_checkout_of_another_kind_is_refused(tmp_path):
    fake_checkout(tmp_path / "there", "torch.manual_seed(1)")
    np.save(tmp_path / "ids.npy", np.zeros(100, dtype=np.uint16))
    with pytest.raises(SystemExit, match="no line"):
        checkout.prepare(tmp_path / "there", tmp_path, 73, 7)


def test_the_seconds_of_iterations_are_read():
    printed = "step 0: train loss 4.3, val loss 4.3\niter 0: loss 4.3, time 512.00ms, mfu -100%\niter 1: time 40.5ms"
    assert checkout.iterations(printed) == [0.512, 0.0405]


def test_attention_dropout_changes_nothing_when_not_training():
    torch.manual_seed(1)
    model = gpt.GPT(gpt.GPTConfig(73, 16, 2, 2, 32, dropout=0.2)).eval()
    x = torch.randint(0, 73, (2, 16))
    before = model(x)[0]
    checkout.drop_attention(model, 0.5)
    assert torch.equal(model(x)[0], before)
    weights = [model.blocks[0].attention.train()(torch.randn(2, 16, 32)) for _ in range(2)]
    assert not torch.equal(*weights)


def test_one_head_at_a_time_computes_what_all_together_do():
    torch.manual_seed(1)
    model = gpt.make(arms.fast_config(73, zero_init=False))
    x = torch.randint(0, 73, (2, arms.CONTEXT))
    together = model(x)[0]
    for block in model.blocks:
        block.attention.forward = levers.one_head_at_a_time.__get__(block.attention)
    torch.testing.assert_close(model(x)[0], together, atol=1e-5, rtol=1e-4)


class Pool:
    """Gives made-up results instead of training: (function, its arguments) -> what it returned."""

    def __init__(self, results):
        self.results = results

    def map(self, function, *arguments):
        return [self.results(function, *given) for given in zip(*arguments, strict=True)]


@pytest.fixture
def run(workspace):
    return journal.start(BENCHMARKS["numerics"], config={}, data_hash="made up")


def final(run, name):
    return run.record["metrics"][name]["final"]


def test_numerics_are_held_against_the_spread_of_the_seeds(run):
    def losses(function, dtype, seed):
        return (4 - 0.03 * np.arange(numerics.STEPS) + 0.1 * seed + (0.05 if dtype == "bfloat16" else 0)).tolist()

    said = numerics.curves(run, Pool(losses))
    sd = 0.1 * np.std(arms.SEEDS, ddof=1)
    assert final(run, "largest_deviation") == pytest.approx(0.05 / sd)
    assert final(run, "largest_paired") == pytest.approx(0.05) == final(run, "mean_paired")
    assert final(run, "last_ten_low") == pytest.approx(0.05) == final(run, "last_ten_high")
    assert "+0.0500 to +0.0500" in said


@pytest.mark.parametrize(
    ("effect", "word"), [(0.3, "raises the loss"), (-0.3, "lowers it"), (0.0, "cannot be told from nothing")]
)
def test_attention_dropout_is_judged_in_pairs(run, effect, word):
    noise = dict(zip(arms.SEEDS, (0.01, -0.01, 0.02, -0.02, 0.0), strict=True))
    pool = Pool(lambda function, p, seed: 1.9 + seed + (effect + noise[seed] if p else 0))
    assert numerics.dropouts(run, pool).endswith(f"{word}.")
    assert final(run, "attention_dropout_effect") == pytest.approx(effect, abs=1e-9)


def test_levers_are_worth_what_their_characters_say(run):
    """A part without which the target takes twice the characters, in three quarters of the seconds each."""
    noise = np.array([1.0, 1.01, 0.99, 1.02, 0.98])
    fast = {name: 1e5 * noise for name in ("fast", *levers.WITHOUT, *levers.WITH)}
    fast["RoPE"] = 2e5 * noise[::-1]
    fast["Muon"] = np.full(5, math.inf)
    plain = {steps: [5 - 0.4 * math.log(steps)] * 5 for steps in levers.PLAIN_LENGTHS}
    added = {name: [5 - 0.4 * math.log(1000)] * 5 for name in levers.ADDED}
    ratios = {f"fast, {name}": 0.75 for name in (*levers.WITHOUT, *levers.WITH, *levers.MACHINERY)}
    ratios |= {f"plain, {name}": 2.0 for name in levers.ADDED}
    rows = levers.judge(run, fast, plain, added, ratios, 1.89)
    rope, warmup, bigram = rows["fast: RoPE"], rows["fast: warm-up"], rows["plain: bigram table"]
    assert (rope["worth"], rope["cost"]) == (pytest.approx(2), pytest.approx(4 / 3))
    assert rope["verdict"] == "helps" and rope["low"] < 2 < rope["high"] and rope["time"] == pytest.approx(1.5)
    assert warmup["worth"] == pytest.approx(1) and warmup["cost"] == 0.75  # what is not in it is put in, not taken out
    assert bigram["worth"] == pytest.approx(1000 / levers.ADDED_STEPS) and bigram["time"] == pytest.approx(1)
    assert any("Muon" in note and "counted as that many" in note for note in run.record["notes"])
    levers.draw(run, rows)
    assert set(journal.figure_data(run.record, "bench_levers")) == set(rows)
