"""Re-runs, held against their reference: what counts as the same, and how often chance is mistaken for a difference."""

from typing import ClassVar

import numpy as np
import pytest

from helpers import journal, plots, reproduce, stats
from helpers.paths import write_json
from labjournal import JournalError, agreement, changes, comparison, pictures, render, store
from tests.bench import spread as bench_spread


def run(loss=4.0, curve=(3.0, 2.0), seed=1337, config=None, seconds=10.0, data="d", items=None, **change):
    """A finished run of a made-up training; its record."""
    made = journal.start("03_gpt", config=config or {"learning_rate": 1e-3}, seed=seed, data_hash=data, **change)
    made.log(val_loss=loss, unit="nats/token", better="lower")
    made.log(train_seconds=seconds, unit="s", kind="timing")
    if items is not None:
        made.log(accuracy=float(np.mean(items[1])), unit="", better="higher")
        made.per_item("accuracy", items[1], items=items[0])
    fig, _ = plots.figure()
    made.figure("03_curve", fig, data={"step": [0, 1], "loss": list(curve)}, alt="a curve")
    made.finish(verdict="done")
    return made.record


def spread(reference, losses, curves=None):
    curves = np.array(curves if curves is not None else [[3.0, 2.0], [3.1, 2.1], [2.9, 1.9], [3.05, 2.0], [2.95, 2.0]])
    facts = {name: reference[name] for name in ("notebook", "profile", "config_hash", "data_hash")}
    figure = {"mean": [0, 1, *curves.mean(0)], "sd": [0, 0, *curves.std(0, ddof=1)]}
    return {
        **facts,
        "seeds": list(range(len(losses))),
        "metrics": {"val_loss": losses},
        "figures": {"03_curve": figure},
    }


LOSSES = [4.0, 4.02, 3.98, 4.01, 3.99]


def verdicts(record, reference, known=None):
    found = agreement.agree(record, reference, known)
    return found["verdict"], {row["name"]: row["verdict"] for row in found["rows"]}


def test_the_same_again_is_identical_and_another_seed_agrees(workspace):
    reference = run()
    assert verdicts(run(), reference)[0] == "identical"
    again = run(4.03, (3.08, 1.95), seed=7)
    assert verdicts(again, reference, spread(reference, LOSSES)) == (
        "agrees", {"val_loss": "agrees", "train_seconds": "within 2x", "03_curve": "agrees"},
    )  # fmt: skip


def test_what_chance_does_not_explain_differs(workspace):
    reference = run()
    known = spread(reference, LOSSES)
    assert verdicts(run(4.5), reference, known)[1]["val_loss"] == "differs"
    assert verdicts(run(curve=(3.0, 9.0)), reference, known)[1]["03_curve"] == "differs"
    other_axis = run(curve=(3.0, 2.0, 1.0))
    assert verdicts(other_axis, reference, known)[1]["03_curve"] == "differs"


def test_the_tolerance_is_the_prediction_interval_of_the_seeds():
    # t(4) at 0.975 is 2.776; values and formula by hand.
    assert stats.Deviation(0, 1.0, 5).allowed() == pytest.approx(2.776445 * 1.2**0.5, abs=1e-5)
    assert stats.Deviation(2.776445 * 1.2**0.5, 1.0, 5).p == pytest.approx(0.05, abs=1e-6)


def test_the_farthest_of_many_values_may_lie_farther():
    """Against a simulation that knows nothing of Šidák: 20 values, six runs, the sixth against the other five."""
    allowed = stats.Deviation(0, 1.0, 5, 20).allowed()
    assert allowed == pytest.approx(7.3553, abs=1e-3)
    runs = np.random.default_rng(3).normal(size=(4000, 6, 20))
    farthest = (abs(runs[:, 5] - runs[:, :5].mean(1)) / runs[:, :5].std(1, ddof=1)).max(1)
    assert 0.035 < (farthest > allowed).mean() < 0.06


def test_holm_by_hand():
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2])  # 0.03 > 0.025 stops
    assert stats.holm([0.01, 0.02, 0.03]) == pytest.approx([0.05 / 3, 0.05 / 2, 0.05])
    assert stats.holm([]) == []


class Simulated:
    """Notebooks with ten metrics that chance moves, three that it does not, and two figures of 40 points.

    Six runs of one differ by the seed, and by `shift`. With `rounding`, the sixth stands on another processor: all its
    values lie off by as much again as three other processors were measured to.
    """

    base: ClassVar = {
        "notebook": "n", "profile": "p", "data_hash": "d", "config_hash": "c", "config": {}, "status": "finished",
        "versions": {}, "code_hash": "x", "device": "cpu", "numerics": "f", "threads": 1, "resources": {},
    }  # fmt: skip

    def __init__(self, monkeypatch, correlated: bool, rounding: float = 0.0):
        self.rng, self.correlated, self.plotted = np.random.default_rng(5), correlated, {}
        self.rounding = rounding  # in standard deviations of the seeds
        monkeypatch.setattr(agreement, "arrays", lambda record, figure: self.plotted[record["run_id"]][figure])

    def draw(self, metric_shift=0.0, curve_shift=0.0):
        shared = self.rng.normal() if self.correlated else 0.0
        values = {f"m{i}": 3 + 0.1 * (self.rng.normal() + 2 * shared) for i in range(10)}
        values["m0"] += 0.1 * metric_shift
        noise = self.rng.normal(size=(2, 40))
        if self.correlated:
            noise = noise.cumsum(1) / np.sqrt(np.arange(1, 41))
        noise[0] += curve_shift
        return values | dict.fromkeys(CONSTANT, 5.0), {
            f"f{i}": {"x": list(range(40)), "y": list(1 + 0.01 * noise[i])} for i in range(2)
        }

    def elsewhere(self, drawn):
        """The same run on another processor."""
        values, figures = drawn
        off = self.rounding * self.rng.normal(size=len(values))
        return {name: v + 0.1 * x for (name, v), x in zip(values.items(), off, strict=True)}, {
            name: {**f, "y": list(f["y"] + 0.01 * self.rounding * self.rng.normal(size=40))}
            for name, f in figures.items()
        }

    def verdict(self, **shift) -> str:
        drawn = [self.draw() for _ in range(5)] + [self.draw(**shift)]
        records = []
        drawn[5] = self.elsewhere(drawn[5])
        for seed in (0, 5):  # the reference is one of the five seeds
            values, self.plotted[str(seed)] = drawn[seed]
            metrics = {name: {"final": v, "unit": "", "kind": "result"} for name, v in values.items()}
            figures = {name: {"kind": "result"} for name in self.plotted[str(seed)]}
            records.append(self.base | {"run_id": str(seed), "seed": seed, "metrics": metrics, "figures": figures})
        arrays = {n: np.array([agreement.flatten(figures[n]) for _, figures in drawn[:5]], float) for n in ("f0", "f1")}
        seeds = {name: [values[name] for values, _ in drawn[:5]] for name in drawn[0][0]}
        others = [(self.base | {"run_id": "", "metrics": {n: {"final": v} for n, v in values.items()}}, figures)
                  for values, figures in (self.elsewhere(drawn[0]) for _ in range(3))]  # fmt: skip
        known = self.base | {
            "seeds": list(range(5)),
            "metrics": seeds,
            "figures": {n: {"mean": list(a.mean(0)), "sd": list(a.std(0, ddof=1))} for n, a in arrays.items()},
            "rounding": bench_spread.rounding((records[0], drawn[0][1]), others, seeds),
        }
        found = agreement.agree(records[1], records[0], known)
        assert found["of"] == 15 and found["verdict"] in (
            "agrees",
            "differs",
            *["cannot compare"] * (self.rounding > 0),
        )
        return found["verdict"]


CONSTANT = ("c0", "c1", "c2")  # metrics that no seed moves


@pytest.mark.parametrize("rounding", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("correlated", [False, True])
def test_at_most_one_notebook_in_twenty_is_said_to_differ_when_nothing_changed(monkeypatch, correlated, rounding):
    """Another seed, on another processor: its rounding is nothing, less than the seeds' spread, or more."""
    simulated = Simulated(monkeypatch, correlated, rounding)
    wrong = sum(simulated.verdict() == "differs" for _ in range(500))
    assert wrong <= 36  # 5 % of 500 is 25; 36 is what a fair 5 % exceeds once in 70 times
    assert rounding or wrong >= 3  # and it is not simply blind


@pytest.mark.parametrize("rounding", [0.0, 0.3])
@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.parametrize("shift", [{"metric_shift": 40.0}, {"curve_shift": 12.0}], ids=["a metric", "a whole curve"])
def test_a_real_change_is_seen(monkeypatch, correlated, shift, rounding):
    """One metric, or a curve as a whole, moves by many standard deviations (seeds share part of a metric's spread)."""
    simulated = Simulated(monkeypatch, correlated, rounding)
    assert sum(simulated.verdict(**shift) == "differs" for _ in range(100)) >= 80


def test_other_data_profile_or_items_cannot_be_compared(workspace):
    reference = run(items=("set A", [1, 0, 1, 1]))
    known = spread(reference, LOSSES)
    found = agreement.agree(run(data="other"), reference, known)
    assert (found["verdict"], found["why"]) == ("cannot compare", "other data: d against other")
    assert set(verdicts(run(data="other"), reference, known)[1].values()) == {"cannot compare"}
    assert verdicts(run(items=("set B", [1, 0, 1, 1])), reference, known)[1]["accuracy"] == "cannot compare"
    failed = journal.start("03_gpt", data_hash="d")
    failed.close("failed", ValueError("no"))
    assert "is failed" in agreement.agree(failed.record, reference, known)["why"]


def test_five_equal_values_do_not_rule_out_a_sixth(workspace):
    """A value that no seed moved: with the same seed a change is one, with another nobody can tell."""
    reference = run()
    known = spread(reference, [4.0] * 5)
    assert verdicts(run(4.1, seed=9), reference, known)[1]["val_loss"] == "cannot compare"
    assert verdicts(run(4.1), reference, known)[1]["val_loss"] == "differs"
    # What another processor was measured to make of it is allowed for, and no more.
    known["rounding"] = {"metrics": {"val_loss": 0.03}, "figures": {"03_curve": {"loss": 0.03}}}
    for seed in (1337, 9):
        assert verdicts(run(4.05, seed=seed), reference, known)[1]["val_loss"] == "agrees"
    assert verdicts(run(4.5), reference, known)[1]["val_loss"] == "differs"
    assert verdicts(run(curve=(3.0, 2.04)), reference, known)[1]["03_curve"] == "agrees"


def test_a_result_that_is_gone_is_no_agreement(workspace):
    reference = run(items=("set A", [1, 0, 1, 1]))
    found = agreement.agree(run(), reference, spread(reference, LOSSES))
    assert found["verdict"] == "cannot compare"
    newer = agreement.agree(run(items=("set A", [1, 0, 1, 1])), run(), spread(reference, LOSSES))
    assert (newer["verdict"], newer["agree"], newer["of"]) == ("agrees", 2, 3)


def test_a_figure_of_texts_that_vary_is_not_said_to_agree(workspace):
    reference = run(curve=("a", "b"))
    known = spread(reference, LOSSES)
    known["figures"]["03_curve"] = {"mean": [0, 1, "a", "b"], "sd": [None] * 4}
    assert verdicts(run(curve=("c", "d")), reference, known)[1]["03_curve"] == "cannot compare"


def test_without_a_spread_only_identical_is_good_enough(workspace):
    reference = run()
    assert verdicts(run(4.0001), reference)[1]["val_loss"] == "cannot compare"
    known = spread(reference, LOSSES)
    of_another_config = {**known, "config_hash": "other"}
    assert verdicts(run(4.0001), reference, of_another_config)[1]["val_loss"] == "cannot compare"


def test_where_nothing_is_left_to_chance_only_rounding_may_differ(workspace):
    reference = run(seed=None)
    assert verdicts(run(4.0 + 1e-9, seed=None), reference)[1]["val_loss"] == "agrees"
    assert verdicts(run(4.001, seed=None), reference)[1]["val_loss"] == "differs"


def test_whole_numbers_that_are_one_as_floats_are_two(workspace):
    """A count does not round: one more is another count, however large it is."""
    reference, again, more = (run(loss, seed=None) for loss in (2**53, 2**53, 2**53 + 1))
    assert verdicts(again, reference)[1]["val_loss"] == "identical"
    row = agreement.agree(more, reference, None)["rows"][0]
    assert (row["verdict"], row["difference"], row["tolerance"]) == ("differs", 1, 0)
    rounded = run(float(2**53), seed=None)
    for one, verdict in ((reference, "identical"), (more, "cannot tell")):
        assert only(comparison.compare_runs(rounded["run_id"], one["run_id"]))["verdict"] == verdict
    assert only(comparison.compare_runs(reference["run_id"], more["run_id"]))["verdict"] == "cannot tell"


def test_times_are_a_ratio_and_never_decide(workspace):
    reference = run(seconds=10.0)
    found = agreement.agree(run(seconds=70.0), reference, None)
    (row,) = (row for row in found["rows"] if row["what"] == "timing")
    assert (row["verdict"], row["difference"]) == ("not within 2x", 7.0)
    assert found["verdict"] == "identical"


def test_every_run_is_one_line_a_short_one_where_nothing_is_new(workspace):
    reference = run()
    store.set_reference("03_gpt", "smoke", reference["run_id"])
    write_json(store.journal_dir() / "spread" / "03_gpt-smoke.json", spread(reference, LOSSES))
    path = workspace / "journal" / "journal.md"
    before = path.read_text("utf-8")
    same = run()
    added = path.read_text("utf-8").removeprefix(before)
    assert added == render.line(same) and added.endswith(
        f": identical to {reference['run_id'][-4:]} in all 2 results.\n"
    )
    agreeing = run(4.01, seed=3)
    assert f"Against {reference['run_id'][-4:]}: agrees, 2 of 2." in render.line(agreeing)
    worse = run(6.0, config={"learning_rate": 3e-3})
    assert render.line(worse).endswith("differs, 1 of 2.\n") and path.read_text("utf-8").count("\n- **") == 4
    text = render.entry(worse)
    assert "Differs from" in text and "Since then: learning\\_rate 0.001 → 0.003" in text


def test_a_line_has_the_headline_and_what_it_was_before(workspace):
    reference = journal.start("02_tokenizer", config={"vocab_size": 4096}, data_hash="d")
    reference.log(bytes_per_token_all=3.003, unit="bytes/token")
    reference.finish(verdict="V.")
    store.set_reference("02_tokenizer", "smoke", reference.record["run_id"])
    new = journal.start(
        "02_tokenizer", config={"vocab_size": 2048}, data_hash="d", changed_from="latest", reason="x | y"
    )
    new.log(bytes_per_token_all=2.682, unit="bytes/token")
    new.finish(verdict="Two\nlines.", decision="Keep it.")
    said = render.line(new.record)
    assert (
        said.count("\n") == 1 and f"changed since {reference.record['run_id'][-4:]}: vocab\\_size 4096 → 2048" in said
    )
    assert "because x \\| y: bytes per token all **2.682** bytes/token (before 3.003). Two lines. *Keep it.*" in said


def test_a_long_table_folds_what_is_no_news_and_drops_nothing(workspace):
    reference, again = run(), run(4.5)
    for record in (reference, again):
        record["metrics"] |= {f"m{i}": {"final": i, "unit": "s", "kind": "result", "count": 1} for i in range(20)}
    found = agreement.agree(again, reference, spread(reference, LOSSES))
    again["headline"] = ["m3"]
    shown, _, folded = render.results(again, found).partition("<details><summary>21 more: 1 timings, 20 identical")
    assert "differs" in shown and "m3, s" in shown and "m4, s" not in shown
    names = [line.split(" ")[1] for line in (shown + folded).splitlines() if line.startswith("| ")]
    assert sorted(name.strip(",").replace("\\", "") for name in names if name) == sorted(
        row["name"] for row in found["rows"]
    )


def test_what_cannot_be_judged_is_counted_by_its_reason_and_never_listed(workspace):
    reference, again = run(), run(4.1)
    for position, record in enumerate((reference, again)):
        extra = {f"m{i}": {"final": i + position, "unit": "s", "kind": "result", "count": 1} for i in range(20)}
        record["metrics"] |= extra
    said = render.summary(agreement.agree(again, reference, None))
    assert "21 cannot be judged: its spread over seeds was not measured." in said and "m3" not in said


# -- what was changed ------------------------------------------------------------------------------------------------


def test_an_outcome_counts_what_is_identical_and_names_the_rest():
    def row(metric, verdict, difference=None):
        return {"arm": 1, "metric": metric, "verdict": verdict, "difference": difference, "interval": None, "why": ""}

    def told(*rows):
        return render.outcome({"changed_from": "x", "outcome": {"why_not": "", "rows": rows}})

    same = [row(f"m{i}", "identical", 0.0) for i in range(30)]
    moved = {**row("val_loss", "better", -0.5), "interval": (-0.7, -0.3), "test": "t"}
    assert told(*same) == "**Outcome.** 30 metrics are identical.\n"
    text = told(moved, *same[:1], {**same[1], "arm": 0})
    assert (
        text == "**Outcome.** val\\_loss better (-0.5, 95 % interval -0.7 to -0.3; t). 1 other metric is identical.\n"
    )
    assert told() == "**Outcome.** No metric that both runs have is judged.\n"
    alone = [{**row(name, "cannot tell", d), "why": "one run each"} for name, d in (("f1", 0.1), ("loss", -0.2))]
    assert told(moved, *alone).endswith("cannot tell (one run each): f1 +0.1, loss -0.2.\n")


def test_what_was_changed_is_computed_and_only_the_reason_is_given(workspace):
    former = run()
    record = run(3.0, config={"learning_rate": 3e-3, "dropout": 0.1}, seed=2, changed_from="latest", reason="too slow")
    assert record["changed_from"] == former["run_id"]
    assert record["changed"]["learning_rate"] == [1e-3, 3e-3]
    text = render.entry(record)
    assert "learning\\_rate 0.001 → 0.003, dropout 0.1 (not recorded before), seed 1337 → 2" in text
    assert "Why: too slow" in text and "**Outcome.**" in text
    for missing in ({"changed_from": "latest"}, {"reason": "why"}):
        with pytest.raises(JournalError, match="go together"):
            journal.start("03_gpt", **missing)
    with pytest.raises(JournalError, match="no run 'nothing'"):
        journal.start("03_gpt", changed_from="nothing", reason="y")


def test_another_processor_is_told_in_words(workspace):
    old, new = run(), run()
    assert changes.between(old, new) == {}
    new["resources"]["processor"] = {
        "name": "AMD EPYC",
        "model": "25 17 1",
        "instructions": ["AVX-512", "bfloat16 units"],
    }
    old["resources"] |= {"processor": None, "probe": {"device_name": "Intel(R) Xeon(R) Processor @ 2.50GHz"}}
    old["device"], old["numerics"] = new["device"], new["numerics"] = "cpu", "bfloat16"
    assert changes.describe(changes.between(old, new)) == (
        "another processor: AMD EPYC with AVX-512 and bfloat16 units (model 25 17 1), "
        "not Intel Xeon with bfloat16 units"
    )
    # Of an older record, the name and the number format are all there is to compare.
    old["resources"]["probe"]["device_name"] = "AMD EPYC"
    assert changes.same_processor(old, new) and not changes.same_processor({**old, "numerics": "float32"}, new)
    old["resources"]["processor"] = {**new["resources"]["processor"], "model": "25 1 1"}
    assert not changes.same_processor(old, new)


def test_the_code_that_differs_is_named(workspace):
    old, new = run(), run()
    new["helpers"] = {**new["helpers"], "helpers/paths.py": "changed"}
    assert changes.between(old, new) == {"code": [None, "helpers/paths.py"]}


# -- comparing runs --------------------------------------------------------------------------------------------------


def only(found, metric="val_loss"):
    return next(row for row in found.rows if row["metric"] == metric and row["arm"])


def test_one_run_against_one_cannot_be_told_without_a_spread(workspace):
    a, b = run(4.0), run(3.0, seed=2)
    found = journal.compare(a["run_id"], b["run_id"])
    assert found.verdict == "cannot tell" and "one run each" in only(found)["why"]
    write_json(store.journal_dir() / "spread" / "03_gpt-smoke.json", spread(a, LOSSES))
    found = journal.compare(a["run_id"], b["run_id"])
    assert found.verdict == "better"
    low, high = only(found)["interval"]
    sd = float(np.std(LOSSES, ddof=1))
    assert (low, high) == pytest.approx((-1 - 2.776445 * sd * 2**0.5, -1 + 2.776445 * sd * 2**0.5), abs=1e-5)
    assert journal.compare(b["run_id"], a["run_id"]).verdict == "worse"


def test_the_same_items_decide_between_two_classifiers(workspace):
    rng = np.random.default_rng(1)
    first = rng.random(400) < 0.7
    second = first | (rng.random(400) < 0.3)
    a = run(items=("test", first.tolist()))
    b = run(items=("test", second.tolist()))
    row = only(journal.compare(a["run_id"], b["run_id"]), "accuracy")
    gained = int((second & ~first).sum())
    assert row["verdict"] == "better" and row["p"] == pytest.approx(0.5 ** (gained - 1))  # exact McNemar by hand
    assert row["interval"][0] < row["difference"] < row["interval"][1]
    c = run(items=("another test", second.tolist()))
    assert only(journal.compare(a["run_id"], c["run_id"]), "accuracy")["verdict"] == "not comparable"


def test_items_that_are_not_what_was_logged_are_refused(workspace):
    made = journal.start("03_gpt")
    made.log(accuracy=0.75, unit="")
    with pytest.raises(JournalError, match=r"mean is 0\.5"):
        made.per_item("accuracy", [True, False], items="x")
    made.finish(verdict="done")


def test_seeds_decide_between_two_recipes_and_three_are_too_few(workspace):
    slow = [run(4 + 0.01 * s, seed=s)["run_id"] for s in range(5)]
    fast = [run(3 + 0.02 * s, seed=s, config={"learning_rate": 3e-3})["run_id"] for s in range(5)]
    found = journal.compare(slow, fast)
    row = only(found)
    assert (row["verdict"], row["n"], row["test"]) == ("better", 5, "paired t test over seeds")
    differences = np.array([-1 + 0.01 * s for s in range(5)])
    half = 2.776445 * differences.std(ddof=1) / 5**0.5
    assert row["interval"] == pytest.approx([differences.mean() - half, differences.mean() + half], abs=1e-5)
    assert row["mean"] == pytest.approx(3.04) and row["range"] == [3.0, 3.08]
    grouped = journal.compare(*slow, *fast)  # the same runs, put into arms by their config
    assert [len(arm) for arm in grouped.arms] == [5, 5] and only(grouped) == row
    few = only(journal.compare(slow[:3], fast[:3]))
    assert few["verdict"] == "cannot tell" and "too few seeds: 3 against 3" in few["why"]
    assert "learning\\_rate 0.001 → 0.003" in comparison.render(found)


def test_one_seed_five_times_is_one_seed(workspace):
    slow = [run(4.0, seed=1)["run_id"] for _ in range(5)]
    fast = [run(3.9, seed=1, config={"learning_rate": 3e-3})["run_id"] for _ in range(5)]
    row = only(journal.compare(slow, fast))
    assert row["verdict"] == "cannot tell" and "1 against 1" in row["why"]


def test_seeds_without_any_spread_decide_nothing(workspace):
    slow = [run(4.0, seed=s)["run_id"] for s in range(5)]
    fast = [run(3.9, seed=s, config={"learning_rate": 3e-3})["run_id"] for s in range(5)]
    assert "no spread" in only(journal.compare(slow, fast))["why"]


def test_a_diverged_run_is_named_and_never_the_better_one(workspace):
    good, bad = run(4.0, items=("t", [1, 0])), run(float("nan"), items=("t", [1, 0]))
    found = journal.compare(good["run_id"], bad["run_id"])
    assert only(found)["verdict"] == "not comparable" and only(found)["why"] == f"nan in run {bad['run_id']}"
    assert found.verdict == "cannot tell"
    other = journal.start("03_gpt", config={"learning_rate": 1e-3}, seed=1337, data_hash="d")
    other.log(val_loss=4.0, unit="bits/token", better="lower")
    other.finish(verdict="done")
    found = journal.compare(good["run_id"], other.record["run_id"])
    assert only(found)["why"] == "other unit" and "not in run" in only(found, "accuracy")["why"]


def test_equal_accuracy_on_other_items_is_not_identical(workspace):
    a = run(items=("t", [1, 1, 0, 0] * 20))
    b = run(items=("t", [0, 0, 1, 1] * 20))
    assert only(journal.compare(a["run_id"], b["run_id"]), "accuracy")["verdict"] == "cannot tell"


def test_items_of_an_earlier_value_are_forgotten(workspace):
    made = journal.start("03_gpt")
    made.log(accuracy=0.5, unit="")
    made.per_item("accuracy", [True, False], items="x")
    made.log(accuracy=0.9)
    assert "items" not in made.record["metrics"]["accuracy"]
    made.finish(verdict="done")
    assert store.items(made.record, "accuracy") is None  # though the file of the first value is there
    assert list((workspace / "journal" / "figures").glob("*.items.json"))


def test_a_recipe_of_different_configs_is_refused(workspace):
    a, b, c = run(), run(config={"learning_rate": 2e-3}), run(config={"learning_rate": 3e-3})
    found = journal.compare([a["run_id"], b["run_id"]], [c["run_id"]])
    assert "more than the seed: learning_rate" in found.why_not
    with pytest.raises(JournalError, match="two recipes"):
        journal.compare([a["run_id"], b["run_id"]])


def test_runs_that_mean_different_things_are_not_comparable(workspace):
    a, b = run(), run(data="other")
    found = journal.compare(a["run_id"], b["run_id"])
    assert (found.verdict, found.why_not) == ("not comparable", "other data: d against other")
    assert "**Not comparable:** other data" in comparison.render(found)
    with pytest.raises(JournalError, match="twice"):
        journal.compare(a["run_id"], a["run_id"])
    with pytest.raises(JournalError, match="fits 2 runs"):
        journal.compare("03_gpt", a["run_id"])


def test_what_an_earlier_run_measured_is_drawn_and_not_judged(workspace, capsys):
    """Caption, table and verdict say so: a figure that cannot differ is no evidence that anything agrees."""
    measured = run(1.0)

    def again():
        drawing = journal.start("12_side_by_side", seed=1)
        drawing.log(loss=2.0, unit="nats")
        fig, ax = plots.figure()
        ax.plot([1, 2])
        drawing.figure("12_speed", fig, data={"speed": [1, 2]}, alt="Speed.", record=measured)
        drawing.finish(verdict="drawn")
        return drawing.record

    reference, record = again(), again()
    assert f"Measured by run `{measured['run_id']}`" in capsys.readouterr().out
    found = agreement.agree(record, reference, None)
    assert (found["verdict"], found["agree"], found["of"]) == ("identical", 1, 1)
    (row,) = (row for row in found["rows"] if row["name"] == "12_speed")
    assert row["verdict"] == "not measured here" and measured["run_id"] in row["why"]
    assert "not measured here (from record" in render.results(record, found)
    ok, said = reproduce.verdict("12_speed", record, reference)
    assert not ok and said == f"not measured here: from record {measured['run_id']}"  # no benchmark: no command


def test_a_value_that_is_the_same_but_for_rounding_says_so(workspace):
    reference, record = run(1.0), run(1.0 + 1e-13)
    found = agreement.agree(record, reference, None)
    rows = {row["name"]: row for row in found["rows"]}
    assert found["verdict"] == "agrees"
    assert rows["val_loss"]["why"] == "the same to 1e-13" and rows["val_loss"]["verdict"] == "agrees"
    assert reproduce.verdict("03_curve", record, reference) == (True, "identical: every value is the reference's")


def test_a_figure_made_again_is_told_by_what_seeds_do(workspace):
    reference = run()
    write_json(workspace / "journal" / "spread" / "03_gpt-smoke.json", spread(reference, LOSSES))
    good, said = reproduce.verdict("03_curve", run(curve=(3.05, 2.04)), reference)
    assert good and said.startswith("agrees: it lies no farther off than another seed would (")
    good, said = reproduce.verdict("03_curve", run(curve=(3.0, 9.0)), reference)
    assert not good and said.startswith("differs: it lies farther off than another seed would (farthest value ")
    assert "standard deviations from the mean of 5 seeds" in said


def test_two_runs_in_one_picture_have_a_panel_for_each_curve():
    """Lines over what rises in whole numbers; texts, single numbers and short rows are none."""
    steps, long = [1, 2, 3, 4, 5, 6], [0.5] * 30
    data = {"step": steps, "again": steps, "nested": {"loss": [6.0, 5, 4, 3, 2, 1]}, "pair": [steps, steps]}
    data |= {
        "long": long,
        "kind": ["a"] * 6,
        "level": 2.0,
        "short": [3.0, 2.0],
        "rows": [{"x": 1}],
        "odd": [[1], [2, 3]],
    }
    found = pictures.curves(data)
    assert {name: label for name, (label, *_) in found.items()} == {
        "nested, loss": "step", "pair": "", "long": "place in the row"
    }  # fmt: skip
    assert list(found["nested, loss"][1]) == steps and len(found["long"][1]) == 30
    other = {"step": [*steps[:-1], 9], "nested": {"loss": [7.0, 5, 4, 3, 2, 1]}}
    drawn = pictures.both({"step": steps, "nested": data["nested"]}, other, [])
    (panel,) = drawn.axes
    assert [line.get_label() for line in panel.lines] == ["reference", "now"]
    assert [line.get_ydata()[0] for line in panel.lines] == [6.0, 7.0]
    assert [line.get_xdata()[-1] for line in panel.lines] == [6, 9]
