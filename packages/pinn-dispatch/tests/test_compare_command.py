"""`pinn compare`, whole, on small files of the package's own writers; no backend."""

from __future__ import annotations

import csv
import json

import attrs
import numpy as np
import pytest
from pinn_data.files.npz import write_scan
from pinn_data.scan.positions import Canvas
from pinn_dispatch.cli.compare import named
from pinn_dispatch.errors import UsageError
from pinn_dispatch.reconstruction import Reconstruction, write_reconstruction


@pytest.fixture
def runs(scan, tmp_path):
    """Two folders as `pinn infer` leaves them, the second with noise and on another canvas."""
    rng = np.random.default_rng(0)
    made = {}
    for name, (y, x), noise in (("clean", (0, 0), 0.0), ("noisy", (2, 3), 0.05)):
        image = scan.object[y:, x:] + noise * (rng.normal(size=(*scan.object[y:, x:].shape, 2)) @ [1, 1j])
        facts = {"R": 0.1 + noise, "gridsize": 2, "seconds_total": 3.5, "backend": "pytorch", "patterns": 36}
        found = Reconstruction(
            image.astype(np.complex64),
            np.ones(image.shape, np.float32),
            Canvas((y, x), image.shape),
            scan.positions,
            scan.probe,
            facts | {"architecture": "unrolled"} if noise else facts,
        )
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        write_reconstruction(folder, found, scan)
        made[name] = folder
    return made


def test_against_the_truth(pinn, runs, scan_file, tmp_path):
    output = tmp_path / "new" / "compared"
    code, out, err = pinn(
        "compare", runs["clean"], f"dirty={runs['noisy']}", "--reference", scan_file, "--output", output
    )
    assert (code, err) == (0, "")
    assert {p.name for p in output.iterdir()} == {
        "comparison.png",
        "comparison.csv",
        "comparison.json",
        "frc.csv",
    }
    told = json.loads((output / "comparison.json").read_text())
    assert told["reference"] == str(scan_file) and told["agreement_with"] is None
    clean, dirty = told["reconstructions"]
    assert (clean["name"], dirty["name"]) == ("clean", "dirty")
    assert clean["ssim_phase"] > 0.999 > dirty["ssim_phase"]
    assert (clean["frc50_amp"], clean["residual"], clean["seconds"]) == (1.0, 0.1, 3.5)
    assert (clean["architecture"], dirty["architecture"]) == (None, "unrolled")
    assert (dirty["height"], dirty["width"], dirty["gridsize"]) == (54, 53, 2)
    rows = list(csv.DictReader((output / "comparison.csv").open()))
    assert [row["name"] for row in rows] == ["clean", "dirty"]
    assert float(rows[1]["mae_phase"]) == dirty["mae_phase"] and rows[0]["architecture"] == ""
    assert (output / "frc.csv").read_text().startswith("frequency,clean: phase,clean: amplitude,dirty: phase")
    lines = [line.split() for line in out.splitlines()]
    assert ["name", "pixels", "patterns", "R", "gridsize", "seconds", "backend", "network"] in lines
    assert any(line[:2] == ["dirty", "54"] and "0.1500" in line and "unrolled" in line for line in lines)
    assert "phase with the reference" in out and str(output / "comparison.png") in out


def test_with_each_other_in_every_format(pinn, runs, scan_file):
    """The product and the object of the scan are the same image as the NPZ."""
    code, out, _ = pinn(
        "compare", runs["clean"], f"product={runs['clean'] / 'reconstruction.h5'}", f"object={scan_file}"
    )
    assert code == 0
    phases = out.split("phase with clean")[1].split("amplitude with clean")[0].splitlines()[1:4]
    assert [line.split() for line in phases] == [
        [name, "1.000", "1.00", "1.00"] for name in ("clean", "product", "object")
    ]


def test_with_itself(pinn, runs, tmp_path):
    code, _, _ = pinn("compare", runs["noisy"], runs["noisy"], "--output", tmp_path / "out", "--quiet")
    assert code == 0
    first, second = json.loads((tmp_path / "out" / "comparison.json").read_text())["reconstructions"]
    assert (first["name"], second["name"]) == ("noisy", "noisy (2)")
    assert second["corr_phase"] == pytest.approx(1.0) and second["frc50_phase"] == second["frc17_amp"] == 1.0


def test_what_the_file_does_not_know_is_read_beside_it(pinn, runs, scan, tmp_path):
    """Reconstructions of earlier versions have their measures in metrics.json only; a product always."""
    (runs["clean"] / "metrics.json").write_text(
        json.dumps({"R": 0.25, "gridsize": 1, "backend": "tensorflow"})
    )
    product = runs["clean"] / "reconstruction.h5"
    pinn("compare", runs["clean"], product, "--output", tmp_path / "out")
    npz, h5 = json.loads((tmp_path / "out" / "comparison.json").read_text())["reconstructions"]
    assert (npz["residual"], npz["backend"]) == (0.1, "pytorch")  # the file itself comes first
    assert (h5["residual"], h5["backend"], h5["gridsize"], h5["patterns"]) == (
        0.25,
        "tensorflow",
        1,
        len(scan),
    )


def test_names_are_as_short_as_they_may_be(tmp_path):
    def names(*texts):
        return list(named([str(text) for text in texts]))

    assert names("a/reconstruction.npz", "b/reconstruction.h5") == ["a", "b"]
    assert names("x/image", "y/image", "y/other.npz") == ["x/image", "y/image", "other"]
    assert names("best=a", "b", "b") == ["best", "b", "b (2)"]
    assert names("b=a", "b") == ["b", "b (2)"]
    odd = tmp_path / "a=b"
    odd.mkdir()
    assert named([str(odd), "c"]) == {"a=b": odd, "c": tmp_path.__class__("c")}
    with pytest.raises(UsageError, match="called 'a'"):
        names("a=x", "a=y")


def test_what_cannot_be_compared(pinn, runs, scan, scan_file, tmp_path):
    bare = write_scan(tmp_path / "bare.npz", attrs.evolve(scan, object=None))
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty").mkdir()
    small = tmp_path / "small.npz"
    np.savez(small, objectGuess=scan.object[:10, :10])
    good = runs["clean"]
    wrong = {
        (good,): "comparison needs two",
        (good, tmp_path / "none"): "check the path",
        (good, tmp_path / "empty"): "run 'pinn infer' first",
        (good, bare): "holds no image",
        (good, tmp_path / "text.npz"): "not an NPZ file",
        (good, "--reference", bare): "holds no image",
        (good, "--reference", tmp_path / "none.npz"): "check the path",
        (good, f"={good}"): "write NAME=PATH",
        (good, "name="): "write NAME=PATH",
        (f"a={good}", f"a={good}"): "different names",
        (good, small): "hardly overlap",
        (good, good, "--roi", "1,2"): "R0,R1,C0,C1",
        (good, good, "--roi", "0,900,0,900"): "reaches outside",
        tuple([good] * 21): "at most 20",
        (): "required",
    }
    output = tmp_path / "out"
    for arguments, words in wrong.items():
        code, out, err = pinn("compare", *arguments, "--output", output)
        assert (code, out) == (2, ""), arguments
        assert err.startswith("pinn: error: ") and err.count("\n") == 1 and words in err, err
        assert not output.exists()
    code, _, err = pinn("compare", good, good, "--output", tmp_path / "text.npz")
    assert code == 2 and "choose a folder" in err
