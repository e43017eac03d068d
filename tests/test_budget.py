"""The planning formulas, each held against a count."""

import functools
import math
import re
import time

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from helpers import budget
from helpers.gpt import GPT, FastConfig, FastGPT, GPTConfig

CONFIG = GPTConfig(vocab_size=96, block_size=32, n_layer=2, n_head=2, n_embd=64)


def test_a_lecture_model_has_the_published_number_of_parameters():
    # Karpathy's lecture model: 384 wide, 6 blocks, 65 characters. It adds an untied head and biases to ours.
    V, T, L, C = 65, 256, 6, 384
    ours = sum(budget.parameters(GPTConfig(vocab_size=V, block_size=T, n_layer=L, n_head=6, n_embd=C)).values())
    head, norm_biases, out_biases, mlp_biases = V * C + V, (2 * L + 1) * C, L * C, L * 5 * C
    assert ours + head + norm_biases + out_biases + mlp_biases == 10_788_929


def test_flops_per_token_equals_the_operations_torch_counts():
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    model, idx = GPT(CONFIG), torch.randint(96, (3, 32))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(idx, idx)[1].backward()
    assert counter.get_total_flops() == budget.flops_per_token(CONFIG) * idx.numel()


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"rope": False, "untied": False, "previous": 0},
        {"relu2": False, "zero_init": False, "previous": 7},
    ],
)
def test_flops_per_token_of_a_fast_model_are_the_operations_torch_counts(switches):
    """Tables are looked up, which multiplies nothing, and the head counts once, tied or not."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    config = FastConfig(vocab_size=96, block_size=32, n_layer=2, n_head=2, n_embd=64, **switches)
    model, idx = FastGPT(config), torch.randint(96, (3, 32))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(idx, idx)[1].backward()
    assert counter.get_total_flops() == budget.flops_per_token(config) * idx.numel()
    assert budget.flops_per_token(config) == budget.flops_per_token(CONFIG)


def test_a_fast_model_is_not_planned_as_if_it_were_classic():
    config = FastConfig(vocab_size=96, block_size=32, n_layer=2, n_head=2, n_embd=64)
    with pytest.raises(ValueError, match=r"a FastConfig is not planned here, only gpt\.GPTConfig is"):
        budget.parameters(config)
    with pytest.raises(ValueError, match=r"budget\.PeakMemory around a step"):
        budget.memory(config, 4, "float32")
    assert budget.kv_cache(config, 1, 32, "float32") == budget.kv_cache(CONFIG, 1, 32, "float32")


def kernel(flash: bool):
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(SDPBackend.FLASH_ATTENTION if flash else SDPBackend.MATH)


@pytest.mark.parametrize("flash", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_activation_bytes_equal_what_autograd_saves(dtype, dropout, flash):
    config = GPTConfig(vocab_size=96, block_size=48, n_layer=3, n_head=2, n_embd=64, dropout=dropout)
    model = GPT(config).train()
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    saved = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = tensor  # kept alive, so that no address is used twice
        return tensor

    x, y = torch.randint(96, (2, 4, 48))
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"),
        kernel(flash),
    ):
        model(x, y)
    counted = sum(t.untyped_storage().nbytes() for t in saved.values())
    log_softmax = 4 * x.numel() * 96  # counted with the logits
    planned = budget.memory(config, 4, dtype, flash=flash)["activations"]
    assert planned == pytest.approx(counted - log_softmax, abs=16)


def allocated(config, batch_size: int, dtype: str, flash: bool, checkpointing: bool) -> tuple[int, int]:
    """Bytes that torch has allocated between forward and backward pass, and at the peak of a warm step."""
    from torch.profiler import record_function
    from torch.utils.checkpoint import checkpoint

    model, (x, y) = GPT(config), torch.randint(config.vocab_size, (2, batch_size, config.block_size))
    if checkpointing:
        for block in model.blocks:
            block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"), kernel(flash):
            loss = model(x, y)[1]
        with record_function("between"):
            pass
        with kernel(flash):  # checkpointing computes forward once more
            loss.backward()
        model.zero_grad()

    return traced(step)


def traced(step) -> tuple[int, int]:
    from torch.profiler import ProfilerActivity, profile

    step()  # what is set up once is not part of it
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    live = peak = between = 0
    for event in sorted(profiler.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "between":
            between = live
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return between, peak


def scratch(config, batch_size: int, flash: bool) -> int:
    """Bytes that kernels in bfloat16 take for themselves, beside what they give; the plan does not count them.

    How much the flash kernel packs anew on the way back depends on the processor. One without bfloat16 units writes a
    matrix product in float32 first; one with them takes nothing. The two do not fall together.
    """
    tokens, width = batch_size * config.block_size, config.n_embd
    x, weights = torch.randn(tokens, width, dtype=torch.bfloat16), torch.randn(width, 4 * width, dtype=torch.bfloat16)
    product = traced(lambda: x @ weights)[1] - 2 * tokens * 4 * width
    if not flash:
        return product
    shape = (batch_size, config.n_head, config.block_size, config.n_embd // config.n_head)
    q, k, v, upstream = (torch.randn(shape, dtype=torch.bfloat16) for _ in range(4))
    with kernel(True):
        y = F.scaled_dot_product_attention(*(x.requires_grad_() for x in (q, k, v)), is_causal=True)
        _, peak = traced(lambda: torch.autograd.grad(y, (q, k, v), upstream, retain_graph=True))
    return max(product, peak - 3 * q.untyped_storage().nbytes())


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("flash", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("vocab_size", [96, 1024])  # the peak is in the blocks, or at the logits
def test_peak_equals_what_torch_allocates_in_a_step(vocab_size, dtype, flash, checkpointing):
    config = GPTConfig(vocab_size, block_size=64, n_layer=6, n_head=4, n_embd=128)
    sizes = budget.memory(config, 8, dtype, flash=flash, checkpointing=checkpointing)
    _, peak = allocated(config, 8, dtype, flash, checkpointing)
    planned = sizes["peak"] - sizes["weights"] - sizes["optimizer"]
    assert planned <= 1.02 * peak
    assert planned + (scratch(config, 8, flash) if dtype == "bfloat16" else 0) >= 0.98 * peak


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_checkpointing_keeps_the_inputs_and_one_block_at_a_time(dtype):
    config = GPTConfig(vocab_size=96, block_size=64, n_layer=6, n_head=4, n_embd=128)
    tokens, block = 8 * 64, GPTConfig(vocab_size=96, block_size=64, n_layer=1, n_head=4, n_embd=128)
    between, _ = allocated(config, 8, dtype, flash=True, checkpointing=True)
    log_softmax, ids, random_state = 4 * tokens * 96, 16 * tokens, 6 * 5056
    inputs = between - log_softmax - random_state + ids
    # One block's activations, without its input, which is among the inputs, and without what the ends keep.
    one = budget.memory(block, 8, dtype)["activations"]
    ends = tokens * (4 * 128 + (4 if dtype == "float32" else 2) * 128 + 24)
    head = 0 if dtype == "float32" else 2 * 96 * 128
    expected = inputs + (one - ends - head) - tokens * 4 * 128
    assert budget.memory(config, 8, dtype, checkpointing=True)["activations"] == pytest.approx(expected, rel=0.002)


def test_the_kv_cache_holds_what_a_cache_of_tensors_holds():
    import itertools

    model, sequences, tokens, cached = GPT(CONFIG).eval(), 3, 20, []
    for block in model.blocks:
        block.attention.qkv.register_forward_hook(lambda module, given, out: cached.append(out[..., 64:].clone()))
    with torch.no_grad():
        model(torch.randint(96, (sequences, tokens)))
    found = sum(t.untyped_storage().nbytes() for t in itertools.chain(cached))  # keys and values, (B, T, 2 C) a block
    assert budget.kv_cache(CONFIG, sequences, tokens, "float32") == found
    assert budget.kv_cache(CONFIG, sequences, tokens, "bfloat16") == found // 2
    with pytest.raises(ValueError, match="float32, bfloat16"):
        budget.kv_cache(CONFIG, 1, 1, "int8")


@pytest.mark.parametrize("fit", budget.FITS)
@pytest.mark.parametrize("flops", [1e17, 5.76e23])
def test_the_compute_optimal_size_has_the_lowest_loss(fit, flops):
    A, B, alpha, beta = budget.FITS[fit]
    best = budget.compute_optimal(flops, fit)
    losses = {k: A / n**alpha + B / (flops / 6 / n) ** beta for k in (0.98, 1, 1.02) for n in [k * best["parameters"]]}
    assert min(losses, key=losses.get) == 1
    assert 6 * best["parameters"] * best["tokens"] == pytest.approx(flops)


def test_the_replication_agrees_with_chinchilla_and_the_first_fit_does_not():
    flops = 5.76e23  # of Chinchilla: 70 B parameters, 1.4 T tokens
    first, replicated = (budget.compute_optimal(flops, fit) for fit in budget.FITS)
    assert replicated["parameters"] == pytest.approx(70e9, rel=0.1)
    assert replicated["tokens"] == pytest.approx(1.4e12, rel=0.1)
    assert first["parameters"] < 35e9


@pytest.mark.parametrize(("flops", "outside"), [(1e17, True), (1e19, False), (1e26, True)])
def test_a_size_that_nobody_fitted_is_called_an_extrapolation(flops, outside):
    assert budget.compute_optimal(flops)["extrapolated"] is outside


def test_a_budget_or_a_fit_that_is_none_is_refused():
    with pytest.raises(ValueError, match="greater than 0"):
        budget.compute_optimal(0)
    with pytest.raises(ValueError, match="Besiroglu"):
        budget.compute_optimal(1e18, "Kaplan")


def test_the_seconds_of_a_training_are_the_sum_of_their_parts():
    parts = budget.training_seconds(0.5, 100, evaluation=2, evaluations=3, checkpoint=1, checkpoints=4, setup=7)
    assert parts == {"steps": 50, "evaluations": 6, "checkpoints": 4, "setup": 7, "total": 67}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"), (999, "999 bytes"), (1000, "1.00 kB"), (999_999, "1.00 MB"), (2**20, "1.05 MB"),
        (1e9, "1.00 GB"), (953.67e9, "954 GB"), (1e12, "1.00 TB"), (5e15, "5,000 TB"),
    ],
)  # fmt: skip
def test_sizes_count_in_thousands(number, text):
    assert budget.size(number) == text


@pytest.mark.parametrize("number", [-1, math.nan, math.inf])
def test_what_is_no_size_is_refused(number):
    with pytest.raises(ValueError, match="not a number of bytes"):
        budget.size(number)


def test_memory_refuses_a_dtype_it_has_no_formula_for():
    with pytest.raises(ValueError, match="float32, bfloat16"):
        budget.memory(CONFIG, 4, "int8")


def test_peak_memory_sees_what_was_allocated():
    with budget.PeakMemory() as peak:
        block = torch.ones(25_000_000)  # 100 MB
        time.sleep(0.1)
        del block
    assert 90 < peak.mb < 130
    assert peak.allocated is None or 99 < peak.allocated < 105


def test_allocated_memory_leaves_out_the_holes():
    with budget.PeakMemory() as first:
        blocks = [torch.ones(25_000) for _ in range(1000)]  # 100 kB each: small enough for the heap
        time.sleep(0.05)
        del blocks[::2]  # every second one: what lies between two others cannot be returned whole
        with budget.PeakMemory() as second:
            filled = [torch.ones(24_000) for _ in range(400)]  # into the holes
            time.sleep(0.05)
        del blocks, filled
    assert first.mb > 90
    if second.allocated is None:
        pytest.skip("no glibc of at least 2.33 counts what is allocated here")
    assert second.allocated == pytest.approx(400 * 0.096, rel=0.05)


def test_seconds_per_step_leaves_the_warm_steps_out():
    waits = iter([0.6, 0.01, 0.01, 0.01])
    assert 0.01 <= budget.seconds_per_step(lambda: time.sleep(next(waits)), warm=1, timed=3) < 0.5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (787 * 3600, "32 days 19 hours"),
        (0, "0 milliseconds"),
        (0.0421, "42 milliseconds"),
        (0.9996, "1.0 seconds"),
        (9.96, "10 seconds"),
        (59.6, "1 minute"),
        (150, "2 minutes 30 seconds"),
        (3599.7, "1 hour"),
        (86_399, "1 day"),
        (365 * 86_400, "1 year"),
        (1.5 * 365 * 86_400, "1 year 183 days"),
    ],
)
def test_durations_read_as_people_say_them(seconds, text):
    assert budget.duration(seconds) == text


@given(st.floats(min_value=0, max_value=1e11))
def test_a_duration_loses_at_most_half_its_smaller_unit_and_no_unit_overflows(seconds):
    text = budget.duration(seconds)
    sizes = {**dict(budget.UNITS), "millisecond": 0.001}
    limits = {"millisecond": 1000, "second": 60, "minute": 60, "hour": 24, "day": 365}
    found = re.findall(r"([\d,.]+) ([a-z]+?)(s?)(?= |$)", text)
    assert all((n == "1") == (plural == "") for n, _, plural in found)
    parts = [(float(n.replace(",", "")), unit) for n, unit, _ in found]
    assert 1 <= len(parts) <= 2
    assert all(n < limits.get(unit, math.inf) for n, unit in parts)
    largest = max(sizes[unit] for _, unit in parts)
    smaller = {60: 1, 3600: 60, 86_400: 3600, 365 * 86_400: 86_400}.get(largest, 1 if seconds >= 9.95 else 0.1)
    assert abs(sum(n * sizes[unit] for n, unit in parts) - seconds) <= smaller * 0.5001 + 1e-6 * seconds


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf])
def test_what_is_no_duration_is_refused(seconds):
    with pytest.raises(ValueError, match="not a duration"):
        budget.duration(seconds)
