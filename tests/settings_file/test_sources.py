"""What is in force, and from where; nothing is written, and no value stops the reading."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secnb.errors import SettingsError
from secnb.schema import LATER_DEFAULTS, TUNABLE, Setting
from secnb.settings_file import SettingSources, describe_range, find_env_file, read_value

NAME = "detection_confidence_threshold"


def in_force(env_file, name=NAME):
    """Return one setting, as the sources name it now."""
    return {each.name: each for each in SettingSources(env_file).in_force()}[name]


def test_without_sources_all_are_defaults(tmp_path):
    """A setting of a later generation has none, and is not in force."""
    found = SettingSources(None).in_force()
    assert [each.name for each in found] == list(TUNABLE)
    assert {each.source for each in found} == {"default"}
    for each in found:
        default = TUNABLE[each.name].default
        assert each.is_in_force is (default is not None)
        assert each.value == (list(default) if isinstance(default, tuple) else default)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("generation", list(LATER_DEFAULTS))
def test_a_later_generation_has_defaults_of_its_own(generation, env_file):
    """They are in force where no source names another value, and within the range."""
    sources = SettingSources(env_file)
    sources.generation = generation
    found = {each.name: each for each in sources.in_force()}
    for name, default in LATER_DEFAULTS[generation].items():
        plain = list(default) if isinstance(default, tuple) else default
        assert (found[name].value, found[name].default, found[name].is_in_force) == (plain, plain, True)
        assert (
            read_value(TUNABLE[name], json.dumps(plain) if isinstance(plain, list) else str(plain)) == plain
        )
    env_file.write_text("SEVERITY_LOW_MAX=10")
    assert (sources.value("severity_low_max"), sources.value("severity_medium_max")) == (10, 59)


def test_the_strongest_source_counts(env_file, tmp_path, monkeypatch):
    """Environment, then data/runtime.env, then .env; the weaker ones are named."""
    runtime = tmp_path / "data" / "runtime.env"
    env_file.write_text("DETECTION_CONFIDENCE_THRESHOLD=0.1\n")
    found = in_force(env_file)
    assert (found.value, found.source) == (0.1, str(env_file))
    assert found.why == "DETECTION_CONFIDENCE_THRESHOLD stands there"
    runtime.parent.mkdir()
    runtime.write_text("DETECTION_CONFIDENCE_THRESHOLD=0.2\n")
    found = in_force(env_file)
    assert (found.value, found.source, found.why) == (0.2, str(runtime), f"overrides {env_file} (0.1)")
    monkeypatch.setenv("DETECTION_CONFIDENCE_THRESHOLD", "0.3")
    found = in_force(env_file)
    assert (found.value, found.source, found.default) == (0.3, "environment", 0.5)
    assert "a service has its own" in found.why
    assert f"overrides {runtime} (0.2), {env_file} (0.1)" in found.why


@pytest.mark.parametrize("is_absolute", [True, False])
def test_runtime_env_may_lie_elsewhere(env_file, tmp_path, monkeypatch, is_absolute):
    """Where the service writes it; a relative path counts from the folder of .env."""
    path = tmp_path / "elsewhere.env"
    path.write_text("RETENTION_DAYS=7")
    monkeypatch.setenv("HSI_RUNTIME_ENV_PATH", str(path) if is_absolute else path.name)
    assert (in_force(env_file, "retention_days").value, in_force(env_file, "retention_days").source) == (
        7,
        str(path),
    )


@pytest.mark.parametrize("path", ["", "none.env", "."])
def test_a_runtime_env_that_is_no_file_names_nothing(env_file, monkeypatch, path):
    """A deployment without it is an ordinary one."""
    monkeypatch.setenv("HSI_RUNTIME_ENV_PATH", path)
    assert in_force(env_file).source == "default"


@pytest.mark.parametrize("name", ["DETECTION_CONFIDENCE_THRESHOLD", NAME, "Detection_Confidence_Threshold"])
def test_names_are_read_in_any_case(env_file, monkeypatch, name):
    """In files and in the environment alike."""
    env_file.write_text(f"{name}=0.25")
    assert in_force(env_file).value == 0.25
    monkeypatch.setenv(name, "0.75")
    assert in_force(env_file).value == 0.75


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("CAMERA_TIMEZONE=Europe/Berlin", "Europe/Berlin"),
        ("CAMERA_TIMEZONE = Europe/Berlin  ", "Europe/Berlin"),
        ('export CAMERA_TIMEZONE="Europe/Berlin" # where it stands', "Europe/Berlin"),
        ("CAMERA_TIMEZONE='Europe/Berlin'", "Europe/Berlin"),
        ("CAMERA_TIMEZONE=Europe/Berlin # where it stands", "Europe/Berlin"),
        ("CAMERA_TIMEZONE='two words'", "two words"),
        ("HERE=Europe\nCAMERA_TIMEZONE=${HERE}/Berlin", "Europe/Berlin"),
        ("camera_timezone=UTC\nCAMERA_TIMEZONE=Asia/Tokyo", "Asia/Tokyo"),
        ("CAMERA_TIMEZONE=", ""),
        ("\n\n# nothing\nCAMERA_TIMEZONE=UTC\r\nCAMERA_TIMEZONE=Asia/Tokyo", "Asia/Tokyo"),
    ],
)
def test_lines_of_a_file_are_read_as_the_service_reads_them(env_file, line, expected):
    """Quotes, comments, spaces; variables are expanded, and the last line of a name counts."""
    env_file.write_text(line, newline="")
    assert SettingSources(env_file).text("camera_timezone") == expected


@pytest.mark.parametrize("line", ["CAMERA_TIMEZONE", "# CAMERA_TIMEZONE=x", "MY_CAMERA_TIMEZONE=x"])
def test_lines_that_name_nothing(env_file, line):
    """A name without a value is none."""
    env_file.write_text(line)
    assert SettingSources(env_file).lookup("camera_timezone") is None


def test_a_broken_line_does_not_hide_the_others(env_file):
    """A file is edited by hand."""
    env_file.write_text("RETENTION_DAYS=7\n!! what\n'unclosed\nLOG_RETENTION_DAYS=3\n")
    assert (in_force(env_file, "retention_days").value, in_force(env_file, "log_retention_days").value) == (
        7,
        3,
    )


@pytest.mark.parametrize("name", [".env", "data/runtime.env"])
def test_a_file_that_is_not_utf8_is_an_error(env_file, tmp_path, name):
    """It names the file; the service could not read it either."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"CAMERA_TIMEZONE=\xff")
    with pytest.raises(SettingsError, match=rf"{path} is not UTF-8 text.[\s\S]*Hint: save it as UTF-8"):
        SettingSources(env_file).in_force()


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        (NAME, "high", "'high' is not a number (float)"),
        (NAME, "", "'' is not a number (float)"),
        (NAME, "nan", "'nan' is not a finite number"),
        (NAME, "1.01", "'1.01' is outside 0 to 1"),
        (NAME, "-0.01", "'-0.01' is outside 0 to 1"),
        ("retention_days", "7.5", "'7.5' is not a number (int)"),
        ("retention_days", "inf", "'inf' is not a number (int)"),
        ("queue_max_size", "1" + "0" * 400, "is outside 100 to 100000"),
        ("queue_max_size", "9" * 5000, "is not a number (int)"),
        ("fast_path_object_types", "person", "'person' is not a JSON list"),
        ("fast_path_object_types", '{"a": 1}', "is not a JSON list"),
        ("fast_path_object_types", "[1, 2]", "'[1, 2]' is not a JSON list"),
        ("fast_path_object_types", "[" * 100_000, "is not a JSON list"),
        ("use_redis_streams", "maybe", "'maybe' is neither true nor false"),
    ],
    ids=range(14),
)
def test_a_value_that_no_service_takes_is_not_in_force(env_file, name, text, why):
    """It is shown as it stands, with the reason; the deployment works with the default."""
    env_file.write_text(f"{name.upper()}='{text}'")
    found = in_force(env_file, name)
    assert (found.value, found.is_in_force, found.source) == (text, False, str(env_file))
    assert why in found.why
    assert "does not start" in found.why
    default = TUNABLE[name].default
    assert SettingSources(env_file).value(name) == (list(default) if isinstance(default, tuple) else default)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (NAME, "0", 0.0),
        (NAME, " 1 ", 1.0),
        (NAME, "1e-3", 0.001),
        ("retention_days", "1" + "0" * 400, 10**400),
        ("queue_max_size", "100", 100),
        ("fast_path_object_types", "[]", []),
        ("fast_path_object_types", '["person", "<b>"]', ["person", "<b>"]),
        ("use_redis_streams", "TRUE", True),
        ("use_redis_streams", "off", False),
        ("camera_timezone", "Mars/Olympus", "Mars/Olympus"),
    ],
    ids=range(10),
)
def test_values_are_read_as_the_service_reads_them(env_file, name, text, expected):
    """Both ends of a range are in it."""
    env_file.write_text(f"{name.upper()}='{text}'")
    found = in_force(env_file, name)
    assert (found.value, found.is_in_force) == (expected, True)
    assert type(found.value) is type(expected)


@settings(deadline=None)
@given(
    st.sampled_from(list(TUNABLE)),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00")),
)
def test_no_text_stops_the_reading(name, text):
    """It is a value of its setting, or an error of ours."""
    with contextlib.suppress(SettingsError):
        value = read_value(TUNABLE[name], text)
        low, high = TUNABLE[name].minimum, TUNABLE[name].maximum
        assert low is None or value >= low
        assert high is None or value <= high


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(None, None, ""), (0, 1, "0 to 1"), (5, None, "from 5"), (None, 5, "up to 5"), (0.5, 1, "0.5 to 1")],
)
def test_ranges_in_words(low, high, expected):
    """As they stand in the frame."""
    assert describe_range(Setting("float", 0.5, low, high)) == expected


def test_the_nearest_env_file_is_found(tmp_path):
    """At or above the folder; folders of that name do not count."""
    deep = tmp_path / "a" / "b"
    (deep / ".env").mkdir(parents=True)
    (tmp_path / ".env").touch()
    assert find_env_file(deep) == tmp_path / ".env"
    (tmp_path / "a" / ".env").touch()
    assert find_env_file(deep) == tmp_path / "a" / ".env"


def test_sources_are_read_anew_each_time(env_file):
    """A change by the service shows in the next cell."""
    sources = SettingSources(env_file)
    assert sources.value(NAME) == 0.5
    env_file.write_text("DETECTION_CONFIDENCE_THRESHOLD=0.9")
    assert sources.value(NAME) == 0.9
    env_file.unlink()
    assert sources.value(NAME) == 0.5
