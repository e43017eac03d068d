"""The notebooks: as committed, and run through the real runner in the smoke profile."""

import ast
import json
import re
import subprocess
import sys

import nbformat
import pytest

from helpers import course
from helpers.journal import readme
from helpers.journal import record as store
from helpers.paths import ROOT

COMMITTED = [n.name for n in course.NOTEBOOKS]
# A measured number typed by hand. Round percentages are allowed: "95 % interval" names a method.
RESULT_NUMBER = re.compile(
    r"\d+\.\d+\s?%|\d+(\.\d+)?\s?(nats|bits per byte|bits/byte|bytes per token|MB\b|seconds\b|minutes\b)"
)


def read(name: str):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def code_cells(name: str):
    return [cell for cell in read(name).cells if cell.cell_type == "code"]


def outputs(name: str):
    return [output for cell in code_cells(name) for output in cell.outputs]


def text_of(output) -> str:
    parts = [output.get("text", "")]
    parts += [value for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
    return "".join(parts) + "".join(output.get("traceback", []))


def test_the_notebooks_are_those_of_the_map():
    assert sorted(p.stem for p in (ROOT / "notebooks").glob("*.ipynb")) == COMMITTED


@pytest.mark.parametrize("name", COMMITTED)
class TestCommitted:
    def test_executed_top_to_bottom_in_one_go(self, name):
        assert [c.execution_count for c in code_cells(name)] == list(range(1, len(code_cells(name)) + 1))

    def test_outputs_have_no_error_and_no_warning(self, name):
        allowed = [o for c in code_cells(name) if "raises-exception" in c.metadata.get("tags", []) for o in c.outputs]
        for output in outputs(name):
            assert output.output_type != "error" or output in allowed
            assert output.get("name") != "stderr", text_of(output)[:300]

    def test_outputs_name_no_folder_of_a_machine(self, name):
        for output in outputs(name):
            found = re.search(r"(/(home|root|work|tmp|Users|usr|opt)/|[A-Z]:\\\\Users)", text_of(output))
            assert not found, text_of(output)[max(0, found.start() - 80) : found.end() + 80]

    def test_cells_are_small_enough_to_read(self, name):
        assert max(len(c.source.splitlines()) for c in code_cells(name)) <= 25

    def test_the_setup_cell_has_three_lines_at_most(self, name):
        lines = [line for line in code_cells(name)[0].source.splitlines() if line.strip()]
        assert len(lines) <= 3

    def test_every_picture_has_an_alt_text(self, name):
        for output in outputs(name):
            if "image/png" in output.get("data", {}):
                assert output.metadata["image/png"]["alt"].strip()

    def test_it_shows_what_its_reference_run_recorded(self, name):
        record = store.reference(name, "laptop")
        assert record["status"] == "finished"
        assert record["dirty"] is False, record["changed_files"]
        assert any(record["run_id"] in text_of(output) for output in outputs(name))

    def test_it_shows_figures(self, name):
        assert store.reference(name, "laptop")["figures"]

    def test_markdown_states_no_result(self, name):
        for cell in read(name).cells:
            if cell.cell_type == "markdown":
                found = RESULT_NUMBER.search(cell.source)
                assert not found, f"{found.group()!r} in {cell.source[:200]!r}; let run.say fill it in"

    def test_code_parses_and_ends_with_the_closing_call(self, name):
        source = "\n".join(c.source for c in code_cells(name))
        ast.parse(source)
        assert source.count("run.finish(") == 1


def test_every_image_is_the_figure_of_the_latest_run_that_made_it():
    latest = {}
    for record in store.all_records():
        folder = ROOT / "journal" / "runs" / record["run_id"] / "figures"
        for figure in record["figures"]:
            latest[f"{figure}.png"] = folder / f"{figure}.png"
            assert json.loads((folder / f"{figure}.json").read_text("utf-8"))["alt"].strip()
    images = {p.name: p for p in (ROOT / "images").iterdir()}
    assert set(images) == set(latest)
    for name, path in images.items():
        assert path.read_bytes() == latest[name].read_bytes(), name


def test_readme_shows_the_numbers_of_the_records():
    assert readme.current() == readme.block()


def test_every_notebook_runs_in_the_smoke_profile(workspace):
    """The real runner, every notebook in order, in an empty workspace."""
    done = subprocess.run(
        [sys.executable, "-m", "helpers.run", "--profile", "smoke"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    entries = [json.loads(p.read_text("utf-8")) for p in sorted((workspace / "journal" / "runs").glob("*/run.json"))]
    assert [(r["notebook"], r["status"]) for r in entries] == [(n, "finished") for n in [*COMMITTED, "course"]]
    journal = (workspace / "journal" / "journal.md").read_text("utf-8")
    for record in entries:
        assert f"<!-- entry {record['run_id']}" in journal
        for figure in record["figures"]:
            assert (workspace / "images" / f"{figure}.png").is_file()
    for name in COMMITTED:
        node = nbformat.read(workspace / "artifacts" / "notebooks" / f"{name}.ipynb", as_version=4)
        assert not [o for c in node.cells if c.cell_type == "code" for o in c.outputs if o.get("name") == "stderr"]
