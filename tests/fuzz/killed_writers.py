"""Writers that are killed: what stood there before is there still, or what was written is, in full.

``python -m tests.fuzz.killed_writers --kills 100`` kills each writer at so many random moments while it
writes one content over the other, and once before and once after each of its calls to the file system, and
prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import numpy as np
from pinn_archive import ArchiveNotFoundError, ModelPayload, find_archive, read_archive, write_archive
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.files import load_run, save_run
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.files.product import Product, read_product, write_product
from pinn_data.scan.scan import Scan

__all__ = ["WRITERS", "Writer", "killed_at_every_call", "killed_at_random", "main"]

_SYSTEM_CALLS = frozenset(
    (
        *("close", "flush", "fsync", "link", "mkdir", "open", "remove", "rename", "replace"),
        *("seek", "tell", "truncate", "unlink", "write", "writelines"),
    )
)
_MOST_SECONDS = 0.03  # until a kill; a writer needs some thousandths of a second, so it is in its n-th round


@attrs.frozen
class Writer:
    """Something that writes a file of one of two contents, and its reader."""

    file: str
    write: Callable[[Path, int], Any]
    read: Callable[[Path], Any]


def _scan(which: int) -> Scan:
    rng = np.random.default_rng(which)
    return Scan(
        rng.poisson(30.0, (40, 16, 16)),
        "counts",
        rng.uniform(8, 40, (40, 2)),
        rng.standard_normal((16, 16)) + 1j,
        metadata={"which": which},
    )


def _archive(path: Path, which: int) -> None:
    rng = np.random.default_rng(which)
    weights = {f"kernel{n}": rng.standard_normal((30, 40)) for n in range(5)}
    write_archive(
        path,
        models={"diffraction_to_obj": ModelPayload(weights, "model.ckpt", rng.bytes(10_000))},
        params={"which": which},
        arrays={"probe": rng.standard_normal((16, 16)) + 1j},
        backend="pytorch",
        provenance={},
    )


def _product(path: Path, which: int) -> None:
    rng = np.random.default_rng(which)
    write_product(
        path,
        Product(
            rng.uniform(0, 1e-6, (40, 2)),
            rng.standard_normal((16, 16)) + 1j,
            rng.standard_normal((60, 70)) + 1j,
            (1e-8, 1e-8),
            detector_distance_m=1.0,
            photon_energy_eV=8e3 + which,
        ),
    )


def _config(path: Path, which: int) -> None:
    save_run(path, TrainingConfig(ModelConfig(), nepochs=3 + which), PyTorchExecutionConfig())


WRITERS: Mapping[str, Writer] = {
    "archive": Writer("wts.h5.zip", _archive, read_archive),
    "scan": Writer("scan.npz", lambda path, which: write_scan(path, _scan(which), unit="counts"), read_scan),
    "product": Writer("product.h5", _product, read_product),
    "configuration": Writer("run.yaml", _config, lambda path: load_run(path, TrainingConfig)),
}


def killed_at_random(writer: Writer, kills: int, folder: Path, rng: np.random.Generator) -> Counter[str]:
    """How often the old and the new content was found behind a kill, and how many parts lay about.

    Raises AssertionError where a file was neither.
    """
    contents, path = _contents(writer, folder), folder / writer.file
    found: Counter[str] = Counter()
    for _ in range(kills):
        writer.write(path, 0)

        def rounds() -> None:
            which = 1
            while True:
                writer.write(path, which)
                which = 1 - which

        child = _forked(rounds)
        time.sleep(rng.uniform(0, _MOST_SECONDS))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found[_outcome(writer, path, contents)] += 1
        found["part left"] += _parts_are_ignored(writer, path, contents)
    return found


def killed_at_every_call(writer: Writer, folder: Path) -> list[str]:
    """What was found behind a kill before and after each call of the writer to the file system, in order.

    Raises AssertionError where it was neither the old content nor the new one, or where a new one became old
    again.
    """
    contents, path = _contents(writer, folder), folder / writer.file
    outcomes: list[str] = []
    for at in range(1, 10_000):
        writer.write(path, 0)
        child = _forked(lambda at=at: _dying(at, lambda: writer.write(path, 1)))
        finished = os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 0
        outcomes.append(_outcome(writer, path, contents))
        _parts_are_ignored(writer, path, contents)
        if finished:
            assert outcomes[-1] == "new"
            break
    assert outcomes == sorted(outcomes, reverse=True), "the new content became the old one"  # old, ..., new
    return outcomes


def _contents(writer: Writer, folder: Path) -> list[bytes]:
    made = []
    for which in (0, 1):
        path = folder / f"reference{which}" / writer.file
        path.parent.mkdir()
        writer.write(path, which)
        made.append(path.read_bytes())
    assert made[0] != made[1]
    return made


def _outcome(writer: Writer, path: Path, contents: list[bytes]) -> str:
    writer.read(path)  # it opens
    data = path.read_bytes()
    assert data in contents, f"{path} holds neither the old content nor the new one"
    return ("old", "new")[contents.index(data)]


def _parts_are_ignored(writer: Writer, path: Path, contents: list[bytes]) -> int:
    """How many parts of files the kill left: none poses as a file, or hinders the next write."""
    parts = [item for item in path.parent.iterdir() if item.is_file() and item != path]
    for part in parts:
        assert part.name.startswith(f".{path.name}.") and part.suffix == ".tmp", part
    writer.write(path, 1)
    assert path.read_bytes() == contents[1]
    if parts and path.name == "wts.h5.zip":
        path.unlink()
        try:
            raise AssertionError(f"{find_archive(path.parent)} poses as an archive")
        except ArchiveNotFoundError:
            pass
    for part in parts:
        part.unlink()
    return len(parts)


def _forked(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException as error:
        os.write(2, f"the writer raised {error!r}\n".encode())
        os._exit(1)


def _dying(at: int, write: Callable[[], None]) -> None:
    """Runs `write`, and ends the process, as SIGKILL would, where it enters or leaves such a call, for the
    `at`-th time."""
    left = at

    def count(frame: Any, event: str, function: Any) -> None:
        nonlocal left
        if event in ("c_call", "c_return") and getattr(function, "__name__", "") in _SYSTEM_CALLS:
            left -= 1
            if left == 0:
                os._exit(9)

    sys.setprofile(count)
    try:
        write()
    finally:
        sys.setprofile(None)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0; an AssertionError ends it where a file was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.killed_writers", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="of each writer, at random moments")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", choices=WRITERS, help="kill this writer alone")
    args = parser.parse_args(arguments)
    rng = np.random.default_rng(args.seed)
    report: dict[str, Any] = {}
    for name in [args.only] if args.only else WRITERS:
        writer = WRITERS[name]
        with TemporaryDirectory() as folder:
            report[name] = dict(killed_at_random(writer, args.kills, Path(folder), rng))
        with TemporaryDirectory() as folder:
            outcomes = killed_at_every_call(writer, Path(folder))
            report[name]["every call"] = dict(Counter(outcomes))
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
