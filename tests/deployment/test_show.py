"""A detection is shown with its box; the image only where it was asked for; every text is escaped."""

from __future__ import annotations

import sqlite3

import pytest

import secnb
from secnb.errors import BadInputError, UnknownColumnError, UnknownDetectionError, UnknownNameError

# The smallest that a browser draws.
GIVEN = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080000000 03a7e9b55".replace(" ", "")
    + "0000000a49444154789c6360000000020001487fb3cb0000000049454e44ae426082"
)
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def site(tmp_path, monkeypatch, redis_url):
    """Return a deployment with five detections: ordinary, nasty, without a box, film, box of nonsense."""
    root = tmp_path / "foscam"
    (root / "porch").mkdir(parents=True)
    (root / "porch" / "1.png").write_bytes(GIVEN)
    monkeypatch.setenv("FOSCAM_BASE_PATH", str(root))
    path = tmp_path / "security.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE cameras (id TEXT PRIMARY KEY, folder_path TEXT)")
        connection.execute("INSERT INTO cameras VALUES ('porch', ?)", [str(root / "porch")])
        connection.execute(
            "CREATE TABLE detections (id INTEGER PRIMARY KEY, camera_id TEXT, file_path TEXT,"
            " detected_at TEXT, object_type TEXT, confidence REAL, bbox_x, bbox_y, bbox_width, bbox_height)"
        )
        at = "2026-03-15 18:00:00.000000"
        rows = [
            (1, "porch", str(root / "porch" / "1.png"), at, "person", 0.876, 10, 20, 30, 40),
            (2, NASTY, f"/x/{NASTY}.jpg", NASTY, NASTY, 0.5, 1, 1, 1, 1),
            (3, "porch", "1.png", None, None, None, None, None, None, None),
            (4, "porch", "film.mp4", at, "person", 0.5, 1, 1, 1, 1),
            (5, "porch", "1.png", at, "person", "high", NASTY, 1e300, b"x", -1),
        ]
        connection.executemany(f"INSERT INTO detections VALUES ({', '.join('?' * 10)})", rows)
    connection.close()
    with secnb.connect(database_url=f"sqlite:///{path}", redis_url=redis_url) as opened:
        yield opened


def test_the_image_is_off_unless_asked_for(site):
    """A saved notebook holds what a cell showed."""
    shown = site.show(1)
    assert "base64" not in shown._repr_html_()
    assert repr(shown).startswith(
        "<Picture: detection 1, porch, person 0.88, 2026-03-15 18:00:00 UTC; No image"
    )


def test_the_image_is_shown_with_its_box_and_label(site):
    page = site.show(1, embed=True)._repr_html_()
    assert "data:image/png;base64,iVBORw0KGgo" in page
    # A box is in pixels as stored, whatever EXIF data say of the way up.
    assert 'style="image-orientation:none"' in page
    assert '<rect x="10" y="20" width="30" height="40"' in page
    assert ">person 0.88</text>" in page


@pytest.mark.parametrize("detection_id", [2, 3, 4, 5])
@pytest.mark.parametrize("embed", [False, True])
def test_whatever_is_recorded_is_shown_and_escaped(site, detection_id, embed):
    shown = site.show(detection_id, embed=embed)
    assert "<script" not in shown._repr_html_()
    assert repr(shown).startswith(f"<Picture: detection {detection_id}, ")


def test_a_video_is_said(site):
    assert site.show(4, embed=True).note == "No image: it is a video."


@pytest.mark.parametrize(
    "cameras", ["", "CREATE TABLE cameras (id, name); INSERT INTO cameras VALUES ('porch', 'P')"]
)
def test_the_folder_of_its_camera_may_be_unknown(site, tmp_path, cameras):
    """Then a path counts from the folder of all cameras."""
    with sqlite3.connect(tmp_path / "security.db") as connection:
        connection.executescript(f"DROP TABLE cameras; {cameras}")
    connection.close()
    assert repr(site.show(3)).startswith("<Picture: detection 3, porch, ")
    assert site.show(3, embed=True).note.startswith("No image: there is no such file here")
    assert site.show(1, embed=True).note == ""


@pytest.mark.parametrize(
    ("tables", "error", "match"),
    [
        ("", UnknownNameError, r"There is no table 'detections'\. Known: cameras"),
        ("CREATE TABLE detections (n)", UnknownColumnError, "There is no column 'id'"),
    ],
)
def test_without_detections_there_is_nothing_to_show(site, tmp_path, tables, error, match):
    with sqlite3.connect(tmp_path / "security.db") as connection:
        connection.executescript(f"DROP TABLE detections; {tables}")
    connection.close()
    with pytest.raises(error, match=match):
        site.show(1)


async def test_it_can_be_awaited(site):
    assert (await site.show.aio(3, embed=True)).note == ""


@pytest.mark.parametrize("detection_id", [0, 6, 2**63 - 1])
def test_an_unknown_detection_is_an_error(site, detection_id):
    match = r"no detection .* Known: from 1 to 5[\s\S]*older than the retention"
    with pytest.raises(UnknownDetectionError, match=match):
        site.show(detection_id)


@pytest.mark.parametrize("detection_id", ["1", 1.0, True, None, 2**63])
def test_what_is_no_id_is_refused(site, detection_id):
    with pytest.raises(BadInputError, match="detection_id is"):
        site.show(detection_id)
