"""The real runner, in a process of its own."""

import os
import subprocess
import sys

from helpers.paths import ROOT


def run_notebooks(workspace, *arguments, **environment) -> tuple[int, str]:
    """Exit status, and what the runner printed. Notebooks in `workspace`/planted take the place of the committed."""
    copies = workspace / "planted"
    done = subprocess.run(
        [sys.executable, "-m", "helpers.run", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=2400,
        env={
            **os.environ, "LAB_WORKSPACE": str(workspace), "PROFILE": "smoke",
            "LAB_NOTEBOOKS": str(copies) if copies.is_dir() else "", **environment,
        },
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr
