"""The learner's copy: what is emptied, and that nothing a learner wrote is ever lost. And what a check says."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import numpy as np
import psutil
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers import course, exercises, lab
from helpers.paths import ROOT

EXERCISE = '''def double(x):
    """Twice x."""
    # solution
    y = 2 * x
    return y
    # end

print(double(3))'''


def notebook(**sources):
    cells = []
    for name, source in sources.items():
        cell = new_markdown_cell(source) if name.startswith("text") else new_code_cell(source)
        cell.id = name
        if name.startswith("exercise"):
            cell.metadata["tags"] = ["exercise"]
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [new_output("stream", text="6")], 4
        cells.append(cell)
    return new_notebook(cells=cells)


def sources(node):
    return [cell.source for cell in node.cells]


def test_a_copy_has_no_outputs_no_solutions_and_no_guesses():
    given = notebook(
        text="Guess.\n\n<details><summary>Answer</summary>\n\nForty-two.\n</details>",
        guess='run.predict("loss", f(2,\n    3) / 2, unit="nats")  # half\nrun.predict("ü", 1e-3, unit="")',
        exercise=EXERCISE,
        exercise2="# solution\nanswer = 42",
        code='x = 1  # run.predict("not a call")',
        told='# How high? The journal\'s guess: half of\n# the other.\nrun.predict("loss", 1.0, unit="nats")',
    )
    copy = lab.learners(given)
    assert sources(copy) == [
        f"Guess.{lab.ELSEWHERE}",
        'run.predict("loss", ..., unit="nats")  # half\nrun.predict("ü", ..., unit="")',
        'def double(x):\n    """Twice x."""\n    pass  # yours\n\nprint(double(3))',
        "answer = ...  # yours",
        'x = 1  # run.predict("not a call")',
        '# How high?\nrun.predict("loss", ..., unit="nats")',
    ]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in copy.cells)
    assert sources(given)[2] == EXERCISE and given.cells[2].outputs  # the original is as it was
    nbformat.validate(copy)


def test_what_the_learner_wrote_stays_when_the_course_changes():
    before = lab.learners(notebook(text="One.", exercise=EXERCISE, code="x = 1", gone="y = 2", kept="z = 3"))
    mine = new_code_cell("my_own = True")
    before.cells[1].source = "def double(x):\n    return x + x"
    before.cells[1].outputs = [new_output("stream", text="mine")]
    before.cells[2].source = "x = 100"
    before.cells[3].source = "y = 200"
    before.cells.insert(1, mine)
    now = notebook(text="Two.", exercise=EXERCISE, code="x = 5", kept="z = 3", new="w = 4")
    after = lab.learners(now, before)
    assert sources(after) == [
        "Two.",
        "my_own = True",
        "def double(x):\n    return x + x",
        "x = 100\n\n# The course has another version of this cell now:\n# x = 5",
        "y = 200",
        "z = 3",
        "w = 4",
    ]
    assert after.cells[2].outputs[0]["text"] == "mine"
    assert sources(lab.learners(now, after)) == sources(after)  # and once more


def test_a_copy_of_an_older_format_is_updated_and_no_notebook_is_told(tmp_path):
    lab.write(tmp_path)
    place = tmp_path / "00_start_here.ipynb"
    old = json.loads(place.read_text("utf-8"))
    old["nbformat_minor"] = 4
    for cell in old["cells"]:
        del cell["id"]
    place.write_text(json.dumps(old), "utf-8")
    lab.write(tmp_path)
    del old["cells"][0]["source"]
    place.write_text(json.dumps(old), "utf-8")
    with pytest.raises(ValueError, match=r"is no notebook .*move it away"):
        lab.write(tmp_path)


def test_ctrl_c_leaves_the_server_to_end_in_its_own_time(tmp_path):
    """A stand-in for Jupyter that takes a second to end."""
    (tmp_path / "jupyter.py").write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: (time.sleep(1), print('ended', flush=True), sys.exit(3)))\n"
        "print('up', flush=True)\ntime.sleep(60)\n", "utf-8")  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "LAB_WORKSPACE": str(tmp_path / "home")}
    begin = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from helpers import lab; "
    process = subprocess.Popen(
        [sys.executable, "-c", begin + "raise SystemExit(lab.main([]))"], env=environment, cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    while process.stdout.readline() != "up\n":
        assert process.poll() is None, process.stderr.read()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("ended\n", "", 3)


def test_the_copies_of_the_course_are_written_and_updated(tmp_path):
    written = lab.write(tmp_path)
    assert [path.stem for path in written] == [entry.name for entry in course.NOTEBOOKS]
    for path in written:
        node = nbformat.read(path, as_version=4)
        code = "\n".join(cell.source for cell in node.cells if cell.cell_type == "code")
        compile(code, path.name, "exec")
        original = nbformat.read(ROOT / "notebooks" / path.name, as_version=4)
        guesses = sum(cell.source.count("run.predict(") for cell in original.cells if cell.cell_type == "code")
        assert len(re.findall(r", \.\.\.,\s", code)) >= guesses
    first = written[0].read_bytes()
    lab.write(tmp_path)
    assert written[0].read_bytes() == first
    written[0].write_text("{", "utf-8")
    with pytest.raises(ValueError, match=r"00_start_here\.ipynb is no notebook"):
        lab.write(tmp_path)


# -- what a check says -------------------------------------------------------------------------------------------------

ON = [(3,), (4.5,)]


def double(x):
    return 2 * x


@pytest.mark.parametrize(
    ("mine", "like", "on", "passed", "says"),
    [
        (..., 4, None, False, "is open"),
        (4, 4, None, True, "exact"),
        (4.0000001, 4, None, True, "approximately right (largest difference 1e-07)"),
        (3, 4, None, False, "too small, by up to a half"),
        ("abc", "abd", None, False, "first goes wrong at place 2, where it has 'c'"),
        ([1, "a"], [1, "a", 2], None, False, "has 2 items, which is too few"),
        (True, False, None, False, "is True, which it should not be"),
        ([1], (1, "x"), None, False, "is a list, and a tuple is wanted"),
        ("7", 7, None, False, "numbers are wanted"),
        (lambda x: x + x, double, ON, True, "exact, in 2 cases"),
        (lambda x: x * x, double, ON, False, "too large, by up to a half on 3"),
        (lambda x: None, double, ON, False, "gives nothing back yet"),
        (lambda x: x / 0, double, ON, False, "stops on 3 with ZeroDivisionError: division by zero"),
        (7, double, ON, False, "a function is wanted"),
        (torch.ones(2, 3), np.ones((3, 2)), None, False, "has shape (2, 3), and (3, 2) is wanted"),
        (torch.tensor([1.0, 2.0]), np.array([1.5, 1.5]), None, False, "off both ways, by up to a half, at 2 of 2"),
        (np.array([1.0, np.nan]), np.ones(2), None, False, "1 values that are no finite numbers"),
        (lambda x: np.True_, lambda x: True, ON, True, "exact, in 2 cases"),
        (np.array([-np.inf, 0.1 + 1e-9]), np.array([-np.inf, 0.1]), None, True, "approximately right"),
        (np.array([np.nan, 1.0]), np.array([np.nan, 1.0]), None, True, "exact"),
        (np.array([0.0, 1.0]), np.array([np.nan, 1.0]), None, False, "differs where no finite number is wanted"),
        ([np.ones(2), "a"], [np.ones(2), "a"], None, True, "exact"),
        ([np.ones(3), "a"], [np.ones(2), "a"], None, False, "first goes wrong at place 0"),
        ([2_000_001], [2_000_000], None, False, "too large, a little"),
        (lambda x: 10**5000, double, ON, False, "a int that cannot be shown"),
        ({10**5000}, 4, None, False, "a set that cannot be shown"),
        (lambda x: sys.exit(), double, ON, False, "stops on 3 with SystemExit"),
    ],
)
def test_a_check_says_how_far_off_an_answer_is(mine, like, on, passed, says):
    found, text = exercises.judge(mine, like, on)
    assert (found, says in text) == (passed, True), text


def test_a_check_keeps_a_budget_and_changes_nothing_that_it_hands_over(capsys):
    numbers = [3, 1, 2]

    def slow(values):
        import time

        time.sleep(0.05)
        values.sort()
        return values

    assert exercises.judge(slow, sorted, [(numbers,)], seconds=10)[0] and numbers == [3, 1, 2]
    passed, said = exercises.judge(slow, sorted, [(numbers,)], seconds=0.01)
    assert not passed and "is right, and takes" in said and "0.01 s are allowed" in said
    exercises.check("00.1", 3, like=4, hint="Count again.")
    exercises.check("00.1", 4, like=4, hint="Count again.")
    wrong, right = capsys.readouterr().out.splitlines()
    assert wrong == "✗ **00.1** is too small, by up to a half. *Count again.*" and right == "✓ **00.1** exact."


@pytest.mark.parametrize("server", [["helpers.lab"], ["tensorboard.main", "--logdir", "board", "--port", "0"]])
def test_a_server_that_the_course_starts_listens_to_this_machine_alone(server, tmp_path):
    # Jupyter refuses to run as root, as whom tests run in a container.
    (tmp_path / "jupyter_server_config.json").write_text('{"ServerApp": {"allow_root": true}}')
    environment = {**os.environ, "LAB_WORKSPACE": str(tmp_path), "BROWSER": "true", "JUPYTER_CONFIG_DIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", *server], cwd=ROOT, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end, heard = time.monotonic() + 60, []
        while not heard:
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.3)
            tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for one in tree:
                with contextlib.suppress(psutil.Error):  # ended meanwhile
                    heard += [c.laddr.ip for c in one.net_connections("inet") if c.status == "LISTEN"]
        assert set(heard) <= {"127.0.0.1", "::1"}
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)
