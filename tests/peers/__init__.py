"""Other programs as judges: what they decide about real texts, recorded with version and hash, and how to ask again.

datatrove cannot share an environment with this project (it needs xxhash < 4), and it takes half a gigabyte. So its
decisions are kept in decisions.json; `make bench ARGS=clean_speed` asks the real program again and compares.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from helpers import mrclean, paths, profile
from tests.bench import temporary

FOLDER = Path(__file__).parent
DECISIONS = FOLDER / "decisions.json"
HEAD = 20_000  # characters of each text: enough for every score, and datatrove reads 0.1 MB a second


def environment(name: str) -> str:
    """The Python of the environment with the packages of tests/peers/<name>.txt, made when it is not there."""
    wanted = FOLDER / f"{name}.txt"
    folder = paths.artifacts("peers", f"{name}-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:8]}")
    python, done = folder / "bin" / "python", folder / "done"
    if not done.exists():
        print(f"setting up {paths.relative(folder)}, once", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-r", str(wanted)]
        subprocess.run(pip, check=True)
        done.touch()
    return str(python)


def oracle_documents() -> list[dict]:
    """[{"id", "text"}]: real texts of every kind, one of each, in an order that mixes the kinds.

    Books, code and reviews as they were decoded; Wikipedia without its mark-up, whose brackets would decide everything.
    """
    texts = {}
    for document in mrclean.read_sources(profile.PROFILES["laptop"].clean):
        answer = mrclean.steps.decode(document)
        if isinstance(answer, mrclean.Drop) or document.language != "en":
            continue
        text = answer.document.text.replace("\r\n", "\n")
        text = mrclean.plain_text(text) if document.kind == "wiki" else text
        if text[:HEAD].strip():
            texts.setdefault(text[:HEAD], document.id)
    found = [{"id": id, "text": text} for text, id in texts.items()]
    return sorted(found, key=lambda d: hashlib.sha256(d["id"].encode()).hexdigest())


def datatrove_decisions(python: str, documents: list[dict]) -> dict:
    """{"version", "decisions": {id: {filter: its reason, or "" for keep}}}, from the real program."""
    with temporary() as folder:
        path = Path(folder) / "documents.json"
        path.write_text(json.dumps(documents), "utf-8")
        command = [python, str(FOLDER / "datatrove_decisions.py"), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: datatrove failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def record_decisions(documents: list[dict], found: dict) -> None:
    facts = {"version": found["version"], "texts": hashes(documents), "decisions": found["decisions"]}
    paths.write_json(DECISIONS, facts)


def hashes(documents: list[dict]) -> dict[str, str]:
    """{id: the beginning of the sha256 of its text}: a decision holds for that text."""
    return {d["id"]: hashlib.sha256(d["text"].encode()).hexdigest()[:16] for d in documents}


def recorded_decisions() -> dict:
    return paths.read_json(DECISIONS)
