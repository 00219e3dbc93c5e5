"""What a review sends to its page: plain text and numbers, and a picture beside them, never as state."""

from __future__ import annotations

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

import secnb.view.reviews
from secnb.view.cards import Look, Tally, facts
from secnb.view.pictures import Picture
from secnb.view.reviews import ReviewWidget

BERLIN = ZoneInfo("Europe/Berlin")
SCRIPT = Path(secnb.view.reviews.__file__).with_suffix(".js").read_text()


@pytest.fixture
def widget(monkeypatch):
    """Return a widget, and what it sends."""
    sent: list[tuple[dict, list | None]] = []
    made = ReviewWidget(lambda content: None)
    monkeypatch.setattr(made, "send", lambda content, buffers=None: sent.append((content, buffers)))
    return made, sent


def test_a_picture_goes_beside_its_message(widget):
    made, sent = widget
    picture = Picture(
        "a title", "/x/1.png", "person 0.90", (1, 2, 3, 4), "", "image/png", (64, 36), b"content"
    )
    made.send_look("event 1", Look(picture, {"reasoning": "Why."}))
    ((content, buffers),) = sent
    assert buffers == [b"content"]
    assert content["picture"] == {
        "path": "/x/1.png", "note": "", "label": "person 0.90", "mime": "image/png",
        "extent": [64, 36], "box": [1, 2, 3, 4],
    }  # fmt: skip
    assert (content["kind"], content["unit"], content["said"]) == ("look", "event 1", [["reasoning", "Why."]])


def test_without_an_image_the_extent_holds_the_box(widget):
    made, sent = widget
    made.send_look("event 1", Look(Picture("", "", "", (1900, 0, 100, 10), "No image.")))
    ((content, buffers),) = sent
    assert buffers is None
    assert content["picture"]["extent"] == [2000, 1080]


def test_a_lone_surrogate_is_sent_as_its_escape(widget):
    made, sent = widget
    made.send_look("event 1", Look(Picture("", "a\ud83d.png", "", None, ""), {"summary": "\udc80"}))
    assert sent[0][0]["picture"]["path"] == "a\\ud83d.png"
    assert sent[0][0]["said"] == [["summary", "\\udc80"]]


def test_nothing_is_kept_as_state(widget):
    """JupyterLab may save the state of widgets with a notebook."""
    made, _ = widget
    before = made.get_state()
    made.show(
        "event 1", Tally(2, 1, 0, 0), facts={"camera": "porch"}, verdict=None, can_go_back=False,
        said="", problem="", is_answer=True, keep=["event 1"],
    )  # fmt: skip
    assert made.get_state() == before
    assert "porch" not in str(before)


def test_the_script_sets_text_only_and_loads_nothing():
    assert not re.search(r"innerHTML|insertAdjacentHTML|outerHTML|document\.write|eval\(|import\(", SCRIPT)
    assert re.findall(r"https?://[^\"]*", SCRIPT) == ["http://www.w3.org/2000/svg"]


def test_facts_are_in_local_time_and_leave_out_what_is_missing():
    row = {"camera_id": "porch", "score": float("nan"), "risk_score": pd.NA, "probability": 0.25}
    row |= {"started_at": pd.Timestamp("2026-07-01 22:30", tz="UTC"), "design": "near"}
    assert facts(row, BERLIN) == {
        "camera": "porch",
        "time": "2026-07-02 00:30:00 CEST",
        "sample": "near, drawn with probability 0.25",
    }


def test_a_row_that_nobody_drew_says_so():
    assert facts({}, BERLIN) == {"sample": "none; the verdict stands for this unit alone"}


def test_a_tally_says_how_far_it_is():
    tally = Tally(9, 3, 2, 1)
    assert (tally.n_done, str(tally)) == (6, "6 of 9 judged: 3 true, 2 false, 1 unsure")
