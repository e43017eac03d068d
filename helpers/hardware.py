"""What this machine can do, measured in about ten seconds, and the numerics the course picks from it."""

from __future__ import annotations

import contextlib
import os
import random
import time
from dataclasses import asdict, dataclass, field

from labjournal.processor import name, usable_cores

from .paths import MissingArtifact, artifacts, read_json, relative, write_json

BF16_GAIN = 1.3  # bfloat16 is used when its matmul is at least this much faster: below it, noise could flip the choice


@dataclass(frozen=True)
class Hardware:
    device: str  # "cpu", "cuda" (CUDA and ROCm both answer to that) or "mps" (Apple's)
    device_name: str
    dtype: str  # "float32" or "bfloat16": what autocast computes matmuls in
    threads: int
    cores: int
    memory_gb: float
    matmul_gflops: dict[str, float]  # dtype -> 1e9 floating-point operations per second
    bandwidth_gbs: float  # memory copy, 1e9 bytes per second, read and write counted
    python_score: float  # 1e6 dictionary updates per second, one thread
    accelerators: list[str] = field(default_factory=list)  # what PyTorch finds beside the CPU

    def speed(self, bound: str) -> float:
        """How fast this machine is at what bounds a notebook: "python" or "matmul" (in the dtype it picked)."""
        if bound == "python":
            return self.python_score
        if bound == "matmul":
            return self.matmul_gflops[self.dtype]
        raise ValueError(f"unknown bound {bound!r}; choose python or matmul")

    def as_dict(self) -> dict:
        return asdict(self)


def probe(seconds: float = 8.0) -> Hardware:
    """Measure matmul speed in each dtype, memory bandwidth and plain Python, about `seconds` in all."""
    import psutil
    import torch

    device = choose_device(torch)
    each = seconds / 4
    gflops = {"float32": matmul_gflops(torch, device, torch.float32, each)}
    if device == "cpu" or (device == "cuda" and torch.cuda.is_bf16_supported()):  # on "mps" not every chip has it
        gflops["bfloat16"] = matmul_gflops(torch, device, torch.bfloat16, each)
    return Hardware(
        device=device,
        accelerators=_accelerators(torch),
        device_name={"cuda": torch.cuda.get_device_name, "mps": lambda: "Apple GPU"}.get(device, name)(),
        dtype=choose_dtype(gflops),
        threads=torch.get_num_threads(),
        cores=usable_cores(),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        matmul_gflops={name: round(value, 1) for name, value in gflops.items()},
        bandwidth_gbs=round(_bandwidth_gbs(torch, device, each), 2),
        python_score=round(_python_score(each), 3),
    )


def choose_device(torch) -> str:
    """The accelerator that PyTorch finds, else the CPU; ``DEVICE=cpu`` in the environment keeps to the CPU.

    Raises:
        ValueError: DEVICE names one that is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    wanted = os.environ.get("DEVICE")
    if wanted and not there.get(wanted):
        raise ValueError(f"DEVICE is {wanted!r}; here there is {', '.join(name for name in there if there[name])}")
    return wanted or next(name for name in there if there[name])


def choose_dtype(gflops: dict[str, float]) -> str:
    """bfloat16 where the hardware multiplies it clearly faster than float32, else float32."""
    return "bfloat16" if gflops.get("bfloat16", 0.0) >= BF16_GAIN * gflops["float32"] else "float32"


def save(hardware: Hardware) -> None:
    write_json(_file(), hardware.as_dict())


def load() -> Hardware:
    """What notebook 00 measured.

    Raises:
        MissingArtifact: when it has not run in this workspace.
    """
    if not _file().is_file():
        raise MissingArtifact(
            f"{relative(_file())} is not there; run notebooks/00_start_here.ipynb first:  "
            "python -m helpers.run --only 00"
        )
    try:
        found = Hardware(**read_json(_file()))
        _check(found)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MissingArtifact(
            f"{relative(_file())} is damaged ({error}); measure again:  python -m helpers.run --only 00 --force"
        ) from error
    return found


def _check(found: Hardware) -> None:
    """Raises ValueError: a measurement that is none, or a device or format that there is not."""
    numbers = [found.python_score, found.bandwidth_gbs, found.memory_gb, *found.matmul_gflops.values()]
    if found.dtype not in found.matmul_gflops or not all(type(n) in (int, float) and 0 < n < 1e12 for n in numbers):
        raise ValueError("a speed or size is no number above 0")
    if found.device not in ("cpu", "cuda", "mps") or found.dtype not in ("float32", "bfloat16"):
        raise ValueError("its device or number format is none that there is")
    if not all(type(n) is int and n > 0 for n in (found.threads, found.cores)):
        raise ValueError("threads or cores is no whole number above 0")
    if not isinstance(found.accelerators, list) or not all(
        isinstance(text, str) for text in (found.device_name, *found.accelerators)
    ):
        raise ValueError("a device's name is no text")


def known() -> Hardware | None:
    """What notebook 00 measured, or None when it has not run here, or left a damaged file."""
    try:
        return load()
    except MissingArtifact:
        return None


def autocast(hardware: Hardware):
    """Context manager: matmuls in the picked dtype, weights and reductions in float32."""
    import torch

    if hardware.dtype == "float32":
        return contextlib.nullcontext()
    return torch.autocast(hardware.device, dtype=getattr(torch, hardware.dtype))


def seed_everything(seed: int) -> None:
    """Seed random, numpy and torch (all devices)."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _file():
    return artifacts("hardware.json")


def matmul_gflops(torch, device: str, dtype, seconds: float, n: int = 1024) -> float:
    """Best of many square matmuls: the best is what the machine can do, the rest is what else it was doing."""
    a = torch.ones(n, n, device=device, dtype=dtype)
    b = torch.ones(n, n, device=device, dtype=dtype)
    best = _best_seconds(lambda: a @ b, seconds, sync=_sync(torch, device))
    return 2 * n**3 / best / 1e9


def _sync(torch, device: str):
    """What waits for the device, or None: its calls return before the work is done, a CPU's do not."""
    return {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}.get(device)


def _accelerators(torch) -> list[str]:
    runtime = f"ROCm {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
    found = [f"{torch.cuda.get_device_name(i)} ({runtime})" for i in range(torch.cuda.device_count())]
    return found + (["Apple GPU (MPS)"] if torch.backends.mps.is_available() else [])


def _bandwidth_gbs(torch, device: str, seconds: float, mb: int = 128) -> float:
    source = torch.ones(mb * 2**20 // 4, device=device)
    target = torch.empty_like(source)
    sync = _sync(torch, device)
    best = _best_seconds(lambda: target.copy_(source), seconds, sync)
    return 2 * source.numel() * 4 / best / 1e9


def _python_score(seconds: float, n: int = 200_000) -> float:
    keys = [i * 2654435761 % 5003 for i in range(n)]

    def count() -> None:
        counts: dict[int, int] = {}
        for key in keys:
            counts[key] = counts.get(key, 0) + 1

    return n / _best_seconds(count, seconds, None) / 1e6


def _best_seconds(work, seconds: float, sync) -> float:
    work()  # warm caches and kernels; not timed
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        if sync:
            sync()
        start = time.perf_counter()
        work()
        if sync:
            sync()
        best = min(best, time.perf_counter() - start)
    return best
