"""Saving a panel: the file is whole or not there, and nothing of the data runs in it."""

from __future__ import annotations

import json
import os
import re
import stat

import pandas as pd
import pytest

import secnb
from secnb.errors import BadInputError

NASTY = "</script><script>window.hit=1</script><!--<script>"


def sample(**columns: object) -> secnb.Panel:
    frame = pd.DataFrame({"score": [0.2, 0.7, 0.9], "truth": [False, True, None], **columns})
    by = list(columns)
    return secnb.panel(secnb.sweep(frame, score="score", truth="truth", by=by), current=0.5)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return a saved page of hostile data."""
    panel = sample(**{NASTY: [NASTY, "b", "c"]})
    path = secnb.save_panel(panel, tmp_path_factory.mktemp("page") / "panel.HTML")
    return panel, path


def test_a_page_is_one_small_file_that_holds_the_specification(page):
    panel, path = page
    text = path.read_text(encoding="utf-8")
    assert len(text) < 2_500_000
    held = re.search(r'<script type="application/json" id="spec">(.*?)</script>', text)
    assert json.loads(held[1]) == panel.spec


def test_texts_of_the_data_cannot_leave_their_place_in_the_page(page):
    _, path = page
    text = path.read_text(encoding="utf-8")
    assert NASTY not in text
    # The specification, the bundle, and the line that draws.
    assert text.count("</script") == 3


def test_a_page_asks_for_nothing(page):
    _, path = page
    assert "default-src 'none'" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "begin"), [("panel.png", b"\x89PNG"), ("panel.svg", b"<svg")])
def test_a_picture_is_what_its_suffix_says(tmp_path, name, begin):
    path = secnb.save_panel(sample(), str(tmp_path / name))
    assert path == tmp_path / name
    assert path.read_bytes().startswith(begin)


def test_a_relative_path_is_in_the_working_directory(tmp_path):
    assert secnb.save_panel(sample(), "panel.svg") == tmp_path / "panel.svg"


def test_a_file_of_that_name_is_replaced_and_nothing_else_is_left(tmp_path):
    (tmp_path / "panel.svg").write_text("old")
    path = secnb.save_panel(sample(), tmp_path / "panel.svg")
    assert path.read_bytes().startswith(b"<svg")
    assert [each.name for each in tmp_path.iterdir()] == ["panel.svg"]


def test_others_may_read_what_the_users_mask_lets_them(tmp_path):
    mask = os.umask(0o027)
    try:
        path = secnb.save_panel(sample(), tmp_path / "panel.svg")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "panel.svg").mkdir()
    with pytest.raises(OSError, match=r"panel\.svg"):
        secnb.save_panel(sample(), tmp_path / "panel.svg")
    assert [each.name for each in tmp_path.iterdir()] == ["panel.svg"]


@pytest.mark.parametrize("name", ["panel", "panel.pdf", "panel.html.gz", ".html"])
def test_another_suffix_is_refused(tmp_path, name):
    with pytest.raises(
        BadInputError, match=re.escape(f"saved as {name!r}. Allowed suffixes: .html, .png, .svg")
    ):
        secnb.save_panel(sample(), tmp_path / name)


def test_a_missing_folder_is_refused_and_not_made(tmp_path):
    with pytest.raises(BadInputError, match=r"There is no folder .*absent"):
        secnb.save_panel(sample(), tmp_path / "absent" / "panel.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", [None, 3, b"x.html"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(BadInputError, match=r"path is .*\. Allowed: a str or a Path"):
        secnb.save_panel(sample(), path)


def test_a_path_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert secnb.save_panel(sample(), "~/panel.svg") == tmp_path / "panel.svg"


def test_something_else_than_a_panel_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="needs a panel, not dict"):
        secnb.save_panel(sample().spec, tmp_path / "panel.html")


@pytest.mark.parametrize("threshold", [0.83, 0.4567])
def test_a_linked_panel_is_saved_where_its_slider_stands(tmp_path, threshold):
    frame = pd.DataFrame({"score": [0.2, 0.7, 0.9], "truth": [False, True, None]})
    panel = secnb.panel(secnb.sweep(frame, score="score", truth="truth"), current=0.4567, link=True)
    panel.threshold = threshold
    text = secnb.save_panel(panel, tmp_path / "panel.svg").read_text(encoding="utf-8")
    panel.close()
    assert f'aria-label="threshold: {threshold}"' in text
