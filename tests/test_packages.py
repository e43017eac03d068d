"""The house: three rooms with clear seams, nothing upward, no circles, and no room larger than was decided."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers.paths import ROOT

PACKAGES = ("labjournal", "mrclean")
# Lines of each room. Whoever needs more changes a number here, in the same commit, and says in it why.
LINES = {"helpers": 8196, "packages/labjournal": 5620, "packages/mrclean": 5418}


def modules(folder):
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "build" not in path.parts)


def imported(path):
    """(module, level) of every import in a file, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or alias.name, node.level) for alias in node.names)


@pytest.mark.parametrize("room", LINES)
def test_a_room_is_no_larger_than_was_decided(room):
    lines = sum(path.read_text("utf-8").count("\n") for path in modules(room))
    assert lines <= LINES[room], f"{room} has {lines} lines: take something out, or change the number and say why"


# Lines of helpers that a notebook's imports load; the packages are used as any library is.
CLOSURE = {"04_learning_curves": 1932, "05_finetune_classifier": 4679}


@pytest.mark.parametrize("notebook", CLOSURE)
def test_a_reader_of_a_notebook_has_little_to_believe(notebook):
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    found = [ast.unparse(node) for source in sources for node in ast.walk(ast.parse(source))
             if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "helpers"]  # fmt: skip
    told = (
        "\nimport sys; print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'helpers'), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(found) + told], cwd=ROOT, capture_output=True, text=True,
                          check=True)  # fmt: skip
    lines = sum(Path(file).read_text("utf-8").count("\n") for file in done.stdout.split())
    assert found and lines <= CLOSURE[notebook], f"{notebook} reaches {lines} lines of helpers"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_itself_and_what_it_declares(package):
    """Nothing of the course, nothing of the other package, nothing that happens to be installed."""
    project = tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [r for some in project["optional-dependencies"].values() for r in some]
    declared = {canonicalize_name(Requirement(r).name) for r in (*project["dependencies"], *extras)}
    provided = metadata.packages_distributions()
    # What comes with others: IPython and IPython's display only where a notebook has loaded them already.
    allowed = {*sys.stdlib_module_names, package, "IPython", "compression", "backports", "torch"}
    for path in modules(f"packages/{package}"):
        for name, level in imported(path):
            top = name.split(".")[0]
            known = {canonicalize_name(d) for d in provided.get(top, ())}
            assert level or top in allowed or known & declared, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_works_alone_as_its_readme_says(package, tmp_path):
    """In an empty folder, by an interpreter that knows nothing of the checkout: no site, so no editable installs."""
    shutil.copytree(ROOT / "packages" / package / package, tmp_path / "installed" / package)
    (tmp_path / "empty").mkdir()
    example = re.search(r"```python\n(.*?)```", (ROOT / "packages" / package / "README.md").read_text("utf-8"), re.S)[1]
    found = [str(tmp_path / "installed"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    begin = f"import sys; sys.path[:0] = {found!r}\n"
    end = "\nassert not [name for name in sys.modules if name.split('.')[0] in {'helpers', 'tests', *%r} - {%r}]\n"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-S", "-c", begin + example + end % (set(PACKAGES), package)],
                          cwd=tmp_path / "empty", env=clean, capture_output=True, text=True, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr
    if package == "labjournal":
        journal = tmp_path / "empty" / "journal"
        assert "Heads: 49.3%, predicted 50%." in done.stdout
        for page in ("README.md", "journal.md"):
            assert "Heads in 49.3% of the flips." in (journal / page).read_text("utf-8")
    else:
        assert "jo@example.org" not in done.stdout and "exact_duplicate" in done.stdout


def rooms():
    """Room of helpers/ -> the rooms that it imports, at whatever place."""
    found: dict[str, set[str]] = {}
    for path in modules("helpers"):
        parts = path.relative_to(ROOT / "helpers").with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == len(parts):  # relative to helpers/
                names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
                found.setdefault(parts[0], set()).update(name for name in names if name != parts[0])
    return found


def test_imports_between_helpers_run_downwards():
    layer = {
        "paths": 0, "profile": 0, "course": 0, "sources": 0, "hardware": 0, "quiet": 0, "exercises": 0,
        "stats": 1, "trend": 1, "budget": 1, "plots": 1, "journal": 1, "readme": 1, "glossary": 1,
        "mrclean": 2, "bpe": 2, "shards": 2, "gpt": 2, "muon": 2, "recipe": 2, "training": 2, "checkpoint": 2,
        "own_text": 3, "media": 2,
        "classify": 3, "prices": 3, "encoder": 3, "finetune": 3, "judge": 3,
        "execution": 4, "reproduce": 4, "run": 4, "lab": 4,
    }  # fmt: skip
    for room, below in rooms().items():
        for name in below:
            assert layer[name] <= layer[room], f"helpers/{room} imports {name}, from a layer above"


def test_imports_between_helpers_have_no_circle():
    left = rooms()
    while left:
        free = [room for room, below in left.items() if not below & left.keys()]
        assert free, f"a circle of imports: {', '.join(sorted(left))}"
        for room in free:
            del left[room]


@pytest.mark.parametrize("room", LINES)
def test_nothing_that_is_installed_reaches_up_to_the_tests(room):
    for path in modules(room):
        assert not [name for name, _ in imported(path) if name.split(".")[0] == "tests"], path
        assert "tests.bench" not in path.read_text("utf-8"), path


def test_every_package_is_installed_by_the_same_command():
    make, conda = ((ROOT / name).read_text("utf-8") for name in ("Makefile", "environment.yml"))
    for package in PACKAGES:
        assert f"-e packages/{package}" in make and f"--editable packages/{package}" in conda
        assert Path(ROOT / "packages" / package / "README.md").read_text("utf-8").count("\n") < 60  # one page


NAMED = re.compile(r"\b(?:helpers|packages|tests|notebooks)/[\w./-]*\w\.(?:py|ipynb|toml|json|txt|md)\b")
TEXTS = [*(path for room in ("helpers", "packages", "tests/bench", "tests/peers") for path in modules(room)),
         *ROOT.glob("*.md"), *(ROOT / "packages").glob("*/*.md"), *ROOT.glob("notebooks/*.ipynb"), ROOT / "Makefile",
         *ROOT.glob("helpers/*.toml")]  # fmt: skip


def test_files_and_benchmarks_that_prose_names_are_there():
    """In comments, docstrings, sentences of records and pages: what is renamed is renamed there, too."""
    assert NAMED.findall("see tests/test_peers.py.") == ["tests/test_peers.py"]
    for path in TEXTS:
        text = path.read_text("utf-8")
        gone = [name for name in NAMED.findall(text) if not (ROOT / name).is_file()]
        benches = re.findall(r"make bench ARGS=['\"]?([a-z_]+)", text)
        gone += [name for name in benches if not (ROOT / "tests" / "bench" / f"{name}.py").is_file()]
        assert not gone, f"{path.relative_to(ROOT)} names {gone}"
