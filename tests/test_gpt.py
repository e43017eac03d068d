"""The model: its parts against the plain way, what it may see, and what it refuses."""

import json
import math
from dataclasses import asdict

import pytest
import torch

from helpers import budget
from helpers.gpt import (
    GPT,
    CausalSelfAttention,
    FastConfig,
    FastGPT,
    GPTConfig,
    KVCache,
    files,
    generate,
    probabilities,
    save_for_transformers,
    to_transformers,
)

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
        return generate(model, prompt, 30, generator=torch.Generator().manual_seed(seed), **how)

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
    seen = {generate(model, prompt, 1, top_k=3, generator=chance)[0, -1].item() for _ in range(60)}
    assert seen == allowed


@pytest.mark.parametrize(
    "how",
    [
        {"temperature": -1},
        {"temperature": math.nan},
        {"top_k": 0},
        {"top_p": 0},
        {"top_p": 1.1},
        {"max_new_tokens": -1},
    ],
)
def test_impossible_sampling_is_refused(how):
    model = model_of().train()
    with pytest.raises(ValueError, match=next(iter(how))):
        generate(model, torch.zeros(1, 1, dtype=torch.long), **{"max_new_tokens": 0, **how})
    assert model.training


def test_an_empty_prompt_is_refused():
    with pytest.raises(ValueError, match="the prompt is empty"):
        generate(model_of(), torch.zeros(1, 0, dtype=torch.long), 1)


def test_temperature_top_k_and_top_p_by_hand():
    logits = torch.log(torch.tensor([[0.1, 0.4, 0.2, 0.3]]))
    torch.testing.assert_close(probabilities(logits), torch.tensor([[0.1, 0.4, 0.2, 0.3]]))
    torch.testing.assert_close(probabilities(logits, temperature=0.5), torch.tensor([[0.01, 0.16, 0.04, 0.09]]) / 0.3)
    torch.testing.assert_close(probabilities(logits, top_k=2), torch.tensor([[0, 4 / 7, 0, 3 / 7]]))
    torch.testing.assert_close(probabilities(logits, top_p=0.5), torch.tensor([[0, 4 / 7, 0, 3 / 7]]))  # 0.4 is too few
    torch.testing.assert_close(probabilities(logits, top_p=0.4), torch.tensor([[0.0, 1, 0, 0]]))  # and here enough
    torch.testing.assert_close(probabilities(logits, top_k=3, top_p=0.7), torch.tensor([[0, 4 / 7, 0, 3 / 7]]))
    assert probabilities(logits, temperature=1e-46).tolist() == [[0, 1, 0, 0]]  # nor 0 / 0
    many = torch.randn(2, 50_257, generator=torch.Generator().manual_seed(0)) * 3
    assert torch.equal(probabilities(many, top_p=1.0), probabilities(many))
    assert probabilities(logits, temperature=1e-30).tolist() == [[0, 1, 0, 0]]  # no overflow on the way to 0
    assert probabilities(logits, temperature=0).tolist() == [[0, 1, 0, 0]]


def test_top_p_equals_that_of_transformers():
    from transformers import TopPLogitsWarper

    logits = torch.randn(20, 300, generator=torch.Generator().manual_seed(0)) * 3
    for p in (0.05, 0.5, 0.9, 0.999):
        torch.testing.assert_close(probabilities(logits, top_p=p), TopPLogitsWarper(p)(None, logits).softmax(-1))


def test_drawing_follows_the_probabilities():
    from scipy.stats import chisquare

    model, n = model_of(), 4000
    model.tokens.weight.data *= 30  # untrained logits are nearly equal; these are not
    prompt = torch.zeros(n, 1, dtype=torch.long)
    drawn = generate(model, prompt, 1, top_k=5, temperature=1.5, generator=torch.Generator().manual_seed(0))[:, 1]
    with torch.no_grad():
        p = probabilities(model(prompt[:1])[0][:, -1], temperature=1.5, top_k=5)[0]
    assert set(drawn.tolist()) <= set(p.nonzero().flatten().tolist())
    kept = p > 0
    assert chisquare(torch.bincount(drawn, minlength=61)[kept], (n * p.double() / p.double().sum())[kept]).pvalue > 1e-3


@pytest.mark.parametrize("prompt", [1, 5, 16])
def test_the_cache_changes_no_logit(prompt):
    model, idx = model_of(), torch.randint(61, (3, 16), generator=torch.Generator().manual_seed(1))
    cache = KVCache(SMALL, 3)
    with torch.no_grad():
        whole = model(idx)[0]
        parts = [model(idx[:, :prompt], cache=cache)[0]]
        parts += [model(idx[:, [t]], cache=cache)[0] for t in range(prompt, 16)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)
    assert cache.length == 16 and torch.equal(cache.ids, idx)
    with pytest.raises(ValueError, match="17 tokens are longer than block_size 16"):
        model(idx[:, :1], cache=cache)


@pytest.mark.parametrize("how", [{"temperature": 0}, {"temperature": 0.9, "top_p": 0.9}])
def test_generation_with_the_cache_equals_generation_without(how):
    """Also beyond block_size 16, where the window moves."""
    model, prompt = model_of(), torch.tensor([[1, 2, 3], [9, 8, 7]])
    model.tokens.weight.data *= 30
    with_and_without = [
        generate(model, prompt, 40, cache=cache, generator=torch.Generator().manual_seed(0), **how)
        for cache in (True, False)
    ]
    assert with_and_without[0].shape == (2, 43)
    assert torch.equal(*with_and_without)


def test_several_tokens_cannot_follow_others_in_the_cache():
    model, cache = model_of(), KVCache(SMALL, 1)
    with torch.no_grad():
        model(torch.zeros(1, 2, dtype=torch.long), cache=cache)
    with pytest.raises(ValueError, match="2 tokens at once after 2"):
        model(torch.zeros(1, 2, dtype=torch.long), cache=cache)


def test_the_cache_takes_the_memory_that_was_planned():
    cache = KVCache(SMALL, 3)
    assert cache.keys.nbytes + cache.values.nbytes == budget.kv_cache(SMALL, 3, 16, "float32")


def test_generation_ends_when_every_row_has_drawn_the_stop_id():
    model, prompt = model_of(), torch.tensor([[1], [2]])
    free = generate(model, prompt, 10, temperature=0)
    stop = free[0, 3].item()
    stopped = generate(model, prompt[:1], 10, temperature=0, stop=stop)
    assert torch.equal(stopped[0], free[0, : stopped.shape[1]]) and stopped[0, -1] == stop
    assert (stopped[0, 1:-1] != stop).all()


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_transformers_gives_the_same_logits(tmp_path, dropout):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from helpers import bpe

    tokenizer = bpe.train_tokenizer(["low lower lowest new newer newest"] * 3, vocab_size=265)
    config = GPTConfig(vocab_size=tokenizer.vocab_size, block_size=24, n_layer=3, n_head=2, n_embd=32, dropout=dropout)
    model = model_of(config)
    for p in model.parameters():  # norms, too, differ from where they start
        p.data += 0.05 * torch.randn_like(p)
    save_for_transformers(model, tokenizer, tmp_path)
    other, its_tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    text = "the newest lower low"
    ids = tokenizer.encode_document(text)
    assert its_tokenizer(text)["input_ids"] == ids
    idx = torch.tensor([ids])
    with torch.no_grad():
        torch.testing.assert_close(other.eval()(idx).logits, model(idx)[0], atol=1e-5, rtol=1e-5)
    ours = generate(model, idx[:, :4], 12, temperature=0)
    theirs = other.generate(idx[:, :4], max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0)
    assert torch.equal(ours, theirs)
    assert other.num_parameters() == sum(p.numel() for p in model.parameters()) + sum(
        p.numel() for name, p in other.named_parameters() if name.endswith("bias")
    )


def test_a_tokenizer_with_more_ids_than_the_model_is_not_exported(tmp_path):
    from helpers import bpe

    with pytest.raises(ValueError, match="has 258 ids, the model knows 61"):
        save_for_transformers(model_of(), bpe.Tokenizer([]), tmp_path)


def test_a_fast_model_is_not_exported(tmp_path):
    from helpers import bpe

    model = FastGPT(FastConfig(vocab_size=258, block_size=16, n_layer=1, n_head=2, n_embd=8))
    told = "no class for tables of earlier tokens; train with --recipe classic"
    with pytest.raises(ValueError, match=told):
        save_for_transformers(model, bpe.Tokenizer([]), tmp_path / "new")
    with pytest.raises(ValueError, match=told):
        to_transformers(model)
    assert not (tmp_path / "new").exists()


def test_a_checkpoint_gives_equal_logits(tmp_path):
    model, idx = model_of(), torch.arange(16)[None]
    files.save(model, tmp_path)
    loaded = files.load(tmp_path).eval()
    assert loaded.config == model.config
    assert torch.equal(loaded(idx)[0], model(idx)[0])


def test_weights_that_do_not_fit_the_configuration_are_refused(tmp_path):
    files.save(model_of(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "n_layer": 3}))
    with pytest.raises(ValueError, match=r"does not fit config\.json"):
        files.load(tmp_path)


@pytest.mark.parametrize("rope", [False, True])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n_layer": 10**9}, "n_layer is 1000000000; it must be a whole number of at least 1, at most 1,048,576"),
        ({"n_embd": 10**9}, "n_embd is 1000000000"),
        ({"n_head": 10**9}, "n_head is 1000000000"),
        ({"vocab_size": 10**9}, "vocab_size is 1000000000"),
        ({"block_size": 10**9}, "block_size is 1000000000"),
        ({"n_layer": -1}, "n_layer is -1"),
        ({"n_layer": True}, "n_layer is True"),
        ({"n_embd": 32.0}, "n_embd is 32.0"),
        ({"dropout": "0.1"}, "dropout is '0.1'"),
        ({"n_layer": 10**6}, "n_layer is 1,000,000, and there are [0-9]+ tensors in all"),
        ({"n_layer": 3}, r"missing blocks\.2\."),
        ({"n_layer": 1}, r"unknown blocks\.1\."),
        ({"vocab_size": 10**6}, r"\.weight is \(61, 32\), not \(1000000, 32\)"),
        ({"n_embd": 2**20}, r"is \(.*\), not \(.*1048576"),
    ],
)
def test_sizes_that_are_not_those_of_the_weights_are_refused_before_they_take_memory(tmp_path, rope, change, told):
    kind, sizes = (FastGPT, FastConfig) if rope else (GPT, GPTConfig)
    files.save(kind(sizes(**asdict(SMALL))), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ValueError, match=rf"config\.json.*{told}"):
        files.load(tmp_path)


def test_more_tables_of_earlier_tokens_than_tensors_are_refused(tmp_path):
    files.save(FastGPT(FastConfig(**asdict(SMALL))), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "previous": 10**9}))
    with pytest.raises(ValueError, match="previous is 1,000,000,000, and there are"):
        files.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda value: value.bfloat16(), "bfloat16, not torch.float32"),
        (lambda value: value.double(), "float64, not torch.float32"),
        (lambda value: torch.full_like(value, torch.nan), "no numbers"),
        (lambda value: torch.full_like(value, torch.inf), "no numbers"),
    ],
)
def test_weights_of_another_type_or_without_numbers_are_refused(tmp_path, change, told):
    from safetensors.torch import load_file, save_file

    files.save(model_of(), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = sorted(weights)[0]
    save_file({**weights, name: change(weights[name])}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=f"{name}.*{told}"):
        files.load(tmp_path)
