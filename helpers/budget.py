"""What a model will cost before it is built: parameters, arithmetic, memory and time, written for people.

A `config` here is anything with vocab_size, block_size, n_layer, n_head, n_embd and dropout (``gpt.GPTConfig``).
Every formula is held against a count in tests/test_budget.py.
"""

from __future__ import annotations

import ctypes
import gc
import math
import statistics
import sys
import threading
import time
from collections.abc import Callable

# Resident over allocated memory on Linux with glibc, measured in fresh processes: 1.18 to 1.37 in five configurations
# of 150 to 480 MB. Smaller models lie above it (a 7 MB one at 2.5), and so does a process that has done much else.
ALLOCATOR = 1.3
UNITS = (("year", 365 * 86_400), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def parameters(config) -> dict[str, int]:
    """Parameters by group, from the configuration alone: 12 n_layer n_embd² and what goes around them."""
    L, C = config.n_layer, config.n_embd
    return {
        "token embedding (and head)": config.vocab_size * C,  # one matrix, used twice
        "position embedding": config.block_size * C,
        "attention": L * 4 * C * C,  # query, key, value, output
        "MLP": L * 8 * C * C,  # C → 4C → C
        "norms": (2 * L + 1) * C,  # two a block and one at the end
    }


def flops_per_token(config) -> int:
    """Floating-point operations to train on one token, forward and backward: 6 N + 12 n_layer n_embd block_size.

    N counts the parameters that multiply: all matrices including the head, but neither norms nor the look-up of
    positions. The second term is attention's queries times keys and weights times values, the full square as is the
    custom (PaLM, arXiv:2204.02311, appendix B), though a causal kernel may skip half of it.
    """
    groups = parameters(config)
    n = sum(groups.values()) - groups["position embedding"] - groups["norms"]
    return 6 * n + 12 * config.n_layer * config.n_embd * config.block_size


def memory(config, batch_size: int, dtype: str) -> dict[str, int]:
    """Bytes that training needs at its peak on a CPU, by what they hold.

    Weights, their gradients and AdamW's two moments stay in float32; `dtype` ("float32" or "bfloat16") is what
    autocast computes in. Activations are what the backward pass needs, counted in tests/test_budget.py: per token and
    block 36 C bytes in bfloat16 and 64 C in float32 (Korthikanti et al., arXiv:2205.05198, count 34 C with 16-bit
    weights), with no T x T term, because the flash kernel keeps one number per row instead. The logits are held three
    times over when the loss goes backward, in float32: at a large vocabulary they outweigh everything else.

    "peak" is not the sum: the gradients grow while the activations are being freed. "resident" is what the operating
    system will show on a CPU: the allocator keeps the holes between freed tensors (ALLOCATOR, measured).
    """
    L, C, H = config.n_layer, config.n_embd, config.n_head
    P, tokens = sum(parameters(config).values()), batch_size * config.block_size
    width = {"float32": 4, "bfloat16": 2}
    if dtype not in width:
        raise ValueError(f"dtype is {dtype!r}; it must be one of {', '.join(width)}")
    b = width[dtype]
    block = 8 * C + 14 * b * C + 4 * H + 16  # two residuals in float32; 14 C in dtype; softmax and norm statistics
    ends = (4 + b) * C + 8 + 16  # input of the last norm and of the head; its statistics; ids and targets
    if config.dropout:
        block, ends = block + 2 * b * C, ends + 4 * C  # a mask for each
    copies = b * (12 * L * C * C + config.vocab_size * C) if b < 4 else 0  # the matrices, cast for autocast
    sizes = {
        "weights": 4 * P,
        "gradients": 4 * P,
        "optimizer": 8 * P,
        "activations": tokens * (L * block + ends) + copies,
        "logits": tokens * config.vocab_size * 12,
    }
    later = max(sizes["activations"] + sizes["logits"], sizes["gradients"])
    peak = sizes["weights"] + sizes["optimizer"] + later
    return {**sizes, "peak": peak, "resident": round(ALLOCATOR * peak)}


def seconds_per_step(step: Callable[[], object], warm: int = 2, timed: int = 8) -> float:
    """Median seconds of a few calls of `step` after a few warm ones, which pay for allocation and kernel choice.

    `step` must not return before its work is done (on a GPU: end with ``.item()``).
    """
    for _ in range(warm):
        step()
    seconds = []
    for _ in range(timed):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def duration(seconds: float) -> str:
    """Seconds as people say them: the two largest units that matter, rounded.

    >>> duration(787 * 3600)
    '32 days 19 hours'
    >>> duration(3599.7)
    '1 hour'
    >>> duration(0.0421)
    '42 milliseconds'

    Raises:
        ValueError: for a negative or non-finite number.
    """
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{seconds} is not a duration in seconds")
    if seconds < 0.9995:
        return _count(round(seconds * 1000), "millisecond")
    if seconds < 9.95:
        return f"{seconds:.1f} seconds"
    last = len(UNITS) - 1
    largest = next(i for i, (_, size) in enumerate(UNITS) if seconds >= size)
    size = UNITS[min(largest + 1, last)][1]
    whole = math.floor(seconds / size + 0.5) * size  # may carry: 59 minutes 59.7 seconds is 1 hour
    parts = []
    for name, size in UNITS[: largest + 2]:
        count, whole = divmod(whole, size)
        if count:
            parts.append(_count(count, name))
    return " ".join(parts)


def _count(n: int, name: str) -> str:
    return f"{n:,} {name}" + ("" if n == 1 else "s")


def _return_freed_memory() -> None:
    """Give the system what was freed but kept; reusing it would hide growth. Only glibc has a call for that."""
    gc.collect()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


class PeakMemory:
    """Context manager: `mb` is by how many 1e6 bytes memory grew at its peak, over what it was on entry.

    On a CPU this is the process's resident memory, looked at 200 times a second from a second thread; on a GPU it is
    what torch allocated (what a driver's monitor shows is more: torch keeps what it frees).
    """

    def __init__(self, device: str = "cpu"):
        self.device = device
        self.mb = 0.0

    def __enter__(self) -> PeakMemory:
        if self.device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
            return self
        import psutil

        _return_freed_memory()
        self._process = psutil.Process()
        self._before = self._peak = self._process.memory_info().rss
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self._peak = max(self._peak, self._process.memory_info().rss)

    def __exit__(self, *exc) -> None:
        if self.device == "cuda":
            import torch

            self._peak = torch.cuda.max_memory_allocated()
        else:
            self._done.set()
            self._watcher.join()
        self.mb = (self._peak - self._before) / 1e6
