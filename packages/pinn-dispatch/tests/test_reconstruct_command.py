"""`pinn reconstruct`: all that the solver found is in what it leaves, and stopping it loses nothing."""

from __future__ import annotations

import json
import os
import signal

import attrs
import numpy as np
import pytest
from matplotlib.image import imread
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.files.product import read_product
from pinn_data.run.run_record import PROVENANCE_KEYS, TIMES
from pinn_data.solver import SolverSettings
from pinn_dispatch.cli.reconstruct import PREVIEW_NAME
from pinn_dispatch.cli.shared.run_log import LOG_NAME
from pinn_dispatch.figures.solution_figure import solution_figure
from pinn_dispatch.reconstruction import read_reconstruction, reconstruction_of
from pinn_dispatch.solving import solve

FILES = {
    *("reconstruction.npz", "reconstruction.h5", "reconstruction.png", "metrics.json"),
    *(LOG_NAME, PREVIEW_NAME),
}
PIXEL = 2e-8


@pytest.fixture(scope="module")
def measured(scan, tmp_path_factory):
    """The scan in counts, displaced, with a dead pixel in its mask and a pixel size: (path, scan)."""
    rng = np.random.default_rng(5)
    bad = np.zeros((scan.N, scan.N), bool)
    bad[3, 12] = True
    spoilt = attrs.evolve(
        scan,
        object=None,
        positions=scan.positions + rng.normal(0, 0.5, scan.positions.shape),
        bad_pixels=bad,
        metadata={"pixel_size_m": PIXEL, "photon_energy_eV": 9000.0, "detector_distance_m": 2.0},
    )
    path = write_scan(tmp_path_factory.mktemp("measured") / "scan.npz", spoilt, unit="counts")
    return path, read_scan(path)


def test_a_scan_without_a_probe_gets_one_where_that_is_asked_for(pinn, measured, tmp_path):
    with np.load(measured[0]) as file:
        np.savez(tmp_path / "blind.npz", **{key: file[key] for key in file.files if key != "probeGuess"})
    arguments = ("reconstruct", "--data", tmp_path / "blind.npz", "--output", tmp_path / "out")
    code, _, err = pinn(*arguments)
    assert code == 2 and "probeGuess" in err and not (tmp_path / "out").exists()
    assert pinn(*arguments, "--guess-probe")[0] == 0
    found = read_reconstruction(tmp_path / "out")
    assert found.probe.shape[-1] == measured[1].N
    assert any("first probe was made from the mean" in s for s in found.refined.facts["sentences"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--devices", 2, "--engine", "numpy"], "only 'pytorch' shares a scan between processes"),
        (["--devices", 0], "--devices is 0, but a whole number above 0 is needed"),
    ],
)
def test_one_scan_is_shared_by_processes_of_pytorch_alone(pinn, measured, tmp_path, flags, words):
    code, _, err = pinn("reconstruct", "--data", measured[0], "--output", tmp_path / "out", *flags)
    assert code == 2 and words in err and not (tmp_path / "out").exists()


def test_what_is_left_holds_all_that_was_found(pinn, measured, tmp_path):
    source, scan = measured
    code, out, _ = pinn(
        *("reconstruct", "--data", source, "--output", tmp_path / "out", "--modes", 2),
        *("--refine", "probe,positions,intensity,background"),
    )
    assert code == 0 and "residual R" in out and "for counting noise alone" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    settings = SolverSettings(frozenset(("probe", "positions", "intensity", "background")), modes=2)
    expected = solve(scan, settings, engine="numpy")
    npz = read_reconstruction(tmp_path / "out")
    product = reconstruction_of(read_product(tmp_path / "out" / "reconstruction.h5"))
    for found in (npz, product):
        assert np.array_equal(found.object, expected.object) and np.array_equal(found.probe, expected.probe)
        np.testing.assert_allclose(found.positions, expected.positions, atol=1e-9)
        assert found.canvas == expected.canvas and found.geometry == scan.geometry
        for part in attrs.fields(type(expected.refined)):
            ours, theirs = getattr(expected.refined, part.name), getattr(found.refined, part.name)
            if part.name != "facts":
                assert (ours is None and theirs is None) or np.array_equal(ours, theirs, equal_nan=True)
        seconds = {"seconds_total", "history"}
        told, kept = (
            {k: v for k, v in f.refined.facts.items() if k not in seconds} for f in (expected, found)
        )
        assert told == kept
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["R"] == npz.metadata["R"] == npz.refined.facts["R"]
    assert metrics["mode_shares"] == npz.refined.mode_shares.tolist() and len(metrics["mode_shares"]) == 2
    verdict = metrics["verdict"]
    assert verdict["level"] in ("good", "doubtful", "bad") and verdict["sentence"] in out
    assert verdict["ratio"] == pytest.approx(metrics["R"] / metrics["R_of_noise"])
    assert all(sentence in out for sentence in (*verdict["advice"], *verdict["diagnosis"]))
    assert metrics["bad_pixels"] == 1 and "history" not in metrics
    record = npz.metadata["provenance"]
    assert set(record) | set(TIMES) == set(PROVENANCE_KEYS)
    assert record["configuration"]["solver"]["modes"] == 2 and record["input"]["of"] == "file"
    assert read_product(tmp_path / "out" / "reconstruction.h5").loss_values.tolist() == [
        R for _, _, R in npz.refined.course
    ]


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_is_told_in_lines_and_in_the_log(quiet, pinn, measured, tmp_path, caplog):
    flags = ("--refine", "probe,positions", *["--quiet"] * quiet)
    code, _, err = pinn("reconstruct", "--data", measured[0], "--output", tmp_path / "out", *flags)
    assert code == 0
    log = (tmp_path / "out" / LOG_NAME).read_text()
    sentences = read_reconstruction(tmp_path / "out").refined.facts["sentences"]
    assert sentences and all(sentence in log for sentence in sentences)
    assert all((sentence in caplog.text) != quiet for sentence in sentences)
    for line in ("reconstruction: 0 %\n", "reconstruction: 100 %, misfit 0."):
        assert line in log and (line in err) != quiet


def test_refine_none_takes_the_scans_word_for_all_but_the_object(pinn, measured, tmp_path):
    source, scan = measured
    code, _, _ = pinn(
        "reconstruct", "--data", source, "--output", tmp_path / "out", "--refine", "none", "--quiet"
    )
    found = read_reconstruction(tmp_path / "out")
    assert code == 0 and np.array_equal(found.positions, scan.positions)
    assert np.array_equal(found.refined.bad_pixels, scan.bad_pixels) and not found.refined.background.any()
    ratio = found.probe / scan.probe
    np.testing.assert_allclose(ratio, ratio[8, 8], rtol=1e-3)


def test_a_network_gives_the_start(pinn, backend, scan_file, tmp_path):
    def run(name, *flags):
        flags = ("--data", scan_file, "--output", tmp_path / name, "--refine", "none", "--quiet", *flags)
        code, _, err = pinn("reconstruct", *flags)
        assert (code, err) == (0, "")
        return read_reconstruction(tmp_path / name)

    assert pinn("train", "--data", scan_file, "--output", tmp_path / "run", "--quiet")[0] == 0
    cold = run("cold")
    warm = run("warm", "--model", tmp_path / "run", "--engine", "numpy")
    # The backend of the tests hands back the truth, so the first epochs are better with it than without.
    assert warm.refined.course[0][2] < 0.8 * cold.refined.course[0][2]
    record = warm.metadata["provenance"]
    assert record["model"]["name"] == "wts.h5.zip" and record["frameworks"]["fake"] == "1.0"
    assert record["configuration"]["inference"] and cold.metadata["provenance"]["model"] is None


@pytest.fixture
def interruptible():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_request_to_stop_keeps_the_image_of_the_moment(
    number, code, pinn, measured, tmp_path, monkeypatch, interruptible
):
    from pinn_data.solver import journal

    told = journal.Journal.tell

    def tell(self, *facts):
        if len(self.rows) == 4:
            os.kill(os.getpid(), number)
        return told(self, *facts)

    monkeypatch.setattr(journal.Journal, "tell", tell)
    found, out, err = pinn("reconstruct", "--data", measured[0], "--output", tmp_path / "out", "--quiet")
    assert (found, err) == (code, "pinn: interrupted; the current image was saved\n")
    assert "residual R" in out and {path.name for path in (tmp_path / "out").iterdir()} == FILES
    kept = read_reconstruction(tmp_path / "out").refined.facts
    assert kept["cancelled"] and len(kept["history"]) == 5


@pytest.mark.parametrize(
    "flags", [("--refine", "prob"), ("--modes", "0"), ("--seconds", "-1"), ("--refine", "")]
)
def test_settings_that_cannot_be_are_told_before_the_data_are_read(flags, pinn, tmp_path):
    code, _, err = pinn("reconstruct", "--data", "nowhere.npz", "--output", tmp_path / "out", *flags)
    assert code == 2 and flags[0].lstrip("-") in err and "nowhere" not in err and err.count("\n") == 1


@pytest.mark.parametrize("modes", [1, 3])
def test_the_figure_shows_every_part(modes, measured, tmp_path, monkeypatch):
    from pinn_dispatch.figures import solution_figure as module

    drawn = []
    saved = module.save
    monkeypatch.setattr(module, "save", lambda figure, path: drawn.append(figure) or saved(figure, path))
    found = solve(measured[1], SolverSettings(modes=modes), engine="numpy")
    moved = found.positions + np.array([0.5, -0.25])
    found = attrs.evolve(
        found, positions=moved, refined=attrs.evolve(found.refined, positions_start=moved - 0.4)
    )
    image = imread(solution_figure(tmp_path / "a.png", found, "a scan"))
    assert image.shape[0] > 400 and 0.005 < np.mean(image[..., :3].min(axis=-1) < 0.9) < 0.95
    titles = [axes.get_title(loc="left") for axes in drawn[0].axes]
    for part in (
        "phase",
        "amplitude",
        "misfit per pixel",
        "misfit per frame",
        "R of the frames",
        "verdict",
    ):
        assert any(title.startswith(part) for title in titles)
    assert any(title.startswith("positions moved by 0.57 px") for title in titles)
    shares = [f"mode {k + 1}: {100 * s:.1f} %" for k, s in enumerate(found.refined.mode_shares)]
    assert set(shares) <= set(titles) if modes > 1 else "probe (hue: phase)" in titles
    (big,) = [axes for axes in drawn[0].axes if axes.get_title(loc="left") == "phase"]
    assert big.get_xlabel() == "x, um"
    assert big.get_xlim()[0] < 1e6 * PIXEL * found.positions[:, 1].min() < big.get_xlim()[1]
