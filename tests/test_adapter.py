"""What LoRA learned of the large encoder: small, of no machine's path, and the one that the record speaks of."""

import json

import peft
import pytest
import safetensors.torch
import torch

from helpers import paths
from helpers.quiet import transformers
from labjournal import store
from tests.bench import classifier

PLACE = paths.ROOT / "models" / "films_mpnet"


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
