"""Fine-tune an encoder as a classifier with the Hugging Face Trainer: seeded, silent, every step recorded."""

from __future__ import annotations

from pathlib import Path

from .quiet import transformers  # isort: skip (before datasets, which asks for widgets, too)

import datasets
import evaluate
import numpy as np
import torch

from . import classify, profile
from .hardware import Hardware, autocast
from .paths import artifacts, relative

datasets.disable_progress_bars()


# -- metrics ---------------------------------------------------------------------------------------------------------


class _ProbabilityMetric(evaluate.Metric):
    """Predicted probabilities of the positive class against targets in 0..1; subclasses name the function."""

    key: str
    function: staticmethod

    def __init__(self):
        # In memory and with an explicit id and seed: no lock files under HF_HOME, no draw from numpy's global state.
        super().__init__(keep_in_memory=True, experiment_id=self.key, seed=0)

    def _info(self) -> evaluate.MetricInfo:
        number = datasets.Value("float64")
        return evaluate.MetricInfo(
            description=self.function.__doc__,
            citation="",
            inputs_description="predictions: probability of the positive class; references: target in 0..1",
            features=datasets.Features({"predictions": number, "references": number}),
        )

    def _compute(self, predictions, references) -> dict[str, float]:
        return {self.key: self.function(np.asarray(predictions), np.asarray(references))}


class Accuracy(_ProbabilityMetric):
    key, function = "accuracy", staticmethod(classify.accuracy)


class F1(_ProbabilityMetric):
    key, function = "f1", staticmethod(classify.f1)


class CrossEntropy(_ProbabilityMetric):
    key, function = "cross_entropy", staticmethod(classify.cross_entropy)


class KLDivergence(_ProbabilityMetric):
    key, function = "kl_divergence", staticmethod(classify.kl_divergence)


def judge(probability: np.ndarray, labels: np.ndarray, soft: np.ndarray) -> dict[str, float]:
    """Accuracy, F1 and cross-entropy against the hard labels, KL divergence against the soft ones; all (items,)."""
    found: dict[str, float] = {}
    for metric, target in ((Accuracy(), labels), (F1(), labels), (CrossEntropy(), labels), (KLDivergence(), soft)):
        found |= metric.compute(predictions=probability, references=target)
    return found


# -- training --------------------------------------------------------------------------------------------------------


def dataset(items: classify.Items, tokenizer, max_length: int) -> datasets.Dataset:
    """Tokenized items; "labels" holds two numbers, [hard label, soft label], so that both reach the metrics."""
    encoded = tokenizer(items.texts, truncation=True, max_length=max_length)
    return datasets.Dataset.from_dict(
        {
            "input_ids": encoded["input_ids"],
            "attention_mask": encoded["attention_mask"],
            "labels": np.stack([items.labels, items.soft], axis=1).astype(np.float32),
            "length": [len(ids) for ids in encoded["input_ids"]],
        }
    )


def loss(outputs, labels: torch.Tensor, num_items_in_batch=None) -> torch.Tensor:
    """Cross-entropy of the logits, (batch, 2), against the hard labels, the first column of `labels`, (batch, 2)."""
    return torch.nn.functional.cross_entropy(outputs.logits.float(), labels[:, 0].long())


def step(model, optimizer, batch, labels: torch.Tensor, hardware: Hardware) -> tuple[float, float]:
    """One training step, plainly: (loss in nats, gradient norm before it is clipped at 1), of the labels (items,)."""
    with autocast(hardware):
        logits = model(**batch).logits  # (items, 2)
    found = torch.nn.functional.cross_entropy(logits.float(), labels)
    found.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return found.item(), norm.item()


def compute_metrics(prediction: transformers.EvalPrediction) -> dict[str, float]:
    """For the Trainer: :func:`judge` on its logits and two-column labels."""
    labels, soft = prediction.label_ids[:, 0], prediction.label_ids[:, 1]
    return judge(_positive(torch.from_numpy(prediction.predictions)), labels, soft)


class Recorder(transformers.TrainerCallback):
    """Passes every step and every evaluation to the journal, keeps their history and the weights worth having.

    A gradient that is not finite stops the training before it touches the weights. Those of the last good step are
    written to `last_good`, which can be loaded like any other folder of an encoder.

    Args:
        run: the journal's run, which gets the metrics of every evaluation.
        watch: its watch on this training, entered; it gets every step.
        last_good: folder for the weights of a training that diverged.

    Attributes:
        steps: "step", "train_loss", "grad_norm" (before clipping), "learning_rate" -> list, one value a step.
        epochs: "epoch", "train_accuracy", "val_accuracy", "val_cross_entropy" … -> list, one value an evaluation,
            the first before training (epoch 0).
        weights: "start", "best" (lowest val_cross_entropy) and "last" -> state dict on the CPU.
        best_epoch, best_step: the epoch, which need not be whole, and the step of "best".
    """

    def __init__(self, run, watch, last_good: Path):
        self.run = run
        self.watch = watch
        self.last_good = last_good
        self.steps: dict[str, list] = {}
        self.epochs: dict[str, list] = {}
        self.weights: dict[str, dict] = {}
        self.best_epoch, self.best_step = 0.0, 0

    def on_train_begin(self, args, state, control, **kwargs):
        self.watch.mark()

    def on_pre_optimizer_step(self, args, state, control, model=None, processing_class=None, **kwargs):
        norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
        if not torch.isfinite(norm):
            model.save_pretrained(self.last_good)
            processing_class.save_pretrained(self.last_good)
            self.watch.checkpoint(state.global_step, self.last_good)
            raise FloatingPointError(
                f"the gradient is not finite at step {state.global_step + 1}; lower the learning rate. The weights "
                f"after step {state.global_step} are in {relative(self.last_good)}"
            )

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" not in logs:
            return
        values = {"train_loss": logs["loss"], "grad_norm": logs["grad_norm"], "learning_rate": logs["learning_rate"]}
        for name, value in {"step": state.global_step, **values}.items():
            self.steps.setdefault(name, []).append(float(value))
        self.watch.step(
            state.global_step,
            float(logs["loss"]),
            gradient_norm=float(logs["grad_norm"]),
            learning_rate=float(logs["learning_rate"]),
        )

    def on_evaluate(self, args, state, control, metrics=None, model=None, **kwargs):
        epoch = round(state.epoch or 0, 2)
        wanted = self._evaluated(metrics, state.global_step, epoch)
        if "val_accuracy" in wanted:
            self.watch.evaluation(
                state.global_step, val_cross_entropy=wanted["val_cross_entropy"], val_accuracy=wanted["val_accuracy"]
            )
            self._keep(model, epoch, state.global_step)
            self.watch.mark()

    def _evaluated(self, metrics: dict, step: int, epoch: float) -> dict[str, float]:
        """Record an evaluation as the Trainer names it ("eval_val_accuracy"); gives it as the journal does."""
        part = next(name for name in metrics if name.startswith("eval_")).split("_")[1]
        wanted = {
            f"{part}_{name}": metrics[f"eval_{part}_{name}"]
            for name in ("accuracy", "f1", "cross_entropy", "kl_divergence")
        }
        for name, value in wanted.items():
            unit, better = ("nats", "lower") if name.endswith(("entropy", "divergence")) else ("", "higher")
            self.run.log(step=step, unit=unit, better=better, **{name: value})
            self.epochs.setdefault(name, []).append(float(value))
        if part == "val":
            self.epochs.setdefault("epoch", []).append(epoch)
        return wanted

    def _keep(self, model, epoch: float, step: int) -> None:
        now = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        self.weights.setdefault("start", now)
        self.weights["last"] = now
        if self.epochs["val_cross_entropy"][-1] == min(self.epochs["val_cross_entropy"]):
            self.weights["best"], self.best_epoch, self.best_step = now, epoch, step


class _Trainer(transformers.Trainer):
    """A Trainer that says which batch would fit when one does not."""

    def training_step(self, model, inputs, *others, **more):
        try:
            return super().training_step(model, inputs, *others, **more)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            rows, tokens = inputs["input_ids"].shape
            fits = rows // 2
            while fits and not self._fits({name: part[:fits] for name, part in inputs.items()}, model):
                fits //= 2
            would = f"a batch of {fits} does: batch_size={fits}" if fits else "not even a single one does"
            raise MemoryError(f"{rows} snippets of {tokens} tokens do not fit into memory; {would}") from error

    def _fits(self, inputs, model) -> bool:
        try:
            super().training_step(model, inputs)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            return False
        return True


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


def trainer(
    model,
    tokenizer,
    train: datasets.Dataset,
    evaluation: dict[str, datasets.Dataset],
    settings: profile.Finetune,
    hardware: Hardware,
    seed: int,
    callbacks=(),
    per_epoch: int = 1,
    **changed,
) -> transformers.Trainer:
    """A Trainer that logs every step, evaluates before training, on the way and at the end, and prints nothing.

    Args:
        evaluation: name -> data set; metrics come as "eval_<name>_accuracy" …
        per_epoch: evaluations in an epoch, evenly spaced but for the last one, which waits for the last step.
        changed: what else the TrainingArguments shall have, as lr_scheduler_type="cosine".
    """
    steps = settings.epochs * -(-len(train) // settings.batch_size)
    arguments = dict(
        output_dir=str(artifacts("tensorboard")),  # asked for, not used: no checkpoints
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=0.1,  # below 1 it is a share of all steps
        weight_decay=0.01,
        max_grad_norm=1.0,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=4 * settings.batch_size,  # no gradients to hold
        train_sampling_strategy="group_by_length",  # little padding
        use_cpu=hardware.device == "cpu",
        bf16=hardware.dtype == "bfloat16",
        eval_strategy="steps",  # and after the last one, whatever its number
        eval_steps=-(-steps // (settings.epochs * per_epoch)),
        eval_on_start=True,
        save_strategy="no",
        logging_strategy="steps",
        logging_steps=1,
        logging_first_step=True,
        logging_nan_inf_filter=False,  # a diverging run must look like one
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=hardware.device != "cpu",
        seed=seed,
    )
    made = _Trainer(
        model=model,
        args=transformers.TrainingArguments(**arguments | changed),
        train_dataset=train,
        eval_dataset=evaluation,
        processing_class=tokenizer,
        data_collator=transformers.DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8),
        compute_loss_func=loss,
        compute_metrics=compute_metrics,
        callbacks=list(callbacks),
    )
    made.remove_callback(transformers.PrinterCallback)  # it prints every step
    return made


def predict(model, tokenizer, texts: list[str], settings: profile.Finetune, hardware: Hardware) -> np.ndarray:
    """Probability of the positive class for each text, shape (texts,), float64, in the order given."""
    order = np.argsort([len(text) for text in texts], kind="stable")  # alike lengths together: little padding
    probability = np.empty(len(texts))
    model.eval()
    for start in range(0, len(texts), 4 * settings.batch_size):
        index = order[start : start + 4 * settings.batch_size]
        batch = tokenizer(
            [texts[i] for i in index],
            truncation=True,
            max_length=settings.max_length,
            padding=True,
            pad_to_multiple_of=8,
            return_tensors="pt",
        ).to(model.device)
        with torch.inference_mode(), autocast(hardware):
            probability[index] = _positive(model(**batch).logits)
    return probability


def _positive(logits: torch.Tensor) -> np.ndarray:
    """(items, 2) logits -> (items,) probability of class 1, in float64 so that it does not round to 0 or 1."""
    return torch.softmax(logits.double(), dim=-1)[:, 1].cpu().numpy()
