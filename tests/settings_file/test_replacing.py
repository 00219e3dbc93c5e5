"""A settings file is replaced durably: links, owners, mounts, full disks, and crashes at every step."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from secnb.errors import SettingsFileError
from secnb.settings_file import replacing
from secnb.settings_file.saving import save_setting
from secnb.settings_file.undoing import undo_setting

NAME = "detection_confidence_threshold"
OLD, NEW = b"SECRET=hunter2\nDETECTION_CONFIDENCE_THRESHOLD=0.5\n", b"=0.6234567\n"
EXPECTED = OLD.replace(b"=0.5\n", NEW)

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount and give files away")


@pytest.fixture
def deployment(env_file):
    """Return a settings file with a value to change."""
    env_file.write_bytes(OLD)
    return env_file


@contextlib.contextmanager
def mounted(*arguments, at):
    """Mount something for a while, where that is allowed here."""
    done = subprocess.run(["mount", *arguments, str(at)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this system allows no mount here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


def save(file):
    """Save the value that EXPECTED has."""
    return save_setting(NAME, 0.6234567, file)


def others(file):
    """Return the names of the other files in the folder."""
    return sorted(each.name for each in file.parent.iterdir() if each.name != file.name)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_mode_is_kept_and_what_is_beside_is_private(deployment, mode):
    """The backup holds the same secrets, so that it has the same mode; the log is for its owner alone."""
    deployment.chmod(mode)
    saved = save(deployment)
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (deployment, saved.backup, saved.log)]
    assert modes == [mode, mode, 0o600]


@is_root
def test_the_owner_is_kept(deployment):
    """Of the file, the backup and the log, so that the service can still read and write."""
    os.chown(deployment, 1234, 4321)
    saved = save(deployment)
    for each in (deployment, saved.backup, saved.log):
        assert (each.stat().st_uid, each.stat().st_gid) == (1234, 4321)


@is_root
def test_a_file_that_belongs_to_others_keeps_its_owner():
    """Whoever may write it but not give it away changes it in place."""
    with tempfile.TemporaryDirectory() as name:
        folder, file = Path(name), Path(name, ".env")
        file.write_bytes(OLD)
        file.chmod(0o664)
        folder.chmod(0o770)
        os.chown(folder, 99, 4321)
        os.chown(file, 99, 4321)
        os.setegid(4321)
        os.seteuid(1234)
        try:
            saved = save(file)
        finally:
            os.seteuid(0)
            os.setegid(0)
        assert file.read_bytes() == EXPECTED
        assert (file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) == (99, 0o664)
        assert stat.S_IMODE(saved.backup.stat().st_mode) == 0o600


def test_attributes_are_kept(deployment):
    """Access lists are among them."""
    try:
        os.setxattr(deployment, "user.note", b"x")
    except OSError:
        pytest.skip("this file system has no attributes")
    save(deployment)
    assert os.getxattr(deployment, "user.note") == b"x"


def test_a_link_stays_a_link(tmp_path):
    """What it leads to is changed, and the backup is beside that."""
    real, link = tmp_path / "real" / "prod.env", tmp_path / "site" / ".env"
    for folder in (real.parent, link.parent):
        folder.mkdir()
    real.write_bytes(OLD)
    link.symlink_to("../real/prod.env")
    save(link)
    assert link.readlink() == Path("../real/prod.env")
    assert real.read_bytes() == EXPECTED
    assert others(link) == []
    assert undo_setting(real).is_saved


def test_a_file_of_two_names_keeps_both(deployment, tmp_path):
    """It is changed in place."""
    other = tmp_path / "other.env"
    other.hardlink_to(deployment)
    save(deployment)
    assert other.read_bytes() == EXPECTED
    assert other.stat().st_ino == deployment.stat().st_ino


def test_another_file_takes_its_place_in_one_step(deployment):
    """Whoever has opened the old one still reads it whole."""
    with deployment.open("rb") as opened:
        save(deployment)
        assert opened.read() == OLD
    assert deployment.read_bytes() == EXPECTED


@is_root
def test_a_mounted_file_is_changed_in_place(deployment, tmp_path):
    """As a container has it: no other file can take the place of a mount point."""
    inside = tmp_path / "inside" / ".env"
    inside.parent.mkdir()
    inside.touch()
    with mounted("--bind", str(deployment), at=inside):
        saved = save(inside)
        assert (inside.read_bytes(), deployment.read_bytes()) == (EXPECTED, EXPECTED)
        assert saved.backup.read_bytes() == OLD
        assert others(inside) == [".env.secnb-backup", ".env.secnb-log.jsonl"]
        undo_setting(inside)
    assert deployment.read_bytes() == OLD


@is_root
def test_a_full_disk_loses_nothing(tmp_path):
    """Whichever file there is no room for; with some room again, it works."""
    folder = tmp_path / "small"
    folder.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=64k", "tmpfs", at=folder):
        file, filler = folder / ".env", folder / "filler"
        file.write_bytes(OLD)
        errors, states = [], []
        for n_free in range(6):
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as full:
                while full.write(bytes(4096)):
                    pass
            os.truncate(filler, max(filler.stat().st_size - 4096 * n_free, 0))
            try:
                save(file)
            except SettingsFileError as exc:
                errors.append(str(exc))
                states.append((file.read_bytes(), set(others(file)) - {"filler", ".env.secnb-backup"}))
            else:
                break
        assert len(errors) > 1
        assert all("No space left on device" in each for each in errors)
        assert states == [(OLD, set())] * len(errors)
        assert file.read_bytes() == EXPECTED
        undo_setting(file)
        assert file.read_bytes() == OLD


def test_a_size_limit_while_it_is_written_in_place_loses_nothing(deployment, tmp_path):
    """The old content is put back."""
    new = OLD + bytes(8192)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(SettingsFileError, match=r"Cannot write .*: File too large"):
            replacing.replace_content(deployment, OLD, new)
        with pytest.raises(OSError, match="File too large"):
            replacing._write_in_place(deployment, OLD, new)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert deployment.read_bytes() == OLD
    assert others(deployment) == []


def crash_before(step, work):
    """Do some work in a child that dies before its so-many-th call of the system; False where it ended."""
    child = os.fork()
    if not child:
        signal.alarm(60)
        left = [step]

        def counted(call):
            def counting(*arguments, **named):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **named)

            return counting

        for name in ("open", "write", "fsync", "ftruncate", "fchmod", "replace", "rename", "unlink", "lseek"):
            setattr(os, name, counted(getattr(os, name)))
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("is_in_place", [False, True])
def test_a_crash_at_any_step_loses_nothing(tmp_path, is_in_place):
    """The file is as it was or as it was to be; in place, what it was is beside it. The next change works."""
    step, seen = 0, set()
    while True:
        folder = tmp_path / str(step)
        folder.mkdir()
        file = folder / ".env"
        file.write_bytes(OLD)
        if is_in_place:
            file.with_name("other").hardlink_to(file)
        has_crashed = crash_before(step, lambda file=file: save(file))
        content = file.read_bytes()
        seen.add(content)
        if not is_in_place:
            assert content in (OLD, EXPECTED)
        elif content != OLD:
            assert replacing.backup_of(file).read_bytes() == OLD
        if not has_crashed:
            break
        if content == EXPECTED:
            assert undo_setting(file).is_saved
        save_setting(NAME, 0.7, file)
        assert b"=0.7\n" in file.read_bytes()
        step += 1
        shutil.rmtree(folder)
    assert {OLD, EXPECTED} <= seen
    assert step > 10


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_crash_between_log_and_file_is_no_change(deployment):
    """Undo finds nothing to take back, and does not reach the change before."""
    save_setting(NAME, 0.55, deployment)
    before = deployment.read_bytes()
    step = 0
    log = deployment.with_name(".env.secnb-log.jsonl")
    while len(log.read_bytes().splitlines()) < 2:
        assert crash_before(step, lambda: save(deployment))
        step += 1
    assert deployment.read_bytes() == before
    assert not undo_setting(deployment).is_saved
    assert deployment.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_without_the_right_to_write_nothing_changes(deployment):
    """A folder in which no backup can be made is one of them."""
    deployment.parent.chmod(0o500)
    try:
        with pytest.raises(SettingsFileError, match=r"Permission denied[\s\S]*Hint: it takes the right"):
            save(deployment)
    finally:
        deployment.parent.chmod(0o700)
    assert deployment.read_bytes() == OLD


@is_root
def test_a_read_only_file_system_is_said_to_be_one(deployment, tmp_path):
    """The file is to be changed where it comes from."""
    inside = tmp_path / "inside"
    inside.mkdir()
    with mounted("--bind", "-o", "ro", str(deployment.parent), at=inside):
        with pytest.raises(SettingsFileError, match=r"Read-only file system[\s\S]*Hint: the file system"):
            save(inside / ".env")
        assert (inside / ".env").read_bytes() == OLD


def test_a_file_that_another_process_changes_is_waited_for(deployment, monkeypatch):
    """Not for ever."""
    monkeypatch.setattr(replacing, "_LOCK_S", 0.1)
    folder = os.open(deployment.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        with pytest.raises(SettingsFileError, match="being changed by another process"):
            save(deployment)
    finally:
        os.close(folder)
    assert save(deployment).is_saved


def test_a_file_that_is_too_large_is_refused(deployment):
    """No settings file is that large."""
    with deployment.open("r+b") as opened:
        opened.truncate(2**24 + 1)
    with pytest.raises(SettingsFileError, match="larger than 16 MiB"):
        save(deployment)
