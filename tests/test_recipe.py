"""Recipes: the learning rate of every step, which optimizer has which parameter, and what is refused."""


import torch

from helpers import profile, recipe
from helpers.gpt import FastConfig, FastGPT
from helpers.muon import Muon

SIZES = {"vocab_size": 50, "block_size": 16, "n_layer": 2, "n_head": 2, "n_embd": 32}
EVERYTHING = FastConfig(**SIZES, qk_norm=True, value_embeddings=True, bigram=True)
SETTINGS = profile.PROFILES["smoke"].gpt


def test_every_parameter_of_a_fast_model_is_in_one_optimizer_and_tables_are_in_adamw():
    model = FastGPT(EVERYTHING)
    adamw, muon = recipe.make_optimizers(model, recipe.fast(SETTINGS))
    assert type(adamw) is torch.optim.AdamW and type(muon) is Muon
    names = {id(p): name for name, p in model.named_parameters()}
    have = {o: [names.pop(id(p)) for g in o.param_groups for p in g["params"]] for o in (adamw, muon)}  # each once
    assert not names
    assert {name.split(".", 2)[2] for name in have[muon]} == {
        "attention.qkv.weight", "attention.out.weight", "mlp.up.weight", "mlp.down.weight",
    }  # fmt: skip
    tables = ("tokens.", "before.", "head.", "bigram.")
    assert all(name.startswith(tables) or name.endswith("values.weight") for name in have[adamw])
    assert [group["peak"] for group in adamw.param_groups] == [0.015] and muon.param_groups[0]["peak"] == 0.02
