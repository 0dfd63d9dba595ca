"""Hostile files: some of those that `python -m tests.fuzz` makes by the hundred thousand, and killed writers.

Whatever forks does so in an interpreter of its own, in which there is no thread of a framework.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from fuzz import measured_seeds
from fuzz.archive_mutations import archive_draft, frame
from fuzz.byte_mutations import ANY_BYTES, ZIP_BYTES
from fuzz.cases import KINDS, Case, case
from fuzz.measured_openers import OPENERS
from fuzz.npz_mutations import NpzDraft, npz_draft
from fuzz.seeds import npy
from hypothesis import given
from hypothesis import strategies as st
from pinn_archive import ArchiveError, read_archive
from pinn_data.errors import PinnDataError
from pinn_data.files.npz import read_scan
from pinn_data.files.npz_archive import NpzReader
from pinn_dispatch.errors import DispatchError

ROOT = Path(__file__).resolve().parents[2]
CASES = 500


def _run(*arguments: object) -> dict:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.processes
@pytest.mark.parametrize("start", [0, CASES, 2 * CASES])
def test_hostile_files_are_read_or_refused_and_do_nothing_else(start):
    report = _run("-m", "tests.fuzz", "--quiet", "--seed", 1, "--start", start, "--count", CASES)
    assert report["failures"] == []
    assert report["count"] == CASES and set(report["kinds"]) == set(KINDS)
    accepted = sum(n for outcome, n in report["outcomes"].items() if outcome.endswith(" accepted"))
    assert 0.05 * report["calls"] < accepted < 0.7 * report["calls"]


CARELESS = """
import io, json, os, sys
sys.path.insert(0, {tests!r})
import h5py, numpy as np, yaml
from fuzz.cases import Case
from fuzz.payloads import TRACE, evil_object
from fuzz.runner import run

def crash(path): os.kill(os.getpid(), 11)
def write(path): (path.parent.parent / "outside" / "sentinel").write_bytes(b"x")
def link(path): h5py.File(path, "r")["object"][()]
def read(path): (path.parent.parent / "outside" / "sentinel").read_bytes()
def unpickle(path): np.load(path, allow_pickle=True)["a"]
def build(path): yaml.unsafe_load(path.read_bytes())
def allocate(path): bytearray(200 * 2**20)
def load(path): import colorsys
def refuse(path): raise KeyError("a")

buffer = io.BytesIO()
np.savez(buffer, a=np.array([evil_object(np.random.default_rng(4))], object))
hdf5 = io.BytesIO()
with h5py.File(hdf5, "w") as file:
    file["object"] = h5py.ExternalLink("../outside/sentinel.h5", "/object")
files = {{"unpickle": buffer.getvalue(), "build": f"!!python/object/apply:os.mkdir [{{TRACE}}]".encode()}}
files["link"] = hdf5.getvalue()
case = Case("npz", (), {{"case.npz": files.get({name!r}, b"anything")}})
report = run(0, 1, openers={{"npz": {{"careless": {name}}}}}, make=lambda seed, number: case)
print(report.as_json())
"""


@pytest.mark.processes
@pytest.mark.parametrize(
    ("reader", "words"),
    [
        ("crash", ["died of signal 11"]),
        ("write", ["open for writing", "files elsewhere changed"]),
        ("link", ["opened elsewhere: sentinel.h5"]),
        ("read", ["open elsewhere", "opened elsewhere: sentinel"]),
        ("unpickle", ["pickle.find_class"]),
        ("build", ["os.mkdir", "files elsewhere changed"]),
        ("allocate", ["200 MiB allocated"]),
        ("load", ["import ('colorsys'"]),
        ("refuse", ["builtins.KeyError"]),
    ],
)
def test_what_no_reader_may_do_is_seen(reader, words):
    report = _run("-c", CARELESS.format(tests=str(ROOT / "tests"), name=reader))
    assert report["failed"] == 1
    problems = str(report["failures"][0]["problems"])
    assert [word for word in words if word not in problems] == [], problems


@given(st.integers(0, 2**31), st.integers(0, 10**6))
def test_a_case_is_a_function_of_its_number(seed, number):
    made = case(seed, number)
    assert made == case(seed, number)
    assert made.mutations and made.files


@given(st.integers(0, 2**31))
def test_what_was_not_mutated_is_valid(tmp_path, seed):
    """Else a case would be refused for what the harness did, and not for what a mutation did."""
    draft = archive_draft(np.random.default_rng(seed))
    (tmp_path / "wts.h5.zip").write_bytes(frame(sorted(draft.contents().items())))
    assert read_archive(tmp_path).backend == draft.facts["backend"]
    path = tmp_path / "case.npz"
    path.write_bytes(npz_draft(np.random.default_rng(seed)).packed())
    with NpzReader(path) as file:
        reconstruction = "coverage" in file
    assert reconstruction or len(read_scan(path)) == 5


def _valid_measurements():
    """(kind, name, bytes) of every file of others from which hostile ones are made."""
    for kind in ("cxi", "training", "stack", "table"):
        yield from ((kind, "case.h5", data) for data in measured_seeds.hdf5_seeds(kind))
    for entries in measured_seeds.export_entries():
        yield "export", "case.npz", NpzDraft(list(entries)).packed()
    for arrays in measured_seeds.stack_arrays():
        yield "stack", "case.npy", npy(next(iter(arrays.values())))
        yield (
            "stack",
            "case.npz",
            NpzDraft([(f"{key}.npy", npy(value)) for key, value in arrays.items()]).packed(),
        )
    yield "table", "case.npy", npy(measured_seeds.table_array())
    yield from (("table", "case.csv", text.encode()) for text in measured_seeds.table_texts())


@pytest.mark.parametrize(("kind", "name", "data"), list(_valid_measurements()))
def test_what_others_left_is_valid_before_it_is_mutated(tmp_path, monkeypatch, kind, name, data):
    """`pinn convert` takes each, with one of the sets of flags that are tried."""
    beside = {
        "frames.npy": measured_seeds.frames_bytes(),
        "positions.csv": measured_seeds.table_texts()[0].encode(),
        "product.h5": measured_seeds.product_bytes(),
    }
    path = Case(kind, (), {name: data, **beside}).write(tmp_path)
    monkeypatch.chdir(tmp_path)
    taken = []
    for call, opener in OPENERS[kind].items():
        with suppress(PinnDataError, DispatchError):
            opener(path)
            taken.append(call)
    assert any(call.startswith("pinn convert") for call in taken)


@given(st.integers(0, 2**31), st.sampled_from(sorted({**ANY_BYTES, **ZIP_BYTES})))
def test_an_archive_of_which_any_byte_was_changed_is_refused(tmp_path, seed, name):
    rng = np.random.default_rng(seed)
    good = frame(sorted(archive_draft(rng).contents().items()))
    bad = {**ANY_BYTES, **ZIP_BYTES}[name](rng, good)
    path = tmp_path / "wts.h5.zip"
    path.write_bytes(bad)
    if bad == good:
        assert read_archive(path)
    else:
        with pytest.raises(ArchiveError):
            read_archive(path)


@pytest.mark.processes
@pytest.mark.parametrize("writer", ["archive", "scan", "product", "configuration"])
def test_a_killed_writer_leaves_the_old_file_or_the_new_one(writer):
    kills = 100 if writer == "archive" else 25
    report = _run("-m", "tests.fuzz.killed_writers", "--only", writer, "--kills", kills)[writer]
    assert report["old"] + report["new"] == kills
    assert report["every call"]["old"] > 5 and report["every call"]["new"] >= 2
