"""Laws of the solver's parts: penalty, moves, frames, modes, bad pixels, intensity, first probe, descent."""

from types import SimpleNamespace

import attrs
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pinn_config import ConfigError
from pinn_data.errors import DataRangeError
from pinn_data.optics.forward_model import diffraction_intensity
from pinn_data.optics.probe import defocused_probe, fourier_shift
from pinn_data.simulation.simulate import picture_object
from pinn_data.solver import AUTOMATIC, SolverSettings, parse_parts
from pinn_data.solver.estimate import Estimate, lay_canvas, light_on_canvas, resample_object
from pinn_data.solver.frames import Frames, even_order
from pinn_data.solver.held_out import explains_enough, is_worse, mean_gain
from pinn_data.solver.operations import NumpyOperations
from pinn_data.solver.problem import subsets_of
from pinn_data.solver.stages.affine import affine_map
from pinn_data.solver.stages.first_probe import defocused_spectrum
from pinn_data.solver.steps import penalty as penalty_module
from pinn_data.solver.steps.descent import Descent, descend
from pinn_data.solver.steps.penalty import Penalty
from pinn_data.solver.steps.polish import Polish, Polished, polish
from pinn_data.solver.steps.sweep import PixelSums, sweep
from pinn_data.solver.unknowns.bad_pixels import PixelStatistics, find_bad_pixels, suspect_pixels
from pinn_data.solver.unknowns.intensity import corrected_intensity, intensity_is_doubtful
from pinn_data.solver.unknowns.modes import add_modes, orthogonal_modes
from pinn_data.solver.unknowns.moves import Moves
from pinn_data.testing import complex_probes
from scipy import fft, optimize

OPS = NumpyOperations(double=True)
SEEDS = st.integers(0, 2**32 - 1)


# Penalty ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_penaltys_step_minimises_its_objective(seed):
    """Against SciPy's L-BFGS, which knows nothing of duals; what is kept of the edges leads nowhere else."""
    rng = np.random.default_rng(seed)
    shape, strength, edge = (5, 6), 0.6, penalty_module._EDGE
    image = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    light = rng.uniform(1.0, 9.0, shape)
    penalty = Penalty(OPS, light, strength)
    stiffness, weight = penalty.stiffness, strength * np.sqrt(light)
    along = image / np.abs(image)

    def objective(parts):
        x = parts.reshape(2, -1)
        x = (x[0] + 1j * x[1]).reshape(shape)
        down, right = np.zeros_like(x), np.zeros_like(x)
        down[:-1], right[:, :-1] = x[1:] - x[:-1], x[:, 1:] - x[:, :-1]
        value = np.sum(stiffness / 2 * np.abs(x - image) ** 2)
        slope = stiffness * (x - image)
        for axis, share in ((along, 1.0), (1j * along, penalty_module._PHASE)):
            below, beside = (np.real(np.conj(axis) * step) for step in (down, right))
            d = np.hypot(below, beside)
            value += share * np.sum(weight * np.where(d < edge, d**2 / (2 * edge), d - edge / 2))
            pull = share * weight / np.maximum(d, edge)
            slope -= pull * (below + beside) * axis
            slope[1:] += (pull * below * axis)[:-1]
            slope[:, 1:] += (pull * beside * axis)[:, :-1]
        return value, np.stack([slope.real, slope.imag]).ravel()

    start = np.stack([image.real, image.imag]).ravel()
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 5000}
    exact = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    off = []
    for _ in range(16):
        found = penalty.applied_to(image)
        found = np.stack([found.real, found.imag]).ravel()
        off.append(np.linalg.norm(found - exact) / np.linalg.norm(exact - start))
    assert off[0] < 0.03 and off[-1] < 1e-3


@settings(max_examples=8)
@given(st.integers(0, 2**16), st.floats(-3.0, 3.0))
def test_the_penalty_turns_with_the_phase_and_adds_none(seed, turn):
    """A phase common to all pixels is no difference of neighbours; where there is none, none appears."""
    rng = np.random.default_rng(seed)
    light = rng.uniform(1.0, 9.0, (5, 7))
    modulus = rng.uniform(0.2, 1.0, light.shape)
    image = modulus * np.exp(1j * rng.normal(size=light.shape))

    def smoothed(image):
        return Penalty(OPS, light, 0.6).applied_to(image)

    factor = np.exp(1j * turn)
    np.testing.assert_allclose(smoothed(image * factor), smoothed(image) * factor, atol=1e-12)
    np.testing.assert_allclose(smoothed(modulus * factor), np.real(smoothed(modulus)) * factor, atol=1e-12)


# Positions -------------------------------------------------------------------------------------------------


def _small_problem(photons, N=16, n=20, seed=0):
    """Frames of counts with their exact estimate."""
    rng = np.random.default_rng(seed)
    image = picture_object("coins", "camera", N + 28)
    probe = defocused_probe(N)
    positions = rng.uniform(6.0, 21.0, (n, 2)) + N // 2
    probe = probe * np.sqrt(photons / diffraction_intensity(image, probe, positions).sum((1, 2)).mean())
    counts = rng.poisson(diffraction_intensity(image, probe, positions))
    frames = Frames(OPS, counts.astype(np.int64), "counts", size=N)
    spectrum = fft.fft2(probe, norm="ortho")[None]
    return Estimate(image, spectrum, positions, 1.0, (0, 0)), frames


def _moved(estimate, frames, start, steps=8):
    everyone = np.arange(len(start))
    moves = Moves.none(start)
    for k in range(steps):
        here = attrs.evolve(estimate, positions=moves.positions)
        sums = sweep(OPS, here, frames, everyone, moves=True, noise=True)
        noise = 0.25 * max(1.0, sums.misfit.sum() / sums.noise.sum())
        moves = moves.step(sums.moves, everyone, 1.0, noise, 1.0 if k == 0 else 0.3)
    return moves


def _rms(a):
    return float(np.sqrt(np.mean(np.square(a).sum(axis=-1))))


def test_moves_recover_displacements_where_the_object_is_known():
    estimate, frames = _small_problem(1e6)
    off = np.random.default_rng(1).normal(0, 0.7, (20, 2))
    moves = _moved(estimate, frames, estimate.positions + off)
    assert _rms(moves.positions - estimate.positions) < 0.05 * _rms(off)
    assert 0.4 < moves.spread < 1.2


def test_moves_stay_where_photons_are_few():
    """The noise allows no better than what the stage did, so exact positions are left nearly alone."""
    estimate, frames = _small_problem(20.0)
    moves = _moved(estimate, frames, estimate.positions)
    everyone = np.arange(20)
    sums = sweep(OPS, estimate, frames, everyone, moves=True).moves
    free = np.array([
        np.linalg.solve([[yy, yx], [yx, xx]], right)
        for (yy, yx, xx), right in zip(sums.matrix, sums.right, strict=True)
    ])  # fmt: skip
    assert _rms(moves.moves) < 0.6 * _rms(free)


def test_a_step_of_the_moves_is_no_longer_than_its_limit_and_moves_the_chosen_alone():
    estimate, frames = _small_problem(1e5)
    start = estimate.positions + 3.0
    sums = sweep(OPS, attrs.evolve(estimate, positions=start), frames, np.arange(20), moves=True).moves
    moves = Moves.none(start).step(sums, np.arange(5), 1.0, 0.25, 0.3).moves
    assert np.hypot(*moves.T).max() <= 0.3 + 1e-12 and np.hypot(*moves[:5].T).max() > 0.1
    assert not moves[5:].any()


def test_moves_at_a_coarse_level_are_told_in_pixels_of_the_object():
    """``sqrt(I)`` of a level changes `scale` times as much for each pixel of the object."""
    estimate, frames = _small_problem(1e5)
    start = estimate.positions + 0.1
    sums = sweep(OPS, attrs.evolve(estimate, positions=start), frames, np.arange(20), moves=True).moves
    fine = Moves.none(start).step(sums, np.arange(20), 1.0, 0.25, 9.0)
    half = attrs.evolve(sums, matrix=sums.matrix * 4, right=sums.right * 2)
    coarse = Moves.none(start).step(half, np.arange(20), 0.5, 0.25, 9.0)
    np.testing.assert_allclose(coarse.moves, fine.moves, rtol=1e-9)


def test_centred_moves_have_no_mean_and_a_map_turns_about_its_middle():
    start = np.random.default_rng(0).normal(size=(9, 2))
    moves = Moves(start, np.random.default_rng(1).normal(size=(9, 2)) + 3).centred()
    np.testing.assert_allclose(moves.moves.mean(axis=0), 0, atol=1e-12)
    middle = np.array([2.0, -1.0])
    scale = affine_map(np.array([0.1, 0, 0, 0]))
    np.testing.assert_allclose(
        moves.mapped(scale, middle).positions - middle, 1.1 * (moves.positions - middle)
    )
    turn = affine_map(np.array([0.0, 0.01, 0, 0]))
    np.testing.assert_allclose(turn @ [1.0, 0.0], [1.0, -0.01])  # y towards smaller x


# Frames ----------------------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(st.integers(150, 300), SEEDS)
def test_every_fourth_frame_of_the_order_covers_the_field_evenly(n, seed):
    """The middle of each part is that of the whole, closer than one of ten draws by chance comes."""
    positions = np.random.default_rng(seed).uniform(0, [50, 80], (n, 2))
    order = even_order(positions)
    assert np.array_equal(np.sort(order), np.arange(n))
    for k in range(4):
        off = positions[order[k::4]].mean(axis=0) - positions.mean(axis=0)
        assert np.all(np.abs(off) < 0.13 * positions.std(axis=0))


@given(st.integers(1, 30), SEEDS)
def test_the_order_of_frames_is_one_of_the_field_not_of_the_file(n, seed):
    rng = np.random.default_rng(seed)
    positions, shuffle = rng.uniform(0, 50, (n, 2)), rng.permutation(n)
    np.testing.assert_array_equal(
        positions[even_order(positions)], positions[shuffle][even_order(positions[shuffle])]
    )


@given(st.integers(1, 6), SEEDS, st.sampled_from([0.5, 0.25, 1.0]))
def test_a_canvas_holds_every_patch_with_its_margin(n, seed, scale):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-40, 60, (n, 2))
    size, margin = 8, 2
    origin, shape = lay_canvas(positions, size, scale, margin)
    estimate = Estimate(np.ones(shape, complex), np.ones((1, size, size), complex), positions, scale, origin)
    corners, fraction = estimate.corners(np.arange(n))
    assert corners.min() == margin and np.all(corners + size <= np.array(shape) - margin)
    assert np.all((fraction >= 0) & (fraction < 1))
    np.testing.assert_allclose((corners + size // 2 + fraction + origin) / scale, positions)
    light = light_on_canvas(OPS, estimate, np.arange(n))
    assert light.sum() == pytest.approx(n * size**2)


def test_resampling_to_another_origin_moves_nothing():
    y, x = np.mgrid[:40, :44]
    image = np.exp(1j * np.sin(y / 5) + 0.1 * np.cos(x / 4))
    there = resample_object(image, (1.0, (3, -2)), (2.0, (20, 10)), (30, 36))
    back = resample_object(there, (2.0, (20, 10)), (1.0, (3, -2)), (40, 44))
    np.testing.assert_allclose(back[9:20, 9:22], image[9:20, 9:22], atol=1e-3)


# Modes -----------------------------------------------------------------------------------------------------


@given(complex_probes(8, 3), SEEDS)
def test_orthogonal_modes_undo_any_rotation(probe, seed):
    rng = np.random.default_rng(seed)
    unitary, _ = np.linalg.qr(rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)))
    modes, shares = orthogonal_modes(probe)
    again, same = orthogonal_modes(np.tensordot(unitary, probe, 1))
    gram = np.tensordot(modes, modes.conj(), ([1, 2], [1, 2]))
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-9 * abs(gram[0, 0]))
    energy = np.sum(np.abs(modes) ** 2, (1, 2))
    np.testing.assert_allclose(shares, energy / energy.sum())
    assert np.all(np.diff(shares) <= 1e-12)
    np.testing.assert_allclose(same, shares, atol=1e-9)
    overlap = np.abs(np.tensordot(modes, again.conj(), ([1, 2], [1, 2])))
    np.testing.assert_allclose(np.diag(overlap), energy, rtol=1e-6)
    light = diffraction_intensity(np.ones((10, 10)), probe, [[4.3, 4.6]])
    np.testing.assert_allclose(
        diffraction_intensity(np.ones((10, 10)), modes, [[4.3, 4.6]]), light, rtol=1e-7
    )


@given(complex_probes(16), st.integers(1, 6))
def test_added_modes_keep_the_first_and_have_a_share_of_its_energy(probe, count):
    modes = add_modes(probe[None], count)
    assert modes.shape == (count, 16, 16) and np.array_equal(modes[0], probe)
    energy = np.sum(np.abs(modes) ** 2, (1, 2))
    np.testing.assert_allclose(energy[1:], 0.14 * energy[0])
    assert np.linalg.matrix_rank(modes.reshape(count, -1)) == count
    np.testing.assert_array_equal(add_modes(modes, 1), modes[:1])


# Bad pixels ------------------------------------------------------------------------------------------------


def _statistics(counts):
    mean = fft.ifftshift(counts.mean(axis=0))
    variance = fft.ifftshift(counts.var(axis=0))
    return PixelStatistics(np.full(mean.shape, float(len(counts))), mean, variance)


@settings(max_examples=6)
@given(st.integers(0, 31))
def test_the_search_for_bad_pixels_finds_the_planted_ones_and_those_alone(seed):
    estimate, _ = _small_problem(1e4, N=32, n=60, seed=seed)
    rng = np.random.default_rng(seed)
    probe = fft.ifft2(estimate.spectrum, norm="ortho")
    expected = diffraction_intensity(estimate.object, probe, estimate.positions)
    counts = rng.poisson(expected)

    def found(stack):
        sums = sweep(OPS, estimate, Frames(OPS, stack, "counts", size=32), np.arange(60), pixels=True)
        return fft.fftshift(find_bad_pixels(sums.pixels, suspect_pixels(_statistics(stack))))

    assert not found(counts).any()
    planted = np.zeros((32, 32), bool)
    planted.flat[rng.choice(32 * 32, 8, replace=False)] = True
    hot, stuck = np.argwhere(planted)[:5], np.argwhere(planted)[5:]
    spoiled = counts.copy()
    spoiled[:, *hot.T] += rng.poisson(200, (60, 5))
    spoiled[:, *stuck.T] = 1000
    brightest = np.unravel_index(np.argmax(expected.mean(axis=0)), (32, 32))
    spoiled[:, *brightest] = 0
    planted[brightest] = True
    np.testing.assert_array_equal(found(spoiled), planted)


def test_a_crowd_of_unexplained_pixels_is_a_fault_of_the_model_and_one_of_them_of_its_own():
    estimate, _ = _small_problem(1e4, N=32, n=60)
    probe = fft.ifft2(estimate.spectrum, norm="ortho")
    counts = np.random.default_rng(3).poisson(
        diffraction_intensity(estimate.object, probe, estimate.positions)
    )
    statistics = suspect_pixels(_statistics(counts))

    def found(faulty):
        stack = counts.copy()
        stack[:, *faulty] += np.random.default_rng(4).integers(0, 60, (60, 1))
        sums = sweep(OPS, estimate, Frames(OPS, stack, "counts", size=32), np.arange(60), pixels=True)
        return fft.fftshift(find_bad_pixels(sums.pixels, statistics))

    ring = np.hypot(*(np.mgrid[:32, :32] - 16.0)) // 1.5 == 5
    one = np.argwhere(ring)[4]
    assert not found(np.nonzero(ring)).any()
    alone = found(tuple(one[:, None]))
    assert alone[*one] and alone.sum() == 1


def test_bright_bad_pixels_are_told_from_the_crowd_that_they_make_of_their_neighbours():
    """The misfit of a crowd, and of two pixels in it ten times as much."""
    shape = (32, 32)
    frames, expected = np.full(shape, 100.0), np.full(shape, 100.0 * 1000)
    y, x = np.mgrid[:32, :32]
    crowd = np.hypot(y - 15, x - 17) < 2.5
    bad = np.zeros(shape, bool)
    bad[14, 17] = bad[16, 18] = True
    residual = expected * np.where(bad, 120.0, np.where(crowd, 12.0, 1.0))
    sums = PixelSums(*(fft.ifftshift(a) for a in (residual, expected, expected, expected, expected, frames)))
    found = fft.fftshift(find_bad_pixels(sums, np.zeros(shape, bool)))
    np.testing.assert_array_equal(found, bad)


# Intensity -------------------------------------------------------------------------------------------------


def test_intensities_of_frames_are_recovered_and_doubted_only_where_they_differ():
    estimate, _ = _small_problem(1e5, n=30)
    rng = np.random.default_rng(2)
    true = rng.uniform(0.7, 1.3, 30)
    true /= true.mean()
    probe = fft.ifft2(estimate.spectrum, norm="ortho")
    light = diffraction_intensity(estimate.object, probe, estimate.positions)
    everyone = np.arange(30)

    def sums(scale, intensity):
        counts = rng.poisson(light * scale[:, None, None])
        here = attrs.evolve(estimate, intensity=intensity)
        return sweep(OPS, here, Frames(OPS, counts, "counts", size=16), everyone)

    assert not intensity_is_doubtful(sums(np.ones(30), None), everyone)
    first = sums(true, None)
    assert intensity_is_doubtful(first, everyone)
    found = corrected_intensity(None, first, everyone)
    np.testing.assert_allclose(found, true, rtol=0.015)
    assert found.mean() == pytest.approx(1.0)
    assert not intensity_is_doubtful(sums(true, found), everyone)


# A first probe ---------------------------------------------------------------------------------------------


def test_the_first_probe_has_the_pattern_it_was_made_from_and_its_defocus():
    N = 32
    v, u = np.mgrid[:N, :N] - N // 2
    pupil = np.exp(-(((u - 2) / 5.0) ** 4) - ((v + 1) / 4.0) ** 4)
    defocus = 37.0
    true = fft.fftshift(
        fft.ifft2(fft.ifftshift(pupil * np.exp(-1j * np.pi * defocus * (u**2 + v**2) / N**2)), norm="ortho")
    )
    mean = fft.ifftshift(pupil**2)
    made = fft.ifft2(defocused_spectrum(mean, defocus), norm="ortho")[0]
    np.testing.assert_allclose(made, true, atol=1e-12)


# Subsets, held-out frames ----------------------------------------------------------------------------------


@given(st.integers(1, 400))
def test_subsets_part_the_frames_and_none_has_gaps_for_want_of_frames(n):
    numbers = np.random.default_rng(n).permutation(n)
    subsets = subsets_of(numbers)
    assert np.array_equal(np.sort(np.concatenate(subsets)), np.arange(n))
    assert len(subsets) == 1 or min(map(len, subsets)) >= 16


@given(st.integers(4, 60), SEEDS)
def test_frames_are_predicted_worse_where_the_loss_is_more_than_its_scatter(n, seed):
    before = np.random.default_rng(seed).uniform(100, 900, n)
    even = np.resize([1.0, -1.0], n) * 5 - (n % 2) * 5 / n
    assert not is_worse(before, before + even) and not is_worse(before, before - 3)
    assert is_worse(before, before + even + 12)
    assert not is_worse(before[:3], before[:3] + 100)


# Polish ----------------------------------------------------------------------------------------------------


@given(
    explained=st.floats(0.0, 1.0),
    rest=st.floats(0.5, 3.0),
    noise=st.floats(0.0, 2.0),
    more=st.floats(0.0, 2.0),
)
def test_more_noise_does_not_change_what_a_change_explains(explained, rest, noise, more):
    """... of what is left besides it: as long as noise is not nearly everything, and a change that explains
    nothing is never enough."""
    counts = SimpleNamespace(counts=True)

    def enough(noise):
        before = rest + noise
        return explains_enough(counts, before, before - explained * rest, noise, of_all=1.0, of_rest=0.3)

    assume(abs(explained - 0.3) > 1e-6)
    assert enough(noise) == enough(noise + more) == (explained > 0.3)
    assert not explains_enough(counts, rest, rest, noise, of_all=0.0, of_rest=0.0)


def test_a_polish_that_goes_on_from_another_is_one_polish():
    estimate, frames = _small_problem(1e4)
    start = attrs.evolve(estimate, object=fourier_shift(estimate.object, (0.4, -0.3)))
    everyone = np.arange(20)
    whole = polish(OPS, Polished(start, start), frames, everyone, Polish(8, probe=False))
    half = polish(OPS, Polished(start, start), frames, everyone, Polish(4, probe=False))
    rest = polish(OPS, half, frames, everyone, Polish(4, probe=False))
    assert rest.age == whole.age > 0
    np.testing.assert_allclose(rest.estimate.object, whole.estimate.object, atol=1e-12)


# Descent ---------------------------------------------------------------------------------------------------


def test_a_descent_that_diverges_ends_with_the_best_image_and_what_was_found_between():
    """With steps far too long it cannot loop, and the misfit is that of the start or better."""
    estimate, frames = _small_problem(1e4)
    light = light_on_canvas(OPS, estimate, np.arange(20))
    start = attrs.evolve(
        estimate,
        object=np.where(light > 0.01 * light.max(), fourier_shift(estimate.object, (0.4, -0.3)), 1.0),
    )
    told = []

    def between(epoch, here, misfit):
        told.append(epoch)
        return attrs.evolve(here, background=here.background + 0.01)

    plan = Descent(200, probe_from=None, momentum=1.3)
    end = descend(OPS, start, frames, [np.arange(20)], plan, between)
    assert 1 <= len(told) < 150
    # Positions, background and the like are the caller's: they never go back behind what it knows.
    assert end.background == pytest.approx(0.01 * len(told))
    before, after = (sweep(OPS, e, frames, np.arange(20)).misfit.sum() for e in (start, end))
    assert after <= before


# Settings --------------------------------------------------------------------------------------------------


def test_parts_are_read_and_others_refused():
    assert parse_parts(" auto ") == AUTOMATIC and parse_parts("none") == frozenset()
    assert parse_parts("Probe, bad_pixels") == {"probe", "bad-pixels"}
    for text in ("", "prob", "auto,probe"):
        with pytest.raises(ConfigError, match="refine must be auto, none, or"):
            parse_parts(text)
    for wrong in ({"modes": 0}, {"seconds": 0.0}):
        with pytest.raises(DataRangeError):
            SolverSettings(**wrong)
    with pytest.raises(ConfigError):
        SolverSettings(refine=frozenset({"object"}))


@given(st.lists(st.floats(400, 1e5), min_size=3, max_size=12), st.floats(300, 3000))
def test_frames_that_all_gain_are_an_image_however_unlike_they_are(gains, noise):
    """Of four frames that gain 5,000 to 30,000 the scatter alone would leave a doubt."""
    flat = noise + np.maximum(gains, 30 * np.sqrt(noise))
    mean, error = mean_gain(flat, np.full(len(gains), noise))
    assert mean > 3 * error and error <= np.std(flat, ddof=1) / np.sqrt(len(gains)) + 1e-9


@given(st.lists(st.floats(-50, 50), min_size=3, max_size=12), st.floats(300, 3000))
def test_of_frames_that_gain_by_chance_the_scatter_is_the_error(gains, noise):
    deviance = np.full(len(gains), noise)
    mean, error = mean_gain(deviance + np.array(gains), deviance)
    assert mean == pytest.approx(np.mean(gains), abs=1e-6)
    assert error == pytest.approx(np.std(gains, ddof=1) / np.sqrt(len(gains)), abs=1e-6)
