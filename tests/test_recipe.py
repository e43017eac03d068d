"""Recipes: the learning rate of every step, which optimizer has which parameter, and what is refused."""

import dataclasses
import math
from dataclasses import replace

import pytest
import torch

from helpers import profile, recipe
from helpers.gpt import GPT, GPTConfig
from helpers.muon import Muon
from helpers.recipe import Recipe, schedule
from tests.bench import tried

SIZES = {"vocab_size": 50, "block_size": 16, "n_layer": 2, "n_head": 2, "n_embd": 32}
EVERYTHING = tried.config(**SIZES, qk_norm=True, value_embeddings=True, bigram=True)
SETTINGS = profile.PROFILES["smoke"].gpt


def test_the_classic_schedule_is_a_warm_up_and_a_straight_line_down():
    """To the number what it was before there were others."""
    plan = Recipe(max_iters=100, batch_size=1, learning_rate=0.3, eval_interval=10)
    before = [(step + 1) / 10 if step < 10 else (100 - step) / 90 for step in range(100)]
    assert [schedule(plan, step) for step in range(100)] == before
    assert recipe.learning_rate(plan, 3) == pytest.approx(0.3 * 0.4)


def test_the_fast_schedule_is_a_straight_line_down_from_the_first_step():
    plan = recipe.fast(SETTINGS)  # 60 steps
    assert [schedule(plan, step) for step in range(60)] == pytest.approx([(60 - step) / 60 for step in range(60)])


def test_a_cooldown_begins_where_its_share_of_the_steps_begins():
    plan = dataclasses.replace(recipe.fast(SETTINGS), cooldown_fraction=0.7)
    shares = [schedule(plan, step) for step in range(60)]
    assert shares[:19] == [1.0] * 19
    assert shares[18:] == pytest.approx([(60 - step) / 42 for step in range(18, 60)])


def test_a_cosine_comes_down_to_the_final_fraction():
    plan = Recipe(
        max_iters=110, batch_size=1, learning_rate=1.0, eval_interval=10, warmup_fraction=1 / 11, cosine=True,
        final_fraction=0.1,
    )  # fmt: skip
    shares = [schedule(plan, step) for step in (0, 9, 10, 35, 60, 85, 110)]
    lower = [0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * part)) for part in (0, 0.25, 0.5, 0.75, 1)]
    assert shares == pytest.approx([0.1, 1.0, *lower])
    assert shares[4] == pytest.approx(0.55) and shares[6] == pytest.approx(0.1)


def test_without_a_cooldown_the_rate_stays():
    plan = Recipe(10, 1, 1.0, 1, warmup_fraction=0.0, cooldown_fraction=0.0, final_fraction=0.5)
    assert {schedule(plan, step) for step in range(10)} == {1.0}


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("final", [0.0, 0.2])
def test_steps_beyond_the_last_go_on_with_what_the_cooldown_ends_with(cosine, final):
    """A trial of ten steps, before a training of one, would otherwise go uphill."""
    plan = Recipe(1, 1, 1.0, 1, cosine=cosine, final_fraction=final)
    assert [schedule(plan, step) for step in range(4)] == pytest.approx([1.0, final, final, final])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cooldown_fraction": -0.1}, "cooldown_fraction is -0.1; it must be between 0 and 1"),
        ({"cooldown_fraction": math.nan}, "cooldown_fraction is nan"),
        ({"final_fraction": 1.5}, "final_fraction is 1.5; it must be between 0 and 1"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd'; it must be one of adamw, muon"),
        ({"table_learning_rate": -0.1}, "table_learning_rate is -0.1; it must be 0 or more"),
        ({"table_learning_rate": math.inf}, "table_learning_rate is inf"),
        ({"max_norm": 0.0}, "max_norm is 0.0; it must be greater than 0"),
        ({"momentum": 1.0}, "momentum is 1.0; it must be at least 0 and less than 1"),
        ({"warmup_fraction": math.nan}, "warmup_fraction is nan"),
    ],
)
def test_impossible_values_are_refused_by_name(values, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**{"max_iters": 6, "batch_size": 4, "learning_rate": 1e-3, "eval_interval": 3, **values})


def test_both_recipes_take_their_sizes_from_the_profile():
    for make in (recipe.classic, recipe.fast):
        plan = make(SETTINGS, seed=5)
        assert (plan.max_iters, plan.batch_size, plan.eval_interval, plan.eval_batches) == (60, 8, 20, 8)
        assert plan.seed == 5
    assert recipe.classic(SETTINGS) == Recipe(60, 8, 3e-3, 20, eval_batches=8)


def test_the_classic_recipe_gives_everything_to_adamw_and_decays_no_scale():
    model = GPT(GPTConfig(**SIZES))
    (adamw,) = recipe.make_optimizers(model, recipe.classic(SETTINGS))
    assert {group["peak"] for group in adamw.param_groups} == {3e-3}
    assert [(group["weight_decay"], {p.ndim for p in group["params"]}) for group in adamw.param_groups] == [
        (0.1, {2}), (0.1, {2}), (0.0, {1}),
    ]  # fmt: skip


def test_muon_leaves_the_scales_of_the_classic_model_to_adamw():
    model = GPT(GPTConfig(**SIZES))
    adamw, muon = recipe.make_optimizers(model, replace(recipe.fast(SETTINGS), momentum=0.9))
    assert muon.param_groups[0]["momentum"] == 0.9
    assert {p.ndim for group in muon.param_groups for p in group["params"]} == {2}
    assert {p.ndim for group in adamw.param_groups for p in group["params"]} == {1, 2}


def test_frozen_parameters_are_in_no_optimizer():
    model = tried.make(EVERYTHING)
    model.tokens.weight.requires_grad_(False)
    grouped = [
        p for o in recipe.make_optimizers(model, recipe.fast(SETTINGS)) for g in o.param_groups for p in g["params"]
    ]
    assert not any(p is model.tokens.weight for p in grouped)


def test_every_parameter_of_a_fast_model_is_in_one_optimizer_and_tables_are_in_adamw():
    model = tried.make(EVERYTHING)
    adamw, muon = recipe.make_optimizers(model, recipe.fast(SETTINGS), "bfloat16")
    assert muon.dtype == torch.bfloat16  # as the machine multiplies fastest; the default suits every machine
    assert recipe.make_optimizers(model, recipe.fast(SETTINGS))[1].dtype == torch.float32
    assert type(adamw) is torch.optim.AdamW and type(muon) is Muon
    names = {id(p): name for name, p in model.named_parameters()}
    have = {o: [names.pop(id(p)) for g in o.param_groups for p in g["params"]] for o in (adamw, muon)}  # each once
    assert not names
    assert {name.split(".", 2)[2] for name in have[muon]} == {
        "attention.qkv.weight", "attention.out.weight", "mlp.up.weight", "mlp.down.weight",
    }  # fmt: skip
    tables = ("tokens.", "before.", "head.", "bigram.")
    assert all(name.startswith(tables) or name.endswith("values.weight") for name in have[adamw])
    assert [group["peak"] for group in adamw.param_groups] == [0.02] and muon.param_groups[0]["peak"] == 0.025
