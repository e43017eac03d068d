"""python -m helpers.own_text: training on a text file, killed and gone on with, text from it, and what is refused."""

import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from helpers import bpe, checkpoint, hardware, own_text, paths, training
from helpers.gpt import GPT, FastGPT, files
from helpers.own_text.__main__ import main
from labjournal import store
from tests.bench import resume

CPU = hardware.Hardware("cpu", "test", "float32", 1, 1, 8.0, {"float32": 1.0}, 1.0, 1.0)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A workspace with a text in it, sizes of the smoke profile, and a machine that has been measured."""
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("PROFILE", "smoke")
    hardware.save(CPU)
    chance = random.Random(0)
    words = ["king", "queen", "sword", "the", "a", "of", "night", "and", "crown", "is", "not", "Élan"]
    text = "".join(f"{' '.join(chance.choices(words, k=8))}.\n" for _ in range(600))
    (tmp_path / "my.txt").write_text(text, "utf-8")
    return tmp_path


def train(lab, *more):
    return main(["train", "--text", str(lab / "my.txt"), "--out", str(lab / "out"), "--steps", "6", *more])


@pytest.mark.parametrize(("more", "kind"), [((), FastGPT), (("--recipe", "classic"), GPT)])
def test_one_command_trains_on_a_text_and_tells_the_journal(lab, capsys, more, kind):
    assert train(lab, *more) == 0
    (run,) = (paths.read_json(file) for file in (lab / "journal" / "runs").glob("*/run.json"))
    assert run["notebook"] == "gpt_train" and run["status"] == "finished"
    assert run["config"]["files"] == ["my.txt"] and str(lab) not in str(run["config"])
    assert run["config"]["recipe"] == ("fast" if kind is FastGPT else "classic")
    assert run["config"]["optimizer"] == ("muon" if kind is FastGPT else "adamw")
    assert 0 < run["metrics"]["val_bits_per_byte"]["final"] < 8
    assert run["metrics"]["perplexity"]["final"] == pytest.approx(
        2.718281828 ** run["metrics"]["val_loss_all"]["final"], rel=1e-6
    )
    assert all(p["measured"] is not None for p in run["predictions"].values())
    assert run["run_id"] in (lab / "journal" / "journal.md").read_text("utf-8")
    places = [place.name for place in checkpoint.found(lab / "out" / "checkpoints")]
    assert places[-1] == "step-000006" and len(places) <= 3
    told = capsys.readouterr().out

    how = ["sample", "--model", str(lab / "out"), "--prompt", "the king", "--tokens", "20"]
    texts = []
    for seed in ("1", "1", "2"):
        assert main([*how, "--seed", seed]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2] and all(text.startswith("the king") for text in texts)

    tokenizer = bpe.load_tokenizer(lab / "out" / "tokenizer")
    place = checkpoint.best(lab / "out" / "checkpoints")
    ours = checkpoint.load_model(place, own_text.MADE_BY, "smoke", tokenizer).eval()
    assert type(ours) is kind
    assert f"{sum(p.numel() for p in ours.parameters()):,} parameters" in told
    assert main(["export", "--model", str(lab / "out"), "--out", str(lab / "other")]) == (2 if kind is FastGPT else 0)
    if kind is FastGPT:
        assert "train with --recipe classic for a model that it can load" in capsys.readouterr().err
        assert not (lab / "other").exists()
        return
    from transformers import AutoModelForCausalLM

    idx = torch.tensor([tokenizer.encode_document("the night is a sword")])
    with torch.no_grad():
        theirs = AutoModelForCausalLM.from_pretrained(lab / "other").eval()(idx).logits
        torch.testing.assert_close(theirs, ours(idx)[0], atol=1e-5, rtol=1e-5)


def test_a_training_is_not_written_over_and_a_finished_one_is_not_gone_on_with(lab, capsys):
    assert train(lab) == 0
    before = checkpoint.last(lab / "out" / "checkpoints")
    capsys.readouterr()
    assert train(lab) == 2
    assert f"holds a training ({before.name}); --resume goes on with it" in capsys.readouterr().err
    assert train(lab, "--resume") == 0
    assert "is done, 6 steps" in capsys.readouterr().out


def stopped(lab, monkeypatch, after, *more):
    """Ask a training to stop, as Ctrl-C does, after so many steps."""
    advance = training.Trainer.advance

    def counted(self):
        result = advance(self)
        if self.step == after and self.evaluations:  # not the steps that only measure the time
            os.kill(os.getpid(), signal.SIGINT)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(training.Trainer, "advance", counted)
        return train(lab, *more)


def test_ctrl_c_keeps_what_was_done_and_says_how_to_go_on(lab, monkeypatch, capsys):
    assert stopped(lab, monkeypatch, after=4) == 1
    told = capsys.readouterr().err
    assert "stopping after this step" in told and "stopped after step 4 of 6; go on with:\npython -m" in told
    assert checkpoint.last(lab / "out" / "checkpoints").name == "step-000004"
    command = shlex.split(told.splitlines()[-1])
    assert command[:4] == ["python", "-m", "helpers.own_text", "train"]
    assert command[command.index("--recipe") + 1] == "fast"
    assert main(command[3:]) == 0
    first, second = sorted((lab / "journal" / "runs").glob("*"))
    record = paths.read_json(first / "run.json")
    assert record["status"] == record["trainings"][0]["status"] == "interrupted"
    assert store.find(second.name)["resumed_from"] == first.name
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_text_other_seed_and_other_steps_are_refused_with_the_difference(lab, monkeypatch, capsys):
    stopped(lab, monkeypatch, after=4)
    capsys.readouterr()
    assert train(lab, "--resume", "--seed", "7") == 2
    assert "does not belong to this training: seed is 1337 there and 7 here" in capsys.readouterr().err
    arguments = ["train", "--text", str(lab / "my.txt"), "--out", str(lab / "out"), "--resume", "--steps", "9"]
    assert main(arguments) == 2
    assert "max_iters is 6 there and 9 here" in capsys.readouterr().err
    (lab / "my.txt").write_text((lab / "my.txt").read_text("utf-8") + "One more line.\n", "utf-8")
    assert train(lab, "--resume") == 2
    assert "was made from other text" in capsys.readouterr().err


def test_steps_and_seed_of_the_beginning_need_not_be_said_again(lab, monkeypatch):
    assert stopped(lab, monkeypatch, after=4) == 1
    assert main(["train", "--text", str(lab / "my.txt"), "--out", str(lab / "out"), "--resume"]) == 0
    assert checkpoint.last(lab / "out" / "checkpoints").name == "step-000006"


@pytest.mark.parametrize(("begun", "other", "kind"), [("classic", "fast", GPT), ("fast", "classic", FastGPT)])
def test_a_training_goes_on_with_its_recipe_and_refuses_another(lab, monkeypatch, capsys, begun, other, kind):
    assert stopped(lab, monkeypatch, 4, "--recipe", begun) == 1
    assert f"--recipe {begun} " in capsys.readouterr().err.splitlines()[-1]
    assert train(lab, "--resume", "--recipe", other) == 2
    told = f"began with --recipe {begun} and cannot go on with {other}; leave --recipe out, or name another --out"
    assert told in capsys.readouterr().err
    assert checkpoint.last(lab / "out" / "checkpoints").name == "step-000004"
    assert main(["train", "--text", str(lab / "my.txt"), "--out", str(lab / "out"), "--resume"]) == 0
    place = checkpoint.last(lab / "out" / "checkpoints")
    assert place.name == "step-000006" and type(files.load(place)) is kind
    _, second = sorted((lab / "journal" / "runs").glob("*"))
    assert paths.read_json(second / "run.json")["config"]["recipe"] == begun


def test_an_unknown_recipe_is_refused_with_those_there_are(lab, capsys):
    with pytest.raises(SystemExit):
        train(lab, "--recipe", "slow")
    assert "invalid choice: 'slow'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="recipe is 'slow'; it must be one of fast, classic"):
        own_text.train([lab / "my.txt"], lab / "out", False, 6, None, "slow")


def test_the_seed_of_the_environment_is_the_one_that_is_used(lab, monkeypatch):
    monkeypatch.setenv("SEED", "5")
    assert train(lab) == 0
    (run,) = (paths.read_json(file) for file in (lab / "journal" / "runs").glob("*/run.json"))
    state = paths.read_json(checkpoint.last(lab / "out" / "checkpoints") / "state.json")
    assert run["seed"] == run["config"]["seed"] == state["recipe"]["seed"] == 5


def test_a_training_that_was_killed_before_its_result_gets_it_later(lab):
    assert train(lab) == 0
    (lab / "out" / "result.json").unlink()
    assert train(lab, "--resume") == 0
    _, second = sorted((lab / "journal" / "runs").glob("*"))
    record = paths.read_json(second / "run.json")
    assert record["status"] == "finished" and record["metrics"]["val_bits_per_byte"]["final"] > 0
    assert (lab / "out" / "result.json").is_file()


def test_the_result_of_a_removed_training_is_not_taken_for_that_of_the_next(lab, monkeypatch):
    assert train(lab) == 0
    shutil.rmtree(lab / "out" / "checkpoints")
    assert stopped(lab, monkeypatch, after=4) == 1
    assert not (lab / "out" / "result.json").exists()


@pytest.mark.parametrize(("name", "ending"), [("state.json", " "), ("config.json", "}")])
def test_a_damaged_checkpoint_names_what_to_delete(lab, monkeypatch, capsys, name, ending):
    stopped(lab, monkeypatch, after=4)
    place = checkpoint.last(lab / "out" / "checkpoints")
    (place / name).write_text((place / name).read_text() + ending)
    capsys.readouterr()
    assert train(lab, "--resume") == 2
    before = checkpoint.found(lab / "out" / "checkpoints")[-2].name
    assert f"Delete the folder {place} to go on from {before}" in capsys.readouterr().err
    shutil.rmtree(place)
    assert train(lab, "--resume") == 0


def test_what_an_unfinished_start_left_is_made_again(lab):
    (lab / "out" / "tokenizer").mkdir(parents=True)
    (lab / "out" / "tokenizer" / "manifest.json").write_text("{}")
    assert train(lab) == 0


def test_a_mistyped_folder_does_not_begin_a_training(lab, capsys):
    assert train(lab, "--resume") == 2
    assert "holds no training to go on with" in capsys.readouterr().err
    assert not (lab / "out" / "tokenizer").exists()


def test_the_journal_holds_no_path_of_this_machine(lab, monkeypatch, tmp_path_factory):
    out = tmp_path_factory.mktemp("elsewhere") / "out"
    assert main(["train", "--text", str(lab / "my.txt"), "--out", str(out), "--steps", "3"]) == 0

    def full(*args, **facts):
        raise OSError(28, "No space left on device", str(out / "checkpoints" / "model.safetensors"))

    monkeypatch.setattr(checkpoint, "save", full)
    shutil.rmtree(out)
    assert main(["train", "--text", str(lab / "my.txt"), "--out", str(out), "--steps", "3"]) == 2
    failed = max((lab / "journal" / "runs").glob("*"))
    record = paths.read_json(failed / "run.json")
    assert record["status"] == "failed" and "No space left on device" in record["error"]["message"]
    written = [file.read_text("utf-8") for file in (lab / "journal").rglob("*.json*") if file.is_file()]
    assert not [text for text in written if str(out.parent) in text]


def test_export_does_not_write_over_anything(lab, capsys):
    (lab / "other").mkdir()
    (lab / "other" / "mine.txt").write_text("mine")
    assert main(["export", "--out", str(lab / "other")]) == 2
    assert "is there and not empty" in capsys.readouterr().err


def test_two_trainings_cannot_work_in_one_folder(lab, capsys):
    import filelock

    (lab / "out").mkdir()
    with filelock.FileLock(lab / "out" / ".lock"):
        assert train(lab) == 2
    assert "another training is at work" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        (b"To be or not.\n", "the text is too short"),
        (b"x", "is too short: nothing is left of it to hold out"),
        ("Größe ".encode("latin-1") * 2000, "is not UTF-8: byte 0xf6 at 2"),
        (b"\x00\xff\xfe" * 2000, "is not UTF-8"),
    ],
)
def test_text_that_cannot_be_used_is_refused_by_name(lab, capsys, data, told):
    (lab / "my.txt").write_bytes(data)
    assert train(lab) == 2
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error
    assert not list((lab / "journal").glob("runs/*"))


def test_a_text_that_says_the_same_again_and_again_gets_a_smaller_vocabulary(lab):
    (lab / "my.txt").write_text("All work and no play.\n" * 3000, "utf-8")
    assert train(lab) == 0
    assert bpe.load_tokenizer(lab / "out" / "tokenizer").vocab_size < 320


def test_what_is_not_there_is_named(lab, capsys):
    assert main(["train", "--text", str(lab / "no.txt"), "--out", str(lab / "out")]) == 2
    assert "no.txt" in capsys.readouterr().err
    assert main(["sample", "--model", str(lab / "nowhere")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["sample"]) == 2
    assert "holds no checkpoint; train first" in capsys.readouterr().err


def test_the_held_out_end_begins_with_a_line():
    train_part, held_out = own_text.hold_out("0123456789\n" * 100)
    assert train_part + held_out == "0123456789\n" * 100
    assert train_part.endswith("\n") and 0.05 < len(held_out) / 1100 < 0.1
    assert "".join(own_text.hold_out("no line at all " * 50)) == "no line at all " * 50


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_killed_at_random_moments_and_gone_on_with_it_is_the_training_that_never_stopped(tmp_path, monkeypatch):
    """Three kills; `make bench ARGS=resume` has twenty."""
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path))
    hardware.save(CPU)
    found = resume.killed_and_resumed(tmp_path, kills=3, steps=60, chance=random.Random(time.time_ns()))
    assert found["kills"] >= 1
    assert {name: n for name, n in found.items() if name.startswith("different")} == {
        "different_losses": 0, "different_norms": 0, "different_evaluations": 0, "different_weights": 0,
    }  # fmt: skip


def test_help_names_the_three_commands():
    done = subprocess.run(
        [sys.executable, "-m", "helpers.own_text", "-h"], capture_output=True, text=True, cwd=paths.ROOT
    )
    assert done.returncode == 0 and all(word in done.stdout for word in ("train", "sample", "export"))
