"""The fast GPT: what it has in common with the classic one, each switch, and what it refuses."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers import checkpoint, recipe, training
from helpers.gpt import GPT, FastConfig, FastGPT, GPTConfig, KVCache, fast, files, generate, make
from helpers.hardware import Hardware
from tests.bench import tried

CPU = Hardware("cpu", "test", "float32", 1, 1, 8.0, {"float32": 1.0}, 1.0, 1.0)
SIZES = {"vocab_size": 61, "block_size": 16, "n_layer": 2, "n_head": 4, "n_embd": 32}
CLASSIC = {"rope": False, "relu2": False, "zero_init": False, "untied": False, "previous": 0}
EVERYTHING = tried.config(**SIZES, qk_norm=True, value_embeddings=True, bigram=True)  # and what did not pay
SOME = {
    "default": FastConfig(**SIZES),
    "everything": EVERYTHING,
    "nothing": FastConfig(**SIZES, **CLASSIC),
    "tied": FastConfig(**SIZES, untied=False),
    "positions": FastConfig(**SIZES, rope=False, previous=1),
    "far back": FastConfig(**SIZES, previous=20),  # further than the context reaches
    "values": tried.config(**SIZES, value_embeddings=True, zero_init=False, relu2=False),
    "bigram": tried.config(**SIZES, bigram=True, qk_norm=True, previous=0),
}


def model_of(config, seed=0, shaken=True):
    """`shaken`: every parameter away from where it begins, so that none of what is computed is multiplied by zero."""
    torch.manual_seed(seed)
    model = tried.make(config)
    if shaken:
        for p in model.parameters():
            p.data += 0.3 * torch.randn_like(p)
    return model.eval()


def ids(rows=2, length=16, seed=1):
    return torch.randint(61, (rows, length), generator=torch.Generator().manual_seed(seed))


def gradients(model, x, y):
    loss = model(x, y)[1]
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_with_every_switch_off_it_is_the_classic_model(dropout, monkeypatch):
    """Logits, loss and every gradient, and where dropout acts; how it draws is tested below."""
    monkeypatch.setattr(fast, "Dropout", torch.nn.Dropout)
    torch.manual_seed(0)
    classic = GPT(GPTConfig(**SIZES, dropout=dropout)).train()
    ours = FastGPT(FastConfig(**SIZES, **CLASSIC, dropout=dropout)).train()
    theirs = {name: value for name, value in classic.state_dict().items() if "norm" not in name}
    assert all((value == 1).all() for name, value in classic.state_dict().items() if "norm" in name)
    left = ours.load_state_dict(theirs, strict=False)
    assert left.missing_keys == ["head.weight"] and not left.unexpected_keys  # which is the embedding
    x, y = ids(), ids(seed=2)
    logits, found = [], []
    for model in (ours, classic):
        torch.manual_seed(5)
        logits.append(model(x)[0].detach())
        torch.manual_seed(5)
        found.append(gradients(model, x, y))
    torch.testing.assert_close(*logits)
    torch.testing.assert_close(found[0][0], found[1][0])
    assert {name for name in found[1][1] if "norm" not in name} == set(found[0][1])
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(gradient, found[1][1][name])


def test_with_every_switch_off_it_begins_as_the_classic_model_does():
    sizes = {"vocab_size": 500, "block_size": 64, "n_layer": 3, "n_head": 4, "n_embd": 128}
    torch.manual_seed(0)
    ours, theirs = FastGPT(FastConfig(**sizes, **CLASSIC)), GPT(GPTConfig(**sizes))
    want = {name: p.std().item() for name, p in theirs.named_parameters() if "norm" not in name}
    assert {name: p.std().item() for name, p in ours.named_parameters()} == pytest.approx(want, rel=0.05)


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_drops_as_many_as_it_should_and_keeps_the_sum(p, dtype):
    layer, x = fast.Dropout(p), torch.ones(3, 7, 4763, dtype=dtype)  # a number that 8 does not divide
    torch.manual_seed(0)
    y = layer(x)
    share = round(256 * p) / 256
    spread = (share * (1 - share) / x.numel()) ** 0.5
    assert y.dtype == dtype and abs((y == 0).float().mean().item() - share) < 4 * spread
    assert y.float().mean().item() == pytest.approx(1, abs=4 * spread / (1 - share) + 2**-8 * (dtype != torch.float32))
    assert set(y.unique().tolist()) == {0, torch.tensor(1 / (1 - share)).to(dtype).item()}
    near, far = (y == 0).flatten().float(), (y == 0).flatten().float().roll(1)
    assert abs(torch.corrcoef(torch.stack([near, far]))[0, 1]) < 4 / x.numel() ** 0.5  # neighbours share a draw


def test_dropout_follows_the_seed_and_stays_out_of_evaluation():
    layer, x = fast.Dropout(0.3), torch.randn(4, 5, requires_grad=True)
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        (gradient,) = torch.autograd.grad(layer(x).sum(), x)
        masks.append(gradient)
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])
    assert torch.equal(layer.eval()(x), x) and torch.equal(fast.Dropout(0.0)(x), x)


def test_it_begins_as_the_table_says():
    config = tried.config(
        vocab_size=300, block_size=16, n_layer=2, n_head=4, n_embd=64, value_embeddings=True, bigram=True
    )
    for name, p in model_of(config, shaken=False).named_parameters():
        if name == "tokens.weight" or name.endswith("values.weight"):
            assert p.std().item() == pytest.approx(1, rel=0.05), name
        elif name.startswith("before."):
            assert p.std().item() == pytest.approx(0.5, rel=0.05), name
        elif name.endswith(("attention.qkv.weight", "mlp.up.weight")):
            assert p.std().item() == pytest.approx(64**-0.5, rel=0.05) and p.abs().max() <= math.sqrt(3 / 64), name
        else:
            assert not p.any(), name


@pytest.mark.parametrize("name", ["default", "everything", "far back"])
def test_the_loss_at_initialisation_is_exactly_that_of_guessing(name):
    loss = model_of(SOME[name], shaken=False)(ids(), ids(seed=2))[1].item()
    assert loss == pytest.approx(math.log(61), rel=1e-6)


@pytest.mark.parametrize("name", ["tied", "values"])
def test_otherwise_it_is_near_it(name):
    loss = model_of(SOME[name], shaken=False)(ids(), ids(seed=2))[1].item()
    assert loss == pytest.approx(math.log(61), abs=0.15)


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("changed", [1, 7, 15])
def test_changing_a_token_changes_nothing_before_it(name, changed):
    model, idx = model_of(SOME[name]), ids(1)
    other = idx.clone()
    other[0, changed] = (other[0, changed] + 1) % 61
    with torch.no_grad():
        before, after = model(idx)[0], model(other)[0]
    torch.testing.assert_close(before[0, :changed], after[0, :changed], atol=0, rtol=0)
    assert not torch.allclose(before[0, changed], after[0, changed])


@pytest.mark.parametrize("name", SOME)
def test_every_parameter_has_a_gradient(name):
    model = model_of(SOME[name]).train()
    x = torch.arange(61).repeat(2, 1)[:, :16]
    _, found = gradients(model, x, ids(seed=2))
    for parameter, gradient in found.items():
        reached = not parameter.startswith("before.") or int(parameter.split(".")[1]) < 15
        assert bool(gradient is not None and gradient.any()) == reached, parameter


def plainly(model, row):
    """Logits of a model with every switch on, for one row of ids, a token and a head at a time."""
    w, C, H = model.state_dict(), model.config.n_embd, model.config.n_head
    D, T = C // H, len(row)

    def norm(x):
        return (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()

    def turned(x, position):  # pairs (i, i + D/2)
        angles = torch.tensor([position * 10_000 ** (-2 * i / D) for i in range(D // 2)])
        z = torch.complex(x[: D // 2], x[D // 2 :]) * torch.polar(torch.ones(D // 2), angles)
        return torch.cat([z.real, z.imag])

    x = [w["tokens.weight"][i].clone() for i in row]
    for t in range(T):
        for back in range(1, min(t, model.config.previous) + 1):
            x[t] += w[f"before.{back - 1}.weight"][row[t - back]]
    x = [norm(each) for each in x]
    for layer in range(model.config.n_layer):
        of = {name.removeprefix(f"blocks.{layer}."): value for name, value in w.items() if f"blocks.{layer}." in name}
        q, k, v = zip(*((of["attention.qkv.weight"] @ norm(each)).split(C) for each in x), strict=True)
        v = [a + of["attention.values.weight"][i] for a, i in zip(v, row, strict=True)]
        gathered = torch.zeros(T, C)
        for head in range(H):
            part = slice(head * D, (head + 1) * D)
            for t in range(T):
                query = turned(norm(q[t][part]), t)
                scores = torch.stack([query @ turned(norm(k[u][part]), u) / math.sqrt(D) for u in range(t + 1)])
                for weight, u in zip(scores.softmax(0), range(t + 1), strict=True):
                    gathered[t, part] += weight * v[u][part]
        x = [a + of["attention.out.weight"] @ b for a, b in zip(x, gathered, strict=True)]
        x = [a + of["mlp.down.weight"] @ (of["mlp.up.weight"] @ norm(a)).clamp(min=0) ** 2 for a in x]
    return torch.stack([w["head.weight"] @ norm(a) + w["bigram.weight"][i] for a, i in zip(x, row, strict=True)])


def test_with_every_switch_on_it_is_what_a_plain_loop_computes():
    model, idx = model_of(EVERYTHING), ids(2, 9)
    with torch.no_grad():
        logits = model(idx)[0]
        for row, ours in zip(idx.tolist(), logits, strict=True):
            torch.testing.assert_close(ours, plainly(model, row), atol=1e-4, rtol=1e-4)


def test_earlier_rows_by_hand():
    table = torch.nn.Embedding.from_pretrained(torch.tensor([[0.0], [10.0], [20.0], [30.0]]))
    row = torch.tensor([[3, 1, 2]])
    assert fast.earlier(table, row, 1, 3).flatten().tolist() == [0, 30, 10]
    assert fast.earlier(table, row, 2, 3).flatten().tolist() == [0, 0, 30]
    for back in (3, 9):
        assert fast.earlier(table, row, back, 3).flatten().tolist() == [0, 0, 0]
    assert fast.earlier(table, row, 1, 1).flatten().tolist() == [10]  # of the last token alone, as with a cache
    assert fast.earlier(table, row, 2, 2).flatten().tolist() == [0, 30]


def test_turned_queries_and_keys_know_their_distance_alone():
    """Position m against n gives what m + 5 against n + 5 gives; a length does not change."""
    model = FastGPT(FastConfig(vocab_size=61, block_size=40, n_layer=1, n_head=2, n_embd=32))
    q, k = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))

    def product(m, n):
        cos, sin = model.cos.flatten(1), model.sin.flatten(1)  # (T, C/H/2)
        return (fast.rotate(q, cos[m], sin[m]) * fast.rotate(k, cos[n], sin[n])).sum()

    torch.testing.assert_close(product(7, 3), product(12, 8))
    torch.testing.assert_close(product(30, 0), product(39, 9))
    torch.testing.assert_close(product(11, 11), (q * k).sum())
    assert not torch.allclose(product(7, 3), product(7, 4))


def test_position_matters_with_rope_and_with_a_table():
    for name in ("default", "positions"):
        model = model_of(replace(SOME[name], previous=0))
        x = torch.tensor([[5, 6, 7, 8, 9], [6, 5, 7, 8, 9]])
        with torch.no_grad():
            first, swapped = model(x)[0][:, -1]
        assert not torch.allclose(first, swapped)


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("prompt", [1, 2, 5, 16])
def test_the_cache_changes_no_logit(name, prompt):
    model, idx = model_of(SOME[name]), ids(3)
    cache = KVCache(SOME[name], 3)
    with torch.no_grad():
        whole = model(idx)[0]
        parts = [model(idx[:, :prompt], cache=cache)[0]]
        parts += [model(idx[:, [t]], cache=cache)[0] for t in range(prompt, 16)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-4, rtol=1e-4)
    assert torch.equal(cache.ids, idx)
    with pytest.raises(ValueError, match="17 tokens are longer than block_size 16"):
        model(idx[:, :1], cache=cache)


@pytest.mark.parametrize("length", [1, 3, 16, 21])
@pytest.mark.parametrize("name", SOME)
def test_generation_with_the_cache_equals_generation_without(name, length):
    """Also beyond block_size 16, where the window moves, and from a prompt that is longer."""
    model, how = model_of(SOME[name]), {"temperature": 0.9, "top_p": 0.9}
    texts = [
        generate(model, ids(2, length), 24, cache=cache, generator=torch.Generator().manual_seed(0), **how)
        for cache in (True, False)
    ]
    assert texts[0].shape == (2, length + 24)
    assert torch.equal(*texts)


@pytest.mark.parametrize("shape", [(2, 3, 24, 8), (1, 1, 1, 4), (2, 2, 128, 40)])
def test_attention_written_out_equals_that_of_torch(shape):
    """In bfloat16 on a CPU; forward, and backward through all three."""
    chance = torch.Generator().manual_seed(0)
    began = [torch.randn(shape, generator=chance) for _ in range(4)]

    def run(attend, dtype):
        q, k, v = (x.to(dtype, copy=True).requires_grad_() for x in began[:3])
        y = attend(q, k, v)
        y.backward(began[3].to(dtype))
        return [x.detach().float() for x in (y, q.grad, k.grad, v.grad)]

    def of_torch(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    exact, ours, theirs = run(of_torch, torch.float32), run(fast.attend, torch.bfloat16), run(of_torch, torch.bfloat16)
    for a, b, c in zip(ours, theirs, exact, strict=True):
        size = c.norm().clamp(min=1e-3)  # a single token's weight has no gradient
        assert (a - c).norm() / size < 0.01  # bfloat16 keeps 8 bits: both are 0.3 to 0.6% off
        assert (a - b).norm() / size < 0.01


@pytest.mark.parametrize("name", SOME)
def test_in_bfloat16_gradients_are_near_those_of_float32(name):
    """As autocast has it on a CPU: the residual stream and attention in bfloat16, the weights in float32."""
    x, y = ids(), ids(seed=2)
    exact = gradients(model_of(SOME[name], shaken=False).train(), x, y)
    with torch.autocast("cpu", torch.bfloat16):
        found = gradients(model_of(SOME[name], shaken=False).train(), x, y)
    assert found[0].item() == pytest.approx(exact[0].item(), rel=0.01)
    for parameter, gradient in exact[1].items():
        assert found[1][parameter].dtype == torch.float32
        assert (found[1][parameter] - gradient).norm() <= 0.05 * gradient.norm(), parameter


@pytest.mark.parametrize("name", [name for name, config in SOME.items() if type(config) is FastConfig])
def test_a_folder_gives_an_equal_model(tmp_path, name):
    model, idx = model_of(SOME[name]), ids()
    files.save(model, tmp_path)
    loaded = files.load(tmp_path).eval()
    assert type(loaded) is FastGPT and files.config(tmp_path) == loaded.config == model.config
    assert (loaded.head.weight is loaded.tokens.weight) == (not model.config.untied)
    assert torch.equal(loaded(idx)[0], model(idx)[0])


def test_a_folder_tells_the_two_models_apart(tmp_path):
    files.save(GPT(GPTConfig(**SIZES)), tmp_path)
    assert type(files.load(tmp_path)) is GPT and type(files.config(tmp_path)) is GPTConfig


def test_weights_of_a_tied_head_are_there_once(tmp_path):
    from safetensors.torch import load_file

    for name, has_head in (("tied", False), ("default", True)):
        files.save(model_of(SOME[name]), tmp_path)
        assert ("head.weight" in load_file(tmp_path / "model.safetensors")) == has_head


@pytest.mark.parametrize(
    ("saved", "change", "told"),
    [
        ("default", {"untied": False}, "missing nothing; unknown head.weight"),
        ("tied", {"untied": True}, "missing head.weight; unknown nothing"),
        ("default", {"previous": 4}, "missing before.3.weight; unknown nothing"),
        ("default", {"n_embd": 64}, r"is \(61, 32\), not \(61, 64\)"),
    ],
)
def test_weights_that_do_not_fit_the_configuration_are_refused(tmp_path, saved, change, told):
    files.save(model_of(SOME[saved]), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ValueError, match=rf"(?s)does not fit config\.json: .*{told}"):
        files.load(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_head": 32}, "n_embd / n_head is 1; RoPE turns numbers in pairs, so it must be even"),
        ({"n_embd": 12, "n_head": 4}, "n_embd / n_head is 3"),
        ({"rope": "no"}, "rope is 'no'; it must be True or False"),
        ({"untied": 1}, "untied is 1; it must be True or False"),
        ({"previous": -1}, "previous is -1; it must be a whole number of at least 0"),
        ({"previous": 1.0}, "previous is 1.0"),
        ({"previous": True}, "previous is True"),
        ({"n_layer": 0}, "n_layer is 0; it must be a whole number of at least 1"),
        ({"n_head": 5}, "n_head must be one of 1, 2, 4, 8, 16, 32"),
    ],
)
def test_impossible_configurations_are_refused_by_name(values, message):
    with pytest.raises(ValueError, match=message):
        FastConfig(**{**SIZES, **values})


def test_an_odd_head_is_allowed_without_rope():
    assert FastGPT(FastConfig(**{**SIZES, "n_head": 32}, rope=False))(ids())[0].shape == (2, 16, 61)


def test_a_context_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="17 tokens are longer than block_size 16"):
        model_of(EVERYTHING)(ids(1, 17))


def test_make_follows_the_configuration():
    assert type(make(GPTConfig(**SIZES))) is GPT and type(make(SOME["default"])) is FastGPT


PLAN = replace(
    recipe.Recipe(max_iters=8, batch_size=4, learning_rate=0.02, eval_interval=4), optimizer="muon",
    table_learning_rate=0.015, warmup_fraction=0.0, cooldown_fraction=0.7, weight_decay=0.01, betas=(0.8, 0.95),
)  # fmt: skip
DATA = np.random.default_rng(0).integers(0, 61, 2000).astype("<u2")
FACTS = {"made_by": "test", "profile": "smoke", "data_hash": "d" * 64}


def trainer_of(config, seed=0):
    torch.manual_seed(seed)
    return training.Trainer(tried.make(config), DATA, PLAN, CPU)


@pytest.mark.parametrize("step", [3, 4])
@pytest.mark.parametrize("name", ["default", "far back", "tied"])
def test_a_training_that_goes_on_is_the_one_that_never_stopped(tmp_path, name, step):
    """With Muon beside AdamW and with dropout: losses, norms, evaluations, weights and optimizers, bit for bit."""
    config = replace(SOME[name], dropout=0.1)
    whole, first, second = trainer_of(config), trainer_of(config), trainer_of(config, seed=999)

    def stop(trainer):
        if trainer.step == step:
            raise KeyboardInterrupt

    training.train_model(whole, DATA[:200])
    with pytest.raises(KeyboardInterrupt):
        training.train_model(first, DATA[:200], look=stop)
    place = checkpoint.save(first, tmp_path, **FACTS)
    assert checkpoint.restore(second, place, **FACTS) == ""
    training.train_model(second, DATA[:200])
    assert (second.losses, second.norms, second.evaluations) == (whole.losses, whole.norms, whole.evaluations)
    for parameter, value in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[parameter], value), parameter
    for ours, theirs in zip(second.optimizers, whole.optimizers, strict=True):
        one, other = ours.state_dict(), theirs.state_dict()
        assert one["param_groups"] == other["param_groups"] and one["state"].keys() == other["state"].keys()
        for i, values in other["state"].items():
            assert all(torch.equal(one["state"][i][key], value) for key, value in values.items())


def test_the_momentum_of_muon_is_kept_and_needed(tmp_path):
    from safetensors.torch import load_file

    trainer = trainer_of(SOME["default"])
    for _ in range(3):  # what a head and sums of zeros leave unmoved in the first two
        trainer.advance()
    place = checkpoint.save(trainer, tmp_path, **FACTS)
    kept = load_file(place / "trainer.safetensors")
    assert "optimizer.blocks.0.attention.qkv.weight.momentum_buffer" in kept
    assert "optimizer.tokens.weight.exp_avg_sq" in kept
    forgetful = trainer_of(SOME["default"])
    checkpoint.restore(forgetful, place, **FACTS)
    forgetful.optimizers[1].state.clear()
    for each in (trainer, forgetful):
        each.advance()
    assert not torch.equal(*(t.model.blocks[0].mlp.up.weight for t in (trainer, forgetful)))


@pytest.mark.parametrize("change", [{"previous": 2}, {"untied": False}, {"relu2": False}])
def test_another_switch_is_another_training(tmp_path, change):
    place = checkpoint.save(trainer_of(SOME["default"]), tmp_path, **FACTS)
    ((name, value),) = change.items()
    with pytest.raises(checkpoint.Mismatch, match=f"{name} is {getattr(SOME['default'], name)} there and {value} here"):
        checkpoint.restore(trainer_of(replace(SOME["default"], **change)), place, **FACTS)
    with pytest.raises(checkpoint.Mismatch, match="previous is 3 there and None here"):
        checkpoint.restore(trainer_of(GPTConfig(**SIZES)), place, **FACTS)


def test_one_batch_can_be_overfitted():
    torch.manual_seed(0)
    plan = replace(PLAN, max_iters=30, eval_interval=30)
    trainer = training.Trainer(FastGPT(SOME["default"]), DATA[:17], plan, CPU)  # one window, so one batch
    losses = [trainer.advance()[0] for _ in range(30)]
    assert losses[0] == pytest.approx(math.log(61), rel=1e-6) and losses[-1] < 0.1
