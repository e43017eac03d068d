"""The CPU this process runs on, by what decides how it rounds. Nothing is measured, so that every run has it."""

from __future__ import annotations

import os
import platform
import re

INSTRUCTIONS = {  # flag of a processor -> what it is called; those that kernels of matrix products choose between
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "bfloat16 units",
    "amx_bf16": "AMX",
    "asimd": "NEON",
    "bf16": "bfloat16 units",
    "sve": "SVE",
}


def usable_cores() -> int:
    """Cores this process may use, which on a shared machine is fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> dict:
    """The CPU by what decides how it rounds: its name, its model, and the instruction sets that are used of it.

    ``ATEN_CPU_CAPABILITY`` (PyTorch's own variable) names the
    instruction sets where it keeps PyTorch from using the best ones.
    """
    facts = _cpuinfo()
    flags = {*facts.get("flags", "").split(), *facts.get("Features", "").split()}
    used = [said for flag, said in INSTRUCTIONS.items() if flag in flags]
    if limit := os.environ.get("ATEN_CPU_CAPABILITY"):
        used = [f"no more than {limit.lower()}"]
    return {
        "name": short_name(name()),
        "model": " ".join(facts[key] for key in ("cpu family", "model", "stepping") if key in facts),
        "instructions": used,
    }


def short_name(name: str) -> str:
    """A processor's name without trade marks and clock: "Intel Xeon"."""
    return " ".join(re.sub(r"\((R|TM)\)|\b(Processor|CPU)\b|@.*", "", name).split())


def name() -> str:
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def _cpuinfo() -> dict[str, str]:
    """What Linux says of the first core; {} elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            first = file.read().partition("\n\n")[0]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
