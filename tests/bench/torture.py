"""Attacks on records, runner, tokenizers and models, counted: what was lost, torn, told wrongly or let through.

Everything happens in folders of its own; the sources must be in place (`make run` fetches them).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from helpers import bpe, journal, paths

from . import BENCHMARKS, temporary

WRITERS, APPENDS, KILLS, STRINGS, MODELS, DAMAGES = 8, 100, 15, 100_000, 100, 1000

WRITE = """
import sys; from labjournal import pages, store
for i in range(int(sys.argv[2])):
    store.append(pages.page(), f"\\n<{sys.argv[1]}.{i} " + "x" * 3000 + f" {sys.argv[1]}.{i}>\\n")
    print(i, flush=True)
"""
# Imported by every process that is started: what would leave this machine is written down and refused.
GUARD = """
import os, socket
connect, resolve = socket.socket.connect, socket.getaddrinfo
def here(host): return host in ("localhost", "::1") or str(host).startswith("127.")
def refuse(what):
    with open(os.environ["GUARD_FILE"], "a") as file: file.write(f"{what}\\n")
    raise OSError("no network in this measurement")
def guarded(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and not here(address[0]): refuse(address)
    return connect(self, address)
def resolved(host, *more, **how):
    if host and not here(host): refuse(host)
    return resolve(host, *more, **how)
socket.socket.connect, socket.getaddrinfo = guarded, resolved
"""
DAMAGED = """
import contextlib, io, json, sys, warnings
from tests.test_journal_safety import survives
warnings.simplefilter("ignore")
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    found = survives(int(sys.argv[1]))
print(json.dumps(found))
"""


def main(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="make bench ARGS=torture", description=__doc__.splitlines()[0]).parse_args(arguments)
    run = journal.start(
        BENCHMARKS["torture"],
        config={"writers": WRITERS, "appends": APPENDS, "kills": KILLS, "strings": STRINGS, "damages": DAMAGES},
    )
    names = {"entries_lost": "entries", "entries_torn": "entries", "problems_after_kills": "problems",
             "connections_tried": "connections", "different_ids": "texts", "specials_from_text": "ids",
             "leak": "", "cache_difference": "", "tracebacks": "files"}  # fmt: skip
    for name, unit in names.items():
        run.predict(name, 1e-5 if name == "cache_difference" else 0, unit=unit)
    for part in (writers, kills, network, strings, models, damages):
        with temporary() as folder:
            began = time.monotonic()
            found = part(Path(folder))
        for name, value in found.items():
            run.log(**{name: value}, unit=names.get(name, "entries"), better="lower" if name in names else None)
        print(f"{part.__name__}: {found}, {time.monotonic() - began:.0f} s", flush=True)
    run.finish(
        verdict="Of {entries_told:,.0f} entries of {writers} writers, one of them killed, {entries_lost:.0f} were lost "
        "and {entries_torn:.0f} torn. The runner was killed {kills} times; {problems_after_kills:.0f} problems were "
        "left after the next start. The course tried {connections_tried:.0f} connections. In {strings:,} awkward texts "
        "{different_ids:.0f} had other ids in another library, and {specials_from_text:.0f} ids of special tokens came "
        "out of text. No logit changed by more than {leak:.1g} with what comes later, or by more than "
        "{cache_difference:.1g} with a cache. Of {damages:,} damaged files {tracebacks:.0f} ended a command or a run.",
        decision="What is not 0 here is a fault; the tests hold smaller cases of each.",
        writers=WRITERS,
        kills=KILLS,
        strings=STRINGS,
        damages=DAMAGES,
    )
    return 0


def _python(script: str, *arguments: str, **environment) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], cwd=paths.ROOT, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip


def writers(folder: Path) -> dict[str, int]:
    """Append to one journal from several processes; the last is killed in the middle."""
    started = [_python(WRITE, str(n), str(APPENDS), LAB_WORKSPACE=str(folder)) for n in range(WRITERS)]
    told = []
    for n, process in reversed(list(enumerate(started))):
        if n == WRITERS - 1:
            head = [process.stdout.readline() for _ in range(APPENDS // 2)]
            process.kill()
            told += [f"{n}.{int(line)}" for line in [*head, *process.stdout] if line.strip()]
        else:
            told += [f"{n}.{int(line)}" for line in process.stdout]
        process.wait()
    text = (folder / "journal" / "journal.md").read_text("utf-8")
    whole = re.findall(r"\n<(\d\.\d+) x{3000} \1>\n", text)
    return {
        "entries_told": len(told),
        "entries_lost": len(set(told) - set(whole)),
        "entries_torn": len(re.findall(r"<\d\.", text)) - len(whole),
    }


def _runner(folder: Path, *arguments: str, **environment) -> subprocess.Popen:
    settings = {"LAB_WORKSPACE": str(folder), "PROFILE": "smoke", **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "helpers.run", *arguments], cwd=paths.ROOT, env={**os.environ, **settings},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def kills(folder: Path) -> dict[str, int]:
    """Kill the runner and its kernel at moments spread over notebook 03, start it again, and verify the journal."""
    for name in ("00", "01", "02"):
        if _runner(folder, "--only", name).wait():
            raise SystemExit(f"error: notebook {name} did not run")
    began = time.monotonic()
    _runner(folder, "--only", "03").wait()
    whole, problems = time.monotonic() - began, 0
    verify = "from labjournal import verify; print(len(verify.problems()))"
    for k in range(KILLS):
        process = _runner(folder, "--only", "03", "--force")
        time.sleep(whole * (k + 0.5) / KILLS)
        # The runner alone in every second case: then the kernel has to notice by itself.
        (os.killpg if k % 2 else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
        problems += _runner(folder, "--only", "03", "--force").wait()
        problems += int(_python(verify, LAB_WORKSPACE=str(folder)).communicate()[0])
    return {"problems_after_kills": problems}


def network(folder: Path) -> dict[str, int]:
    """Run the whole course with every connection to another machine refused and counted."""
    (folder / "guard").mkdir()
    (folder / "guard" / "sitecustomize.py").write_text(GUARD, "utf-8")
    tried = folder / "tried.txt"
    tried.touch()
    status = _runner(folder, PYTHONPATH=str(folder / "guard"), GUARD_FILE=str(tried)).wait()
    if status:
        raise SystemExit(f"error: the course ended with status {status}; it tried {tried.read_text()[:500]}")
    return {"connections_tried": len(tried.read_text("utf-8").splitlines())}


def strings(folder: Path) -> dict[str, int]:
    """The ids of awkward texts by six roads: two of ours, tokenizers, transformers, the saved file, and tiktoken."""
    import tiktoken
    import tokenizers

    draw = random.Random(11)
    known = bpe.shared_characters()
    pieces = [*" \n\r\t\0\x1b'", "a", "1", "  ", "<|bos|>", "<|eos|>", "<|", "bos|>", "<|endoftext|>", "'ll", "\u0301",
              "\u3000", "\u200d", "ſ"]  # fmt: skip
    texts = ["".join(draw.choices(pieces, k=8) + draw.choices(known, k=8)) for _ in range(STRINGS)]
    texts = ["".join(draw.sample(text, len(text))) if i % 2 else text for i, text in enumerate(texts)]
    ours = bpe.train_tokenizer(["".join(texts[i : i + 50]) for i in range(0, 5000, 50)], 1000)
    bpe.save_tokenizer(ours, folder)
    saved = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    roads = {
        "plain": [ours.encode_plain(text) for text in texts],
        "tokenizers": [e.ids for e in bpe.to_tokenizers(ours).encode_batch(texts, add_special_tokens=False)],
        "saved": [e.ids for e in saved.encode_batch(texts, add_special_tokens=False)],
        "transformers": bpe.to_transformers(ours)(texts, add_special_tokens=False)["input_ids"],
    }
    fast = [list(ours.encode_text(text)) for text in texts]
    different = {i for road in roads.values() for i, ids in enumerate(road) if list(ids) != fast[i]}
    bpe.tiktoken_offline()
    official, rebuilt = tiktoken.get_encoding("cl100k_base"), bpe.published("gpt-4")
    theirs = official.encode_ordinary_batch(texts)
    different |= {i for i, text in enumerate(texts) if list(rebuilt.encode_text(text)) != theirs[i]}
    special = set(ours.specials.values())
    return {
        "different_ids": len(different),
        "specials_from_text": sum(i in special for road in (fast, *roads.values()) for ids in road for i in ids),
    }


def models(folder: Path) -> dict[str, float]:
    """The largest change of a logit when later tokens change, and when a cache stands in for earlier ones."""
    import torch

    from helpers import gpt

    shape = {"block_size": 24, "n_layer": 2, "n_head": 2, "n_embd": 32}
    leak = cached = 0.0
    for seed in range(MODELS):
        torch.manual_seed(seed)
        config = (gpt.GPTConfig if seed % 2 else gpt.FastConfig)(50, **shape)
        model = gpt.make(config).eval()
        with torch.inference_mode():
            for p in model.parameters():  # as after training: some begin at zero
                p.copy_(torch.randn_like(p) * 0.3)
            idx, at = torch.randint(50, (2, 24)), 1 + seed % 23
            other = torch.cat([idx[:, :at], torch.randint(50, (2, 24 - at))], dim=1)
            whole = model(idx)[0]
            leak = max(leak, (whole - model(other)[0])[:, :at].abs().max().item())
            cache = gpt.KVCache(config, 2)
            parts = [model(idx[:, :at], cache=cache)[0]]
            parts += [model(idx[:, [t]], cache=cache)[0] for t in range(at, 24)]
            scale = whole.abs().max()
            cached = max(cached, ((whole - torch.cat(parts, dim=1)).abs().max() / scale).item())
    return {"leak": leak, "cache_difference": cached}


def damages(folder: Path) -> dict[str, int]:
    """Damage one file of a journal at a time; commands and a new run go on."""
    said = _python(DAMAGED, str(DAMAGES), LAB_WORKSPACE=str(folder), PROFILE="smoke").communicate()[0]
    return {"tracebacks": json.loads(said)}
