"""What a model will cost before it is built: parameters, arithmetic, memory and time, written for people.

A `config` here is anything with vocab_size, block_size, n_layer, n_head, n_embd and dropout (``gpt.GPTConfig``). That
of a ``gpt.FastGPT`` is taken where it makes no difference, and refused by `parameters` and `memory`.
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

# Coefficients of L(N, D) = E + A / N^alpha + B / D^beta, nats a token: (A, B, alpha, beta).
FITS = {
    "Hoffmann et al. 2022": (406.4, 410.7, 0.34, 0.28),  # Chinchilla, arXiv:2203.15556, section 3.3
    "Besiroglu et al. 2024": (482.01, 2085.43, 0.3478, 0.3658),  # Epoch AI's fit to the same runs, arXiv:2404.10102
}
FITTED = (44e6, 16e9)  # parameters of the smallest and the largest model behind both fits
UNITS = (("year", 365 * 86_400), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def parameters(config) -> dict[str, int]:
    """Parameters by group, from the configuration alone: 12 n_layer n_embd² and what goes around them.

    Raises:
        ValueError: the configuration of a `gpt.FastGPT`, whose tables are not counted here.
    """
    _is_classic(config)
    L, C = config.n_layer, config.n_embd
    return {
        "token embedding (and head)": config.vocab_size * C,  # one matrix, used twice
        "position embedding": config.block_size * C,
        "attention": L * 4 * C * C,  # query, key, value, output
        "MLP": L * 8 * C * C,  # C → 4C → C
        "norms": (2 * L + 1) * C,  # two a block and one at the end
    }


def _is_classic(config) -> None:
    if hasattr(config, "rope"):  # not by its class: planning must not load torch
        raise ValueError(
            f"a {type(config).__name__} is not planned here, only gpt.GPTConfig is; make the model and count: "
            "sum(p.numel() for p in model.parameters()), and budget.PeakMemory around a step"
        )


def flops_per_token(config) -> int:
    """Floating-point operations to train on one token, forward and backward: 6 N + 12 n_layer n_embd block_size.

    N counts the parameters that multiply: the matrices of the blocks and the head, but neither norms nor tables that
    are only looked up. So it holds for a `gpt.FastGPT`, too. The second term is attention's queries times keys and
    weights times values, the full square as is the custom (PaLM, arXiv:2204.02311, appendix B), though a causal kernel
    may skip half of it.
    """
    L, C = config.n_layer, config.n_embd
    n = 12 * L * C * C + config.vocab_size * C
    return 6 * n + 12 * L * C * config.block_size


def memory(config, batch_size: int, dtype: str, *, flash: bool = True, checkpointing: bool = False) -> dict[str, int]:
    """Bytes that torch allocates for training, by what they hold, and at the peak.

    Weights, their gradients and AdamW's two moments stay in float32; `dtype` ("float32" or "bfloat16") is what
    autocast computes in. Activations are what the backward pass needs: per token and block 36 C bytes in bfloat16 and
    64 C in float32 (Korthikanti et al., arXiv:2205.05198, count 34 C with 16-bit weights). The flash kernel keeps one
    number per row and head; without it (`flash=False`, torch's math kernel on a CPU) the T x T weights are kept in
    float32, and so are query, key and value. `checkpointing` (torch.utils.checkpoint around each block) keeps only each
    block's input, and computes one block at a time again. The logits are held three times over when the loss goes
    backward, in float32: at a large vocabulary they outweigh everything else.

    "peak" is not the sum: it is the largest of five moments, as the gradients grow while the activations are freed.
    Every part is counted in tests/test_budget.py; `make bench ARGS=budget` holds the peak against whole trainings.

    Raises:
        ValueError: another dtype, or the configuration of a `gpt.FastGPT`, which keeps other activations.
    """
    L, C, H, T, V = config.n_layer, config.n_embd, config.n_head, config.block_size, config.vocab_size
    P, tokens = sum(parameters(config).values()), batch_size * T
    width = {"float32": 4, "bfloat16": 2}
    if dtype not in width:
        raise ValueError(f"dtype is {dtype!r}; it must be one of {', '.join(width)}")
    b = width[dtype]
    attention = 4 * H if flash else 4 * H * T + 3 * (4 - b) * C
    block = 8 * C + 14 * b * C + attention + 16  # two residuals in float32; 14 C in dtype; attention's and norms' own
    ends = (4 + b) * C + 8 + 16  # input of the last norm and of the head; its statistics; ids and targets
    if config.dropout:
        block, ends = block + 2 * b * C, ends + 4 * C  # a mask for each
    matrices = 12 * C * C  # of a block
    cast, cast_head = (b * matrices, b * V * C) if b < 4 else (0, 0)  # the matrices, cast for autocast
    kept, kept_cast = (4 * C, 0) if checkpointing else (block, cast)  # of every block, until its turn comes
    logits = tokens * V * 12

    def backward(done: int) -> int:  # with the gradients of the head and of `done` blocks, and one block under way
        moving = tokens * (4 * C + 4 * b * C) + 4 * 4 * C * C  # gradients of the residual, inside the MLP, of a matrix
        gradients = 4 * (V * C + done * matrices)
        return tokens * ((L - 1 - done) * kept + block) + (L - 1 - done) * kept_cast + cast + moving + gradients

    sizes = {
        "weights": 4 * P,
        "gradients": 4 * P,
        "optimizer": 8 * P,
        "activations": tokens * ((L - 1) * kept + block + ends) + (L - 1) * kept_cast + cast + cast_head,
        "logits": logits,
    }
    # Autocast's copies live until the forward pass ends, where the logits are there in dtype and twice in float32.
    forward = tokens * (L * kept + ends + (10 if b < 4 else 8) * V) + L * cast + cast_head
    at_the_loss = tokens * (L * kept + ends) + L * kept_cast + cast_head + logits
    later = max(forward, at_the_loss, backward(0), backward(L - 1), sizes["gradients"])
    return {**sizes, "peak": sizes["weights"] + sizes["optimizer"] + later}


def kv_cache(config, sequences: int, tokens: int, dtype: str) -> int:
    """Bytes of keys and values of `sequences` texts of `tokens` tokens each: 2 n_layer tokens n_embd sequences width.

    The 2 stands for a key and a value, which a well-known calculator forgets (EleutherAI's cookbook, commit 827ee3b,
    calc_transformer_mem.py, line 364).
    """
    width = {"float32": 4, "bfloat16": 2}
    if dtype not in width:
        raise ValueError(f"dtype is {dtype!r}; it must be one of {', '.join(width)}")
    return 2 * config.n_layer * tokens * config.n_embd * sequences * width[dtype]


def compute_optimal(flops: float, fit: str = "Besiroglu et al. 2024") -> dict[str, float | bool]:
    """The size and the data that reach the lowest loss for `flops` operations, at 6 per parameter and token.

    That is the minimum of E + A / N^alpha + B / D^beta along 6 N D = flops (Hoffmann et al., arXiv:2203.15556,
    equation 4), with the coefficients of `fit`, one of FITS. Both were fitted to large text that is read once, with
    models of 44 M to 16 B parameters (FITTED). Outside, "extrapolated" is true: a sanity line, not a plan.

    Returns:
        parameters, tokens, and extrapolated.
    """
    if fit not in FITS:
        raise ValueError(f"no fit {fit!r}; choose one of {', '.join(FITS)}")
    if not (math.isfinite(flops) and flops > 0):
        raise ValueError(f"{flops} operations buy no training; give a number greater than 0")
    A, B, alpha, beta = FITS[fit]
    scale = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    n = scale * (flops / 6) ** (beta / (alpha + beta))
    return {"parameters": n, "tokens": flops / (6 * n), "extrapolated": not FITTED[0] <= n <= FITTED[1]}


def training_seconds(
    step: float,
    steps: int,
    *,
    evaluation: float = 0.0,
    evaluations: int = 0,
    checkpoint: float = 0.0,
    checkpoints: int = 0,
    setup: float = 0.0,
) -> dict[str, float]:
    """Seconds of a whole training, by what they go into, with their "total".

    Args:
        step, evaluation, checkpoint: seconds of one, measured warm.
        steps, evaluations, checkpoints: how many there will be.
        setup: seconds paid once: the first steps' excess, or a compilation.
    """
    parts = {
        "steps": step * steps,
        "evaluations": evaluation * evaluations,
        "checkpoints": checkpoint * checkpoints,
        "setup": setup,
    }
    return {**parts, "total": sum(parts.values())}


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


def size(number: float) -> str:
    """Bytes as people say them, in powers of 1000 (a GB is 1e9 bytes, never 2**30), with three digits.

    >>> size(726e6 * 2)
    '1.45 GB'

    Raises:
        ValueError: for a negative or non-finite number.
    """
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{number} is not a number of bytes")
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        decimals = 0 if unit == "bytes" else max(0, 2 - len(str(int(number))) + 1)
        if (shown := round(number, decimals)) < 1000 or unit == "TB":
            return f"{shown:,.{decimals}f} {unit}"
        number /= 1000


class _Mallinfo(ctypes.Structure):
    """What glibc knows of its heap (malloc.h, struct mallinfo2)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


def glibc():
    """The C library when it is glibc, else None: other libraries have no calls to ask the allocator or to set it."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        return libc
    return None


def return_freed_memory() -> None:
    """Give the system what was freed but kept; reusing it would hide growth."""
    gc.collect()
    if libc := glibc():
        libc.malloc_trim(0)


class PeakMemory:
    """Context manager: by how much memory grew at its peak, over what it was on entry, in 1e6 bytes.

    `mb` is what the operating system gave: on a CPU the process's resident memory. It holds what was allocated and the
    holes between: memory that was freed, but that the allocator keeps. How many depends on what the process did before.
    `allocated` is what was asked for and not yet freed: what `memory` works out. On a CPU it is glibc's count (None
    where there is no glibc of at least 2.33), which does not see Python's own small objects. On a GPU both are what
    torch allocated (what a driver's monitor shows is more: torch keeps what it frees).

    On a CPU both are looked at 200 times a second from a second thread. What libraries set up at their first call, and
    at the first call with matrices of a new shape, stays until the process ends: 100 MB and more. So take a step of the
    same shape before.
    """

    def __init__(self, device: str = "cpu"):
        self.device = device
        self.mb = 0.0
        self.allocated: float | None = None

    def __enter__(self) -> PeakMemory:
        if self.device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
            return self
        import psutil

        return_freed_memory()
        self._libc, self._process = glibc(), psutil.Process()
        self._counts = hasattr(self._libc, "mallinfo2")
        if self._counts:
            self._libc.mallinfo2.restype = _Mallinfo
        self._before = self._peak = self._look()
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def _look(self) -> tuple[int, int]:
        """Bytes resident and bytes allocated (0 where nothing counts them)."""
        resident = self._process.memory_info().rss
        if not self._counts:
            return resident, 0
        heap = self._libc.mallinfo2()  # 5 µs
        return resident, heap.uordblks + heap.hblkhd  # in the heap, and in mappings of their own

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self._peak = tuple(map(max, self._peak, self._look()))

    def __exit__(self, *exc) -> None:
        if self.device == "cuda":
            import torch

            self.mb = self.allocated = (torch.cuda.max_memory_allocated() - self._before) / 1e6
            return
        self._done.set()
        self._watcher.join()
        resident, allocated = ((peak - before) / 1e6 for peak, before in zip(self._peak, self._before, strict=True))
        self.mb, self.allocated = resident, allocated if self._counts else None
