"""Wrong answers to the exercises, one file for each notebook, and what the check has to say of them.

``WRONG`` has, for each exercise, at least two: the code that takes the place of the solution, and a piece of the line
that the check then shows. They are planted into copies of the notebooks behind each check: the wrong answer, the check
once more, and at last the right one again. So one run of the course tries them all.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import nbformat

from helpers import course, lab

CHECK = re.compile(r'exercises\.check\(\s*"([^"]+)"')
PLANTED = "planted"  # metadata of a planted check: which wrong answer it judges
SOLVED = "solved"


def wrong(notebook: course.Notebook) -> dict[str, list[tuple[str, str]]]:
    return importlib.import_module(f"tests.answers.notebook_{notebook.number}").WRONG


def checks(node) -> dict[str, tuple[int, int]]:
    """Of each exercise: the place of the cell that is to be filled, and of its check."""
    found, last = {}, None
    for place, cell in enumerate(node.cells):
        if cell.cell_type != "code":
            continue
        for name in CHECK.findall(cell.source):
            found[name] = (last, place)
        if "exercise" in cell.metadata.get("tags", []):
            last = place
    return found


def answered(source: str, answer: str) -> str:
    """The exercise with `answer` instead of its solution."""
    return lab.SOLUTION.sub(lambda _: answer.rstrip("\n") + "\n", source + "\n").rstrip("\n")


def plant(notebook: course.Notebook, folder: Path) -> None:
    """Write a copy of the notebook that tries every wrong answer."""
    node = nbformat.read(notebook.path, as_version=4)
    answers, behind = wrong(notebook), {}
    for name, (exercise, check) in checks(node).items():
        node.cells[check].metadata[SOLVED] = name
        for number, (answer, _) in enumerate(answers.get(name, ())):
            tried = nbformat.v4.new_code_cell(answered(node.cells[exercise].source, answer))
            judged = nbformat.v4.new_code_cell(node.cells[check].source)
            judged.metadata[PLANTED] = [name, number]
            behind.setdefault(check, []).extend([tried, judged])
        behind.setdefault(check, []).append(nbformat.v4.new_code_cell(node.cells[exercise].source))
    cells = []
    for place, cell in enumerate(node.cells):
        cells += [cell, *behind.get(place, ())]
    node.cells = cells
    nbformat.write(node, folder / notebook.path.name)
