"""The map: every notebook, in order, with what it asks, what it needs and what bounds its time."""

from __future__ import annotations

from dataclasses import dataclass

from . import paths


@dataclass(frozen=True)
class Notebook:
    name: str  # file stem, "03_gpt"
    title: str
    question: str
    needs: tuple[str, ...] = ()  # notebooks whose artifacts it reads
    makes: tuple[str, ...] = ()  # what it leaves in artifacts/
    sources: tuple[str, ...] = ()  # pinned sources it reads
    data: tuple[str, ...] = ()  # artifacts and sources that its results follow from; () means its sources
    headline: tuple[str, ...] = ()  # metrics that the journal's line begins with
    came_out: str = ""  # README's sentence, filled from the reference run …
    evidence: str = ""  # … or from the latest record of this benchmark
    figures: tuple[str, ...] = ()  # one to three that stand in the journal's entry, the others are linked; () means all
    bound: str = "python"  # what its time scales with on another machine: "python" or "matmul"

    @property
    def number(self) -> str:
        return self.name[:2]

    @property
    def path(self):
        return paths.notebooks_dir() / f"{self.name}.ipynb"


NOTEBOOKS = (
    Notebook(
        "00_start_here",
        "Start here",
        "What can this machine do, and how long will each notebook take on it?",
        makes=("hardware.json",),
        sources=("shakespeare",),
        came_out="{gflops_float32:,.0f} GFLOP/s in float32 on the machine of this record, {gflops_bfloat16:,.0f} in "
        "bfloat16.",
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
        came_out="Of {documents_in:,} documents {documents_kept:,} stay, and every drop has its reason.",
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
        data=("corpus",),
        came_out="GPT-4's tokenizer, rebuilt, differs on {different_from_gpt4} texts. The course's own turns "
        "{bytes_per_token_all:.2f} bytes into a token.",
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
        data=("tokenizer",),
        came_out="After minutes, {val_bits_per_byte:.2f} bits per byte: {val_loss_all:.2f} nats per token, where a "
        "count of pairs of tokens has {bigram_loss:.2f}. The fast recipe ends {fast_gain:.2f} nats lower.",
        headline=("val_bits_per_byte", "val_loss_all", "bigram_loss"),
        figures=("03_loss", "03_first_drop", "03_fast"),
    ),
    Notebook(
        "04_learning_curves",
        "Learning curves",
        "Would more data help, or a better model?",
        needs=("00_start_here",),
        makes=("baseline",),
        sources=("vader", "lexicon"),
        came_out="The baseline is right on {test_accuracy:.1%} of the test snippets. Twice the data promises "
        "to get {forecast_gain_accuracy:.1%} of all snippets right that are wrong now, another strength of "
        "regularisation {regularisation_accuracy:.1%}.",
        headline=("test_accuracy", "test_cross_entropy"),
        figures=("04_learning_curve", "04_levers", "04_ceiling"),
    ),
    Notebook(
        "05_finetune_classifier",
        "Fine-tune a classifier",
        "Does a pretrained encoder beat the simple baseline, and what does that cost?",
        needs=("00_start_here", "02_tokenizer", "03_gpt", "04_learning_curves"),
        makes=("checkpoints/05_classifier",),
        sources=("vader", "minilm"),
        bound="matmul",
        data=("tokenizer", "vader", "minilm"),  # 03's weights are chance: they follow from these and its seed
        came_out="The fine-tuned encoder is right on {test_accuracy:.1%}, {gain_over_baseline:.1%} of all snippets "
        "more than the baseline; the course's own GPT on {test_accuracy_gpt:.1%}.",
        headline=("test_accuracy", "gain_over_baseline", "test_accuracy_gpt"),
        figures=("05_loss", "05_comparison", "05_gpt"),
    ),
    Notebook(
        "06_choosing_a_model",
        "Choosing a model",
        "Which model would you take, what does it cost, and how would you defend the choice?",
        needs=("00_start_here", "04_learning_curves", "05_finetune_classifier"),
        sources=("vader", "minilm"),  # 05's weights are chance: they follow from these and its seed
        bound="matmul",
        came_out="Of all pairs of candidates {pairs_that_differ:.0f} differ; the best without an encoder is right on "
        "{best_without_encoder:.1%}.",
        headline=("best_without_encoder", "pairs_that_differ"),
        figures=("06_pairs", "06_front", "06_cost"),
    ),
    Notebook(
        "09_pictures_and_sound",
        "Pictures and sound as tokens",
        "How much of a picture or a sound survives as a row of ids, and can the GPT draw with them?",
        needs=("00_start_here", "02_tokenizer"),
        sources=("pocketsphinx",),
        data=("tokenizer", "pocketsphinx"),
        came_out="Ids of patches stay {photo_behind_jpeg:.1f} dB behind JPEG; trained ids gain {digits_gain:.1f} dB on "
        "digits and {photo_gain:+.1f} dB on photographs. {copied:.0%} of the drawn digits copy one from training; of "
        "real ones {coincidence:.0%} coincide.",
        headline=("photo_behind_jpeg", "digits_gain", "sound_snr", "drawn_accuracy", "copied"),
        figures=("09_digits", "09_photo_rate", "09_drawn"),
    ),
    Notebook(
        "12_side_by_side",
        "Side by side",
        "How much less does the same loss cost with a better recipe, and how much does each part of it save?",
        needs=("00_start_here", "01_mrclean"),
        bound="matmul",
        data=("corpus",),
        came_out="The loss of nanoGPT's CPU recipe in {speedup:.1f} times less time, from {tokens_fast:,} characters "
        "instead of {tokens_plain:,}; against the same recipe, tuned, {speedup_over_tuned:.1f} times less.",
        evidence="bench_race",
        headline=("val_loss_plain", "val_loss_fast", "fewer_characters"),
        figures=("12_race", "12_levers"),
    ),
    Notebook(
        "13_plan",
        "Plan a training",
        "How much memory and time will a training take, and what fits a card?",
        needs=("00_start_here", "01_mrclean", "02_tokenizer"),
        bound="matmul",
        data=("tokenizer",),
        came_out="Planned and measured: {predicted.train_seconds:.0f} and {train_seconds:.0f} seconds of steps, "
        "{predicted.peak_memory:.0f} and {peak_memory:.0f} MB at the peak.",
        headline=("train_seconds", "peak_memory"),
        figures=("13_plan", "13_fits"),
    ),
    Notebook(
        "14_watch",
        "Watch a training",
        "Is a loss still falling, is text learned by heart, and does a stopped training go on exactly?",
        needs=("00_start_here", "01_mrclean", "02_tokenizer"),
        bound="matmul",
        data=("tokenizer",),
        came_out="On little text, read again and again, the loss on other text ends {overfitting_rise:.2f} nats above "
        "its best. After a break, {different_after_resume:.0f} steps have another loss.",
        headline=("overfitting_rise", "different_after_resume", "val_loss"),
        figures=("14_noise", "14_trend", "14_overfitting"),
    ),
    Notebook(
        "15_inside",
        "Look inside",
        "What flows through a GPT, what do its heads look at, and when does it make up its mind?",
        needs=("00_start_here", "01_mrclean", "02_tokenizer", "03_gpt"),
        bound="matmul",
        data=("tokenizer",),
        came_out="Straight from the embedding the loss is {loss_embedding:.2f} nats per token, after the last block "
        "{loss_last_block:.2f}.",
        headline=("loss_embedding", "loss_last_block"),
        figures=("15_gradients", "15_attention", "15_logit_lens"),
    ),
    Notebook(
        "16_base_size",
        "A classifier of base size",
        "What does a larger encoder buy, and what can a single training of it tell?",
        needs=("00_start_here",),
        sources=("vader", "minilm"),
        bound="matmul",
        came_out="{parameters_MPNet:,} parameters, and {gain_over_minilm:.1%} more of the test snippets right than the "
        "small encoder has, in one training each.",
        headline=("parameters_MPNet", "gain_over_minilm", "snippets_for_the_baseline"),
        figures=("16_runs", "16_parts", "16_labels"),
    ),
    Notebook(
        "17_in_use",
        "Put it to use",
        "How far can a classifier be trusted away from its test snippets, and how is it put to use?",
        needs=("00_start_here", "04_learning_curves", "05_finetune_classifier"),
        sources=("vader", "minilm"),  # 05's weights are chance: they follow from these and its seed
        bound="matmul",
        came_out="Right on {accuracy_films:.1%} of the film reviews, on {accuracy_tweets:.1%} of tweets and "
        "{accuracy_news:.1%} of a newspaper's sentences. *Not* before praise is understood in {passed_not:.0%} of the "
        "cases.",
        headline=("accuracy_films", "accuracy_tweets", "accuracy_news", "passed_not"),
        figures=("17_domains", "17_behaviour", "17_declined"),
    ),
    Notebook(
        "18_a_price",
        "A price",
        "What does a bottle cost, told from its description, and how far off is the guess?",
        needs=("00_start_here",),
        sources=("wine", "minilm"),
        bound="matmul",
        came_out="The best guess of a bottle's price is {median_error:.0%} off in the median, and {within_20:.0%} of "
        "the bottles are priced within a fifth.",
        headline=("median_error", "within_20", "covered"),
        figures=("18_prices", "18_first"),
    ),
)

# Records that no notebook makes but the runner.
COURSE = Notebook(
    "course",
    "The whole course",
    "Do two commands lead from raw text to a classifier, and how fast?",
    came_out="All of it in one go, with a peak of {peak_memory:,.0f} MB of memory.",
    headline=("setup_seconds", "run_seconds", "peak_memory"),
)


def navigation(entry: Notebook) -> str:
    """Links to the notebooks before and after, as they stand in its first and last cell."""
    place = NOTEBOOKS.index(entry)
    before = [f"[← {n.number} · {n.title}]({n.path.name})" for n in NOTEBOOKS[:place][-1:]]
    after = [f"[{n.number} · {n.title} →]({n.path.name})" for n in NOTEBOOKS[place + 1 : place + 2]]
    return " · ".join([*before, *after])


def notebook(name: str) -> Notebook:
    """Look a notebook up by its name or number ("03_gpt", "03", "3")."""
    wanted = name.removesuffix(".ipynb").split("/")[-1]
    for entry in (*NOTEBOOKS, COURSE):
        if wanted == entry.name or wanted.zfill(2) == entry.number:
            return entry
    raise ValueError(f"no notebook {name!r}; there are {', '.join(n.name for n in NOTEBOOKS)}")
