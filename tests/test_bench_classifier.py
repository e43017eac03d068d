"""The bench of the classifier: killed and gone on with; and what LoRA learned of the large encoder, as it is kept."""

import json
import os
import signal
import subprocess
import sys

import peft
import pytest
import safetensors.torch
import torch

from helpers import hardware, paths
from helpers.quiet import transformers
from labjournal import store
from tests.bench import classifier

PLACE = paths.ROOT / "models" / "films_mpnet"
KILLED_AT = 30  # step: in the third epoch of 13 steps
SMALLER = """
import os, signal, sys
from helpers import finetune
from tests.bench import classifier

class Killed(finetune.Recorder):
    def on_step_end(self, args, state, control, **kwargs):
        super().on_step_end(args, state, control, **kwargs)
        if "KILL_AT" in os.environ and state.global_step == int(os.environ["KILL_AT"]):
            os.kill(os.getpid(), signal.SIGKILL)

whole = classifier.Data.load()
fewer = classifier.Data(whole.fit.take(range(400)), whole.val.take(range(40)), whole.test.take(range(40)))
classifier.Data.load = classmethod(lambda cls: fewer)
classifier.Keeper.__bases__ = (Killed,)
sys.exit(classifier.main(["v1"]))
"""


def bench(workspace, encoder, **environment) -> tuple[int, str]:
    environment |= {"LAB_WORKSPACE": str(workspace), "PROFILE": "laptop", "ENCODER": str(encoder)}
    cpu = hardware.Hardware("cpu", "", "float32", 2, 2, 8.0, {"float32": 1.0}, 1.0, 1.0)
    paths.write_json(workspace / "artifacts" / "hardware.json", cpu.as_dict())
    done = subprocess.run(
        [sys.executable, "-c", SMALLER], cwd=paths.ROOT, capture_output=True, text=True, check=False, timeout=600,
        env={**os.environ, **environment},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_killed_in_an_epoch_it_goes_on_after_the_last_whole_one_and_ends_like_one_never_stopped(tmp_path, tiny_encoder):
    def results(workspace):
        return [paths.read_json(p) for p in (workspace / "artifacts" / "bench" / "classifier").rglob("result.json")]

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    status, told = bench(whole, tiny_encoder)
    assert status == 0, told
    status, told = bench(broken, tiny_encoder, KILL_AT=str(KILLED_AT))
    assert status == -signal.SIGKILL, told
    assert results(broken) == []
    status, told = bench(broken, tiny_encoder)
    assert status == 0, told
    (never,), (resumed,) = results(whole), results(broken)
    assert resumed["epochs"]["epoch"] == [0, 1, 2, 3, 4, 5] and resumed["steps"]["step"] == list(range(1, 66))
    for what in ("steps", "epochs", "best_epoch", "answers"):
        assert resumed[what] == never[what], what
    (finished,) = store.newest("bench_classifier", "laptop", broken / "journal")
    assert "peak_memory" not in finished["metrics"]  # of a training that this process did not see from its start
    assert finished["metrics"]["train_seconds"]["final"] > 0


def small(seed: int):
    config = transformers.MPNetConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                                      intermediate_size=32, num_labels=2)  # fmt: skip
    torch.manual_seed(seed)
    return transformers.MPNetForSequenceClassification(config).eval()


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_in_half_precision_answers_as_the_trained_model(tmp_path):
    trained = classifier.with_lora(small(0), rank=4)
    for name, p in trained.named_parameters():
        if p.requires_grad:
            torch.nn.init.normal_(p, std=0.1)
        assert p.requires_grad == ("lora_" in name or "classifier.modules_to_save" in name), name
    trained.eval().save_pretrained(tmp_path)
    classifier.halve(tmp_path)
    ids = torch.arange(5, 25).reshape(2, 10)
    with torch.no_grad():
        wanted = trained(ids).logits
        fresh = small(0)
        assert not torch.allclose(fresh(ids).logits, wanted, atol=1e-2)
        again = peft.PeftModel.from_pretrained(fresh, tmp_path).eval()(ids).logits
    torch.testing.assert_close(again, wanted, atol=2e-3, rtol=0)


def test_the_committed_adapter_is_that_of_its_record():
    weights = safetensors.torch.load_file(PLACE / "adapter_model.safetensors")
    assert {w.dtype for w in weights.values()} == {torch.float16}
    assert all(w.isfinite().all() for w in weights.values())
    config = json.loads((PLACE / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == classifier.ENCODER_OF_ADAPTER
    assert str(paths.ROOT) not in json.dumps(config)
    ranks = {w.shape[0] for name, w in weights.items() if "lora_A" in name}
    assert ranks == {config["r"]} == {classifier.RECIPES["v4"].rank}
    records = store.newest("bench_classifier", "laptop", paths.ROOT / "journal")
    record = next(r for r in records if r["config"]["recipe"] == "v4")
    sha = paths.sha256_file(PLACE / "adapter_model.safetensors")
    assert any(sha in json.dumps(note) for note in record["notes"])
    kept = sum(w.numel() for w in weights.values())
    assert kept == record["metrics"]["trained_parameters"]["final"]
