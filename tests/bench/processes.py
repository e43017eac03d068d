"""A measurement in processes of its own, each with a workspace of its own, so that nothing is warm or shared."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from helpers import paths

from . import temporary


def measure(script: str, processes: int) -> dict[str, list[float]]:
    """Run `script`, which prints a JSON object of name -> measured values, and gather what all of them measured."""
    found: dict[str, list[float]] = {}
    for _ in range(processes):
        with temporary() as folder:
            done = subprocess.run(
                [sys.executable, "-c", script], cwd=paths.ROOT, env={**os.environ, "LAB_WORKSPACE": folder},
                capture_output=True, text=True, check=True,
            )  # fmt: skip
        for name, values in json.loads(done.stdout).items():
            found.setdefault(name, []).extend(values)
    return found
