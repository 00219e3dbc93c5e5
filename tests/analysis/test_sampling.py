"""What is drawn to be labelled is a sample whose probabilities are known, over any number of waves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from secnb import schema
from secnb.analysis.counting import sweep
from secnb.analysis.inclusion import FLOOR, draw_systematically, favour_near, of_wave, raise_chances
from secnb.analysis.sampling import label_next
from secnb.errors import BadInputError, LabelStoreError, SecnbWarning, UnknownColumnError
from secnb.frames.labels import LabelStore
from secnb.frames.typed import to_frame


class Memory:
    """A label store without a file, for many runs."""

    def __init__(self) -> None:
        self.verdicts = to_frame({}, schema.LABELS)
        self.units = to_frame({}, schema.CHANCES).set_index("event_id", drop=False)
        self.n_waves = 0

    def labels(self) -> pd.DataFrame:
        """Return what was verified."""
        return self.verdicts

    def chances(self) -> pd.DataFrame:
        """Return what a draw could have taken."""
        found = self.units.reset_index(drop=True)
        found.attrs["n_waves"] = self.n_waves
        return found

    def log_wave(self, units: pd.DataFrame, *, after: int, design: str, seed: int) -> None:
        """Keep what was drawn."""
        units = units.set_index("event_id", drop=False)
        found = self.units.reindex(self.units.index.union(units.index))
        found.loc[units.index, ["event_id", "probability"]] = units[["event_id", "probability"]]
        drawn = units.index[units["is_drawn"]]
        found.loc[drawn, "wave"], found.loc[drawn, "design"] = after + 1, design
        self.units, self.n_waves = found, after + 1

    def verify(self, ids: pd.Series) -> None:
        """Keep that somebody looked at these."""
        self.verdicts = pd.concat([self.verdicts, to_frame({"event_id": ids.tolist()}, schema.LABELS)])


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore(tmp_path / "labels.sqlite")


def events(n: int, *, first: int = 1) -> pd.DataFrame:
    """Return n events with scores from 0 up to 1."""
    ids = np.arange(first, first + n)
    return pd.DataFrame(
        {"event_id": ids, "score": (ids - first) / n, "truth": pd.array([None] * n, "boolean")}
    )


def test_an_audit_gives_all_the_same_probability(store: LabelStore):
    drawn = label_next(events(200), 50, store=store, seed=1)
    assert len(drawn) == drawn["event_id"].nunique() == 50
    assert drawn["probability"].tolist() == pytest.approx([0.25] * 50)
    assert set(drawn["design"]) == {"audit"}
    assert store.draws()["event_id"].tolist() == sorted(drawn["event_id"], key=lambda i: f"event {i}")
    assert store.chances()["probability"].tolist() == pytest.approx([0.25] * 200)


def test_what_is_drawn_can_be_stored_with_its_verdict(store: LabelStore):
    drawn = label_next(events(200), 20, store=store, seed=1)
    store.add(drawn.assign(truth=True))
    labels = store.labels()
    assert labels["probability"].tolist() == pytest.approx([0.1] * 20)
    assert set(labels["design"]) == {"audit"}
    assert labels["score"].tolist() == drawn["score"].tolist()


def test_near_favours_what_is_near_and_leaves_out_none(store: LabelStore):
    frame = events(1000)
    label_next(frame, 100, store=store, design="near", near=0.5, seed=1)
    chances = store.chances().set_index("event_id")["probability"].sort_index()
    assert chances.sum() == pytest.approx(100)
    assert chances.idxmax() == 500
    assert chances[:500].is_monotonic_increasing
    assert chances[500:].is_monotonic_decreasing
    assert chances.min() >= FLOOR * chances.max() * 0.99
    assert chances.min() > 0


def test_only_the_order_of_the_scores_counts(store: LabelStore):
    frame = events(300)
    squared = frame.assign(score=frame["score"] ** 2)
    one, other = (
        label_next(each, 30, store=Memory(), design="near", near=near, seed=3)["event_id"].tolist()
        for each, near in ((frame, 0.5), (squared, 0.25))
    )
    assert one == other


def test_above_leaves_out_what_is_below(store: LabelStore):
    drawn = label_next(events(100), 20, store=store, above=0.5, seed=1)
    assert drawn["score"].min() >= 0.5
    assert drawn["probability"].tolist() == pytest.approx([0.4] * 20)
    assert len(store.chances()) == 50


def test_rows_without_a_score_are_left_out(store: LabelStore):
    frame = events(20)
    frame.loc[:9, "score"] = np.nan
    assert set(label_next(frame, 20, store=store, seed=1)["event_id"]) == set(range(11, 21))


def test_an_audit_needs_no_score(store: LabelStore):
    assert len(label_next(events(20).drop(columns="score"), 5, store=store, seed=1)) == 5


def test_detections_are_units_too(store: LabelStore):
    frame = pd.DataFrame({"detection_id": range(10), "confidence": 0.5})
    drawn = label_next(frame, 4, store=store, seed=1)
    assert set(store.draws()["detection_id"]) == set(drawn["detection_id"])
    assert store.draws()["event_id"].isna().all()


def test_what_is_labelled_is_not_drawn(store: LabelStore):
    frame = events(30)
    frame.loc[:9, "truth"] = True
    store.add(pd.DataFrame({"event_id": range(11, 21), "truth": True}))
    store.add(event_id=21, truth=None)
    drawn = label_next(frame, 30, store=store, seed=1)
    assert set(drawn["event_id"]) == set(range(22, 31))


def test_what_was_labelled_before_any_draw_is_certain(store: LabelStore):
    store.add(event_id=1, truth=True)
    label_next(events(11), 5, store=store, seed=1)
    assert store.labels()["probability"].tolist() == [1.0]
    assert store.chances()["probability"].sum() == pytest.approx(6)


def test_what_was_labelled_later_without_being_drawn_has_no_probability(store: LabelStore):
    frame = events(20)
    drawn = label_next(frame, 5, store=store, seed=1)
    other = next(i for i in frame["event_id"] if i not in set(drawn["event_id"]))
    store.add(event_id=other, truth=True)
    store.add(drawn.assign(truth=True))
    again = label_next(frame, 14, store=store, seed=1)
    assert other not in set(again["event_id"])
    assert store.labels().set_index("event_id")["probability"].isna()[other]


def test_a_verdict_taken_back_makes_its_unit_open_again(store: LabelStore):
    frame = events(10)
    store.add(event_id=1, truth=True)
    store.add(label_next(frame, 4, store=store, seed=1).assign(truth=True))
    store.undo()
    store.undo()
    assert len(label_next(frame, 10, store=store, seed=1)) == 10


def test_what_waits_for_a_label_comes_first(store: LabelStore):
    """Running a cell twice draws nothing new."""
    frame = events(100)
    drawn = label_next(frame, 10, store=store, seed=1)
    again = label_next(frame, 10, store=store, seed=1)
    assert set(again["event_id"]) == set(drawn["event_id"])
    assert store.chances().attrs["n_waves"] == 1
    store.add(again.iloc[:4].assign(truth=True))
    more = label_next(frame, 10, store=store, design="near", near=0.5, seed=1)
    assert set(more.loc[more["design"] == "audit", "event_id"]) == set(again["event_id"].iloc[4:])
    assert (more["design"] == "near").sum() == 4


def test_waves_of_an_audit_are_one_audit(store: LabelStore):
    """New units catch up, so that a guarantee can be given for all."""
    first, both = events(100), pd.concat([events(100), events(300, first=101)])
    store.add(label_next(first, 10, store=store, seed=1).assign(truth=True))
    drawn = label_next(both, 30, store=store, seed=1)
    assert drawn["event_id"].min() > 100
    store.add(drawn.assign(truth=True))
    store.add(label_next(both, 40, store=store, seed=1).assign(truth=False))
    assert store.labels()["probability"].tolist() == pytest.approx([0.2] * 80)


def test_labelled_units_rise_with_their_like(store: LabelStore):
    frame = events(100)
    store.add(label_next(frame, 10, store=store, seed=1).assign(truth=True))
    store.add(label_next(frame, 10, store=store, seed=1).assign(truth=True))
    assert store.labels()["probability"].tolist() == pytest.approx([0.2] * 20)


def test_a_label_that_outlived_its_event_does_not_rise(store: LabelStore):
    """Had it not been drawn, it would be gone by now."""
    old, new = events(100), events(100, first=101)
    old["started_at"] = pd.Timestamp("2026-01-01", tz="UTC")
    new["started_at"] = pd.Timestamp("2026-03-01", tz="UTC")
    drawn = label_next(old, 10, store=store, seed=1)
    store.add(drawn.assign(truth=True))
    label_next(pd.concat([drawn, new]), 50, store=store, seed=1)
    assert store.labels()["probability"].tolist() == pytest.approx([0.1] * 10)


def test_a_frame_without_its_labelled_rows_is_warned_of(store: LabelStore):
    frame = events(100)
    drawn = label_next(frame, 10, store=store, seed=1)
    store.add(drawn.assign(truth=True))
    with pytest.warns(SecnbWarning, match="10 drawn units, and the frame has none of them"):
        label_next(frame.drop(index=drawn.index), 5, store=store, seed=1)


def test_the_same_seed_gives_the_same_draw():
    one, other, third = (
        label_next(events(100), 10, store=Memory(), seed=seed)["event_id"].tolist() for seed in (1, 1, 2)
    )
    assert one == other != third


def test_a_seed_is_made_and_kept(store: LabelStore):
    drawn = label_next(events(100), 10, store=store)
    (seed,) = store.draws()["seed"].unique()
    assert label_next(events(100), 10, store=Memory(), seed=int(seed)).equals(drawn)


def test_two_kernels_that_draw_at_once_do_not_mix(store: LabelStore):
    class Slow(LabelStore):
        def chances(self) -> pd.DataFrame:
            found = super().chances()
            label_next(events(10), 2, store=store, seed=2)
            return found

    with pytest.raises(LabelStoreError, match="at the same moment"):
        label_next(events(10), 2, store=Slow(store.path), seed=1)
    assert len(store.draws()) == 2


def test_nothing_left_is_no_error(store: LabelStore):
    assert len(label_next(events(0), 5, store=store, seed=1)) == 0
    store.add(events(5).assign(truth=True))
    assert list(label_next(events(5), 5, store=store, seed=1).columns)[-2:] == ["design", "probability"]
    assert store.chances().attrs["n_waves"] == 0


def test_the_frame_is_not_changed_and_its_index_stays(store: LabelStore):
    frame = events(50).set_index(pd.Index([f"row {i}" for i in range(50)]))
    frame.attrs = {"timezone": "Europe/Berlin"}
    before = frame.copy(deep=True)
    drawn = label_next(frame, 10, store=store, seed=1)
    pd.testing.assert_frame_equal(frame, before)
    assert drawn.attrs == frame.attrs
    assert frame.loc[drawn.index, "event_id"].tolist() == drawn["event_id"].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n is 0"),
        ({"n": 2.5}, "n is 2.5"),
        ({"design": "top"}, "design is 'top'. Allowed: 'audit', 'near'"),
        ({"design": "near"}, "near=None is not allowed"),
        ({"near": 0.5}, "near=0.5 is not allowed"),
        ({"design": "near", "near": np.nan}, "near is nan"),
        ({"design": "near", "near": "0.5"}, "near is '0.5'. Allowed: numbers"),
        ({"above": np.nan}, "above is nan"),
        ({"above": pd.NA}, "above is <NA>"),
        ({"store": "labels.sqlite"}, "store is 'labels.sqlite'. Allowed: a LabelStore"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": "one"}, "seed is 'one'"),
    ],
)
def test_what_is_not_allowed_is_refused(store: LabelStore, options: dict[str, object], message: str):
    with pytest.raises(BadInputError, match=message):
        label_next(events(10), **{"n": 2, "store": store, "seed": 1} | options)


def test_units_need_ids_of_their_own(store: LabelStore):
    with pytest.raises(UnknownColumnError, match="or detection_id"):
        label_next(events(3).drop(columns="event_id"), 2, store=store)
    with pytest.raises(BadInputError, match="has 7 twice"):
        label_next(events(3).assign(event_id=7), 2, store=store)
    with pytest.raises(BadInputError, match="missing in 1 rows"):
        label_next(events(3).assign(event_id=pd.array([1, None, 3], "Int64")), 2, store=store)
    with pytest.raises(BadInputError, match=r"dtype str\. Allowed: whole numbers"):
        label_next(events(3).assign(event_id=["a", "b", "c"]), 2, store=store)
    with pytest.raises(UnknownColumnError, match="score"):
        label_next(events(3).drop(columns="score"), 2, store=store, above=0.5)


favours = st.lists(st.floats(0.05, 1), min_size=2, max_size=40)


@given(favours, st.data())
def test_the_probabilities_of_a_wave_add_up_to_its_size(favour: list[float], data: st.DataObject):
    favour_of = np.array(favour)
    before = np.array(data.draw(st.lists(st.floats(0, 0.99), min_size=len(favour), max_size=len(favour))))
    is_open = np.array(data.draw(st.lists(st.booleans(), min_size=len(favour), max_size=len(favour))))
    assume(is_open.any())
    n = data.draw(st.integers(1, int(is_open.sum())))
    goes_on = ~is_open & (np.arange(len(favour)) % 2 == 0)
    now = raise_chances(before, favour_of, n, is_open=is_open, goes_on=goes_on)
    assert of_wave(now[is_open], before[is_open]).sum() == pytest.approx(n)
    assert (now >= before).all()
    assert (now <= 1).all()
    stays = ~is_open & ~goes_on
    np.testing.assert_array_equal(now[stays], before[stays])


@given(favours, st.integers(0, 2**32 - 1), st.data())
def test_a_draw_takes_exactly_its_size_and_nothing_twice(favour: list[float], seed: int, data: st.DataObject):
    n = data.draw(st.integers(1, len(favour)))
    everything = np.ones(len(favour), dtype=bool)
    chance = raise_chances(np.zeros(len(favour)), np.array(favour), n, is_open=everything, goes_on=everything)
    taken = draw_systematically(chance, n, along=np.array(favour), generator=np.random.default_rng(seed))
    assert len(set(taken.tolist())) == n


def test_each_unit_is_drawn_as_often_as_is_said():
    """Over two waves of different designs, the second of which knows what the first one took."""
    scores = np.linspace(0, 1, 40) ** 2
    n_runs = 1500
    generator = np.random.default_rng(20260301)
    times, said = np.zeros(40), np.zeros(40)
    for _ in range(n_runs):
        chance, is_drawn = np.zeros(40), np.zeros(40, dtype=bool)
        for favour, n in ((favour_near(scores, 0.3), 6), (np.ones(40), 5)):
            now = raise_chances(chance, favour, n, is_open=~is_drawn, goes_on=is_drawn)
            rows = np.flatnonzero(~is_drawn)
            wave = of_wave(now[rows], chance[rows])
            is_drawn[rows[draw_systematically(wave, n, along=scores[rows], generator=generator)]] = True
            chance = now
        times += is_drawn
        said += chance
    share = said / n_runs
    error = np.sqrt(share * (1 - share) / n_runs)
    assert (np.abs(times / n_runs - share) / error).max() < 4


# The population of the reference figures: prevalence 0.4, scores Beta(6, 2) where true, else Beta(2, 4).
def population(generator: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    is_true = generator.random(n) < 0.4
    return np.where(is_true, generator.beta(6, 2, n), generator.beta(2, 4, n)), is_true


def estimates(frame: pd.DataFrame, is_true: NDArray[np.bool_], threshold: float) -> tuple[float, float]:
    """Return recall and precision as a sweep has them, from the labels and their probabilities."""
    truth = pd.array(is_true[frame["event_id"]], dtype="boolean")
    swept = sweep(
        frame.assign(truth=truth), score="score", truth="truth", at=[threshold], probability="probability"
    )
    row = swept.at(threshold).iloc[0]
    return float(row["recall"]), float(row["precision"])


def errors(waves: Sequence[tuple[str, int]], *, threshold: float, n_runs: int) -> NDArray[np.float64]:
    """Return the errors of recall and precision of each run: of a random audit, then of the waves."""
    n_units, n = 3000, sum(size for _, size in waves)
    found = []
    for run in range(n_runs):
        generator = np.random.default_rng(run)
        scores, is_true = population(generator, n_units)
        fires = scores >= threshold
        recall, precision = is_true[fires].sum() / is_true.sum(), is_true[fires].mean()
        frame, memory = pd.DataFrame({"event_id": np.arange(n_units), "score": scores}), Memory()
        for design, size in waves:
            near = threshold if design == "near" else None
            memory.verify(
                label_next(frame, size, store=memory, design=design, near=near, seed=run)["event_id"]
            )
        drawn = memory.chances().merge(frame, on="event_id")
        audit = frame.sample(n, random_state=run).assign(probability=n / n_units)
        ours, random = (estimates(each, is_true, threshold) for each in (drawn[drawn["wave"].notna()], audit))
        found.append([random[0] - recall, random[1] - precision, ours[0] - recall, ours[1] - precision])
    return np.array(found)


def test_recall_is_known_better_than_from_a_random_audit_with_as_many_labels():
    """In 400 runs (benchmarks/bench_sampling.py) the ratio is 0.35 to 0.6, by the threshold."""
    found = errors([("near", 300)], threshold=0.8, n_runs=40)
    recall_of_audit, _, recall, _ = np.sqrt((found**2).mean(axis=0))
    assert recall < 0.5 * recall_of_audit


@pytest.mark.parametrize("waves", [[("near", 300)], [("audit", 60), ("near", 120), ("near", 120)]])
def test_estimates_lean_to_neither_side(waves: list[tuple[str, int]]):
    found = errors(waves, threshold=0.6, n_runs=40)[:, 2:]
    assert (np.abs(found.mean(axis=0)) < 3 * found.std(axis=0) / np.sqrt(len(found))).all()


def test_something_else_than_a_frame_is_refused():
    with pytest.raises(BadInputError, match="A pandas DataFrame is needed, not NoneType"):
        label_next(None, 1, store=Memory(), seed=1)
