import os

import pytest

# Tests and the kernels they start never reach a model hub.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(autouse=True)
def own_settings(monkeypatch):
    """What the developer's shell has set does not reach a test."""
    for name in ("LAB_WORKSPACE", "PROFILE", "ENCODER", "SEED", "COURSE_IN_PLACE", "COURSE_BECAUSE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty workspace of its own, in the smoke profile."""
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("PROFILE", "smoke")
    return tmp_path
