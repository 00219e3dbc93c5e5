"""Pictures: read below the cameras' folder only, and what cannot be shown is said in words."""

from __future__ import annotations

import os
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secnb.frames.pictures import MAX_BYTES, jpeg_size, png_size, read_image


def png(width: int = 64, height: int = 36) -> bytes:
    """Return a grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x90" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xff"
    b"\xc0\x00\x11\x08" + struct.pack(">HH", 1080, 1920) + b"\x03" + b"\x00" * 9
)


@pytest.fixture
def root(tmp_path):
    """Return the cameras' folder, with a picture of one camera in it, and one beside it."""
    folder = tmp_path / "foscam"
    (folder / "porch").mkdir(parents=True)
    (folder / "porch" / "1.png").write_bytes(png())
    (tmp_path / "secret.png").write_bytes(png())
    return folder


@pytest.mark.parametrize(
    ("path", "folder"), [("{}/porch/1.png", None), ("1.png", "{}/porch"), ("1.png", "porch")]
)
def test_a_picture_below_the_root_is_read(root, path, folder):
    folder = folder and folder.format(root)
    found = read_image(root, path.format(root), folder=folder)
    assert (found.content, found.mime, found.width, found.height) == (png(), "image/png", 64, 36)
    assert found.problem is None


@pytest.mark.parametrize(
    "path", ["../secret.png", "{}/porch/../../secret.png", "/etc/passwd", "{}", "porch/link.png"]
)
def test_nothing_outside_of_the_root_is_read(root, path):
    (root / "porch" / "link.png").symlink_to(root.parent / "secret.png")
    found = read_image(root, path.format(root))
    assert found.content == b""
    assert "does not lie below" in found.problem


def test_a_folder_outside_of_the_root_does_not_widen_it(root):
    assert "does not lie below" in read_image(root, "secret.png", folder=str(root.parent)).problem


def test_a_link_inside_of_the_root_is_followed(root):
    (root / "latest.png").symlink_to(root / "porch" / "1.png")
    assert read_image(root, "latest.png").content == png()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("porch/2.png", "no such file"),
        ("porch", "no regular file"),
        ("porch/text.jpg", "neither JPEG nor PNG"),
        ("porch/empty.jpg", "empty"),
        ("porch/huge.jpg", "are the most that is read"),
        ("porch/pipe.jpg", "no regular file"),
        ("porch/loop.jpg", "cannot be read"),
        ("porch/film.MP4", "video"),
        ("x" * 5000, "cannot be read"),
        ("\ud83d.jpg", "no such file|cannot be read"),
        ("a\0b.jpg", "no file is recorded"),
        ("", "no file is recorded"),
        (None, "no file is recorded"),
        (7, "no file is recorded"),
    ],
)
def test_what_cannot_be_shown_is_said(root, path, words):
    (root / "porch" / "text.jpg").write_bytes(b"<svg onload='alert(1)'/>")
    (root / "porch" / "empty.jpg").touch()
    (root / "porch" / "huge.jpg").touch()
    os.truncate(root / "porch" / "huge.jpg", MAX_BYTES + 1)
    os.mkfifo(root / "porch" / "pipe.jpg")
    (root / "porch" / "loop.jpg").symlink_to("loop.jpg")
    found = read_image(root, path)
    assert found.content == b""
    assert any(word in found.problem for word in words.split("|"))


def test_a_root_that_is_not_there_is_said(tmp_path):
    assert "no such file" in read_image(tmp_path / "none", "1.png").problem


def test_sizes_stand_in_the_headers():
    assert png_size(png(640, 360)) == (640, 360)
    assert jpeg_size(JPEG) == (1920, 1080)


@given(st.binary(max_size=64), st.sampled_from([b"", b"\xff\xd8\xff", JPEG[:20], png()[:12], png()[:20]]))
def test_no_header_makes_a_reader_fail(content, head):
    for measure in (png_size, jpeg_size):
        size = measure(head + content)
        assert size is None or len(size) == 2
