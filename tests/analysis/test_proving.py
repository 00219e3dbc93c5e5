"""What labels prove: which of them count, how many more it takes, and what is said of the others."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import secnb

pytestmark = pytest.mark.filterwarnings("ignore::secnb.errors.FewLabelsWarning")

N = 6000
ASKED = {"precision_at_least": 0.8, "confidence": 0.9}


def synthetic():
    """Synthetic: Beta(5, 2) where true, Beta(2, 3) where false, over three weeks."""
    generator = np.random.default_rng(0)
    truth = generator.random(N) < 0.55
    score = np.where(truth, generator.beta(5, 2, N), generator.beta(2, 3, N)).round(3)
    times = pd.Timestamp("2026-03-20", tz="UTC") + pd.to_timedelta(np.arange(N) / N * 21, unit="D")
    return pd.DataFrame({"started_at": times, "score": score, "truth": pd.array(truth, dtype="boolean")})


def chosen(frame, *, verify_on=None, **kwargs):
    return secnb.sweep(frame, score="score", truth="truth", **kwargs).choose(**ASKED, verify_on=verify_on)


def drawn(chance, *, seed):
    """Labels drawn with given probabilities."""
    frame = synthetic()
    is_drawn = np.random.default_rng(seed).random(N) < chance
    return frame.assign(truth=frame["truth"].where(is_drawn), chance=chance)


def nearer():
    """Probabilities that favour scores near 0.6, alike above 0.8."""
    score = synthetic()["score"]
    return np.maximum(0.5 * np.exp(-((score - 0.6).abs() / 0.1)), 0.07)


def test_labels_that_prove_nothing_are_counted_where_others_prove_something():
    """Else a threshold far too high would look like the best."""
    choice = chosen(drawn(nearer(), seed=0), probability="chance")
    assert choice.is_guaranteed
    sentence = choice.whole.guarantee.sentence
    found = re.search(
        r"from (\d+) labels drawn with equal probability at or above ([\d.]+); the other (\S+) prove "
        "nothing, since they were drawn with unequal probabilities, so that nothing lower could be chosen; ",
        sentence,
    )
    n_equal, n_other = int(found[1]), int(found[3].replace("\u2009", ""))
    assert n_equal + n_other == choice.whole.n_labelled
    assert choice.threshold >= float(found[2])
    assert n_other > n_equal


def test_unequal_probabilities_are_not_called_no_random_sample():
    score = synthetic()["score"].to_numpy()
    choice = chosen(drawn(0.1 + 0.1 * score, seed=0), probability="chance")
    assert not choice.is_guaranteed
    assert choice.whole.guarantee.sentence.startswith(
        "no guarantee: these labels were drawn with unequal probabilities, which is good for estimates and "
        "proves nothing; with a label store of their own, draw "
    )


def test_unequal_weights_are_not_called_no_random_sample():
    frame = synthetic().assign(w=np.arange(N) % 2 + 1)
    sentence = chosen(frame, weight="w").whole.guarantee.sentence
    assert sentence.startswith("no guarantee: weights differ")
    assert "sweep without weight=" in sentence


def test_labels_for_the_later_part_are_asked_for_as_well():
    """Of those drawn over the whole time, the last share verifies."""
    frame = synthetic().drop(columns="truth").assign(truth=pd.array([pd.NA] * N, dtype="boolean"))
    asked = [chosen(frame, verify_on=on).n_labels_needed for on in (None, "last 30%", "last 50%")]
    assert asked == [asked[0], pytest.approx(asked[0] / 0.7, abs=1), pytest.approx(asked[0] / 0.5, abs=1)]


def test_the_number_asked_for_gives_about_an_even_chance():
    """Of a guarantee that keeps half of the true units, with the later part held out."""
    frame = synthetic()
    verdicts = frame["truth"].where(np.random.default_rng(3).random(N) < 0.5)
    n = chosen(frame.assign(truth=verdicts), verify_on="last 30%").n_labels_needed
    n_good = 0
    for seed in range(20):
        is_drawn = np.random.default_rng(seed).permutation(N) < n
        audit = frame.assign(truth=frame["truth"].where(is_drawn), chance=n / N)
        choice = chosen(audit, verify_on="last 30%", probability="chance")
        fired = frame["truth"] & (frame["score"] >= (choice.threshold or 2))
        n_good += choice.is_guaranteed and fired.sum() >= 0.5 * frame["truth"].sum()
    assert 6 <= n_good <= 18


@pytest.mark.parametrize("n_true", [0, 7])
def test_few_labels_do_not_say_that_more_would_not_help(n_true):
    frame = pd.DataFrame({"score": np.arange(10) / 10, "truth": np.arange(10) < n_true})
    choice = chosen(frame)
    assert "10 labels cannot say how many it takes; 40 more would begin to" in choice.reason
    assert choice.n_labels_needed == 40


def test_more_labels_than_there_are_units_are_called_that():
    frame = pd.DataFrame({"score": np.arange(100) / 100, "truth": np.arange(100) % 6 > 0})
    choice = chosen(frame)
    assert f"about {choice.n_labels_needed} more labels (more than there are units) give" in choice.reason


def test_many_false_labels_say_that_more_would_not_help():
    frame = pd.DataFrame({"score": np.arange(200) / 200, "truth": np.arange(200) % 2 == 0})
    assert "more labels would hardly change that" in chosen(frame).reason
