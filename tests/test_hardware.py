import json
from types import SimpleNamespace

import pytest

from helpers import hardware, journal
from helpers.paths import MissingArtifact


def machine(**changes):
    facts = dict(
        device="cpu", device_name="test", dtype="bfloat16", threads=2, cores=2, memory_gb=8.0,
        matmul_gflops={"float32": 100.0, "bfloat16": 250.0}, bandwidth_gbs=10.0, python_score=5.0,
    )  # fmt: skip
    return hardware.Hardware(**{**facts, **changes})


@pytest.mark.parametrize(
    ("gflops", "dtype"),
    [
        ({"float32": 100.0, "bfloat16": 250.0}, "bfloat16"),
        ({"float32": 100.0, "bfloat16": 105.0}, "float32"),  # within noise: not worth the digits
        ({"float32": 100.0, "bfloat16": 20.0}, "float32"),  # imitated in software
        ({"float32": 100.0}, "float32"),
    ],
)
def test_bfloat16_is_used_only_where_it_is_clearly_faster(gflops, dtype):
    assert hardware.choose_dtype(gflops) == dtype


def test_a_short_probe_measures_this_machine_and_survives_the_file(workspace):
    found = hardware.probe(seconds=0.4)
    hardware.save(found)
    assert hardware.load() == found
    assert found.matmul_gflops["float32"] > 0
    assert found.bandwidth_gbs > 0
    assert found.speed("python") == found.python_score


def test_without_notebook_00_it_says_what_to_run(workspace):
    assert hardware.known() is None
    with pytest.raises(MissingArtifact, match="00_start_here"):
        hardware.load()


WRONG = ['{"threads": "two"}', '{"threads": 1.5}', '{"device": 5}', '{"device": "tpu"}', '{"device_name": 5}',
         '{"dtype": 0}', '{"memory_gb": "x"}', '{"accelerators": 5}', '{"python_score": true}',
         '{"matmul_gflops": {"float32": 9.0, "bfloat16": "x"}}']  # fmt: skip


@pytest.mark.parametrize("text", ["[]", "{}", "{", '{"matmul_gflops": 3}', "null", *WRONG])
def test_a_damaged_measurement_is_told_where_it_is_needed_and_stops_no_run(workspace, text):
    hardware.save(hardware.probe(seconds=0.4))
    whole = json.loads(hardware._file().read_text())
    damaged = {**whole, **json.loads(text)} if text.startswith('{"') else None
    hardware._file().write_text(json.dumps(damaged) if damaged else text)
    with pytest.raises(MissingArtifact, match=r"hardware\.json is damaged .*--only 00 --force"):
        hardware.load()
    assert hardware.known() is None
    assert journal.start("03_gpt").record["status"] == "running"


def test_autocast_multiplies_in_the_picked_dtype():
    import torch

    a = torch.ones(4, 4)
    with hardware.autocast(machine()):
        assert (a @ a).dtype == torch.bfloat16
    with hardware.autocast(machine(dtype="float32")):
        assert (a @ a).dtype == torch.float32


@pytest.mark.parametrize(
    ("cuda", "mps", "wanted", "device"),
    [
        (True, False, None, "cuda"),
        (False, True, None, "mps"),
        (False, False, None, "cpu"),
        (True, False, "cpu", "cpu"),
        (False, True, "cpu", "cpu"),
    ],
)
def test_the_accelerator_is_used_unless_the_cpu_is_asked_for(monkeypatch, cuda, mps, wanted, device):
    found = SimpleNamespace(
        cuda=SimpleNamespace(is_available=lambda: cuda),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps)),
    )
    monkeypatch.delenv("DEVICE", raising=False)
    if wanted:
        monkeypatch.setenv("DEVICE", wanted)
    assert hardware.choose_device(found) == device
    monkeypatch.setenv("DEVICE", "tpu")
    with pytest.raises(ValueError, match="DEVICE is 'tpu'; here there is"):
        hardware.choose_device(found)
