"""Linear probes: the paper's sweep, draws that differ by seed, and classes with too few photos named."""

from __future__ import annotations

import math
import re

import pytest
import torch

from linmap.errors import EvaluationError
from linmap.evaluation import linear_probe, n_shot

NAMES = ["cat", "dog", "horse"]


def features(targets: torch.Tensor, seed: int, spread: float = 1.5) -> torch.Tensor:
    centres = 2 * torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    return centres[targets] + spread * torch.randn(len(targets), 8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def data():
    train, test = torch.arange(3).repeat(30), torch.arange(3).repeat(40)
    return features(train, 1), train, features(test, 2), test


@pytest.fixture(scope="module")
def probe(data):
    return linear_probe(*data, class_names=NAMES)


def test_a_probe_finds_what_is_linearly_there(probe):
    assert probe.test.accuracy > 80 > probe.test.chance
    assert [one.name for one in probe.test.per_class] == NAMES


def test_a_probe_of_features_that_say_nothing_scores_about_chance(data):
    _, train, _, test = data
    noise = torch.randn(len(train) + len(test), 8, generator=torch.Generator().manual_seed(3))
    scores = linear_probe(noise[: len(train)], train, noise[len(train) :], test).test
    assert scores.accuracy == pytest.approx(scores.chance, abs=15)


def test_the_sweep_is_that_of_the_paper(probe):
    steps = [8 * math.log10(strength) for strength, _ in probe.sweep]
    assert steps == pytest.approx([round(step) for step in steps])  # 8 steps a decade
    assert {-48, -32, -16, 0, 16, 32, 48} <= {round(step) for step in steps}  # 1e-6, 1e-4, ..., 1e6
    assert steps == sorted(steps)
    assert len(steps) <= 7 + 2 * 4  # the interval is halved four times
    chosen = round(8 * math.log10(probe.strength))
    assert {chosen - 1, chosen + 1} <= {round(step) for step in steps} | {-49, 49}


def test_the_chosen_strength_is_the_best_on_validation_and_of_equals_the_middle_one(probe):
    best = max(accuracy for _, accuracy in probe.sweep)
    tied = [strength for strength, accuracy in probe.sweep if accuracy == best]
    assert probe.strength == tied[len(tied) // 2]


def test_on_a_plateau_from_end_to_end_the_strength_is_moderate(caplog):
    targets = torch.arange(2).repeat(10)
    apart = torch.tensor([[-9.0], [9.0]])[targets]  # every strength separates these
    probe = linear_probe(apart, targets, apart, targets)
    assert {accuracy for _, accuracy in probe.sweep} == {100.0}
    assert probe.strength == 1.0
    assert "end of the range" not in caplog.text


def test_a_strength_at_the_end_of_the_range_is_warned_of(caplog):
    # one photo against three, so near that only the weakest regularisation lets the weights grow to tell it apart
    features, targets = 9.5e-4 * torch.tensor([[-1.0], [-1.0], [-1.0], [1.0]]), [0, 0, 0, 1]
    assert linear_probe(features, targets, features, targets, validation=(features, targets)).strength == 1e-6
    assert "The strength chosen, 1e-06, is at the end of the range that is searched, 1e-06 to 1e+06" in caplog.text


def test_a_fit_is_that_of_float64_to_a_gradient_of_nearly_zero(data, probe):
    from sklearn.linear_model import LogisticRegression

    train_features, train_targets, test_features, _ = data
    exact = LogisticRegression(C=1 / probe.strength, solver="newton-cholesky", tol=1e-12)
    exact.fit(train_features.double().numpy(), train_targets.numpy())
    assert (probe.predict(test_features).numpy() == exact.predict(test_features.double().numpy())).all()


def test_a_fifth_of_each_class_is_held_out_and_fitted_in_the_end(probe):
    assert (probe.train, probe.validation) == (90, 18)


def test_a_validation_set_is_used_and_fitted_in_the_end(data):
    held = torch.arange(3).repeat(5)
    probe = linear_probe(*data, validation=(features(held, 5), held))
    assert (probe.train, probe.validation) == (105, 15)


def test_the_final_classifier_is_scikit_learns_at_that_strength_on_everything(data, probe):
    from sklearn.linear_model import LogisticRegression

    train_features, train_targets, test_features, _ = data
    theirs = LogisticRegression(C=1 / probe.strength, max_iter=1000).fit(train_features, train_targets)
    found = probe.predict(test_features)
    assert (found.numpy() == theirs.predict(test_features.numpy())).mean() > 0.99


def test_a_seed_draws_the_same_and_another_something_else(data, probe):
    assert linear_probe(*data, class_names=NAMES).sweep == probe.sweep
    assert any(linear_probe(*data, seed=seed).sweep != probe.sweep for seed in (1, 2, 3))


def test_two_photos_of_each_class_are_enough(data):
    train_features, train_targets, test_features, test_targets = data
    probe = linear_probe(train_features[:6], train_targets[:6], test_features, test_targets)
    assert (probe.train, probe.validation) == (6, 3)


def test_fits_that_do_not_converge_are_counted_and_warned_of(data, caplog, monkeypatch):
    monkeypatch.setattr("linmap.evaluation.probing.MAX_ITERATIONS", 2)
    probe = linear_probe(*data)
    assert 0 < probe.unconverged <= len(probe.sweep) + 1
    assert (
        f"{probe.unconverged} of {len(probe.sweep) + 1} logistic regressions did not converge within 2 iterations"
        in caplog.text
    )


def test_probes_on_few_photos_that_do_not_converge_are_counted_too(data, caplog, monkeypatch):
    monkeypatch.setattr("linmap.evaluation.probing.MAX_ITERATIONS", 2)
    n_shot(*data, shots=(4,), seeds=(0, 1))
    assert re.search(r"\d+ of \d+ logistic regressions of the probes on few photos did not converge", caplog.text)


@pytest.fixture(scope="module")
def shots(data):
    return n_shot(*data, shots=(1, 2, 8), seeds=(0, 1, 2))


def test_more_photos_of_a_class_score_more(shots):
    assert [row.shots for row in shots] == [1, 2, 8]
    assert shots[0].mean < shots[2].mean
    assert shots[0].mean > 100 / 3


def test_mean_and_spread_are_those_of_the_draws(shots):
    for row in shots:
        accuracies = torch.tensor(row.accuracies, dtype=torch.float64)
        assert row.mean == pytest.approx(accuracies.mean().item())
        assert row.spread == pytest.approx(accuracies.std().item())
        assert len(row.strengths) == 3
    assert len(set(shots[0].accuracies)) > 1


def test_the_same_seeds_draw_the_same_photos(data, shots):
    assert n_shot(*data, shots=(2,), seeds=(0, 1, 2)) == shots[1:2]


def test_the_strength_of_few_shots_may_be_chosen_on_a_validation_set(data):
    held = torch.arange(3).repeat(5)
    (row,) = n_shot(*data, shots=(30,), seeds=(0, 1), validation=(features(held, 5), held))
    assert row.spread == 0  # both draws are all there is


TWO = torch.tensor([0, 0, 0, 1, 1, 2])


@pytest.mark.parametrize(
    ("shots", "message"),
    [
        ((1,), "A probe on 1 a class and 1 to choose the strength on needs at least 2 .*: 'horse' has 1. Add photos"),
        (
            (2,),
            "2 a class and 2 to choose the strength .* 4 .*: 'cat' has 3, 'dog' has 2, 'horse' has 1",
        ),
        ((8,), "8 a class and 4 to choose the strength on needs at least 12"),
    ],
)
def test_a_class_with_fewer_photos_than_shots_is_named(shots, message):
    with pytest.raises(EvaluationError, match=message):
        n_shot(features(TWO, 1), TWO, features(TWO, 2), TWO, shots=shots, class_names=NAMES)


def test_a_class_with_a_single_photo_is_named():
    with pytest.raises(EvaluationError, match="linear probe needs at least 2 training photos of each class: '2' has 1"):
        linear_probe(features(TWO, 1), TWO, features(TWO, 2), TWO)


@pytest.mark.parametrize("options", [{"seeds": (0,)}, {"shots": ()}, {"shots": (0,)}])
def test_one_draw_or_no_shots_are_an_error(data, options):
    with pytest.raises(EvaluationError, match=r"must be at least 1, and seeds=.* at least two"):
        n_shot(*data, **options)


def test_one_class_is_an_error(data):
    zeros = torch.zeros(90, dtype=torch.int64)
    with pytest.raises(EvaluationError, match="There is one class, '0'; a linear probe tells at least two apart"):
        linear_probe(data[0], zeros, data[0], zeros)


def test_a_class_without_a_test_photo_is_named(data):
    train_features, train_targets, _, _ = data
    with pytest.raises(EvaluationError, match="1 of 3 classes have no photo in the test set: 'horse'"):
        linear_probe(train_features, train_targets, train_features[:2], [0, 1], class_names=NAMES)


def test_features_that_do_not_fit_are_an_error(data):
    train_features, train_targets, test_features, test_targets = data
    with pytest.raises(EvaluationError, match=r"The test features are \(120, 5\); expected \(photos, 8\)"):
        linear_probe(train_features, train_targets, test_features[:, :5], test_targets)
    with pytest.raises(EvaluationError, match=r"training targets are of shape \(89,\); expected \(90,\)"):
        linear_probe(train_features, train_targets[1:], test_features, test_targets)
    with pytest.raises(EvaluationError, match="90 of 90 training features are not finite"):
        linear_probe(train_features * float("nan"), train_targets, test_features, test_targets)


def test_without_scikit_learn_the_error_says_what_to_install(data, monkeypatch):
    from linmap.errors import MissingExtraError

    monkeypatch.setitem(__import__("sys").modules, "sklearn.linear_model", None)
    with pytest.raises(MissingExtraError, match=r"scikit-learn is not installed. Run: .*linmap\[eval\]"):
        linear_probe(*data)
