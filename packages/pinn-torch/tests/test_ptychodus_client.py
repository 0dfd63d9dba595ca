"""ptychodus 1.7.0's call sequence, and what its user may rely on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from client_calls import export, run_reconstruct, run_train, settings
from hypothesis import given
from hypothesis import strategies as st
from lightning.fabric.utilities.exceptions import MisconfigurationException
from numpy.typing import NDArray
from pinn_config.errors import ConfigError
from pinn_data.command.plain_errors import plain_errors
from pinn_data.optics.probe import normalised_probe
from pinn_data.run.results import Reconstruction
from pinn_data.scan.positions import Canvas, to_ptychodus
from pinn_data.scan.scan import Scan
from pinn_data.testing import complex_probes
from pinn_torch.api import inference
from pinn_torch.api.best_checkpoint import find_best_checkpoint
from pinn_torch.api.configs import ConfigManager
from pinn_torch.api.data import PtychoDataLoader, unnormalised_probe_scale, without_ramp
from pinn_torch.api.inference import InferenceEngine, _about_the_origin
from pinn_torch.api.model import PtychoModel
from pinn_torch.api.module import ConfiguredModule
from pinn_torch.errors import ModelArchiveError
from pinn_torch.training.datamodule import PatternStack
from torch_scans import small_scan


@pytest.fixture(scope="module")
def scan() -> Scan:
    return small_scan(rows=6, columns=5)


@pytest.fixture(scope="module")
def exported(scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    export(folder / "train_data.npz", scan)
    return folder


def agreement(rec: NDArray[Any], scan: Scan, shift: tuple[int, int] = (0, 0)) -> float:
    """Correlation (0 to 1) of the reconstruction's middle with the truth under it, moved by whole pixels.

    The reconstruction's middle pixel lies at the middle of the scan's extent, which may be between pixels:
    the truth is taken at the nearest.
    """
    assert scan.object is not None
    middle = np.rint((scan.positions.min(0) + scan.positions.max(0)) / 2 - 0.5).astype(int)
    reach = 14
    r, c = np.array(rec.shape) // 2
    part = rec[r - reach : r + reach + 1, c - reach : c + reach + 1]
    y, x = middle + np.array(shift)
    truth = scan.object[y - reach : y + reach + 1, x - reach : x + reach + 1]
    part, truth = part - part.mean(), truth - truth.mean()
    return float(abs(np.vdot(part, truth)) / np.sqrt(np.vdot(part, part).real * np.vdot(truth, truth).real))


@pytest.mark.parametrize("gridsize", [1, 2])
def test_the_client_trains_saves_opens_and_reconstructs(
    gridsize: int, scan: Scan, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "cwd"
    here.mkdir()
    monkeypatch.chdir(here)
    trained = run_train(settings(gridsize, data={"n_subsample": 2}), exported, tmp_path / "out")
    assert trained.checkpoint.suffix == ".ckpt"
    assert tmp_path / "out" in trained.checkpoint.parents
    assert trained.epochs == 2
    assert [epoch for epoch, _ in trained.training_loss] == [0, 1]
    assert np.isfinite([value for _, value in trained.training_loss]).all()

    # The one file is the model: under another name, elsewhere, with all else gone.
    alone = tmp_path / "model.ckpt"
    shutil.copyfile(trained.checkpoint, alone)
    shutil.rmtree(tmp_path / "out")
    first = run_reconstruct(alone, scan)
    assert first.dtype == np.complex64
    assert first.ndim == 2
    assert np.isfinite(first).all()
    span = np.ptp(scan.positions, axis=0)
    assert (np.array(first.shape) >= span).all()
    assert (np.array(first.shape) % 2 == 1).all()
    np.testing.assert_array_equal(first, run_reconstruct(alone, scan))
    assert list(here.iterdir()) == []

    # It shows the object, in its orientation and at its place.
    here_best = agreement(first, scan)
    assert here_best > 0.8  # one pass of a network that was trained for seconds
    assert here_best > max(agreement(first, scan, shift) for shift in [(4, 0), (-4, 0), (0, 4), (0, -4)])
    assert here_best > agreement(first[::-1], scan)
    assert here_best > agreement(first[:, ::-1], scan)


def test_the_same_settings_give_the_same_model_whatever_was_drawn_before(
    exported: Path, tmp_path: Path
) -> None:
    weights = []
    for run in range(2):
        torch.manual_seed(run)
        chosen = settings(training={"num_workers": 2 * run, "epochs": 1})
        trained = run_train(chosen, exported, tmp_path / str(run))
        weights.append(torch.load(trained.checkpoint, weights_only=True)["state_dict"])
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_counts_are_recognised_whatever_their_type(scan: Scan) -> None:
    configs = ConfigManager(*settings()[:4])
    loaders = [
        PtychoDataLoader.from_np(
            np.asarray(scan.diffraction).astype(kind), scan.probe, scan.positions, configs
        )
        for kind in (np.uint16, np.int32, np.float32)
    ]
    assert {loader.scan.unit for loader in loaders} == {"counts"}


def test_a_test_scan_beside_the_training_scan_validates(scan: Scan, exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "both"
    shutil.copytree(exported, folder)
    export(folder / "test_data.npz", small_scan(rows=4, columns=4))
    trained = run_train(settings(training={"num_workers": 0}), folder, tmp_path / "out")
    assert [epoch for epoch, _ in trained.validation_loss] == [0, 1]


def test_supervised_learns_from_the_objects_in_the_file(scan: Scan, exported: Path, tmp_path: Path) -> None:
    chosen = settings(mode="Supervised", training={"num_workers": 0, "epochs": 1})
    trained = run_train(chosen, exported, tmp_path / "out")
    assert len(trained.training_loss) == 1
    assert run_reconstruct(trained.checkpoint, scan).ndim == 2


def test_the_learning_rate_follows_cosine_warm_up_and_fine_tuning(exported: Path, tmp_path: Path) -> None:
    chosen = {
        "epochs": 3,
        "epochs_fine_tune": 1,
        "warmup_epochs": 1,
        "scheduler": "Cosine",
        "min_lr_ratio": 0.5,
    }
    configs = ConfigManager(*settings(training=chosen)[:4])
    schedule = configs.schedule()
    assert schedule is not None
    assert configs.training(10).nepochs == 4
    rates = [schedule.factor(done) for done in (0.125, 0.25, 0.5, 0.749, 0.75)]
    assert rates[0] == pytest.approx(0.5)  # half of the one epoch of warm-up
    assert rates[1] == pytest.approx(1.0)
    assert rates[2] == pytest.approx(0.75)  # half of the two epochs after it
    assert rates[3] == pytest.approx(0.5, abs=1e-3)
    assert rates[4] == pytest.approx(0.05)
    trained = run_train(
        settings(training=chosen | {"num_workers": 0, "batch_size": 8}), exported, tmp_path / "out"
    )
    assert trained.epochs == 4


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("data", "normalize", "Group"),
        ("data", "data_scaling", "Max"),
        ("model", "intensity_scale", 3.0),
        ("model", "num_datasets", 2),
        ("model", "offset", 4),
        ("training", "enable_staged_finetuning", True),
        ("inference", "experiment_number", 1),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_a_sentence(part: str, field: str, value: Any) -> None:
    chosen = settings(**{part: {field: value}})
    with pytest.raises(ValueError, match=field):
        PtychoModel._new_model(model=ConfiguredModule, config_manager=ConfigManager(*chosen[:4]))


@pytest.mark.parametrize("option", ["cbam_encoder", "eca_decoder", "batch_norm", "use_shared_decoder"])
def test_a_layer_that_is_switched_on_is_in_the_network(option: str) -> None:
    def names(on: bool) -> set[str]:
        chosen = settings(model={"cbam_encoder": False} | {option: on})
        model = PtychoModel._new_model(model=ConfiguredModule, config_manager=ConfigManager(*chosen[:4]))
        assert model.model is not None
        return set(model.model.state_dict())

    assert names(True) != names(False)


def test_another_network_than_the_models_is_refused(exported: Path) -> None:
    chosen = settings()
    model = PtychoModel._new_model(model=ConfiguredModule, config_manager=ConfigManager(*chosen[:4]))
    ConfigManager.from_loaded_model(model).validate_arch_compatibility(model)
    with pytest.raises(ConfigError, match="gridsize"):
        ConfigManager(*settings(2)[:4]).validate_arch_compatibility(model)


def test_a_file_that_is_no_model_of_ours_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.ckpt"
    torch.save({"state_dict": {}}, other)
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(b"nothing")
    for path in (other, broken):
        with pytest.raises(ModelArchiveError, match=path.name):
            PtychoModel._extract_configs_from_checkpoint(str(path))
    with pytest.raises(FileNotFoundError, match="absent"):
        PtychoModel._extract_configs_from_checkpoint(str(tmp_path / "absent.ckpt"))


def test_the_training_data_are_found_or_one_sentence_says_what_is_there(
    exported: Path, tmp_path: Path
) -> None:
    configs = ConfigManager(*settings()[:4])
    other = tmp_path / "a.npz"
    shutil.copyfile(exported / "train_data.npz", other)
    assert len(PtychoDataLoader(tmp_path, configs).scan) == len(PtychoDataLoader(other, configs).scan)
    shutil.copyfile(other, tmp_path / "b.npz")
    with pytest.raises(FileNotFoundError, match=r"2 other .npz files \(a.npz, b.npz\)"):
        PtychoDataLoader(tmp_path, configs)
    with pytest.raises(FileNotFoundError, match="no folder"):
        PtychoDataLoader(tmp_path / "absent", configs)


@given(st.floats(0, 0.4), st.floats(0.6, 1), st.floats(0, 0.4), st.floats(0.6, 1))
def test_bounds_are_shares_of_the_scans_extent(x0: float, x1: float, y0: float, y1: float) -> None:
    from pinn_torch.api.data import _within

    scan = small_scan_of_nothing()
    kept = _within(scan, ConfigManager(*settings(data={"x_bounds": (x0, x1), "y_bounds": (y0, y1)})[:4]))
    low, span = scan.positions.min(0), np.ptp(scan.positions, axis=0)
    share = (scan.positions - low) / span
    inside = (share >= [y0, x0]).all(1) & (share <= [y1, x1]).all(1)
    np.testing.assert_array_equal(kept.positions, scan.positions[inside])


def small_scan_of_nothing() -> Scan:
    y, x = (a.ravel() for a in np.mgrid[:9, :7])
    positions = np.stack([3.0 * y, 5.0 * x], axis=1)
    return Scan(np.ones((63, 8, 8), np.uint16), "counts", positions, np.ones((8, 8), np.complex64))


@given(complex_probes(N=16, modes=2), st.integers(-3, 3), st.integers(-3, 3))
def test_a_probe_loses_its_ramp_and_nothing_else(probe: NDArray[Any], ky: int, kx: int) -> None:
    k = np.arange(16)
    ramp = np.exp(2j * np.pi * (ky * k[:, None] + kx * k[None, :]) / 16)
    once = without_ramp(probe)
    scale = np.abs(probe).max()
    np.testing.assert_allclose(np.abs(once), np.abs(probe), atol=2e-5 * scale)
    far = np.abs(np.fft.fftshift(np.fft.fft2(once), axes=(-2, -1))) ** 2
    assert far.sum() > 0
    # Whole steps in the far field that stay on the detector change nothing; wrapped ones may.
    narrow = np.zeros((2, 16, 16), complex)
    narrow[:, 6:11, 6:11] = np.fft.fftshift(np.fft.fft2(probe), axes=(-2, -1))[:, 6:11, 6:11]
    smooth = np.fft.ifft2(np.fft.ifftshift(narrow, axes=(-2, -1)))
    a, b = without_ramp(smooth), without_ramp(smooth * ramp)
    phase = np.vdot(a, b)
    np.testing.assert_allclose(
        a * (phase / abs(phase) if abs(phase) else 1), b, atol=1e-4 * np.abs(smooth).max()
    )


@given(st.integers(-3, 3), st.integers(-3, 3))
def test_a_known_ramp_is_taken_off_and_no_other_is_put_on(ky: int, kx: int) -> None:
    y, x = np.mgrid[:16, :16] - 8
    far = np.exp(-(y**2) / 2 - x**2 / 3 + 1j * (0.2 * y**2 - 0.3 * x * y))  # its light lies evenly about 0
    probe = np.fft.ifft2(np.fft.ifftshift(far))
    ramp = np.exp(2j * np.pi * (ky * (y + 8) + kx * (x + 8)) / 16)
    np.testing.assert_allclose(without_ramp(probe * ramp), probe, atol=1e-4 * np.abs(probe).max())


def test_the_positions_of_files_and_arrays_are_ours(scan: Scan, exported: Path, tmp_path: Path) -> None:
    """The client counts from the middle of a patch, half a pixel before pixel N/2."""
    configs = ConfigManager(*settings(data={"x_bounds": (0, 1), "y_bounds": (0, 1)})[:4])
    of_file = PtychoDataLoader(exported, configs, output_dir=tmp_path).scan
    np.testing.assert_allclose(of_file.positions, scan.positions)
    np.testing.assert_allclose(of_file.positions_start, scan.positions)
    given = (np.asarray(scan.diffraction), scan.probe, to_ptychodus(scan.positions))
    np.testing.assert_allclose(PtychoDataLoader.from_np(*given, configs).scan.positions, scan.positions)


def test_the_middle_of_an_image_is_the_origin_of_its_pixels() -> None:
    canvas = Canvas((-7, -12), (20, 21))
    y, x = np.indices(canvas.shape) + np.reshape(canvas.origin, (2, 1, 1))
    nothing = np.zeros((1, 2)), 0.0, np.ones((8, 8), np.complex64), {}, 1
    whole = Reconstruction((y + 1j * x).astype(np.complex64), np.ones(canvas.shape), canvas, *nothing)
    image = _about_the_origin(whole)
    assert image.shape == (15, 17)
    y, x = np.mgrid[-7:8, -8:9]
    np.testing.assert_array_equal(image, y + 1j * x)


def test_an_image_is_centred_on_the_middle_of_the_scan_as_the_client_counts(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Scan] = []

    def stopped(trained: Any, centred: Scan, *args: Any, **options: Any) -> None:
        asked.append(centred)
        raise RuntimeError("far enough")

    monkeypatch.setattr(inference.TORCH, "refined_image", stopped)
    configs = ConfigManager(*settings()[:4])
    model = PtychoModel._new_model(ConfiguredModule, configs)
    client = to_ptychodus(scan.positions) + np.array([3.5, -20.25])  # wherever the client's array begins
    loader = PtychoDataLoader.from_np(np.asarray(scan.diffraction), scan.probe, client, configs)
    with pytest.raises(RuntimeError, match="far enough"):
        InferenceEngine(configs, model).predict_and_stitch(loader)
    theirs = to_ptychodus(asked[0].positions)
    np.testing.assert_allclose(theirs.min(0) + theirs.max(0), 0, atol=1e-9)


def test_an_unnormalised_probe_is_left_in_the_patterns_unit(scan: Scan) -> None:
    stack = PatternStack(scan)
    modes = scan.probe[None]
    kept = normalised_probe(modes, scan.N, unnormalised_probe_scale(scan))
    np.testing.assert_allclose(kept, modes * stack.scale, rtol=1e-5, atol=1e-7)


def test_an_interrupted_run_is_found_again(tmp_path: Path) -> None:
    from pinn_torch.api.data import _run_folder

    first = _run_folder(tmp_path)
    (first / "checkpoints").mkdir(parents=True)
    assert _run_folder(tmp_path) != first  # a finished run is left alone
    (first / "checkpoints" / "resume.ckpt").touch()
    assert _run_folder(tmp_path) == first


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_best_checkpoint_is_found_by_its_metric(mode: str, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    assert find_best_checkpoint(tmp_path) is None
    for value in (3.0, 1.0, 2.0):
        tells = {"pinn_torch_monitored": {"name": "loss", "mode": mode, "value": value}}
        torch.save(tells, folder / f"{value}.ckpt")
    torch.save({}, folder / "resume.ckpt")
    best = find_best_checkpoint(tmp_path)
    assert best == folder / ("1.0.ckpt" if mode == "min" else "3.0.ckpt")
    assert find_best_checkpoint(tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("raised", "caught"),
    [
        (MisconfigurationException("why"), RuntimeError),
        (torch.cuda.OutOfMemoryError("why"), MemoryError),
        (UnicodeDecodeError("utf-8", b"a", 0, 1, "why"), UnicodeDecodeError),
    ],
)
def test_errors_that_leave_have_builtin_classes(raised: Exception, caught: type[Exception]) -> None:
    with pytest.raises(caught, match="why") as info, plain_errors():
        raise raised
    assert type(info.value).__module__ == "builtins"


def test_our_own_errors_leave_as_they_are() -> None:
    with pytest.raises(ModelArchiveError), plain_errors():
        raise ModelArchiveError("why")


def test_a_wrong_kind_of_configuration_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="DataConfig"):
        ConfigManager(data_config=3)
    with pytest.raises(ConfigError, match="version"):
        ConfigManager(data_config={"unknown": 1})


def test_the_probe_may_have_modes_when_it_is_loaded(tmp_path: Path) -> None:
    scan = attrs.evolve(small_scan(modes=2, rows=5, columns=4))
    folder = tmp_path / "in"
    export(folder / "train_data.npz", scan)
    chosen = settings(training={"num_workers": 0, "epochs": 1})
    trained = run_train(chosen, folder, tmp_path / "out")
    assert np.isfinite(run_reconstruct(trained.checkpoint, scan)).all()
