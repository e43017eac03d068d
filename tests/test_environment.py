"""One environment, told three ways: pyproject.toml, constraints.txt, environment.yml."""

import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from helpers.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PACKAGES = {
    p.parent.name: tomllib.loads(p.read_text("utf-8"))["project"] for p in ROOT.glob("packages/*/pyproject.toml")
}
PINS = {
    canonicalize_name(r.name): r for r in map(Requirement, (ROOT / "constraints.txt").read_text("utf-8").splitlines())
}
OF_PACKAGES = {r for package in PACKAGES.values() for r in package["dependencies"]}
WANTED = [
    wanted
    for r in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"], *sorted(OF_PACKAGES)]
    if (wanted := Requirement(r)).marker is None or wanted.marker.evaluate()
]


def pinned_version(name: str) -> str:
    (spec,) = PINS[canonicalize_name(name)].specifier
    assert spec.operator == "=="
    return spec.version


@pytest.mark.parametrize("wanted", WANTED, ids=lambda r: r.name)
def test_every_dependency_is_pinned_and_installed_as_pinned(wanted):
    version = pinned_version(wanted.name)
    assert wanted.specifier.contains(version)
    assert Version(metadata.version(wanted.name)).public == version


def test_everything_installed_with_a_pin_has_that_version():
    wrong = {
        d.name: d.version
        for d in metadata.distributions()
        if canonicalize_name(d.name) in PINS and Version(d.version).public != pinned_version(d.name)
    }
    assert not wrong


def test_conda_gets_the_same_environment():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    *packages, pip = conda["dependencies"]
    assert conda["name"] == PROJECT["name"]
    assert packages == [f"python{PROJECT['requires-python']}", "pip"]
    # Through pip, from the same two files: nothing else that could drift.
    assert pip == {
        "pip": ["--constraint constraints.txt", *(f"--editable packages/{p}" for p in sorted(PACKAGES)), "--editable ."]
    }


def test_importing_the_helpers_loads_nothing_heavy():
    modules = "helpers, helpers.journal, helpers.plots, helpers.sources, helpers.run, helpers.mrclean, helpers.bpe"
    modules += ", helpers.media"
    check = f"import {modules}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = {"torch", "transformers", "scipy", "matplotlib", "sklearn", "datasets", "pandas", "pyarrow"}
    heavy |= {"PIL", "skimage", "soundfile"}
    assert not heavy & set(loaded.stdout.split())
