"""Measurements that take longer than a test. Each leaves a record in the journal, under the entry that it has here."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from helpers import execution, paths
from labjournal import Entry


def _entry(name: str, title: str, question: str, says: str) -> tuple[Entry, str]:
    return Entry(f"bench_{name}", title, question, Path(__file__).with_name(f"{name}.py")), says


_ALL = (
    _entry("journal", "What the journal costs", "What do a start and a logged number take, also among many?",
           "what a start and a logged number cost, also among 3,000 runs (five minutes)"),
    _entry("watch", "What watching costs", "What do a watched step, the live chart and the monitor take?",
           "what watching a training costs (a minute)"),
    _entry("clean_speed", "How fast cleaning is", "How many times datatrove's speed, per core?",
           "how fast cleaning is, beside datatrove (five minutes, and half a gigabyte at the first call)"),
    _entry("clean_effect", "What cleaning is worth", "Does a small model learn more from cleaned text?",
           "what cleaning does to a small model, five seeds an arm (six minutes)"),
    _entry("clean_scale", "How cleaning grows", "What do more workers and more text cost, up to a terabyte?",
           "how cleaning grows with workers and with the input (seven minutes)"),
    _entry("clean_sets", "Cleaning what it has not seen", "What becomes of sets of real files, and of each language?",
           "what becomes of your own sets of files, a folder KIND-NAME each (ten minutes for 200 MB)"),
    _entry("tokenizer", "How fast the tokenizer is", "What do learning and encoding take beside the best?",
           "how fast the tokenizer is, beside tiktoken and Hugging Face tokenizers (three minutes)"),
    _entry("vocabulary", "Which vocabulary", "How many ids serve a small model best, at equal compute?",
           "which vocabulary small models do best with, at equal compute (twenty minutes)"),
    _entry("resume", "Killed and resumed", "Is a training that is killed and goes on the one never stopped?",
           "whether a training that is killed twenty times is the one that never was (five minutes)"),
    _entry("budget", "What a plan is worth", "How far do time and peak memory lie from what was planned?",
           "how far time and peak memory lie from their plan, for three models (four minutes)"),
    _entry("race", "A fast recipe beside nanoGPT", "How much less time does the same loss take?",
           "a fast recipe beside nanoGPT: time to its loss, speed, share of the limit (half an hour)"),
    _entry("levers", "Lever by lever", "What is each part of the fast recipe worth, in tokens and in seconds?",
           "what each part of the fast recipe is worth, in tokens and in seconds (forty minutes)"),
    _entry("recipes", "The better default", "Is the fast recipe better where the course trains on tokens?",
           "whether the fast recipe is the better default on the course's own shards (ten minutes)"),
    _entry("numerics", "What numerics change", "Do bfloat16 and dropout without attention train as well?",
           "whether bfloat16, and no dropout on attention, train as well (half an hour)"),
    _entry("tune", "The same number of trials", "What do the plain and the fast recipe reach when both are tuned?",
           "as many trials for the plain recipe as for the fast one (eight minutes)"),
    _entry("torture", "Under attack", "What do killed writers, damaged files and awkward texts cost?",
           "attacks on records, runner, tokenizers and models, counted (twelve minutes)"),
    _entry("classifier", "A classifier of base size", "How well does a pretrained encoder judge film reviews?",
           "v1, v2 and v3 of the classifier, each a run of its own (half an hour each; MiniLM two minutes a seed)"),
    _entry("trainer", "A faster Trainer", "How much faster than a plain Trainer, at the same score?",
           "what makes fine-tuning fast, lever by lever, at what score (half an hour)"),
    _entry("learning", "What an encoder has to learn", "All of it, a part or LoRA; hard or soft labels; how many?",
           "what of an encoder has to learn, from which labels and how many, five seeds an arm (forty minutes)"),
    _entry("scaling", "How a GPT grows", "What do more text and more parameters do to a small GPT's loss?",
           "how a small GPT's loss falls with text and with parameters, three seeds (half an hour)"),
    _entry("nas", "A table of architectures", "Every GPT of a small space, and what cheap estimates say of it",
           "every GPT of a small space for equally long, so that searches can be tried on a table (half an hour)"),
    _entry("search", "What tuning buys", "What do several searches find for a GPT with the same tokens?",
           "four ways to search a GPT's rate, batch and schedule with the same tokens, five times (ten minutes)"),
    _entry("serving", "What an answer costs", "Fewer bits, another runtime: how many answers change?",
           "the classifier of 05 in six versions: score, flips, size, time (three minutes)"),
    _entry("spread", "Spread over seeds", "How far apart are runs that differ in the seed or the processor?",
           "how far apart runs are that differ in the seed or the processor (five to seven runs of a notebook)"),
)  # fmt: skip
BENCHMARKS = {entry.name.removeprefix("bench_"): entry for entry, _ in _ALL}
SAYS = {entry.name.removeprefix("bench_"): says for entry, says in _ALL}  # what one measures, and how long it takes


@contextlib.contextmanager
def temporary() -> Iterator[str]:
    """A folder below artifacts/ that goes at the end; after kill -9, with the next one."""
    below = paths.artifacts("bench", "tmp")
    below.mkdir(parents=True, exist_ok=True)
    with execution.own_folder(below) as folder:
        yield str(folder)
