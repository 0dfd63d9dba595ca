"""Batches of groups as TensorFlow takes them, each made when it is its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pinn_data.grouping.grouped_images import GroupedImages

from pinn_tf.runtime.requirements import require_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["group_batches"]


def group_batches(
    images: NDArray | GroupedImages,
    positions: NDArray,
    batch_size: int,
    order: Callable[[], NDArray[np.int64]] | None = None,
) -> tf.data.Dataset:
    """``{'input': images[rows], 'input_positions': positions[rows]}`` as float32, `batch_size` groups a time.

    images : (B, N, N, C); positions : (B, 1, 2, C)
    order : gives the groups of a pass in their order; default all of them, as they are
    """
    tf = require_tensorflow()
    groups, N, _, C = images.shape

    def batches() -> Iterator[dict[str, NDArray[np.float32]]]:
        rows = np.arange(groups) if order is None else order()
        for start in range(0, len(rows), batch_size):
            some = rows[start : start + batch_size]
            yield {
                "input": np.asarray(images[some], np.float32),
                "input_positions": np.asarray(positions[some], np.float32),
            }

    signature = {
        "input": tf.TensorSpec((None, N, N, C), tf.float32),
        "input_positions": tf.TensorSpec((None, 1, 2, C), tf.float32),
    }
    made = tf.data.Dataset.from_generator(batches, output_signature=signature)
    # Without the number of batches Keras would warn at the end of every pass.
    return made.apply(tf.data.experimental.assert_cardinality(-(-groups // batch_size))).prefetch(1)
