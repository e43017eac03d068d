"""The learner's copies of the notebooks: without outputs, solutions and the journal's guesses. ``make lab`` opens them.

    python -m helpers.lab            write or update the copies in artifacts/lab/notebooks/ and open JupyterLab there
    python -m helpers.lab --no-open  write or update them

What a learner wrote is kept, also when the course has changed since. The committed notebooks stay as they are, and so
does their journal: the copies' runs go to artifacts/lab/.

In a committed notebook an exercise is a code cell with the tag "exercise"; what stands between a comment ``# solution``
and the end of the cell, or ``# end``, is the learner's to write. Guesses are those of ``run.predict``; answers in the
text are folded under "Answer", and the copy says where they are.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from labjournal import say
from labjournal.markdown import spelled_out

from . import course, paths

GIVEN = "given"  # metadata of a cell: what the course gave, to tell what the learner wrote
ANSWER = re.compile(r"\n*<details><summary>Answer</summary>.*?</details>", re.DOTALL)
ELSEWHERE = "\n\n*When you have tried: the answer is folded at this place of the solved notebook, in `notebooks/`.*"
GUESS = re.compile(r"(?<=\S) *The journal's guess:[^\n]*\n(?:# [^\n]*\n)*")  # in a comment before run.predict
SOLUTION = re.compile(r"^([ \t]*)# solution\n.*?(?:^[ \t]*# end\n|\Z)", re.MULTILINE | re.DOTALL)


def emptied(source: str, exercise: bool) -> str:
    """A code cell as the learner gets it."""
    if exercise:
        return SOLUTION.sub(_yours, source + "\n").rstrip("\n")
    if "run.predict(" not in source:
        return source
    lines = GUESS.sub("\n", source).split("\n")
    for call in sorted(
        _predictions("\n".join(lines)), key=lambda node: (node.args[1].lineno, node.args[1].col_offset), reverse=True
    ):
        value = call.args[1]
        first, last = value.lineno - 1, value.end_lineno - 1
        # Offsets count bytes.
        head = lines[first].encode()[: value.col_offset].decode()
        tail = lines[last].encode()[value.end_col_offset :].decode()
        lines[first : last + 1] = [f"{head}...{tail}"]
    return "\n".join(lines)


def _yours(solution: re.Match) -> str:
    """What stands in the place of a solution: three dots where it is one value with a name, as a guess is."""
    indent, name = solution[1], re.fullmatch(r"[^\n]*\n(\w+) = [^\n]+\n", solution[0])
    return f"{name[1]} = ...  # yours\n" if name else f"{indent}pass  # yours\n"


def _predictions(source: str) -> list[ast.Call]:
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) == "run.predict" and len(call.args) == 2]


def learners(node, before=None):
    """The learner's copy of notebook `node`, with what they wrote in the copy `before`."""
    import nbformat

    known = {cell.id: cell for cell in before.cells} if before else {}
    own = _own(before, {cell.id for cell in node.cells})
    cells = own.get(None, [])
    for cell in node.cells:
        cell = nbformat.from_dict(cell)
        if cell.cell_type == "code":
            cell.source = emptied(cell.source, "exercise" in cell.metadata.get("tags", []))
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = ANSWER.sub(ELSEWHERE, cell.source).lstrip("\n")
        cell.metadata[GIVEN] = cell.source
        mine = known.get(cell.id)
        cells += [cell if mine is None else _kept(cell, mine), *own.get(cell.id, [])]
    node = nbformat.from_dict(node)
    node.cells = cells
    return node


def _kept(cell, mine):
    """The learner's cell, outputs and all, unless they left it as it was and the course has a new one."""
    given = mine.metadata.get(GIVEN, mine.source)
    if given == cell.source:
        return mine
    if mine.source == given:
        return cell
    if cell.cell_type == "code":
        new = "\n".join(f"# {line}" for line in cell.source.split("\n"))
        cell.source = f"{mine.source}\n\n# The course has another version of this cell now:\n{new}"
    else:
        cell.source = f"{mine.source}\n\n---\n\n{cell.source}"
    return cell


def _own(before, known: set[str]) -> dict[str | None, list]:
    """Cells that are the learner's alone, by the cell of the course that they stand behind (None: before the first).

    Among them cells that the learner changed and the course has no longer.
    """
    found: dict[str | None, list] = {}
    place = None
    for cell in before.cells if before else ():
        if GIVEN in cell.metadata and cell.id in known:
            place = cell.id
        elif cell.source != cell.metadata.pop(GIVEN, None):
            found.setdefault(place, []).append(cell)
    return found


def write(folder: Path) -> list[Path]:
    """Write or update the copies in `folder`.

    Raises:
        ValueError: a copy is damaged; nothing is written over it.
    """
    import nbformat

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for notebook in course.NOTEBOOKS:
        place, before = folder / notebook.path.name, None
        if place.exists():
            try:
                before = nbformat.read(place, as_version=4)
                nbformat.validate(before := nbformat.v4.upgrade(before))  # of an older format: cells get ids
            except Exception as error:
                why, *_ = str(error).splitlines()
                raise ValueError(
                    f"{paths.shown(place)} is no notebook ({why}); move it away to get a new one"
                ) from error
        copy = learners(nbformat.read(notebook.path, as_version=4), before)
        paths.write_atomic(place, nbformat.writes(copy) + "\n")
        written.append(place)
    return written


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m helpers.lab", description=__doc__.splitlines()[0])
    parser.add_argument("--no-open", action="store_true", help="write the copies, open nothing")
    options = parser.parse_args(arguments)
    home = Path(os.environ.get("LAB_WORKSPACE") or paths.artifacts("lab")).resolve()
    try:
        first, *_ = write(home / "notebooks")
    except (ValueError, OSError) as error:
        print(spelled_out(f"error: {error}"), file=sys.stderr)
        return 2
    print(f"your copies: {paths.shown(first.parent)}\nyour journal: {paths.shown(home / 'journal' / 'README.md')}")
    if options.no_open:
        return 0
    command = [sys.executable, "-m", "jupyter", "lab", "--ServerApp.ip=127.0.0.1", str(first)]
    server = subprocess.Popen(command, env={**os.environ, "LAB_WORKSPACE": str(home)})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches JupyterLab, too, which asks and ends in its own time
    for ending in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, ending):
            signal.signal(getattr(signal, ending), lambda number, _: server.send_signal(number))
    return server.wait()


if __name__ == "__main__":
    say.go_on()
    sys.exit(main())
