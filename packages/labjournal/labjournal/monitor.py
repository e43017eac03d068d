"""What a run uses of CPU, memory and GPU, looked at in the background at less than a hundredth of a core.

CPU and memory are this process's; GPU numbers are the whole device's, from nvidia-ml-py, or from rocm-smi on ROCm.
Without a GPU in use there are none.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time

EVERY = 1.0  # seconds between two looks at first; after ten minutes ever fewer, so that a long run has about a thousand
SHARE = 0.005  # of a core, at most
POINTS = 24  # of the small chart
BARS = "▁▂▃▄▅▆▇█"
NAMES = {"cpu_percent": "CPU, %", "memory_mb": "memory, MB", "gpu_percent": "GPU, %", "gpu_memory_mb": "GPU memory, MB"}


class Monitor:
    """Calls ``write(values)`` again and again from a thread of its own until it is stopped."""

    def __init__(self, write):
        import psutil

        self._process = psutil.Process()
        self._process.cpu_percent()  # the first one says nothing
        self._write = write
        self._gpu = None
        self._tool = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="journal monitor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """A last look, so that a short run has one, too."""
        if not self._stop.is_set():
            self._stop.set()
            if self._thread is not threading.current_thread():
                self._thread.join(timeout=15)  # longer than a tool may take
            self._look()

    def _watch(self) -> None:
        started, pause = time.monotonic(), EVERY
        while not self._stop.wait(pause):
            clock = time.perf_counter if self._tool else time.thread_time
            before = clock()
            self._look()
            cost = clock() - before  # of a tool in a process of its own, all the time it took
            pause = max(EVERY, (time.monotonic() - started) / 600, cost / SHARE)

    def _look(self) -> None:
        try:
            with self._process.oneshot():
                values = {
                    "cpu_percent": self._process.cpu_percent(),
                    "memory_mb": round(self._process.memory_info().rss / 1e6, 1),
                }
            if self._gpu is None:
                self._gpu, self._tool = _gpu()
            self._write({**values, **(self._gpu() if self._gpu else {})})
        except Exception as error:  # watching must never end a training
            if not self._stop.is_set():
                self._stop.set()
                print(f"the monitor of this run has stopped: {type(error).__name__}", file=sys.stderr)


def _gpu():
    """(what looks at the GPU this process computes on, None while it uses none; whether that is another program)."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda") or not torch.cuda.is_initialized():
        return None, False
    device = torch.cuda.current_device()
    if torch.version.hip:
        return _rocm(device), True
    return _nvidia(str(torch.cuda.get_device_properties(device).uuid)), False


def _nvidia(uuid: str):
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}")

    def look() -> dict:
        found = {}
        try:  # virtual machines and slices of a GPU (MIG) do not tell everything
            found["gpu_memory_mb"] = round(pynvml.nvmlDeviceGetMemoryInfo(handle).used / 1e6, 1)
            found["gpu_percent"] = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
        except pynvml.NVMLError:
            pass
        return found

    return look


def _rocm(device: int):
    tool = shutil.which("rocm-smi")
    if tool is None:
        return dict
    chosen = os.environ.get("HIP_VISIBLE_DEVICES") or os.environ.get("ROCR_VISIBLE_DEVICES") or ""
    numbers = [part for part in chosen.split(",") if part.isdecimal()]
    card = f"card{numbers[device] if device < len(numbers) else device}"

    def look() -> dict:
        command = [tool, "--showuse", "--showmeminfo", "vram", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        try:
            facts = json.loads(done.stdout)[card]
            return {
                "gpu_memory_mb": round(int(facts["VRAM Total Used Memory (B)"]) / 1e6, 1),
                "gpu_percent": float(facts["GPU use (%)"]),
            }
        except (ValueError, KeyError):
            return {}

    return look


def summary(samples: list[dict]) -> dict:
    """Mean, peak and a short series of each quantity, for the record; {} without samples."""
    found = {}
    for name in NAMES:
        values = [sample[name] for sample in samples if name in sample]
        if values:
            size = -(-len(values) // POINTS)
            parts = [values[i : i + size] for i in range(0, len(values), size)]
            found[name] = {
                "mean": round(statistics.fmean(values), 1),
                "peak": max(values),
                "series": [round(statistics.fmean(part), 1) for part in parts],
            }
    return found


def chart(series: list[float]) -> str:
    """A series as a row of bars, from 0 to its largest."""
    top = max(series) or 1
    return "".join(BARS[min(len(BARS) - 1, int(value / top * len(BARS)))] for value in series)
