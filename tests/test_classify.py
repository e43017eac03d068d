"""Data, metrics and baseline of notebook 04; metrics, encoders and training of notebook 05."""

import functools
import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from helpers import classify, journal, paths, sources

# -- data ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reviews():
    return classify.load_reviews()


def test_every_snippet_is_kept_or_dropped_for_a_reason(reviews):
    items, counts = reviews
    assert counts["read"] == 10_605  # what the source's own README says
    assert counts["read"] == counts["kept"] + counts["neutral"] + counts["duplicate"]
    assert len(items) == counts["kept"] == len(items.ids) == len(items.soft)
    assert np.abs(items.ratings).min() > classify.CLEAR
    assert all(text == text.strip() and text for text in items.texts)


def test_soft_labels_by_hand_and_from_the_raw_ratings(reviews):
    items, _ = reviews
    assert classify.soft_label([2, 1, 0, -3]) == 0.625
    assert classify.soft_label([0, 0]) == 0.5
    assert classify.soft_label([-1]) == 0.0
    assert items.soft.min() >= 0 and items.soft.max() <= 1
    # Items 2 and 3 of the source, counted by eye: 15 positive of 15; 2 positive and 3 neutral of 15.
    assert items.soft[items.ids == 2] == 1.0
    assert items.soft[items.ids == 3] == pytest.approx((2 + 3 / 2) / 15)
    raw = (sources.fetch("vader") / "movieReviewSnippets_anonDataRatings.txt").read_text("utf-8").splitlines()
    for index in (0, len(items) // 2, len(items) - 1):
        number, mean, _, votes = raw[items.ids[index] - 1].split("\t")
        votes = json.loads(votes)
        assert int(number) == items.ids[index] and float(mean) == pytest.approx(np.mean(votes))
        assert items.soft[index] == pytest.approx((np.sum(np.sign(votes)) / len(votes) + 1) / 2)
        assert items.labels[index] == (np.mean(votes) > 0) and items.votes[index] == votes


@pytest.mark.parametrize(("collection", "read"), [("tweets", 4200), ("amazonReviewSnippets", 3708),
                                                  ("nytEditorialSnippets", 5190)])  # fmt: skip
def test_other_collections_are_read_alike_and_joined_by_number(collection, read):
    items, counts = classify.load_reviews(collection)
    assert counts["read"] == read == counts["kept"] + counts["neutral"] + counts["duplicate"]
    assert len(set(items.ids)) == len(items) == counts["kept"]
    # Means and votes lie in two files, of which one is in another order in places: sides and shares must agree.
    assert np.mean((items.soft > 0.5) == (items.labels == 1)) > 0.97


def test_the_split_leaks_nothing_and_is_stratified(reviews):
    items, _ = reviews
    train, test = classify.split_items(items)
    assert len(train) + len(test) == len(items)
    assert not set(train.ids) & set(test.ids)
    fingerprints = [classify.normal_form(text) for text in train.texts + test.texts]
    assert len(set(fingerprints)) == len(items)
    assert len(test) / len(items) == pytest.approx(0.2, abs=1e-3)
    assert train.labels.mean() == pytest.approx(test.labels.mean(), abs=1e-3)
    again, _ = classify.split_items(items)
    assert train.hash == again.hash != test.hash


def test_copies_that_differ_in_punctuation_count_as_one():
    assert classify.normal_form("...A pretentious  mess...") == classify.normal_form("a pretentious mess")
    assert classify.normal_form("Cliché") != classify.normal_form("Clich")


# -- metrics ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def random_answers():
    rng = np.random.default_rng(3)
    return rng.uniform(0.001, 0.999, 500), rng.integers(0, 2, 500), rng.uniform(0, 1, 500).round(1)


def test_metrics_equal_scikit_learn_and_scipy(random_answers):
    from scipy.stats import entropy
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    q, labels, soft = random_answers
    found = classify.scores(q, labels)
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, q > 0.5))
    assert found["f1"] == pytest.approx(f1_score(labels, q > 0.5))
    assert found["cross_entropy"] == pytest.approx(log_loss(labels, q))
    p, model = np.stack([soft, 1 - soft]), np.stack([q, 1 - q])
    assert classify.entropy(soft) == pytest.approx(entropy(p).mean())
    assert classify.kl_divergence(q, soft) == pytest.approx(entropy(p, model).mean())
    assert classify.f1(np.zeros(4), np.zeros(4)) == 0.0


def test_calibration_error_is_the_mean_distance_from_a_promise():
    labels = np.array([1] * 8 + [0] * 2)
    assert classify.calibration_error(np.full(10, 0.8), labels) == pytest.approx(0)
    assert classify.calibration_error(np.full(10, 0.2), 1 - labels) == pytest.approx(0)  # the same promise for blame
    assert classify.calibration_error(np.full(10, 1.0), labels) == pytest.approx(0.2)
    kept_and_broken = np.concatenate([np.full(10, 0.8), np.full(10, 0.95)]), np.tile(labels, 2)
    assert classify.calibration_error(*kept_and_broken) == pytest.approx(0.15 / 2)


def test_kl_is_cross_entropy_for_one_hot_labels_and_differs_by_the_entropy_for_soft_ones(random_answers):
    q, labels, soft = random_answers
    assert classify.entropy(labels) == 0.0 and math.copysign(1, classify.entropy(labels)) == 1
    assert classify.kl_divergence(q, labels) == classify.cross_entropy(q, labels)  # to the last digit
    assert classify.kl_divergence(q, soft) == pytest.approx(classify.cross_entropy(q, soft) - classify.entropy(soft))
    assert classify.kl_divergence(soft.clip(0.1, 0.9), soft.clip(0.1, 0.9)) == pytest.approx(0, abs=1e-12)


def test_a_certain_mistake_costs_much_but_not_infinity():
    assert classify.cross_entropy(np.array([0.0]), np.array([1])) == pytest.approx(-math.log(classify.TINY))


# -- baseline --------------------------------------------------------------------------------------------------------


def simple_model():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(), LogisticRegression(solver="liblinear"))


def test_learning_curve_agrees_with_scikit_learn(reviews):
    from sklearn.model_selection import StratifiedShuffleSplit
    from sklearn.model_selection import learning_curve as reference

    items = classify.split_items(reviews[0])[0].take(range(800))
    found = classify.learning_curve(simple_model(), items, (100, 600), repeats=3, seed=7)
    splits = StratifiedShuffleSplit(n_splits=3, test_size=0.2, random_state=7)
    _, train, held_out = reference(simple_model(), items.texts, items.labels, train_sizes=[100, 600], cv=splits)
    np.testing.assert_allclose(found["train_accuracy"], train)
    np.testing.assert_allclose(found["cv_accuracy"], held_out)
    assert found["cv_cross_entropy"].shape == (2, 3)
    assert (found["train_cross_entropy"] < found["cv_cross_entropy"]).all()


def test_learning_curve_refuses_a_size_it_does_not_have(reviews):
    with pytest.raises(ValueError, match="81 is more than the 80"):
        classify.learning_curve(simple_model(), reviews[0].take(range(100)), (81,), repeats=1, seed=0)


def test_baseline_predictions_travel_to_the_next_notebook(reviews, workspace):
    test = reviews[0].take(range(50))
    with pytest.raises(paths.MissingArtifact, match="04_learning_curves"):
        classify.load_baseline(test, "smoke")
    probability = np.linspace(0, 1, 50)
    classify.save_baseline(test, probability, "smoke", C=1.0)
    np.testing.assert_array_equal(classify.load_baseline(test, "smoke"), probability)
    with pytest.raises(paths.MissingArtifact, match="other test items"):
        classify.load_baseline(test.take(range(49)), "smoke")
    with pytest.raises(paths.MissingArtifact, match="laptop"):
        classify.load_baseline(test, "laptop")


# -- fine-tuning -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finetune():
    from helpers import finetune

    return finetune


@pytest.fixture(scope="module")
def encoder(finetune):
    from helpers import encoder

    return encoder


@pytest.fixture(scope="module")
def cpu():
    from helpers.hardware import Hardware

    return Hardware("cpu", "", "float32", 2, 2, 8.0, {"float32": 1.0}, 1.0, 1.0)


@pytest.fixture
def settings():
    from helpers.profile import Finetune

    return Finetune(epochs=6, learning_rate=5e-3, batch_size=8, max_length=16)


@pytest.fixture
def toy_items():
    texts = [f"a {'very ' * (i % 3)}{'good' if i % 2 else 'bad'} film" for i in range(32)]
    labels = np.array([i % 2 for i in range(32)])
    votes = [[v] for v in labels * 2 - 1]
    return classify.Items(np.arange(32), texts, labels * 2.0 - 1, labels, np.clip(labels, 0.1, 0.9), votes)


def test_evaluate_metrics_give_what_the_plain_functions_give(finetune, random_answers):
    q, labels, soft = random_answers
    found = finetune.judge(q, labels, soft)
    assert found == {**classify.scores(q, labels), "kl_divergence": classify.kl_divergence(q, soft)}
    one_hot = finetune.judge(q, labels, labels)
    assert one_hot["kl_divergence"] == one_hot["cross_entropy"]


def test_a_folder_serves_as_encoder(encoder, tiny_encoder, cpu, monkeypatch, settings):
    monkeypatch.setenv("ENCODER", str(tiny_encoder))
    name = encoder.chosen(settings)
    assert name == str(tiny_encoder)
    _, model = encoder.load_classifier(encoder.find(name), 0.25, cpu, seed=1)
    import torch

    assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {0.25}
    assert model.classifier.weight.shape == (2, 32)
    _, again = encoder.load_classifier(tiny_encoder, 0.25, cpu, seed=1)
    _, other = encoder.load_classifier(tiny_encoder, 0.25, cpu, seed=2)
    assert torch.equal(model.classifier.weight, again.classifier.weight)
    assert not torch.equal(model.classifier.weight, other.classifier.weight)


def test_minilm_loads_from_the_pinned_source(encoder, cpu, settings):
    tokenizer, model = encoder.load_classifier(encoder.find("minilm"), 0.0, cpu, seed=1)
    assert sum(p.numel() for p in model.parameters()) == 22_713_216 + 2 * 384 + 2  # the encoder, and a two-class head
    assert tokenizer.tokenize("film") == ["film"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nobody/has-this-model", "not in the hub's cache"),
        ("./no/such/folder", "no such folder"),
        ("just-a-word", "no such folder"),
    ],
)
def test_an_encoder_that_cannot_be_had_says_what_to_do(encoder, tmp_path, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(encoder.EncoderError, match=says) as error:
        encoder.find(name)
    assert name in str(error.value)
    assert "ENCODER=minilm" in str(error.value) and "hf download" in str(error.value)


def test_a_folder_without_weights_or_with_broken_ones_is_refused(encoder, tmp_path, tiny_encoder, cpu):
    (tmp_path / "config.json").write_text("{}", "utf-8")
    with pytest.raises(encoder.EncoderError, match=r"no model\.safetensors"):
        encoder.find(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    (tmp_path / "vocab.txt").write_text("a", "utf-8")
    with pytest.raises(encoder.EncoderError, match="ENCODER=minilm"):
        encoder.load_classifier(encoder.find(str(tmp_path)), 0.0, cpu, seed=1)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("layer", "lack 1 tensors"),
        ("nan", "no numbers"),
        ("config", r"lack \d+ tensors"),
        ("vocabulary", "knows 5 tokens"),
        ("half", "encoder in copy"),
        ("layers", r"hold \d+ tensors that config\.json does not speak of"),
        ("int8", "stored as I8"),
        ("float16", "stored as float16, and config.json says float32"),
        ("list", "encoder in copy"),
    ],
)
def test_an_encoder_with_a_part_missing_is_no_encoder(encoder, tmp_path, tiny_encoder, cpu, fault, told):
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "copy"
    shutil.copytree(tiny_encoder, folder)
    weights, facts = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    name = next(name for name in weights if "query.weight" in name)
    if fault == "layer":
        del weights[name]
    if fault == "nan":
        weights[name] = weights[name] * torch.nan
    if fault in ("config", "layers"):
        facts["num_hidden_layers"] = 3 if fault == "config" else 1
    if fault in ("int8", "float16"):
        weights[name] = weights[name].to(getattr(torch, fault))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps([] if fault == "list" else facts))
    if fault == "vocabulary":
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.txt").write_text("")
    if fault == "half":
        data = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(encoder.EncoderError, match=told):
        encoder.load_classifier(folder, 0.0, cpu, seed=1)


def test_smoke_and_laptop_never_contact_a_hub_whatever_the_environment_says():
    program = (
        "import socket\n"
        "def refuse(*a, **k): raise SystemExit('the network was asked')\n"
        "socket.getaddrinfo = socket.socket.connect = refuse\n"
        "from helpers import encoder\n"
        "try:\n"
        "    encoder.find('nobody/has-this-model')\n"
        "except encoder.EncoderError as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, "PROFILE": "laptop", "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, cwd=paths.ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "does not contact the hub" in done.stdout


def test_training_learns_records_every_step_and_keeps_the_best_epoch(
    encoder, finetune, tiny_encoder, cpu, settings, toy_items, workspace, capsys
):
    tokenizer, model = encoder.load_classifier(tiny_encoder, 0.0, cpu, seed=1)
    data = finetune.dataset(toy_items, tokenizer, settings.max_length)
    assert data["labels"][1] == pytest.approx([1.0, 0.9])
    steps, run = settings.epochs * 4, journal.start("05_finetune_classifier", seed=1)
    capsys.readouterr()
    with run.watch(steps, unit="nats", eval_every=4) as watch:
        recorder = finetune.Recorder(run, watch, workspace / "last_good")
        evaluation = {"train": data, "val": data}
        finetune.trainer(model, tokenizer, data, evaluation, settings, cpu, 1, callbacks=[recorder]).train()
    assert capsys.readouterr().out == ""  # no printed dictionaries
    assert watch.steps == list(range(1, steps + 1)) and watch.losses == recorder.steps["train_loss"]
    t = run.progress.training
    assert min(t.values["gradient_norm"]) > 0 and t.values["learning_rate"] == recorder.steps["learning_rate"]
    assert [step for step, _ in t.evaluations] == list(range(0, steps + 1, 4))
    assert [metrics["val_accuracy"] for _, metrics in t.evaluations] == recorder.epochs["val_accuracy"]
    assert len(t.aside["evaluation"]) == settings.epochs + 1 and t.rest == {"step": 0, "evaluation": 0}
    assert not (workspace / "last_good").exists()
    run.close("interrupted")
    assert recorder.steps["step"] == list(range(1, steps + 1)) and min(recorder.steps["grad_norm"]) > 0
    assert recorder.epochs["epoch"] == list(range(settings.epochs + 1))
    assert recorder.epochs["val_accuracy"][-1] == 1.0
    best = int(np.argmin(recorder.epochs["val_cross_entropy"]))
    assert recorder.best_epoch == best
    # The kept weights are those of their epochs, and predict gives what the Trainer's own evaluation gave.
    for name, epoch in (("start", 0), ("best", best), ("last", settings.epochs)):
        model.load_state_dict(recorder.weights[name])
        probability = finetune.predict(model, tokenizer, toy_items.texts, settings, cpu)
        expected = recorder.epochs["val_cross_entropy"][epoch]
        assert classify.cross_entropy(probability, toy_items.labels) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_a_diverging_run_stops_with_the_weights_of_the_last_good_step(
    encoder, finetune, tiny_encoder, cpu, settings, toy_items, workspace, number
):
    """The third step's gradient is no number; the Trainer alone would go on with weights that are none."""
    import torch

    tokenizer, model = encoder.load_classifier(tiny_encoder, 0.0, cpu, seed=1)
    data = finetune.dataset(toy_items, tokenizer, settings.max_length)
    quick = replace(settings, epochs=2)
    run = journal.start("05_finetune_classifier", seed=1)
    before, steps = {}, []

    class Spoil(finetune.transformers.TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            steps.append(state.global_step)
            if state.global_step == 2:
                before.update({name: value.clone() for name, value in model.state_dict().items()})
                model.classifier.weight.register_hook(lambda gradient: gradient * float(number))

    says = r"the gradient is not finite at step 3; lower the learning rate. The weights after step 2 are in .*last_good"
    with pytest.raises(FloatingPointError, match=says), run.watch(8, unit="nats", eval_every=4) as watch:
        recorder = finetune.Recorder(run, watch, workspace / "last_good")
        callbacks = [Spoil(), recorder]
        finetune.trainer(model, tokenizer, data, {"val": data}, quick, cpu, 1, callbacks).train()
    assert steps == [1, 2]
    _, kept = encoder.load_classifier(workspace / "last_good", 0.0, cpu, seed=2)
    assert all(torch.equal(value, before[name]) for name, value in kept.state_dict().items())
    ended = run.record["trainings"][0]
    assert (ended["status"], ended["step"]) == ("diverged", 2)
    run.close("failed", FloatingPointError("x"))
    entry = (run.folder / "entry.md").read_text("utf-8")
    assert "diverged after step 2 of 8" in entry and "**Failed**" in entry


def test_an_interrupted_fine_tuning_is_recorded(encoder, finetune, tiny_encoder, cpu, settings, toy_items, workspace):
    """Trainer's own on_train_end is never called then."""
    tokenizer, model = encoder.load_classifier(tiny_encoder, 0.0, cpu, seed=1)
    data = finetune.dataset(toy_items, tokenizer, settings.max_length)

    class Stop(finetune.transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 3:
                raise KeyboardInterrupt

    run = journal.start("05_finetune_classifier", seed=1)
    with pytest.raises(KeyboardInterrupt), run.watch(24, unit="nats") as watch:
        callbacks = [finetune.Recorder(run, watch, workspace / "last_good"), Stop()]
        finetune.trainer(model, tokenizer, data, {"val": data}, settings, cpu, 1, callbacks).train()
    assert run.record["trainings"][0]["status"] == "interrupted"
    run.close("interrupted")


@pytest.mark.parametrize(("limit", "told"), [(5, "batch_size=4"), (0, "not even a single one")])
def test_a_batch_that_does_not_fit_is_told_with_one_that_does(
    encoder, finetune, tiny_encoder, cpu, settings, toy_items, monkeypatch, limit, told
):
    tokenizer, model = encoder.load_classifier(tiny_encoder, 0.0, cpu, seed=1)
    whole = model.forward

    @functools.wraps(whole)
    def forward(*parts, **more):
        if len(more["input_ids"]) > limit:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return whole(*parts, **more)

    monkeypatch.setattr(model, "forward", forward)
    data = finetune.dataset(toy_items, tokenizer, settings.max_length)
    trainer = finetune.trainer(model, tokenizer, data, {"val": data}, settings, cpu, 1, eval_on_start=False)
    with pytest.raises(MemoryError, match=rf"8 snippets of \d+ tokens do not fit into memory; .*{told}"):
        trainer.train()


def test_predict_keeps_the_order_of_the_texts(encoder, finetune, tiny_encoder, cpu, settings, toy_items):
    tokenizer, model = encoder.load_classifier(tiny_encoder, 0.0, cpu, seed=1)
    texts = ["a very very very good film", "bad", "the film is not bad", "good film"]
    together = finetune.predict(model, tokenizer, texts, settings, cpu)
    one_by_one = [finetune.predict(model, tokenizer, [text], settings, cpu)[0] for text in texts]
    np.testing.assert_allclose(together, one_by_one, rtol=1e-5)


# -- in use ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judge(finetune):
    from helpers import judge

    return judge


@pytest.fixture
def trained(encoder, tiny_encoder, cpu, workspace):
    """A folder as notebook 05 leaves it: tokenizer, weights and head of a classifier."""
    from helpers import hardware

    hardware.save(cpu)
    tokenizer, model = encoder.load_classifier(tiny_encoder, 0.0, cpu, seed=1)
    for part in (tokenizer, model):
        part.save_pretrained(workspace / "kept")
    return workspace / "kept"


def test_a_classifier_answers_in_order_and_says_where_it_does_not(judge, trained):
    ask = judge.load(trained)
    texts = ["a good film", "", "Всё хорошо", "   ", "a very bad film"]
    answers = ask(texts)
    assert [a.label for a in ask([texts[4], texts[0]])] == [answers[4].label, answers[0].label]
    assert answers[0].label == judge.SIDES[answers[0].probability > 0.5] and answers[0].why == ""
    assert [a.why for a in answers[1:4]] == ["there is no text", "its words are not known", "there is no text"]
    assert [a.label for a in answers[1:4]] == [None] * 3
    (long,) = ask(["good " * 500])
    assert long.label and long.why == "read up to token 64"
    assert ask([]) == []
    (unsure,) = judge.load(trained, threshold=0.999)(["a good film"])
    assert unsure.label is None and unsure.why == "less sure than 0.999"


def test_what_is_no_list_of_texts_or_no_threshold_is_refused(judge, trained):
    ask = judge.load(trained)
    with pytest.raises(ValueError, match=r"put it into \[ \]"):
        ask("a good film")
    with pytest.raises(ValueError, match=r"texts\[1\] is int"):
        ask(["good", 3])
    with pytest.raises(ValueError, match=r"at least 0\.5"):
        judge.load(trained, threshold=0.3)
    for what in (None, {"good": 1}, 3):
        with pytest.raises(ValueError, match="a list of texts is needed, not"):
            ask(what)
    both = ask(text for text in ["good film", "good \ud83d film"])  # read once, and half of an emoji
    assert [answer.label for answer in both] == [answer.label for answer in ask(["good film", "good ? film"])]


def test_an_answer_that_is_no_number_is_no_answer(judge, trained):
    ask = judge.load(trained)
    ask.model.classifier.bias.data[:] = float("nan")
    with pytest.raises(ValueError, match=r"texts\[0\] is no number"):
        ask(["good"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"id2label": {"0": "POSITIVE", "1": "NEGATIVE"}}, "are positive, negative; blame and praise are needed"),
        ({"id2label": {"0": "NEGATIVE", "1": "POSITIVE"}}, None),
        ({"hidden_act": "nope"}, "config.json asks for 'nope', which there is not"),
    ],
)
def test_a_classifier_whose_config_means_something_else_is_refused(judge, trained, encoder, change, told):
    path = trained / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    if told is None:
        assert judge.load(trained)
    else:
        with pytest.raises(encoder.EncoderError, match=told):
            judge.load(trained)


def test_a_token_beyond_the_model_and_a_folder_that_is_not_there_are_told(judge, trained, encoder):
    path = trained / "tokenizer.json"
    known = json.loads(path.read_text("utf-8"))
    word = next(word for word in known["model"]["vocab"] if word.isalpha())
    known["model"]["vocab"][word] = 5000
    path.write_text(json.dumps(known), "utf-8")
    with pytest.raises(encoder.EncoderError, match="beyond them"):
        judge.load(trained)
    with pytest.raises(encoder.EncoderError, match="notebook 05 leaves a classifier"):
        judge.load("checkpoints/05_classifier")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("pooler", "lack 1 tensors"), ("bias", "lack 1 tensors"), ("more", "does not speak of: extra"),
        ("int64", "stored as I64"), ("scalar", "has shape"), ("cut", "is damaged"), ("empty", "is damaged"),
    ],
)  # fmt: skip
def test_a_classifier_that_is_not_whole_is_refused(judge, trained, encoder, fault, told):
    import torch
    from safetensors.torch import load_file, save_file

    path = trained / "model.safetensors"
    weights = load_file(path)
    if fault == "pooler":
        del weights[next(name for name in weights if "pooler.dense.bias" in name)]
    if fault == "bias":
        del weights["classifier.bias"]
    if fault == "more":
        weights["extra"] = torch.zeros(2)
    if fault == "int64":
        weights = {name: tensor.long() for name, tensor in weights.items()}
    if fault == "scalar":
        weights["classifier.weight"] = torch.tensor(1.0)
    save_file(weights, path, metadata={"format": "pt"})
    if fault in ("cut", "empty"):
        path.write_bytes(path.read_bytes()[: 1000 * (fault == "cut")])
    with pytest.raises(encoder.EncoderError, match=told):
        judge.load(trained)


@pytest.mark.parametrize("fault", ["no head", "three classes", "no tokenizer", "old weights"])
def test_a_folder_that_holds_no_classifier_is_refused(judge, trained, tiny_encoder, encoder, cpu, fault, tmp_path):
    says = {
        "no head": "without a trained head",
        "three classes": r"shape \[3, 32\]; 2 classes",
        "no tokenizer": "has no tokenizer",
    }
    folder, told = trained, says.get(fault, "pytorch_model.bin is not read")
    if fault == "no head":
        folder = tiny_encoder
    if fault == "three classes":
        from transformers import AutoModelForSequenceClassification

        AutoModelForSequenceClassification.from_pretrained(tiny_encoder, num_labels=3).save_pretrained(folder)
    if fault == "no tokenizer":
        for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            (folder / name).unlink(missing_ok=True)
    if fault == "old weights":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(encoder.EncoderError, match=told):
        judge.load(folder)
