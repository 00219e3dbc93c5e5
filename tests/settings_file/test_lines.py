"""One value of a settings file changed: it is read back so, and every other byte is as it was."""

from __future__ import annotations

import io

import pytest
from dotenv import dotenv_values
from hypothesis import example, given
from hypothesis import strategies as st

from secnb.errors import SettingsFileError
from secnb.settings_file.lines import EnvText

NAME = "detection_confidence_threshold"
KEY = NAME.upper()


def read(content: bytes) -> dict[str, str | None]:
    """Return the values as the service reads them, names in lower case."""
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8", "surrogateescape").read()
    return {key.lower(): value for key, value in dotenv_values(stream=io.StringIO(text)).items()}


def changed(content: bytes, value: str = "0.62", name: str = NAME) -> bytes:
    """Return the file with another value, which is read back and can be taken back."""
    old = EnvText.of(content)
    new, edit = old.set(name, value)
    assert read(new.content)[name] == value
    assert new.holds(edit)
    assert old.lacks(edit)
    undone = new.undo(edit)
    assert undone is not None
    assert undone[0].content == content
    return new.content


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"%s=0.5\n", b"%s=0.62\n"),
        (b"%s=0.5", b"%s=0.62"),
        (b"%s=0.5\r\nA=1\r\n", b"%s=0.62\r\nA=1\r\n"),
        (b"%s=0.5\rA=1\r", b"%s=0.62\rA=1\r"),
        (b"%s = 0.5\t# why\n", b"%s = 0.62\t# why\n"),
        (b'  export %s="0.5"  # why\n', b'  export %s="0.62"  # why\n'),
        (b"export\t%s='0.5'#why\n", b"export\t%s='0.62'#why\n"),
        (b"'%s'=0.5\n", b"'%s'=0.62\n"),
        (b"%s=0.5#no comment\n", b"%s=0.62\n"),
        (b"%s=\n", b"%s=0.62\n"),
        (b"%s=   \nA=1", b"%s=0.62   \nA=1"),
        (b"%s= # why\n", b"%s=0.62 # why\n"),
        (b"%s # why\n", b"%s=0.62 # why\n"),
        (b"%s", b"%s=0.62"),
        (b"%s=${OTHER}\n", b"%s=0.62\n"),
        (b"\xef\xbb\xbf%s=0.5\n", b"\xef\xbb\xbf%s=0.62\n"),
        (b"# \xff\xfe\nA=\xff\n%s=0.5\n", b"# \xff\xfe\nA=\xff\n%s=0.62\n"),
        (b"A='two\nlines'\n%s=0.5\n", b"A='two\nlines'\n%s=0.62\n"),
        (b"!! what\n'unclosed\n%s=0.5\n", b"!! what\n'unclosed\n%s=0.62\n"),
        (b"# %s=0.4\nMY_%s=0.3\n%s=0.5\n", b"# %s=0.4\nMY_%s=0.3\n%s=0.62\n"),
    ],
)
def test_the_value_is_changed_where_it_stands(before, after):
    """Spaces, quotes, comments, line ends, the mark of the byte order and bytes that are no text stay."""
    key = KEY.encode()
    assert changed(before.replace(b"%s", key)) == after.replace(b"%s", key)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"%s=0.62\n"),
        (b"\xef\xbb\xbf", b"\xef\xbb\xbf%s=0.62\n"),
        (b"A=1\n", b"A=1\n%s=0.62\n"),
        (b"A=1\r\n", b"A=1\r\n%s=0.62\r\n"),
        (b"A=1", b"A=1\n%s=0.62"),
        (b"A=1\r\nB=2", b"A=1\r\nB=2\r\n%s=0.62"),
        (b"# %s=0.4", b"# %s=0.4\n%s=0.62"),
        (b"A=1\n\n\n", b"A=1\n\n\n%s=0.62\n"),
        (b"A='unclosed\n", b"A='unclosed\n%s=0.62\n"),
    ],
)
def test_a_setting_that_is_not_there_is_added_at_the_end(before, after):
    """In upper case; a last line without an end stays one."""
    key = KEY.encode()
    assert changed(before.replace(b"%s", key)) == after.replace(b"%s", key)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{k}=0.1\n{k}=0.2\n", "{k}=0.1\n{k}=0.62\n"),
        ("{k}=0.1\n{n}=0.2\n", "{k}=0.1\n{n}=0.62\n"),
        # Of a name that stands twice the first place counts beside another spelling.
        ("{k}=0.1\n{n}=0.2\n{k}=0.3\n", "{k}=0.1\n{n}=0.62\n{k}=0.3\n"),
        ("{n}=0.1\n{k}=0.2\n{n}\n", "{n}=0.1\n{k}=0.62\n{n}\n"),
    ],
)
def test_of_several_lines_the_one_that_counts_is_changed(before, after):
    """As the service reads them."""
    assert changed(before.format(k=KEY, n=NAME).encode()) == after.format(k=KEY, n=NAME).encode()


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("", '["person", "dog # 1"]'),
        ("'[]'", """'["person", "dog # 1"]'"""),
        ('"[]"', r'"[\"person\", \"dog # 1\"]"'),
    ],
)
def test_a_value_is_quoted_as_it_needs(line, after):
    """The quotes that stand there stay; where the plain text would be a comment, there are some."""
    value = '["person", "dog # 1"]'
    found = changed(f"FAST_PATH_OBJECT_TYPES={line}\n".encode(), value, "fast_path_object_types").decode()
    expected = f"'{value}'" if not line else after
    assert found == f"FAST_PATH_OBJECT_TYPES={expected}\n"


def test_a_value_over_several_lines_is_left_alone():
    """A quote that was not closed has swallowed other settings, whose values nobody may see."""
    content = f'A=1\n{KEY}="0.5\nSECRET=hunter2\nB="\n'.encode()
    with pytest.raises(SettingsFileError, match=r"runs over several lines[\s\S]*line 2") as caught:
        EnvText.of(content).set(NAME, "0.62")
    assert "hunter2" not in str(caught.value)


def test_a_line_that_would_be_swallowed_is_not_added():
    """A quote that is not closed takes what follows into its value."""
    content = b"A='unclosed\n"
    with pytest.raises(SettingsFileError, match="cannot be set without reaching another line"):
        EnvText.of(content).set("camera_timezone", "it's")


@pytest.mark.parametrize(
    ("by_others", "left"),
    [
        ("A=1\n{k}=0.62\nB=2\n", "A=1\nB=2\n"),
        ("{k}=0.62\n", ""),
        ("A=1\n\n# new\n{k}=0.62", "A=1\n\n# new"),
    ],
)
def test_an_added_line_goes_alone(by_others, left):
    """What others have written around it stays."""
    _, edit = EnvText.of(b"A=1").set(NAME, "0.62")
    undone = EnvText(by_others.format(k=KEY)).undo(edit)
    assert undone is not None
    assert undone[0].text == left


@pytest.mark.parametrize("line", ["{k}=0.62 # keep\n", "export {k}=0.62\n", "A=1\n"])
def test_an_added_line_that_holds_more_by_now_does_not_go(line):
    """A comment that somebody has written would go with it."""
    _, edit = EnvText.of(b"").set(NAME, "0.62")
    assert EnvText(line.format(k=KEY)).undo(edit) is None


LINES = st.one_of(
    st.sampled_from(
        [
            b"A=1",
            b"export B='x y' # c",
            b"# comment",
            b"",
            b"   ",
            b'C="q',
            b"'",
            b"D='l1",
            b"=",
            b"E = ${A}",
            b"\xff\xfe=\xff",
            KEY.encode(),
            b"export " + KEY.encode() + b" = '0.5' # x",
            NAME.encode() + b"=0.7",
            KEY.encode() + b"=\t",
            KEY.encode() + b"=0.5 \xc2\xa0# y",
            KEY.encode() + b'="a\\"b" #z',
            b"\x0c" + KEY.encode() + b"=\x85",
        ]
    ),
    st.binary(max_size=12),
)


@given(st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n", b"\r", b""])), max_size=6), st.booleans())
@example([(b"\xef\xbb\xbf", b"")], True)
def test_every_other_byte_is_kept(lines, has_mark):
    """Whatever the file is, either nothing is changed, or one part of one line; and it can be taken back."""
    content = b"\xef\xbb\xbf" * has_mark + b"".join(line + end for line, end in lines)
    try:
        new = changed(content)
    except SettingsFileError:
        return
    old = EnvText.of(content)
    _, edit = old.set(NAME, "0.62")
    if edit.joint is not None:
        added = new.removeprefix(content)
        assert added.strip(b"\r\n") == f"{KEY}=0.62".encode()
        assert new == content + added
        return
    found = old.find(NAME)
    at = len(old.text[: found.at].encode("utf-8", "surrogateescape"))
    part = found.part.encode("utf-8", "surrogateescape")
    assert new[:at] == content[:at]
    assert new[at:].removeprefix(edit.after.encode("utf-8", "surrogateescape")) == content[at + len(part) :]
    others = [{k: v for k, v in read(each).items() if k != NAME} for each in (content, new)]
    if b"${" not in content:
        assert others[0] == others[1]
