"""Checkpoints: whole or not at all, the right ones kept, and a training that goes on as if nothing had been."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers import bpe, checkpoint, paths, training
from helpers.gpt import GPT, GPTConfig, files
from helpers.hardware import Hardware

CPU = Hardware("cpu", "test", "float32", 1, 1, 8.0, {"float32": 1.0}, 1.0, 1.0)
TOKENIZER = bpe.Tokenizer([])
CONFIG = GPTConfig(vocab_size=259, block_size=16, n_layer=2, n_head=2, n_embd=32, dropout=0.1)
RECIPE = training.Recipe(max_iters=12, batch_size=4, learning_rate=3e-3, eval_interval=3)
IDS = np.random.default_rng(0).integers(0, 259, 2000).astype("<u2")
OURS = {"made_by": "03_gpt", "profile": "smoke"}
FACTS = {"tokenizer_hash": TOKENIZER.hash, "data_hash": "d" * 64}


def trainer_of(recipe=RECIPE, config=CONFIG):
    torch.manual_seed(recipe.seed)
    return training.Trainer(GPT(config), IDS, recipe, CPU)


def advanced(steps, **how):
    trainer = trainer_of(**how)
    for _ in range(steps):
        trainer.advance()
    return trainer


def keep(folder):
    return lambda trainer: checkpoint.save(trainer, folder, **OURS, **FACTS)


def test_a_training_that_goes_on_is_the_one_that_never_stopped(tmp_path):
    """Losses, gradient norms, evaluations and weights, bit for bit; with dropout and accumulation."""
    recipe = replace(RECIPE, accumulate=2)
    whole = trainer_of(recipe)
    training.train_model(whole, IDS[:200])
    first = trainer_of(recipe)

    def stop(trainer):
        if trainer.step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train_model(first, IDS[:200], look=stop, save=keep(tmp_path))
    torch.manual_seed(999)  # another process would begin with other chance
    second = training.Trainer(GPT(CONFIG), IDS, recipe, CPU)
    checkpoint.restore(second, checkpoint.last(tmp_path), **OURS, **FACTS)
    assert second.step == 6 and second.seconds > 0
    training.train_model(second, IDS[:200], save=keep(tmp_path))
    assert (second.losses, second.norms) == (whole.losses, whole.norms)
    assert second.evaluations == whole.evaluations
    for name, value in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], value), name


def test_reports_after_going_on_are_those_of_one_go(tmp_path):
    """Also from a checkpoint between two evaluations, whose means then span both processes."""
    rows = {}
    for name in ("one go", "two"):
        rows[name] = []
        trainer = trainer_of()

        def told(step, name=name, **values):
            rows[name].append((step, values["train_loss"], values["gradient_norm"]))

        if name == "two":
            with pytest.raises(KeyboardInterrupt):
                training.train_model(trainer, IDS[:200], told, look=lambda t: _raise() if t.step == 7 else None)
            place = keep(tmp_path)(trainer)
            trainer = trainer_of()
            checkpoint.restore(trainer, place, **OURS, **FACTS)
        training.train_model(trainer, IDS[:200], told)
    assert rows["two"] == rows["one go"]


def _raise():
    raise KeyboardInterrupt


def test_the_last_two_and_the_best_are_kept(tmp_path):
    trainer = advanced(0)
    for step, val_loss in ((1, 5.0), (2, 3.0), (3, 4.0), (4, 4.5), (5, 4.4)):
        trainer.advance()
        trainer.evaluations.append(training.Evaluation(step, val_loss))
        keep(tmp_path)(trainer)
    assert [place.name for place in checkpoint.found(tmp_path)] == ["step-000002", "step-000004", "step-000005"]
    assert checkpoint.best(tmp_path).name == "step-000002"
    assert checkpoint.last(tmp_path).name == "step-000005"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000002", "step-000004", "step-000005"]


def test_a_step_beyond_a_million_is_newer_than_one_below(tmp_path):
    trainer = advanced(1)
    for trainer.step in (999_999, 1_000_000):
        keep(tmp_path)(trainer)
    assert checkpoint.last(tmp_path).name == "step-1000000"


def test_the_one_just_written_stays_and_copies_are_left_alone(tmp_path):
    """Also beside newer ones of a training that was not cleared away."""
    trainer = advanced(1)
    for trainer.step in (8, 9, 3):
        place = keep(tmp_path)(trainer)
    assert place.is_dir() and place.name == "step-000003"
    copy = tmp_path / "step-000009-backup"
    shutil.copytree(tmp_path / "step-000009", copy)
    trainer.step = 10
    keep(tmp_path)(trainer)
    assert copy.is_dir() and copy not in checkpoint.found(tmp_path)
    checkpoint.clear(tmp_path)
    checkpoint.clear(tmp_path)  # nothing there: nothing to do
    assert not tmp_path.exists()


def test_another_kind_of_machine_is_told(tmp_path):
    place = keep(tmp_path)(advanced(1))
    assert checkpoint.restore(trainer_of(), place, **OURS, **FACTS) == ""
    other = trainer_of()
    other.machine = replace(CPU, dtype="bfloat16")
    told = checkpoint.restore(other, place, **OURS, **FACTS)
    assert told == "the checkpoint was made in float32 on cpu, this is bfloat16 on cpu"


def test_a_stop_at_an_evaluation_keeps_it(tmp_path):
    first, whole = trainer_of(), trainer_of()
    training.train_model(whole, IDS[:200])
    with pytest.raises(KeyboardInterrupt):
        training.train_model(first, IDS[:200], look=lambda t: _raise() if t.step == 6 else None)
    place = keep(tmp_path)(first)
    second = trainer_of()
    checkpoint.restore(second, place, **OURS, **FACTS)
    training.train_model(second, IDS[:200])
    assert second.evaluations == whole.evaluations


def test_no_checkpoint_says_how_to_get_one(tmp_path):
    with pytest.raises(paths.MissingArtifact, match=r"holds no checkpoint; train first.*helpers.own_text train --text"):
        checkpoint.last(tmp_path)


def test_what_was_left_half_written_is_no_checkpoint(tmp_path):
    keep(tmp_path)(advanced(1))
    half = tmp_path / ".step-000002.part"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    assert checkpoint.last(tmp_path).name == "step-000001"
    keep(tmp_path)(advanced(2))
    assert not half.exists()


def test_a_checkpoint_of_the_same_step_takes_the_place_of_the_old(tmp_path):
    keep(tmp_path)(advanced(1))
    place = keep(tmp_path)(advanced(1))
    assert checkpoint.found(tmp_path) == [place]


def test_files_are_those_that_are_told_and_hold_no_pickle(tmp_path):
    place = keep(tmp_path)(advanced(1))
    manifest = paths.read_manifest(place, **OURS)
    names = ["config.json", "model.safetensors", "state.json", "trainer.safetensors"]
    assert sorted(manifest["files"]) == names
    assert manifest["tokenizer_hash"] == TOKENIZER.hash and manifest["step"] == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"recipe": replace(RECIPE, learning_rate=1e-3)}, r"learning_rate is 0\.003 there and 0\.001 here"),
        ({"recipe": replace(RECIPE, seed=7)}, "seed is 1337 there and 7 here"),
        ({"config": replace(CONFIG, n_layer=3)}, "n_layer is 2 there and 3 here"),
        ({"facts": {"data_hash": "e" * 64}}, "data_hash is d{12} there and e{12} here"),
        ({"facts": {"tokenizer_hash": "f" * 64}}, f"tokenizer_hash is {TOKENIZER.hash[:12]} there and f{{12}} here"),
    ],
)
def test_another_training_is_refused_with_the_difference(tmp_path, change, told):
    place = keep(tmp_path)(advanced(1))
    other = trainer_of(change.get("recipe", RECIPE), change.get("config", CONFIG))
    before = {name: value.clone() for name, value in other.model.state_dict().items()}
    with pytest.raises(checkpoint.Mismatch, match=f"does not belong to this training: {told}$"):
        checkpoint.restore(other, place, **OURS, **{**FACTS, **change.get("facts", {})})
    assert other.step == 0 and all(torch.equal(v, before[n]) for n, v in other.model.state_dict().items())


@pytest.mark.parametrize("name", ["model.safetensors", "trainer.safetensors", "state.json", "config.json"])
def test_a_changed_file_is_refused_by_name(tmp_path, name):
    place = keep(tmp_path)(advanced(1))
    data = bytearray((place / name).read_bytes())
    data[-5] ^= 1
    (place / name).write_bytes(data)
    with pytest.raises(paths.MissingArtifact, match=f"{name} is missing or changed since it was made"):
        checkpoint.restore(trainer_of(), place, **OURS, **FACTS)
    with pytest.raises(paths.MissingArtifact, match="changed since it was made"):
        checkpoint.load_model(place, **OURS, tokenizer=TOKENIZER)


def _spoilt(place, change) -> None:
    """Change tensors or state of a checkpoint, and its manifest with it: as a faulty program would leave it."""
    tensors, state = load_file(place / "trainer.safetensors"), paths.read_json(place / "state.json")
    change(tensors, state)
    save_file(tensors, place / "trainer.safetensors")
    paths.write_json(place / "state.json", state)
    facts = paths.read_json(place / "manifest.json")
    known = {key: facts[key] for key in facts if key not in ("made_by", "profile", "files", "hash")}
    paths.write_manifest(place, **OURS, **known)


A = "optimizer.tokens.weight.exp_avg"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t, s: [t.pop(n) for n in list(t) if n.startswith("optimizer")], "has nothing, not exp_avg"),
        (lambda t, s: t.pop(A), "has exp_avg_sq, step, not exp_avg"),
        (lambda t, s: t.update({A: torch.zeros(1)}), "exp_avg of tokens.weight"),
        (lambda t, s: t.update({A: t[A].double()}), "float64"),
        (lambda t, s: t.update({A: t[A] * float("nan")}), "no numbers"),
        (lambda t, s: t.update({"optimizer.nobody.exp_avg": torch.zeros(1)}), "nobody"),
        (lambda t, s: t.update({"optimizer.tokens.weight.step": torch.tensor(0.0)}), "step of tokens.weight"),
        (lambda t, s: t.update({"losses": torch.zeros(1)}), "one value a step in losses"),
        (lambda t, s: s.update(step=99), "step is 99"),
        (lambda t, s: s.update(step="2"), "step is '2'"),
        (lambda t, s: s.update(seconds="x"), "state.json is damaged"),
        (lambda t, s: s.update(recipe=None), "state.json is damaged"),
        (lambda t, s: s.update(evaluations=[{}]), "state.json is damaged"),
        (lambda t, s: s.pop("numerics"), "state.json is damaged"),
    ],
)
def test_a_state_that_no_training_has_is_refused(tmp_path, change, told):
    place = keep(tmp_path)(advanced(2))
    _spoilt(place, change)
    with pytest.raises(ValueError, match=told):
        checkpoint.restore(trainer_of(), place, **OURS, **FACTS)


def test_half_a_file_is_told_by_name(tmp_path):
    place = keep(tmp_path)(advanced(1))
    for name in ("model.safetensors", "trainer.safetensors"):
        data = (place / name).read_bytes()
        (place / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(ValueError, match=f"{name} is damaged"):
            files.tensors(place / name)
    (place / "manifest.json").write_text("[]")
    with pytest.raises(ValueError, match=r"manifest\.json is damaged"):
        checkpoint.best(tmp_path)


def test_the_model_comes_back_and_another_profile_is_refused(tmp_path):
    trainer, idx = advanced(1), torch.arange(16)[None]
    place = keep(tmp_path)(trainer)
    again = checkpoint.load_model(place, **OURS, tokenizer=TOKENIZER)
    assert torch.equal(again.eval()(idx)[0], trainer.model.eval()(idx)[0])
    with pytest.raises(paths.MissingArtifact, match="was made with the smoke profile"):
        checkpoint.load_model(place, "03_gpt", "laptop", TOKENIZER)


def test_a_model_is_refused_with_another_tokenizer(tmp_path):
    """The ids would mean other text, and nothing would notice: same number of ids, same shapes."""
    tokenizer, other = bpe.Tokenizer([(97, 98)]), bpe.Tokenizer([(97, 99)])
    assert tokenizer.vocab_size == other.vocab_size
    place = checkpoint.save(trainer_of(), tmp_path, **OURS, tokenizer_hash=tokenizer.hash)
    checkpoint.load_model(place, **OURS, tokenizer=tokenizer)
    with pytest.raises(ValueError, match=f"the weights in .* belong to tokenizer {tokenizer.hash[:12]}"):
        checkpoint.load_model(place, **OURS, tokenizer=other)
    place = checkpoint.save(trainer_of(), tmp_path, **OURS)  # a checkpoint that does not say
    with pytest.raises(ValueError, match="belong to a tokenizer that is not recorded"):
        checkpoint.load_model(place, **OURS, tokenizer=tokenizer)
    large = bpe.Tokenizer([], specials={"<|bos|>": 256, "<|eos|>": 99_999})
    place = checkpoint.save(trainer_of(), tmp_path, **OURS, tokenizer_hash=large.hash)
    with pytest.raises(ValueError, match="the tokenizer has 100000"):
        checkpoint.load_model(place, **OURS, tokenizer=large)
