"""A training: what is declared trainable moves and nothing else, one seed gives one result, it ends."""

from __future__ import annotations

import gc
import json
import math
import weakref

import attrs
import keras
import numpy as np
import pytest
import tensorflow as tf
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_config.errors import ConfigError
from pinn_config.learning_rate import learning_rate_factor
from pinn_data.grouping.pattern_stack import PatternStack
from pinn_data.optics.probe import normalised_probe, probe_modes
from pinn_data.testing import small_scan
from pinn_tf.archive.model_archive import load_model
from pinn_tf.errors import NotFiniteError, RunError
from pinn_tf.model.module import PtychoPINN
from pinn_tf.training import optimisation
from pinn_tf.training.optimisation import Adam, LossScale, Optimiser
from tf_networks import ARCHITECTURES
from tf_trainings import learned, quiet, same, small_training, state_of


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_trains_and_lowers_its_loss(eager, tmp_path, architecture):
    result = small_training(
        tmp_path,
        small_scan(),
        architecture=architecture,
        learning_rate=3e-4,
        nepochs=5,
        predicted_neighbors=0,
        batch_size=12,
    )
    losses = [row["train_loss"] for row in result.history]
    assert len(losses) >= 5 and min(losses[2:]) < losses[0]
    assert result.archive == tmp_path / "wts.h5.zip" and result.archive.is_file()
    shapes = load_model(result.archive).module.network.description.parameters()
    assert result.parameters == sum(map(math.prod, shapes.values()))


@pytest.mark.parametrize(("probe", "scale"), [(False, False), (True, False), (False, True)])
def test_what_is_declared_trainable_moves_and_the_rest_does_not(eager, tmp_path, probe, scale):
    scan = small_scan(modes=2)
    settings = {"probe_trainable": probe, "intensity_scale_trainable": scale, "gridsize": 2}
    state = state_of(small_training(tmp_path, scan, **settings).archive)
    start = normalised_probe(probe_modes(scan.probe), 64, 4.0)
    assert np.array_equal(state["probe"], np.stack([start.real, start.imag], -1)) != probe
    measured = np.float32(math.log(PatternStack(scan).intensity_scale))
    assert (state["log_intensity_scale"] == measured) != scale
    assert state["encoder0/conv1/bias"].any()  # it started at zero


@pytest.mark.parametrize("architecture", ["cnn", "refined"])
def test_one_seed_gives_the_same_weights_to_the_bit(tmp_path, architecture):
    """With graphs, as trainings run: a step without rounds otherwise."""
    settings = {"architecture": architecture, "gridsize": 2, "learning_rate": 0.05}
    first, again, other = (
        state_of(small_training(tmp_path / str(i), small_scan(), seed=seed, **settings).archive)
        for i, seed in enumerate((5, 5, 6))
    )
    assert same(first, again) and not same(first, other)


def test_two_models_in_one_process_share_nothing(eager):
    def module(seed):
        config = TrainingConfig(ModelConfig(architecture="cnn", n_filters_scale=1), nepochs=1, n_groups=4)
        return learned(small_scan(), config, quiet(), seed=seed).trained.module

    first = module(0)
    before = [variable.numpy().copy() for variable in first.variables]
    module(1)
    for variable, value in zip(first.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_history_tells_every_step_and_the_validation_of_every_epoch(eager, tmp_path):
    result = small_training(tmp_path, small_scan(), nepochs=2, validation=small_scan(rows=3))
    assert [row["step"] for row in result.history] == [1, 2, 3, 4]
    assert [row["epoch"] for row in result.history] == [0, 0, 1, 1]
    assert [row["val_loss"] is not None for row in result.history] == [False, True, False, True]
    assert all(math.isfinite(row["train_loss"]) and row["train_deviance"] >= 0 for row in result.history)
    assert all(a["seconds"] <= b["seconds"] for a, b in zip(result.history, result.history[1:], strict=False))
    assert result.seconds >= result.history[-1]["seconds"]


def test_accumulated_batches_make_one_step_and_one_row(eager, tmp_path):
    result = small_training(tmp_path, small_scan(), batch_size=3, execution={"accum_steps": 2})
    assert [row["step"] for row in result.history] == [1, 2]


@pytest.mark.parametrize("groups", [12, 11, 7])
def test_accumulated_batches_equal_one_large_batch(eager, tmp_path, groups):
    """Left-over batches too: 3 + 3, 3 + 3; 3 + 3, 3 + 2; 3 + 3, 1."""
    settings = {"predicted_neighbors": 0, "nepochs": 1, "n_groups": groups, "learning_rate": 1e-4}
    small = small_training(
        tmp_path / "a", small_scan(), batch_size=3, execution={"accum_steps": 2}, **settings
    )
    large = small_training(tmp_path / "b", small_scan(), batch_size=6, **settings)
    assert load_model(small.archive).provenance["steps"] == load_model(large.archive).provenance["steps"] == 2
    first, second = state_of(small.archive), state_of(large.archive)
    difference = np.concatenate([(first[name] - second[name]).ravel() for name in first])
    # Where a gradient is hardly more than rounding, Adam makes a step of it that is as long as any other.
    assert np.sqrt(np.mean(difference**2)) < 2e-6


def test_threads_that_gather_batches_train_the_same_network(eager, tmp_path):
    here = small_training(tmp_path / "a", small_scan())
    there = small_training(tmp_path / "b", small_scan(), execution={"num_workers": 2})
    assert same(state_of(here.archive), state_of(there.archive))


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_the_unit_of_the_probe_changes_nothing(eager, tmp_path, scale):
    scan = small_scan()
    losses = [
        [row["train_loss"] for row in small_training(tmp_path / name, s).history]
        for name, s in (("a", scan), ("b", attrs.evolve(scan, probe=scan.probe * scale)))
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_max_seconds_ends_the_training_and_leaves_an_archive(eager, tmp_path):
    result = small_training(tmp_path, small_scan(), nepochs=100_000, max_seconds=0.5)
    assert load_model(result.archive).provenance["epochs"] < 100_000
    assert 1 <= result.history[-1]["step"] < 200_000


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_max_seconds_that_is_no_time_is_refused(tmp_path, seconds):
    with pytest.raises(RunError, match="max_seconds"):
        small_training(tmp_path, small_scan(), max_seconds=seconds)


def test_a_loss_that_is_not_finite_stops_the_training(eager, tmp_path):
    with pytest.raises(
        NotFiniteError, match=r"the loss became \S+ at step \d+: lower the learning rate"
    ) as e:
        small_training(tmp_path, small_scan(), nepochs=5, learning_rate=1e30)
    assert isinstance(e.value, RuntimeError)
    assert not (tmp_path / "wts.h5.zip").exists()


def test_nothing_is_written_beside_the_output_folder(eager, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    small_training(tmp_path / "out", small_scan())
    small_training(tmp_path / "out2", small_scan(), historical=True)
    assert list(elsewhere.iterdir()) == []
    for folder in ("out", "out2"):
        assert [p.name for p in (tmp_path / folder).iterdir() if p.is_file()] == ["wts.h5.zip"]


def test_a_subsample_is_all_that_is_trained_on(eager, tmp_path):
    """The same as training on a file with those frames alone; the draw is the seed's."""
    scan = small_scan()
    result = small_training(tmp_path / "a", scan, n_subsample=7, subsample_seed=3)
    part = small_training(tmp_path / "b", scan.select(scan.subsample(7, 3)))
    assert load_model(result.archive).provenance["training_frames"] == 7
    assert same(state_of(result.archive), state_of(part.archive))


def test_provenance_says_what_was_trained_on(eager, tmp_path):
    provenance = load_model(small_training(tmp_path, small_scan(), seed=4).archive).provenance
    assert (provenance["seed"], provenance["steps"], provenance["training_frames"]) == (4, 2, 12)
    assert provenance["training_photons_per_frame"] == pytest.approx(small_scan().nphotons)
    assert provenance["tensorflow"] == tf.__version__
    json.dumps(provenance)


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("scheduler", ["Default", "Exponential", "MultiStage", "Adaptive"])
def test_schedules_step_in_a_training(eager, tmp_path, scheduler, warmup):
    """Four steps; without a warm-up the first one is taken at `learning_rate`."""
    result = small_training(
        tmp_path,
        small_scan(),
        batch_size=3,
        learning_rate=2e-3,
        execution={"scheduler": scheduler, "warmup_steps": warmup},
    )
    rates = [row["learning_rate"] for row in result.history]
    assert rates[0] == 2e-3 / (warmup or 1)
    assert rates == pytest.approx(
        [2e-3 * learning_rate_factor(scheduler, i, i / 4, warmup) for i in range(4)]
    )


def test_adaptive_halves_the_rate_in_a_training_that_stands_still(eager, tmp_path):
    result = small_training(
        tmp_path,
        small_scan(),
        nepochs=6,
        batch_size=12,
        predicted_neighbors=0,
        n_groups=4,
        sequential_sampling=True,
        learning_rate=1e-9,
        execution={"scheduler": "Adaptive"},
    )
    rates = [row["learning_rate"] for row in result.history]
    assert rates == pytest.approx([1e-9] * 4 + [5e-10] * 2, rel=1e-6, abs=0)


def test_the_historical_training_ends_with_the_weights_of_its_best_epoch(eager, tmp_path, monkeypatch):
    """Without execution settings, and with a loss that is made to rise after the second epoch."""
    scan, found, steps = small_scan(), [], []
    take = Optimiser.take

    def worse_and_worse(self, batch, canvas, rate, **options):
        terms = take(self, batch, canvas, rate, **options)
        found.append(self.module.network.arrays["encoder0/conv1/bias"].numpy().copy())
        steps.append(rate)
        return terms | {"loss": abs(len(found) - 2.0)}

    monkeypatch.setattr(Optimiser, "take", worse_and_worse)
    result = small_training(
        tmp_path, scan, historical=True, nepochs=20, batch_size=12, n_groups=4, predicted_neighbors=0
    )
    assert load_model(result.archive).provenance["epochs"] == len(found) == 5
    assert steps == pytest.approx([1e-3] * 4 + [5e-4])
    np.testing.assert_array_equal(state_of(result.archive)["encoder0/conv1/bias"], found[1])
    assert not np.array_equal(found[1], found[4])


def test_training_stops_when_nothing_improves(eager, tmp_path):
    """Steps too small to change a float32 leave the loss where it is, but for the order it is summed in."""
    result = small_training(
        tmp_path,
        small_scan(),
        nepochs=20,
        learning_rate=1e-30,
        predicted_neighbors=0,
        intensity_scale_trainable=False,
        batch_size=12,
        n_groups=4,
        sequential_sampling=True,
        execution={"early_stop_patience": 2},
    )
    assert 3 <= load_model(result.archive).provenance["epochs"] < 20


def test_a_metric_that_is_not_measured_is_refused_before_the_training(tmp_path):
    with pytest.raises(ConfigError, match="checkpoint_monitor_metric='colour' is not measured"):
        small_training(tmp_path, small_scan(), execution={"checkpoint_monitor_metric": "colour"})
    assert list(tmp_path.iterdir()) == []


def test_sizes_that_do_not_fit_are_refused_before_anything_is_written(tmp_path):
    folder = tmp_path / "out"
    for settings, says in (
        ({"model": {"N": 128}}, "the patterns are 64 x 64, but the network is for N=128: set"),
        ({"validation": small_scan(32)}, r"the validation are 32 x 32, .* 64 x 64: crop or pad"),
    ):
        with pytest.raises(RunError, match=says):
            small_training(folder, small_scan(), **settings)
    with pytest.raises(ConfigError) as e:
        small_training(folder, small_scan(), batch_size=0, nepochs=-1)
    assert len(e.value.problems) == 2 and not folder.exists()


def test_supervised_learns_from_labels_and_without_them_says_so(eager, tmp_path):
    scan = small_scan()
    model = {"model_type": "supervised"}
    result = small_training(tmp_path / "a", scan, model=model, nepochs=6, learning_rate=3e-3)
    losses = [row["train_loss"] for row in result.history]
    assert losses[-1] < losses[0]
    with pytest.raises(ValueError, match=r"model_type='supervised' learns from the object .* has none"):
        small_training(tmp_path / "b", attrs.evolve(scan, object=None), model=model)


def test_arithmetic_and_keras_of_the_caller_are_as_before(eager, tmp_path):
    policy = keras.config.dtype_policy().name
    small_training(tmp_path, small_scan(), execution={"precision": "bf16-mixed"})
    assert float(np.float32(1e-40) * np.float32(1)) > 0
    assert keras.config.dtype_policy().name == policy and keras.config.floatx() == "float32"


def test_a_training_warns_of_nothing_that_the_user_cannot_mend(tmp_path, recwarn, caplog, capfd):
    small_training(tmp_path, small_scan(), architecture="refined", gridsize=2)
    shown = [w for w in recwarn if not issubclass(w.category, DeprecationWarning)]  # those of Keras to itself
    assert shown == [] and caplog.records == []
    said = capfd.readouterr()
    assert said.out == "" and said.err == ""


def test_nothing_of_a_training_stays_when_its_result_is_gone(tmp_path):
    """Graphs, above all: TensorFlow keeps those in which something was registered for ever."""

    def graphs():
        gc.collect()
        return sum(type(thing).__name__ == "FuncGraph" for thing in gc.get_objects())

    before = graphs()
    model = ModelConfig(architecture="refined", n_filters_scale=1, amp_activation="swish", gridsize=2)
    result = learned(
        small_scan(),
        TrainingConfig(model, nepochs=1, n_groups=4, probe_trainable=True),
        quiet(accum_steps=2, gradient_clip_val=1.0, precision="16-mixed"),
        validation=small_scan(rows=2),
    )
    module = weakref.ref(result.trained.module)
    del result
    assert graphs() == before and module() is None


# The pieces


@pytest.mark.parametrize("size", [1.0, 1e-4, 1e-8])
def test_adam_is_the_algorithm_of_its_paper(size):
    """Also where gradients are no larger than epsilon."""
    rng = np.random.default_rng(0)
    starts = [rng.normal(size=shape) for shape in ((3, 2), (4,))]
    ours = [tf.Variable(start.astype("f4")) for start in starts]
    adam = Adam(ours)
    m, v = ([np.zeros(start.shape) for start in starts] for _ in range(2))
    moved = [np.zeros(start.shape) for start in starts]
    for t in range(1, 6):
        gradients = [size * rng.normal(size=start.shape) for start in starts]
        adam.apply([tf.constant(gradient.astype("f4")) for gradient in gradients], tf.constant(0.01))
        for i, g in enumerate(gradients):
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g**2
            moved[i] -= 0.01 * (m[i] / (1 - 0.9**t)) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
    for variable, start, move in zip(ours, starts, moved, strict=True):
        np.testing.assert_allclose(variable.numpy() - start, move, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_gradients_are_clipped(eager, tmp_path, monkeypatch, algorithm):
    seen = []
    apply = Adam.apply

    def watched(self, gradients, rate):
        seen.append(np.concatenate([g.numpy().ravel() for g in gradients]))
        apply(self, gradients, rate)

    monkeypatch.setattr(optimisation.Adam, "apply", watched)
    small_training(tmp_path / "free", small_scan(), nepochs=1, batch_size=12)
    assert np.linalg.norm(seen[0]) > 1e-2 and np.abs(seen[0]).max() > 1e-3
    limit = 1e-3 if algorithm == "norm" else 1e-5
    execution = {"gradient_clip_val": limit, "gradient_clip_algorithm": algorithm}
    small_training(tmp_path / "clipped", small_scan(), nepochs=1, batch_size=12, execution=execution)
    size = np.linalg.norm(seen[1]) if algorithm == "norm" else np.abs(seen[1]).max()
    assert 0 < size <= limit * 1.001


def test_what_an_optimiser_remembers_includes_the_scale_of_the_loss():
    modules = [PtychoPINN(ModelConfig(n_filters_scale=1), probe_modes(small_scan().probe), 1.0) for _ in "ab"]
    first, second = (Optimiser(module, quiet(precision="16-mixed")) for module in modules)
    changed = [value + np.ones_like(value) for value in first.state()]
    first.restore(changed)
    second.restore(first.state())
    assert len(changed) == len(second.state()) and float(second._scale.value) == LossScale.FIRST + 1
    for value, other in zip(changed, second.state(), strict=True):
        np.testing.assert_array_equal(value, other)


def test_the_scale_of_the_loss_leaves_out_what_does_not_fit_and_grows_where_all_fits(monkeypatch):
    monkeypatch.setattr(LossScale, "STEPS", 2)
    scale, taken = LossScale(), tf.Variable(0.0)

    @tf.function
    def step(gradient):
        scale.apply([gradient], lambda g: taken.assign_add(g[0]))

    for gradient, value, total in ((256.0, 256, 1), (512.0, 512, 3), (math.inf, 256, 3), (math.nan, 128, 3)):
        step(tf.constant(gradient))
        assert (float(scale.value), float(taken)) == (value, total)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_goes_the_way_of_float32_and_no_step_is_lost(eager, tmp_path, precision):
    settings = {"architecture": "unrolled", "nepochs": 2, "n_groups": 6}
    exact = small_training(tmp_path / "a", small_scan(), **settings)
    mixed = small_training(tmp_path / "b", small_scan(), execution={"precision": precision}, **settings)
    for first, second in zip(exact.history, mixed.history, strict=True):
        assert second["train_deviance"] == pytest.approx(first["train_deviance"], rel=0.01)
    assert not same(state_of(exact.archive), state_of(mixed.archive))
    assert load_model(mixed.archive).provenance["steps"] == 2


def test_compiled_steps_learn_what_the_others_learn(tmp_path):
    histories = [
        small_training(tmp_path / str(compiled), small_scan(), execution={"compile": compiled}).history
        for compiled in (False, True)
    ]
    for first, second in zip(*histories, strict=True):
        assert second["train_loss"] == pytest.approx(first["train_loss"], rel=1e-3)
