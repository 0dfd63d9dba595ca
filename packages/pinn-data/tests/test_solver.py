"""Laws of the whole solver, on small simulated scans, with NumPy's engine."""

import attrs
import numpy as np
import pytest
from pinn_data.files.npz import read_scan, write_scan
from pinn_data.optics.forward_model import diffraction_amplitude, diffraction_intensity, residual
from pinn_data.optics.probe import defocused_probe
from pinn_data.progress.reports import Cancel
from pinn_data.scan.stored_patterns import StoredPatterns
from pinn_data.simulation.simulate import jittered_raster, picture_object, simulate_scan
from pinn_data.solver import SolverSettings, solve
from pinn_data.solver.journal import Journal
from pinn_data.solver.operations import NumpyOperations
from pinn_data.solver.problem import Knowledge, Problem
from pinn_data.solver.stages.affine import affine_map
from pinn_data.solver.stages.first_probe import defocused_spectrum, scan_defocus
from pinn_data.solver.stages.stage import Stage, run_stage
from pinn_data.solver.steps.gauge import relative_slope, slope_factor
from pinn_data.solver.steps.sweep import sweep
from pinn_data.solver.unknowns.moves import Moves
from pinn_data.testing import transposed
from scipy import fft

N = 32
PROBE = SolverSettings(refine=frozenset({"probe"}))
KNOWN = SolverSettings(refine=frozenset())


def free(*parts, **other):
    return SolverSettings(refine=frozenset(parts), **other)


def make_scan(side=5, step=5.0, photons=1e5, seed=0, size=N, probe=None):
    """side x side frames."""
    extent = int((side - 1) * step + 2 + size + 3)
    positions = jittered_raster((extent, extent), size, step, 1.0, seed)
    probe = defocused_probe(size) if probe is None else probe
    image = picture_object("coins", "camera", extent)
    return simulate_scan(image, probe, positions, photons=photons, rng=seed)


@pytest.fixture(scope="module")
def scan():
    return make_scan()


@pytest.fixture(scope="module")
def solved(scan):
    return solve(scan, PROBE)


def difference(one, other):
    """Of two images, relative, where the first is well lit, apart from a complex number."""
    lit = one.coverage > 0.2
    a, b = one.object[lit], other[lit]
    b = b * (np.vdot(b, a) / np.vdot(b, b))
    return float(np.linalg.norm(a - b) / np.linalg.norm(a))


def test_a_clean_scan_is_explained_to_its_noise_and_its_image_is_the_object(scan, solved):
    assert solved.residual == pytest.approx(solved.expected_residual, rel=0.12)
    (y, x), (h, w) = solved.canvas.origin, solved.canvas.shape
    assert difference(solved, scan.object[y : y + h, x : x + w]) < 0.2
    # What it says of itself is what the oracle says of what it shows, apart from a faint border.
    local = solved.canvas.local(solved.positions)
    amplitude = diffraction_amplitude(solved.object, solved.probe, local)
    assert residual(amplitude, scan.amplitude()) == pytest.approx(solved.residual, rel=0.2)


@pytest.mark.parametrize(("size", "side", "step"), [(16, 7, 6.0), (32, 6, 8.0), (48, 6, 10.0)])
def test_a_scan_of_few_frames_is_explained_and_nothing_is_found_that_is_not_there(size, side, step):
    """Whatever may be refined: an image that is not finished must not be taken for wrong positions."""
    found = solve(make_scan(side=side, step=step, size=size, seed=3))
    assert found.residual < 1.1 * found.expected_residual
    assert not found.kept and found.found_bad_pixels <= 0.02 * size**2


@pytest.mark.parametrize(("size", "side", "step"), [(34, 5, 6.0), (94, 4, 14.0), (254, 3, 34.0)])
def test_patterns_may_have_any_even_size(size, side, step):
    """A network's may not: that an odd number of pixels is left at a level must not matter."""
    found = solve(make_scan(side=side, step=step, size=size, seed=1, photons=1e6), PROBE)
    assert 0.7 * found.expected_residual < found.residual < 1.1 * found.expected_residual


def test_object_and_probe_exchange_no_slope_of_the_phase(scan, solved):
    (y, x), (h, w) = solved.canvas.origin, solved.canvas.shape
    error = solved.object * np.conj(scan.object[y : y + h, x : x + w]) * (solved.coverage > 0.2)
    # The best slope of a phase is where the transform of the error, finely sampled, is largest.
    peak = np.unravel_index(np.argmax(np.abs(fft.fft2(error, (1024, 1024)))), (1024, 1024))
    assert np.abs(np.array([fft.fftfreq(1024)[k] for k in peak]) * 2 * np.pi).max() < 0.01


@pytest.mark.parametrize("slope", [(0.03, -0.011), (-0.2, 0.4)])
def test_a_slope_between_two_probes_is_found(slope):
    probe = defocused_probe(N)
    tilted = probe * slope_factor(np.array(slope), (N, N), (0, 0)) * 1.7j
    np.testing.assert_allclose(relative_slope(probe, tilted), slope, atol=1e-3)


# The order and the place of things -------------------------------------------------------------------------


def test_frames_in_another_order_give_the_same_image(scan, solved):
    other = solve(scan.select(np.random.default_rng(0).permutation(len(scan))), PROBE)
    np.testing.assert_allclose(other.object, solved.object, atol=1e-4)


@pytest.mark.parametrize("move", [(8, -16), (3, -5)])
def test_moving_all_positions_moves_the_canvas_alone(scan, solved, move):
    moved = solve(attrs.evolve(scan, positions=scan.positions + move), PROBE)
    assert moved.canvas.shape == solved.canvas.shape
    assert np.array_equal(np.subtract(moved.canvas.origin, solved.canvas.origin), move)
    # To the bit where the coarse levels move by whole pixels too, else as far as the image is certain.
    assert difference(solved, moved.object) < (1e-4 if move[0] % 8 == 0 else 0.03)


def test_moving_all_positions_by_a_fraction_moves_the_image_by_it(scan, solved):
    move = np.array([0.4, 0.25])
    moved = solve(attrs.evolve(scan, positions=scan.positions + move), PROBE)
    assert moved.residual == pytest.approx(solved.residual, rel=0.08)
    y, x = np.subtract(moved.canvas.origin, solved.canvas.origin)
    h, w = solved.canvas.shape
    larger = np.zeros((h + 4, w + 4), np.complex64)
    larger[2 + y : 2 + y + moved.object.shape[0], 2 + x : 2 + x + moved.object.shape[1]] = moved.object
    k = [np.exp(2j * np.pi * np.fft.fftfreq(s) * m) for s, m in zip(larger.shape, move, strict=True)]
    back = np.fft.ifft2(np.fft.fft2(larger) * k[0][:, None] * k[1][None])[2:-2, 2:-2]
    there = difference(solved, back)
    assert there < 0.06
    assert there < 0.6 * difference(solved, larger[2:-2, 2:-2])


def test_a_transposed_scan_gives_the_transposed_image(scan, solved):
    """As far as the image is certain: the order of frames along the field is another one."""
    turned = solve(transposed(scan), PROBE)
    assert turned.canvas.shape == solved.canvas.shape[::-1]
    assert difference(solved, turned.object.T) < 0.03


# Pixels and frames -----------------------------------------------------------------------------------------


def _same_bits(one, other):
    for name in ("object", "probe", "positions", "pixel_misfit", "frame_misfit", "background"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.residual == other.residual


def test_masks_of_each_frame_what_lies_under_them_and_a_background_of_nothing(scan):
    bad = np.zeros((N, N), bool)
    bad[11:13], bad[20, 4] = True, True
    junk = scan.diffraction.astype(np.float64)
    junk[:, bad] = np.nan
    settings = free("probe", "background")
    clean, spoiled = (
        solve(attrs.evolve(scan, bad_pixels=bad, **more), settings)
        for more in ({}, {"diffraction": junk, "background": np.zeros((N, N))})
    )
    _same_bits(clean, spoiled)
    assert np.isnan(clean.pixel_misfit[bad]).all() and np.isfinite(clean.pixel_misfit[~bad]).all()
    each = solve(attrs.evolve(scan, bad_pixels=np.repeat(bad[None], len(scan), 0)), settings)
    assert difference(clean, each.object) < 0.01
    assert each.residual == pytest.approx(clean.residual, rel=0.01)
    assert clean.residual == pytest.approx(clean.expected_residual, rel=0.15)


def test_frames_that_stay_in_their_file_give_the_same_bits(tmp_path, scan, solved):
    write_scan(tmp_path / "scan.npz", scan)
    stored = read_scan(tmp_path / "scan.npz", in_file_above=0)
    assert isinstance(stored.diffraction, StoredPatterns)
    _same_bits(solve(stored, PROBE), solve(read_scan(tmp_path / "scan.npz"), PROBE))


@pytest.mark.parametrize("n", [1, 2, 3, 15])
def test_few_frames_are_solved_and_none_of_them_is_held_out(scan, n):
    found = solve(scan.select(np.arange(n)))
    assert len(found.positions) == n and np.isfinite(found.object).all()
    assert np.isnan(found.held_out_residual)
    assert found.residual < 1.2 * found.expected_residual


def test_where_no_frame_is_held_out_a_stage_keeps_its_last_epochs(scan):
    problem = Problem(NumpyOperations(), scan.select(np.arange(12)), PROBE)
    known = Knowledge(
        fft.fft2(scan.probe, norm="ortho")[None],
        Moves.none(problem.scan.positions),
        0.0,
        np.zeros((N, N), bool),
    )

    def misfit(epochs):
        stage = Stage("here", epochs, check=4, gain=0.0)
        after = run_stage(problem, known, N, stage, Journal(problem.ops))
        return sweep(problem.ops, problem.at_level(after, N), problem.frames(N), problem.order).misfit.sum()

    assert misfit(16) < 0.8 * misfit(4)


@pytest.mark.parametrize("size", [32, 34, 50, 100])
def test_every_even_size_is_solved(size):
    scan = make_scan(side=2, step=5.0, size=size)
    found = solve(scan, PROBE)
    assert found.probe.shape == (size, size)
    assert found.residual < 1.1 * found.expected_residual


@pytest.mark.parametrize("unit", ["intensity", "amplitude"])
def test_numbers_that_are_no_counts_give_the_same_image(scan, solved, unit):
    """Amplitudes in a unit of their own; no statement then is about photons."""
    intensity = diffraction_intensity(scan.object, scan.probe, scan.positions) * 1e-4
    patterns = intensity if unit == "intensity" else np.sqrt(intensity)
    found = solve(attrs.evolve(scan, diffraction=patterns, unit=unit, probe=scan.probe * 1e-2), PROBE)
    assert np.isnan(found.expected_residual) and found.residual < 0.05
    assert difference(solved, found.object) < 0.15


# What is found besides the object --------------------------------------------------------------------------


def test_hot_and_stuck_pixels_are_found_and_no_good_ones():
    clean = make_scan(side=9, step=4.0)
    settings = free("probe", "bad-pixels")
    assert solve(clean, settings).found_bad_pixels == 0
    rng = np.random.default_rng(4)
    planted = np.zeros((N, N), bool)
    planted.flat[rng.choice(N * N, 12, replace=False)] = True
    counts = clean.diffraction.astype(np.int64)
    hot, stuck = np.argwhere(planted)[:8], np.argwhere(planted)[8:]
    counts[:, *hot.T] += rng.poisson(3000, (len(counts), 8))
    counts[:, *stuck.T] = 2000
    found = solve(attrs.evolve(clean, diffraction=counts), settings)
    np.testing.assert_array_equal(found.bad_pixels, planted)
    assert found.found_bad_pixels == 12
    assert found.residual == pytest.approx(found.expected_residual, rel=0.1)


def test_a_background_is_found(scan):
    noisy = np.random.default_rng(1).poisson(scan.diffraction + 4.0)
    found = solve(attrs.evolve(scan, diffraction=noisy), free("probe", "background"))
    assert found.background == pytest.approx(4.0, abs=0.8)
    assert any("background" in sentence for sentence in found.sentences)


@pytest.mark.parametrize("planted", [(0.0, 0.0, 0.0, 0.0), (0.0, 0.06, 0.05, -0.02)])
def test_a_turned_and_stretched_scan_is_put_right_and_a_right_one_left_alone(planted):
    """Within 3 %, of a map that is wrong by 6 %: the object gives way to it, and the probe hides a scale."""
    scan = make_scan(side=9, step=4.0)
    middle, matrix = scan.positions.mean(axis=0), affine_map(np.array(planted))
    wrong = attrs.evolve(scan, positions=(scan.positions - middle) @ np.linalg.inv(matrix).T + middle)
    found = solve(wrong, free("affine", "probe"))
    assert found.kept == ({"affine"} if any(planted) else set())
    away = np.linalg.lstsq(wrong.positions - middle, found.positions - middle, rcond=None)[0].T - matrix
    assert np.abs(away).max() < 0.03
    assert found.residual < 1.02 * found.expected_residual


def test_intensities_of_frames_are_found_and_those_of_a_clean_scan_left_alone():
    clean = make_scan(side=6, step=4.0)
    settings = free("probe", "intensity")
    assert solve(clean, settings).frame_intensity is None
    rng = np.random.default_rng(3)
    true = rng.uniform(0.7, 1.3, len(clean))
    counts = rng.poisson(
        diffraction_intensity(clean.object, clean.probe, clean.positions) * true[:, None, None]
    )
    found = solve(attrs.evolve(clean, diffraction=counts), settings)
    assert "intensity" in found.kept
    assert np.std(found.frame_intensity / (true / true.mean()) - 1) < 0.06


@pytest.mark.parametrize(
    ("photons", "background", "size", "side"),
    [(1e5, 0.0, 32, 7), (1e4, 0.0, 32, 7), (3e3, 0.0, 32, 9), (1e4, 4.0, 32, 9), (1e4, 1.0, 64, 9)],
)
def test_wrong_positions_get_better_and_right_ones_stay_however_much_noise_hides_them(
    photons, background, size, side
):
    clean = make_scan(side=side, step=4.0, photons=photons, size=size)
    more = np.random.default_rng(7).poisson(background, clean.diffraction.shape)
    clean = attrs.evolve(clean, diffraction=clean.diffraction + more.astype(clean.diffraction.dtype))
    off = np.random.default_rng(5).normal(0, 0.7, clean.positions.shape)
    told = attrs.evolve(clean, positions=clean.positions + off)
    settings = free("probe", "background", "positions")
    right, moved = (solve(one, settings) for one in (clean, told))

    def error(positions):
        left = positions - clean.positions
        left = left - left.mean(axis=0)
        return np.sqrt(np.square(left).sum(axis=1).mean())

    assert not right.kept
    np.testing.assert_array_equal(right.positions, clean.positions)
    assert moved.kept == {"positions"} and any("positions" in said for said in moved.sentences)
    assert error(moved.positions) < 0.65 * error(told.positions)
    np.testing.assert_array_equal(moved.positions_start, told.positions)
    fixed = solve(told, free("probe", "background"))
    np.testing.assert_array_equal(fixed.positions, told.positions)
    assert moved.held_out_residual < fixed.held_out_residual


@pytest.mark.parametrize(("seed", "radians"), [(2, 0.6), (3, 0.6), (3, 1.0)])
def test_a_wrong_probe_is_not_taken_for_wrong_positions_or_intensities(seed, radians):
    """Until the probe is found, any freedom explains something."""
    scan = make_scan(side=9, step=4.0, seed=seed)
    y, x = (np.mgrid[:N, :N] - N // 2) / (N / 2)
    pupil = fft.fftshift(fft.fft2(fft.ifftshift(scan.probe))) * np.exp(8j * radians * (y**2 + x**2))
    wrong = fft.fftshift(fft.ifft2(fft.ifftshift(pupil))).astype(np.complex64)
    found = solve(attrs.evolve(scan, probe=wrong))
    assert not found.kept
    assert found.residual < 1.05 * found.expected_residual


def test_modes_are_found_orthogonal_and_strongest_first():
    first = defocused_probe(N)
    y, x = np.mgrid[:N, :N] - N / 2
    probe = np.stack([first, 0.12 * first * (x + 0.5 * y)])
    scan = make_scan(side=5, step=4.0, probe=probe)
    told = attrs.evolve(scan, probe=scan.probe[0])
    one, two = (solve(told, free("probe", modes=modes)) for modes in (1, 2))
    assert two.residual < two.expected_residual and one.residual > 1.1 * one.expected_residual
    assert two.probe.shape == (2, N, N) and two.mode_shares[0] > two.mode_shares[1] > 0
    assert abs(np.vdot(*two.probe)) < 1e-4 * np.linalg.norm(two.probe[0]) ** 2
    basis, _ = np.linalg.qr(scan.probe.reshape(2, -1).T)
    second = two.probe[1].ravel() / np.linalg.norm(two.probe[1])
    assert np.linalg.norm(basis.conj().T @ second) ** 2 > 0.9


def _problem(scan, settings=PROBE):
    problem = Problem(NumpyOperations(), scan, settings)
    spectrum = fft.fft2(scan.probe.astype(complex), norm="ortho")[None]
    known = Knowledge(spectrum, Moves.none(scan.positions), 0.0, np.zeros((scan.N, scan.N), bool))
    return problem, known, Journal(problem.ops)


def test_the_scan_of_defoci_finds_a_planted_one_whatever_background_the_file_tells():
    k = np.rint(fft.fftfreq(N) * N)
    pupil = np.exp(-(((k[:, None] - 1) / 6.0) ** 4) - (k[None, :] / 5.0) ** 4)
    true = fft.ifft2(defocused_spectrum(pupil**2, 30.0), norm="ortho")[0]
    scan = make_scan(side=6, step=4.0, probe=true)
    scan = attrs.evolve(
        scan, diffraction=np.random.default_rng(0).poisson(scan.diffraction + 3.0), background=np.array(3.0)
    )
    problem, known, journal = _problem(scan)
    found = fft.ifft2(scan_defocus(problem, known, journal), norm="ortho")[0]
    overlap = abs(np.vdot(found, true)) / np.linalg.norm(found) / np.linalg.norm(true)
    assert overlap > 0.9
    assert any("defocus" in sentence for sentence in journal.sentences)


# How it ends -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [12, 25])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_with_a_hopeless_probe_it_ends_and_says_so(scan, n):
    hopeless = attrs.evolve(scan.select(np.arange(n)), probe=np.eye(N, dtype=np.complex64))
    for settings in (KNOWN, PROBE):
        found = solve(hopeless, settings)
        assert found.residual > 3 * found.expected_residual
        assert np.isfinite(found.object).all() and np.isfinite(found.residual)


def test_a_limit_of_seconds_ends_it_early(scan, solved):
    found = solve(scan, free("probe", seconds=1e-3))
    assert found.out_of_time and not found.cancelled and not solved.out_of_time
    assert len(found.history) < 0.5 * len(solved.history)
    assert np.isfinite(found.object).all() and found.residual < 1


def test_a_watcher_that_cancels_gets_the_image_so_far(scan, solved):
    moments = []

    def watch(progress):
        moments.append(progress)
        return Cancel if len(moments) == 5 else None

    found = solve(scan, PROBE, watch=watch)
    assert found.cancelled and not solved.cancelled
    assert len(found.history) < 0.5 * len(solved.history)
    assert np.abs(found.object).max() > 0 and found.residual < 1
    fractions = [progress.fraction for progress in moments]
    assert fractions == sorted(fractions) and moments[-1].finished


def test_an_image_to_begin_with_is_where_its_canvas_says(scan, solved):
    """Given at its own place it is better than a flat start; given elsewhere, the scan says so at once."""
    firsts = []
    for origin in (solved.canvas.origin, (solved.canvas.origin[0] + 9, solved.canvas.origin[1] - 7)):
        canvas = attrs.evolve(solved.canvas, origin=origin)
        found = solve(scan, KNOWN, start=(solved.object, canvas))
        firsts.append(found.history[0]["R"])
        assert any("no better than a flat object" in s for s in found.sentences) == (len(firsts) == 2)
    assert firsts[0] < 0.7 * firsts[1]
