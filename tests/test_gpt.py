"""The model: its parts against the plain way, what it may see, and what it refuses."""

import json
import math

import pytest
import torch

from helpers import budget
from helpers.gpt import GPT, CausalSelfAttention, GPTConfig

SMALL = GPTConfig(vocab_size=61, block_size=16, n_layer=2, n_head=4, n_embd=32)


def model_of(config=SMALL, seed=0):
    torch.manual_seed(seed)
    return GPT(config).eval()


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        GPTConfig(vocab_size=1, block_size=1, n_layer=1, n_head=1, n_embd=1),
        GPTConfig(vocab_size=512, block_size=64, n_layer=3, n_head=3, n_embd=48, dropout=0.2),
        GPTConfig(vocab_size=65, block_size=256, n_layer=6, n_head=6, n_embd=384),
    ],
)
def test_parameter_count_equals_the_formula_group_by_group(config):
    assert model_of(config).parameters_by_group() == budget.parameters(config)


def test_attention_equals_the_naive_loop():
    torch.manual_seed(1)
    layer, x = CausalSelfAttention(SMALL), torch.randn(2, 7, 32)
    with torch.no_grad():
        q, k, v = layer.qkv(x).split(32, dim=-1)
        gathered = torch.zeros(2, 7, 32)
        for b in range(2):
            for head in range(4):
                part = slice(8 * head, 8 * head + 8)
                for t in range(7):
                    scores = [float(q[b, t, part] @ k[b, s, part]) / math.sqrt(8) for s in range(t + 1)]
                    total = sum(math.exp(score) for score in scores)
                    for s, score in enumerate(scores):
                        gathered[b, t, part] += math.exp(score) / total * v[b, s, part]
        torch.testing.assert_close(layer(x), layer.out(gathered))


@pytest.mark.parametrize("changed", [1, 7, 15])
def test_changing_a_token_changes_nothing_before_it(changed):
    model, idx = model_of(), torch.randint(61, (1, 16), generator=torch.Generator().manual_seed(3))
    other = idx.clone()
    other[0, changed] = (other[0, changed] + 1) % 61
    with torch.no_grad():
        before, after = model(idx)[0], model(other)[0]
    assert torch.equal(before[0, :changed], after[0, :changed])
    assert not torch.allclose(before[0, changed:], after[0, changed:])


def test_position_matters():
    model = model_of()
    with torch.no_grad():
        logits = model(torch.full((1, 5), 7))[0][0]
    assert not torch.allclose(logits[0], logits[4])


def test_loss_at_initialisation_is_that_of_guessing():
    config = GPTConfig(vocab_size=4096, block_size=32, n_layer=4, n_head=4, n_embd=128)
    idx = torch.randint(4096, (2, 8, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss = model_of(config)(idx[0], idx[1])[1].item()
    assert loss == pytest.approx(math.log(4096), abs=0.15)


def test_dropout_acts_in_training_only():
    model = model_of(GPTConfig(vocab_size=61, block_size=16, n_layer=2, n_head=4, n_embd=32, dropout=0.5))
    idx = torch.zeros(1, 8, dtype=torch.long)
    assert torch.equal(model(idx)[0], model(idx)[0])
    model.train()
    assert not torch.equal(model(idx)[0], model(idx)[0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_head": 5}, "n_head must be one of 1, 2, 4, 8, 16, 32"),
        ({"n_layer": 0}, "n_layer is 0; it must be a whole number of at least 1"),
        ({"block_size": 16.0}, "block_size is 16.0; it must be a whole number"),
        ({"vocab_size": True}, "vocab_size is True"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and less than 1"),
        ({"dropout": math.nan}, "dropout is nan"),
    ],
)
def test_impossible_configurations_are_refused_by_name(values, message):
    with pytest.raises(ValueError, match=message):
        GPTConfig(**{"vocab_size": 61, "block_size": 16, "n_layer": 2, "n_head": 4, "n_embd": 32, **values})


def test_a_context_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="17 tokens are longer than block_size 16"):
        model_of()(torch.zeros(1, 17, dtype=torch.long))


def test_generation_continues_the_prompt_the_same_way_for_the_same_seed():
    model, prompt = model_of().train(), torch.tensor([[1, 2, 3]])

    def sample(seed, **how):
        return model.generate(prompt, 30, generator=torch.Generator().manual_seed(seed), **how)

    assert sample(0).shape == (1, 33)  # longer than block_size 16
    assert torch.equal(sample(0)[:, :3], prompt)
    assert torch.equal(sample(0), sample(0))
    assert not torch.equal(sample(0), sample(1))
    assert torch.equal(sample(0, temperature=0), sample(1, top_k=1))  # both take the likeliest token
    assert model.training  # as it was before


def test_top_k_never_leaves_the_k_likeliest():
    model, prompt = model_of(), torch.tensor([[5, 6]])
    with torch.no_grad():
        allowed = set(model(prompt)[0][0, -1].topk(3).indices.tolist())
    chance = torch.Generator().manual_seed(0)
    seen = {model.generate(prompt, 1, top_k=3, generator=chance)[0, -1].item() for _ in range(60)}
    assert seen == allowed


@pytest.mark.parametrize("how", [{"temperature": -1}, {"top_k": 0}])
def test_impossible_sampling_is_refused(how):
    with pytest.raises(ValueError, match=next(iter(how))):
        model_of().generate(torch.zeros(1, 1, dtype=torch.long), 1, **how)


def test_a_checkpoint_gives_equal_logits(tmp_path):
    model, idx = model_of(), torch.arange(16)[None]
    model.save(tmp_path)
    loaded = GPT.load(tmp_path).eval()
    assert loaded.config == model.config
    assert torch.equal(loaded(idx)[0], model(idx)[0])


def test_weights_that_do_not_fit_the_configuration_are_refused(tmp_path):
    model_of().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "n_layer": 3}))
    with pytest.raises(ValueError, match=r"does not fit config\.json"):
        GPT.load(tmp_path)
