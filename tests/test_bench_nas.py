"""The supernet: every architecture in it computes what that architecture computes alone."""

import pytest
import torch

from tests.bench import nas
from tests.bench.supernet import SPACE, Net, bits

V, T = 40, 16


@pytest.fixture(scope="module")
def whole():
    torch.manual_seed(0)
    return Net(V, T)


def cut_out(whole: Net, answers: tuple[int, ...]) -> Net:
    """The architecture alone, with its part of the supernet's weights."""
    alone = Net(V, T, answers)
    c = alone.width
    thirds = torch.cat([torch.arange(c) + part * whole.width for part in range(3)])
    with torch.no_grad():
        for table in ("tokens", "positions", "head"):
            if getattr(alone, table) is not None:
                getattr(alone, table).weight.copy_(getattr(whole, table).weight[:, :c])
        for mine, theirs in zip(alone.blocks, whole.blocks, strict=False):
            mine["qkv"].weight.copy_(theirs["qkv"].weight[thirds][:, :c])
            for name in ("out", "up", "down"):
                rows, columns = mine[name].weight.shape
                mine[name].weight.copy_(theirs[name].weight[:rows, :columns])
    return alone


@pytest.mark.parametrize("number", [0, 255, nas.BY_HAND, *range(5, 255, 11)])
@torch.no_grad()
def test_a_decided_supernet_is_the_architecture_alone(whole, number):
    idx = torch.randint(V, (2, T))
    wanted = cut_out(whole, bits(number))(idx)[0]
    whole.choose(bits(number))
    torch.testing.assert_close(whole(idx)[0], wanted, atol=2e-5, rtol=1e-4)
    whole.mix = torch.tensor([(1.0 - bit, bit) for bit in bits(number)])  # all weight on one side, but both computed
    torch.testing.assert_close(whole(idx)[0], wanted, atol=2e-5, rtol=1e-4)


def test_every_decision_changes_what_is_computed_and_learns(whole):
    idx = torch.randint(V, (2, T + 1))
    alpha = torch.zeros(len(SPACE), 2, requires_grad=True)
    whole.mix = alpha.softmax(dim=1)
    whole(idx[:, :-1], idx[:, 1:])[1].backward()
    assert (alpha.grad.abs().sum(dim=1) > 1e-9).all()
    whole.zero_grad()


def test_no_position_sees_what_comes_after_it(whole):
    idx = torch.randint(V, (1, T))
    other = torch.cat((idx[:, :-1], (idx[:, -1:] + 1) % V), dim=1)
    whole.mix = torch.full((len(SPACE), 2), 0.5)
    with torch.no_grad():
        torch.testing.assert_close(whole(idx)[0][:, :-1], whole(other)[0][:, :-1])


def test_the_architecture_by_hand_is_what_it_says():
    answers = {name: options[bit] for (name, options), bit in zip(SPACE.items(), bits(nas.BY_HAND), strict=True)}
    assert answers == {"n_layer": 2, "n_embd": 96, "n_head": 4, "mlp_ratio": 4, "activation": "GELU",
                       "norm": "LayerNorm", "positions": "learned", "head": "tied"}  # fmt: skip


def test_results_on_disk_are_not_made_again(workspace, monkeypatch):
    class Watched:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def step(self, *told):
            pass

    class Run:
        def watch(self, *args, **settings):
            return Watched()

    class Pool:
        def map(self, make, jobs):
            made.extend(jobs)
            return map(make, jobs)

    made, jobs = [], [{"number": n, "steps": 3, "seed": 0} for n in range(4)]
    monkeypatch.setitem(nas.MAKE, "alone", lambda job: {"val": job["number"]})
    first = nas.made(Run(), Pool(), "hash", "alone", jobs[:2])
    assert first == [{"val": 0}, {"val": 1}] and made == jobs[:2]
    assert nas.made(Run(), Pool(), "hash", "alone", jobs) == [{"val": n} for n in range(4)] and made == jobs
    assert nas.made(Run(), Pool(), "other", "alone", jobs[:1]) == [{"val": 0}] and len(made) == 5
