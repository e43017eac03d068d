"""The planning formulas, each held against a count."""

import math
import re
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers import budget
from helpers.gpt import GPT, GPTConfig

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


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_activation_bytes_equal_what_autograd_saves(dtype, dropout):
    config = GPTConfig(vocab_size=96, block_size=32, n_layer=3, n_head=2, n_embd=64, dropout=dropout)
    model = GPT(config).train()
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    saved = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = tensor  # kept alive, so that no address is used twice
        return tensor

    x, y = torch.randint(96, (2, 4, 32))
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"),
    ):
        model(x, y)
    counted = sum(t.untyped_storage().nbytes() for t in saved.values())
    log_softmax = 4 * x.numel() * 96  # counted with the logits
    assert budget.memory(config, 4, dtype)["activations"] == pytest.approx(counted - log_softmax, rel=0.01)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_peak_equals_what_torch_allocates_in_a_step(dtype):
    from torch.profiler import ProfilerActivity, profile

    config = GPTConfig(vocab_size=512, block_size=32, n_layer=2, n_head=2, n_embd=64)
    model, (x, y) = GPT(config), torch.randint(512, (2, 8, 32))

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = model(x, y)[1]
        loss.backward()
        model.zero_grad()

    step()  # what is set up once is not part of it
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    live = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    sizes = budget.memory(config, 8, dtype)
    assert sizes["peak"] - sizes["weights"] - sizes["optimizer"] == pytest.approx(peak, rel=0.05)


def test_memory_refuses_a_dtype_it_has_no_formula_for():
    with pytest.raises(ValueError, match="float32, bfloat16"):
        budget.memory(CONFIG, 4, "int8")


def test_peak_memory_sees_what_was_allocated():
    with budget.PeakMemory() as peak:
        block = torch.ones(25_000_000)  # 100 MB
        time.sleep(0.1)
        del block
    assert 90 < peak.mb < 130


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
