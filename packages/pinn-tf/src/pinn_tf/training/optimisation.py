"""Steps of learning as TensorFlow functions: gradients, added up over batches, clipped, and Adam."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray
from pinn_config.execution import PyTorchExecutionConfig

from pinn_tf.model.module import Batch, PtychoPINN
from pinn_tf.model.tracing import BatchFunction

__all__ = ["Adam", "LossScale", "Optimiser"]

Gradients = list[tf.Tensor]


class Adam:
    """Kingma's and Ba's optimiser (arXiv:1412.6980, algorithm 1), as ``torch.optim.Adam``.

    ``keras.optimizers.Adam`` has the epsilon of the paper's section 2, which at the first steps is thirty
    times as large; and it goes through tf.distribute, which keeps every graph in which it was called for
    ever: a program that trains again and again would grow by each of them. TensorFlow's own kernel goes once
    over memory.
    """

    BETAS, EPSILON = (0.9, 0.999), 1e-8

    def __init__(self, variables: list[Any]) -> None:
        self._variables = [_tf_variable(v) for v in variables]
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._moments = [tuple(tf.Variable(tf.zeros(v.shape)) for _ in "mv") for v in self._variables]

    def apply(self, gradients: Gradients, rate: tf.Tensor) -> None:
        """One step of the learning rate `rate`."""
        step = tf.cast(self._step.assign_add(1), tf.float64)
        exact = [tf.pow(tf.constant(beta, tf.float64), step) for beta in self.BETAS]
        powers = [tf.cast(power, tf.float32) for power in exact]
        # The kernel adds epsilon to the root of the biased moment, the algorithm to that of the unbiased one.
        epsilon = tf.cast(self.EPSILON * tf.sqrt(1 - exact[1]), tf.float32)
        for variable, (m, v), gradient in zip(self._variables, self._moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=rate,
                beta1=self.BETAS[0],
                beta2=self.BETAS[1],
                epsilon=epsilon,
                grad=gradient,
            )

    @property
    def state(self) -> list[tf.Variable]:
        return [self._step, *(moment for pair in self._moments for moment in pair)]


class LossScale:
    """The factor by which a loss is multiplied so that its gradients fit into float16: halved where they did
    not, doubled after 2000 steps in which they did (Micikevicius et al., arXiv:1710.03740).

    It begins where gradients of this network do not overflow, so that no step is lost.
    """

    FIRST, STEPS = 2.0**8, 2000

    def __init__(self) -> None:
        self.value = tf.Variable(self.FIRST, trainable=False)
        self._good = tf.Variable(0, dtype=tf.int64, trainable=False)

    def apply(self, gradients: Gradients, step: Callable[[Gradients], None]) -> None:
        """Do the step with what the gradients are without the factor; not if one of them is not finite."""
        unscaled = [gradient / self.value for gradient in gradients]
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in unscaled])

        def taken() -> tf.Tensor:
            step(unscaled)
            grows = self._good.assign_add(1) >= self.STEPS
            self.value.assign(tf.where(grows, 2 * self.value, self.value))
            return self._good.assign(tf.where(grows, tf.zeros_like(self._good), self._good))

        def left_out() -> tf.Tensor:
            self.value.assign(self.value / 2)
            return self._good.assign(0)

        tf.cond(finite, taken, left_out)

    @property
    def state(self) -> list[tf.Variable]:
        return [self.value, self._good]


class Optimiser:
    """Learns what a module declares trainable.

    With ``execution.accum_steps`` above 1 the gradients of several batches are added up before a step; with
    precision '16-mixed' the loss is scaled, and a step whose gradients do not fit into float16 is left out.
    ``execution.compile`` has XLA make code of the whole step.

    There is one graph for every canvas side and number of patterns in a group; the number of groups does not
    matter.
    """

    def __init__(self, module: PtychoPINN, execution: PyTorchExecutionConfig) -> None:
        self.module, self.execution = module, execution
        self._variables = module.trainable_variables
        self._adam = Adam(self._variables)
        self._scale = LossScale() if execution.precision == "16-mixed" else None
        self._sums = (
            [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self._variables]
            if execution.accum_steps > 1
            else []
        )
        compiled = execution.compile
        self._learn = BatchFunction(self._learned, compiled=compiled)
        self._add = BatchFunction(self._added, compiled=compiled)
        self._apply = BatchFunction(self._applied, compiled=compiled)
        self._evaluate = BatchFunction(self._evaluated, compiled=compiled)

    def take(
        self, batch: Batch, canvas: int, rate: float, *, weight: float = 1.0, ends_step: bool = True
    ) -> dict[str, float]:
        """Learn from a batch; the terms of its loss, see `PtychoPINN.loss`.

        rate : learning rate of the step
        weight : of the batch's mean in the step that it belongs to
        """
        if not self._sums:
            return _numbers(self._learn((canvas,), _tensors(batch), tf.constant(rate, tf.float32)))
        terms = self._add((canvas,), _tensors(batch), tf.constant(weight, tf.float32))
        if ends_step:
            self._apply((), tf.constant(rate, tf.float32))
        return _numbers(terms)

    def evaluate(self, batch: Batch, canvas: int) -> dict[str, float]:
        """The terms of a batch's loss, without learning from it."""
        return _numbers(self._evaluate((canvas,), _tensors(batch)))

    def _learned(self, canvas: int, batch: dict[str, tf.Tensor], rate: tf.Tensor) -> dict[str, tf.Tensor]:
        terms, gradients = self._gradients(batch, canvas)
        self._step(gradients, rate)
        return terms

    def _added(self, canvas: int, batch: dict[str, tf.Tensor], weight: tf.Tensor) -> dict[str, tf.Tensor]:
        terms, gradients = self._gradients(batch, canvas)
        for total, gradient in zip(self._sums, gradients, strict=True):
            total.assign_add(weight * gradient)
        return terms

    def _evaluated(self, canvas: int, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return self.module.loss(batch, canvas)

    def _applied(self, rate: tf.Tensor) -> None:
        self._step([tf.convert_to_tensor(total) for total in self._sums], rate)
        for total in self._sums:
            total.assign(tf.zeros_like(total))

    def _gradients(self, batch: dict[str, tf.Tensor], canvas: int) -> tuple[dict[str, tf.Tensor], Gradients]:
        with tf.GradientTape() as tape:
            terms = self.module.loss(batch, canvas)
            loss = terms["loss"] if self._scale is None else terms["loss"] * self._scale.value
        # What an objective does not look at has no gradient.
        return terms, tape.gradient(loss, self._variables, unconnected_gradients="zero")

    def _step(self, gradients: Gradients, rate: tf.Tensor) -> None:
        def clipped_step(gradients: Gradients) -> None:
            self._adam.apply(self._clipped(gradients), rate)

        if self._scale is None:
            clipped_step(gradients)
        else:
            self._scale.apply(gradients, clipped_step)

    def _clipped(self, gradients: Gradients) -> Gradients:
        limit = self.execution.gradient_clip_val
        if limit is None:
            return gradients
        if self.execution.gradient_clip_algorithm == "norm":
            return tf.clip_by_global_norm(gradients, limit)[0]
        return [tf.clip_by_value(gradient, -limit, limit) for gradient in gradients]

    def clear(self) -> None:
        """Let go of the graphs; the module is learned."""
        for function in (self._learn, self._add, self._apply, self._evaluate):
            function.clear()
        if not tf.config.functions_run_eagerly():
            # A graph is a circle of thousands of objects, which Python finds late: without this a program
            # that trains again and again holds four or five graphs.
            gc.collect()

    def _own_state(self) -> list[tf.Variable]:
        return [*self._adam.state, *([] if self._scale is None else self._scale.state)]

    def state(self) -> list[NDArray[Any]]:
        """Everything that Adam, and the scale of the loss, remember between two steps."""
        return [variable.numpy() for variable in self._own_state()]

    def restore(self, state: list[NDArray[Any]]) -> None:
        for variable, value in zip(self._own_state(), state, strict=True):
            variable.assign(value)


def _tf_variable(variable: Any) -> tf.Variable:
    """TensorFlow's variable behind one of Keras."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def _tensors(batch: Batch) -> dict[str, tf.Tensor]:
    return {name: tf.convert_to_tensor(value) for name, value in batch.items()}


def _numbers(terms: Mapping[str, tf.Tensor]) -> dict[str, float]:
    return {name: float(value.numpy()) for name, value in terms.items()}
