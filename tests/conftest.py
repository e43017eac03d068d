import os
import signal

import pytest

# Tests and the kernels they start never reach a model hub.
os.environ["HF_HUB_OFFLINE"] = "1"
# `nohup make test &` ignores these, and what a test starts would inherit that; a handler is not inherited.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, lambda number, frame: None)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def own_settings(monkeypatch):
    """What the developer's shell has set does not reach a test."""
    for name in ("LAB_WORKSPACE", "PROFILE", "ENCODER", "SEED", "COURSE_IN_PLACE", "COURSE_BECAUSE", "LAB_NOTEBOOKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty workspace of its own, in the smoke profile."""
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("PROFILE", "smoke")
    return tmp_path


@pytest.fixture(scope="session")
def course_run(tmp_path_factory):
    """The real runner, every notebook in order, in an empty workspace: (workspace, what it printed).

    It runs copies of the notebooks in which every check of an exercise is followed by wrong answers.
    """
    from helpers import course
    from tests import answers, running

    workspace = tmp_path_factory.mktemp("course")
    (workspace / "planted").mkdir()
    for notebook in course.NOTEBOOKS:
        answers.plant(notebook, workspace / "planted")
    status, told = running.run_notebooks(workspace)
    assert status == 0, told
    return workspace, told


@pytest.fixture
def after_course(course_run, monkeypatch):
    """The workspace that the smoke run left, for one test more."""
    workspace = course_run[0]
    monkeypatch.setenv("LAB_WORKSPACE", str(workspace))
    monkeypatch.setenv("LAB_NOTEBOOKS", str(workspace / "planted"))
    monkeypatch.setenv("PROFILE", "smoke")
    return workspace


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    """A folder like one from the hub: a two-layer BERT with random weights and a small tokenizer."""
    from helpers.quiet import transformers

    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "a", "very", "not", "the", "is"]
    (folder / "vocab.txt").write_text("\n".join(words), "utf-8")
    transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,  # the usual 0.02 is for wide models; this one would hardly see its input
    )
    transformers.BertModel(config).save_pretrained(folder)
    return folder
