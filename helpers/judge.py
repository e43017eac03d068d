"""A trained classifier in use: texts in, answers out, and none where it has none.

from helpers import judge
classifier = judge.load("artifacts/checkpoints/05_classifier", threshold=0.9)
classifier(["Not bad at all.", ""])
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from . import encoder, finetune, hardware, paths, profile

SIDES = ("blame", "praise")
HEAD = re.compile(r"(classifier|score)\b.*weight$")
UNKNOWN = 0.5  # a text with a larger share of unknown words gets no answer


@dataclass(frozen=True)
class Answer:
    label: str | None  # one of SIDES, or None where there is no answer
    probability: float  # of praise
    why: str = ""  # why there is no answer, or what was left out


class Classifier:
    """What notebook 05 trained, or another fine-tuned encoder of two classes: ``classifier(["Not bad."])``.

    Args:
        threshold: an answer that is less sure, with a probability of its side below that, is none.
    """

    def __init__(self, tokenizer, model, machine, threshold: float = 0.5):
        if not 0.5 <= threshold < 1:
            raise ValueError(f"threshold is {threshold}; it must be at least 0.5 and less than 1")
        self.tokenizer, self.model, self.machine, self.threshold = tokenizer, model.eval(), machine, threshold
        self.settings = profile.Finetune()
        longest = min(self.settings.max_length, model.config.max_position_embeddings)
        self.settings = replace(self.settings, max_length=longest)

    def __call__(self, texts: list[str]) -> list[Answer]:
        """An answer to each text, in order.

        Raises:
            ValueError: not a list of texts, the message names the first that is none; or answers that are no numbers.
        """
        texts = _listed(texts)
        praise = self.praise(texts)
        return [self._answer(text, float(p)) for text, p in zip(texts, praise, strict=True)]

    def praise(self, texts: list[str]) -> np.ndarray:
        """The probability of praise for each text, shape (texts,), whether or not it is worth an answer."""
        texts = _listed(texts)
        found = finetune.predict(self.model, self.tokenizer, texts, self.settings, self.machine)
        if not np.isfinite(found).all():
            raise ValueError(f"the answer to texts[{np.isnan(found).argmax()}] is no number: the weights are damaged")
        return found

    def _answer(self, text: str, praise: float) -> Answer:
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if not ids:
            return Answer(None, praise, "there is no text")
        if ids.count(self.tokenizer.unk_token_id) > UNKNOWN * len(ids):
            return Answer(None, praise, "its words are not known")
        if max(praise, 1 - praise) < self.threshold:
            return Answer(None, praise, f"less sure than {self.threshold:g}")
        longest = self.settings.max_length
        cut = len(ids) + self.tokenizer.num_special_tokens_to_add() > longest
        return Answer(SIDES[praise > 0.5], praise, f"read up to token {longest}" if cut else "")


def _listed(texts) -> list[str]:
    """A list of the texts, in which half a character, as a cut emoji leaves one, is a question mark."""
    if isinstance(texts, str):
        raise ValueError("a list of texts is needed, and this is one text: put it into [ ]")
    if isinstance(texts, dict) or not isinstance(texts, Iterable):
        raise ValueError(f"a list of texts is needed, not {type(texts).__name__}")
    texts = list(texts)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"texts[{number}] is {type(text).__name__}, not a text")
    return [text.encode("utf-8", "replace").decode("utf-8") for text in texts]


def _check_sides(folder: Path) -> None:
    """Raises EncoderError: the classes have names, and these do not say blame first and praise second."""
    said = paths.read_json(folder / "config.json").get("id2label") or {}
    names = [str(name).lower() for _, name in sorted(said.items())]
    if names and names not in (["label_0", "label_1"], list(SIDES), ["negative", "positive"]):
        raise encoder.EncoderError(f"the classes of {folder.name} are {', '.join(names)}; {' and '.join(SIDES)} are "
                                   "needed, in this order")  # fmt: skip


def load(folder, threshold: float = 0.5) -> Classifier:
    """The classifier in `folder`, as notebook 05 leaves it in artifacts/checkpoints/05_classifier.

    Raises:
        EncoderError: the folder holds none: no weights, no tokenizer, no trained head, or not two classes.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(folder).is_dir():
        raise encoder.EncoderError(f"there is no folder {Path(folder).name}; notebook 05 leaves a classifier in "
                                   "artifacts/checkpoints/05_classifier")  # fmt: skip
    folder = encoder.find(str(folder))
    try:
        with safe_open(folder / "model.safetensors", "pt") as weights:
            heads = sorted(name for name in weights.keys() if HEAD.match(name))  # noqa: SIM118
            classes = [weights.get_slice(name).get_shape() for name in heads[-1:]]
    except SafetensorError as error:
        raise encoder.EncoderError(f"{folder.name}/model.safetensors is damaged: {error}; run notebook 05") from error
    if not classes:
        raise encoder.EncoderError(f"{folder.name} holds an encoder without a trained head; fine-tune it first (05)")
    if len(classes[0]) != 2 or classes[0][0] != len(SIDES):
        raise encoder.EncoderError(f"the head in {folder.name} has shape {classes[0]}; {len(SIDES)} classes are needed")
    machine = hardware.load()
    loaded = encoder.load_classifier(folder, 0.0, machine, seed=0, trained=True)
    _check_sides(folder)
    return Classifier(*loaded, machine, threshold)
