"""Law: whatever interrupts a writer, the name leads to the old archive or to the new one."""

from __future__ import annotations

import builtins
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from archive_contents import same, small_content
from pinn_archive import read_archive, write_archive, writer


class Interrupted(Exception):
    """Raised at the k-th step."""


class Countdown:
    """Raises `error` at the k-th step, `half` way into it where the step writes bytes."""

    def __init__(self, k: int, error: type[BaseException]):
        self.left, self.error = k, error

    def step(self) -> bool:
        self.left -= 1
        return self.left == 0


def arm(monkeypatch: pytest.MonkeyPatch, countdown: Countdown) -> None:
    """Makes every write, fsync and rename of the writer a step."""

    class Breaking:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *details):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            if countdown.step():
                self.file.write(data[: len(data) // 2])
                raise countdown.error()
            return self.file.write(data)

    def before(real):
        def call(*arguments):
            if countdown.step():
                raise countdown.error()
            return real(*arguments)

        return call

    real_open = builtins.open
    monkeypatch.setattr(writer, "open", lambda *a: Breaking(real_open(*a)), raising=False)
    monkeypatch.setattr(writer.os, "fsync", before(os.fsync))
    monkeypatch.setattr(writer.os, "replace", before(os.replace))


@pytest.mark.parametrize("error", [Interrupted, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("there_before", [True, False])
def test_a_crash_at_any_step_leaves_old_or_new(
    tmp_path: Path, error: type[BaseException], there_before: bool
) -> None:
    outcomes = []
    for k in range(1, 100):
        folder = tmp_path / str(k)
        if there_before:
            write_archive(folder, **small_content(seed=1))
        countdown = Countdown(k, error)
        with pytest.MonkeyPatch.context() as monkeypatch:
            arm(monkeypatch, countdown)
            try:
                write_archive(folder, **small_content(seed=2))
                crashed = False
            except error:
                crashed = True
        names = os.listdir(folder)
        if not there_before and names == []:
            outcomes.append("none")
        else:
            assert names == ["wts.h5.zip"]
            params = read_archive(folder).params
            [seed] = [seed for seed in (1, 2) if same(params, small_content(seed)["params"])]
            outcomes.append({1: "old", 2: "new"}[seed])
        if not crashed:
            break
    before = "old" if there_before else "none"
    # All writes, the fsync of the file and the rename keep what was there; the fsync of the folder and the
    # last, whole run give the new.
    assert outcomes == [before] * (len(outcomes) - 2) + ["new", "new"]
    assert len(outcomes) > 15


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[2])
from archive_contents import small_content
from pinn_archive import write_archive, writer
def die(*arguments): os._exit(9)
setattr(writer.os, sys.argv[3], die)
write_archive(sys.argv[1], **small_content(seed=2))
"""


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_killed_writer_leaves_the_old_archive(tmp_path: Path, step: str) -> None:
    write_archive(tmp_path, **small_content(seed=1))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent), step], check=False
    )
    assert done.returncode == 9
    assert same(read_archive(tmp_path).params, small_content(seed=1)["params"])
    write_archive(tmp_path, **small_content(seed=2))
    assert same(read_archive(tmp_path).params, small_content(seed=2)["params"])


def test_the_file_is_synced_before_the_rename_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(descriptor):
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append(f"sync {kind}")
        real_sync(descriptor)

    def replace(source, target):
        assert Path(source).parent == Path(target).parent
        steps.append("rename")
        real_replace(source, target)

    monkeypatch.setattr(writer.os, "fsync", sync)
    monkeypatch.setattr(writer.os, "replace", replace)
    write_archive(tmp_path, **small_content())
    assert steps == ["sync file", "rename", "sync folder"]


def test_the_archive_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    path = write_archive(tmp_path, **small_content())
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
