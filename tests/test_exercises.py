"""Every exercise: its solution passes, and wrong answers are caught with a line that helps."""

import re

import nbformat
import pytest

from helpers import course
from tests import answers

NOTEBOOKS = course.NOTEBOOKS
QUESTION = re.compile(r"^\*\*\d+\. ", re.MULTILINE)


def shown(cell) -> str:
    parts = [[output.get("text", ""), *output.get("data", {}).values()] for output in cell.outputs]
    return "".join(str(part) for each in parts for part in each)


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda notebook: notebook.number)
def executed(request, course_run):
    """A notebook, and its copy with the wrong answers as the run of the course left it."""
    copy = course_run[0] / "artifacts" / "notebooks" / request.param.path.name
    return request.param, nbformat.read(copy, as_version=4)


def test_there_are_three_to_five_with_two_wrong_answers_each():
    for notebook in NOTEBOOKS:
        found = answers.checks(nbformat.read(notebook.path, as_version=4))
        assert 3 <= len(found) <= 5, notebook.name
        assert all(name.startswith(f"{notebook.number}.") for name in found)
        assert {name: len(each) >= 2 for name, each in answers.wrong(notebook).items()} == dict.fromkeys(found, True)


def test_a_solution_passes(executed):
    _, node = executed
    solved = {cell.metadata[answers.SOLVED]: shown(cell) for cell in node.cells if answers.SOLVED in cell.metadata}
    assert solved and {name: said for name, said in solved.items() if "✓" not in said} == {}


def test_a_wrong_answer_is_caught_with_a_line_that_helps(executed):
    notebook, node = executed
    judged = {tuple(c.metadata[answers.PLANTED]): shown(c) for c in node.cells if answers.PLANTED in c.metadata}
    for name, each in answers.wrong(notebook).items():
        for number, (_, says) in enumerate(each):
            said = judged[name, number]
            assert "✗" in said and says in said and "Traceback" not in said, f"{name}, {number}: {said}"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.number)
def test_a_quiz_has_one_right_answer_to_each_question(notebook):
    cells = [c.source for c in nbformat.read(notebook.path, as_version=4).cells]
    quiz = "\n".join(cells).split("## Quiz\n", 1)[1].split("\n## ", 1)[0]
    questions = QUESTION.split(quiz)[1:]
    assert 3 <= len(questions) <= 5
    for question in questions:
        options = re.findall(r"<details><summary>[A-E] · .+?</summary>\n\n(Right|No)[:,.]", question)
        assert len(options) == question.count("<details>") >= 3 and options.count("Right") == 1, question[:80]
