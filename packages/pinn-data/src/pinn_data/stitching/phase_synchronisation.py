"""One global phase for patches that each came with their own.

Source: A. Singer, "Angular synchronization by eigenvectors and semidefinite programming", Appl. Comput.
Harmon. Anal. 30 (2011) 20; for the last refinement N. Boumal, "Nonconvex phase synchronization", SIAM J.
Optim. 26 (2016) 2355.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse import csgraph, linalg
from scipy.spatial import KDTree

from pinn_data.optics.patch_checks import checked_patches, checked_weights
from pinn_data.scan.positions import split_subpixel

__all__ = ["overlap_matrix", "phase_factors"]

Complex = NDArray[np.complexfloating]

_WINDOW_SHARE = 0.98  # of the weight, along each axis, that the compared window holds
_WINDOW_PIXELS = 32  # a wider window is compared on every second (third, ...) pixel
_NEAREST = 12  # neighbours that each patch is compared with ...
# ... and directions and distances (in windows) of the places whose nearest patch it is compared with besides.
_COMPASS = 12
_REACH = (0.3, 0.5, 0.7)
_BLOCK_PIXELS = 1 << 20  # pixels of patches gathered at once
_DENSE = 200  # patches up to which the eigenvector is found from the dense matrix


def phase_factors(
    patches: ArrayLike, positions: ArrayLike, weights: ArrayLike | None = None, *, refinements: int = 100
) -> NDArray[np.complex128]:
    """Unit numbers that bring overlapping patches to one global phase: ``factors[:, None, None] * patches``.

    Of all unit numbers c, those that maximise ``sum_ij Re(conj(c_i) H_ij c_j)`` with the inner products
    ``H`` of :func:`overlap_matrix`: the leading eigenvector of ``H``, normalised by the row sums of
    ``abs(H)``, brought to modulus 1 and refined by ``c <- phase(H c + d c)``, which never lowers the sum.
    Each connected part of the scan is solved alone; the phase that stays free is fixed for each so that
    its weighted mean is real and positive.

    For ``q = u[:, None, None] * extract(o, p, N)`` with any unit ``u``, ``phase_factors(q, p) * u`` is one
    constant where the patches hang together.

    Parameters
    ----------
    patches : (position, N, N) complex
    positions : (position, 2) float, object pixels, as (y, x)
        Taken at their floor, as the forward model cuts patches.
    weights : (N, N) or (position, N, N) real >= 0, default 1
        How far each pixel is to be trusted: the probe's intensity, as a rule.
    refinements : int
        Most steps of the refinement.

    Returns
    -------
    (position,) complex128, modulus 1

    Raises
    ------
    ShapeError, DataRangeError, PositionError
        Arrays do not fit together, or a weight is negative.
    """
    stack, points = checked_patches(patches, positions)
    weight = checked_weights(weights, stack.shape)
    matrix = overlap_matrix(stack, points, weight)
    factors = np.ones(len(stack), np.complex128)
    parts, label = csgraph.connected_components(abs(matrix), directed=False)
    by_part = np.split(np.argsort(label, kind="stable"), np.cumsum(np.bincount(label, minlength=parts))[:-1])
    for members in by_part:
        if len(members) > 1:
            factors[members] = _synchronised(matrix[members][:, members].tocsr(), refinements)
    means = np.einsum("pij,ij->p" if weight.ndim == 2 else "pij,pij->p", stack, weight)
    for members in by_part:
        factors[members] *= np.conj(_unit(np.sum(factors[members] * means[members])))
    return factors


def overlap_matrix(
    patches: ArrayLike, positions: ArrayLike, weights: ArrayLike | None = None
) -> sparse.csr_array:
    """Inner products of overlapping patches: ``H_ij = sum(conj(w_i patch_i) * w_j patch_j)`` where they do.

    Sparse (position, position) complex128, Hermitian, zero on the diagonal.  Not every overlapping pair is
    in it: each patch is paired with its nearest neighbours and with the patches nearest to some places all
    around it, at any density of the scan two or three dozen; so the lines of a fly scan hang together, and
    the cost grows with the number of patches only.  Sums run over a window that holds the bulk of the
    weight; a wide one is sampled.
    """
    stack, points = checked_patches(patches, positions)
    weight = checked_weights(weights, stack.shape)
    rows, columns = _window(weight)
    window = np.ascontiguousarray(
        (stack[:, rows, columns] * weight[..., rows, columns]).astype(np.complex64, copy=False)
    )
    size = np.array(window.shape[1:])
    corner = split_subpixel(points)[0]
    first, second = _pairs(corner, size)
    # Patch pixel q of the first lies on pixel q - step of the second.  Pairs of one step share their slices.
    step = corner[second] - corner[first]
    code = step[:, 0] * (4 * size[1]) + step[:, 1]
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=code[order[:1]] - 1)) if len(order) else order
    values = np.zeros(len(first), np.complex128)
    for same in np.split(order, starts[1:]) if len(order) else []:
        low = np.maximum(step[same[0]], 0)
        high = np.minimum(step[same[0]], 0) + size
        stride = -(-(high - low) // _WINDOW_PIXELS)
        here = tuple(slice(a, b, s) for a, b, s in zip(low, high, stride, strict=True))
        there = tuple(
            slice(a - d, b - d, s) for a, b, d, s in zip(low, high, step[same[0]], stride, strict=True)
        )
        here_view, there_view = window[:, *here], window[:, *there]
        block = max(1, _BLOCK_PIXELS // max(1, here_view[0].size))
        for k in range(0, len(same), block):
            pair = same[k : k + block]
            a = here_view[first[pair]].reshape(len(pair), -1)
            b = there_view[second[pair]].reshape(len(pair), -1)
            values[pair] = np.einsum("pq,pq->p", a.conj(), b) * stride.prod()
    strong = np.abs(values) > 1e-12 * np.abs(values).max(initial=0.0)
    first, second, values = first[strong], second[strong], values[strong]
    n = len(stack)
    # Indices of 32 bits: the graph functions of SciPy 1.11 and 1.12 take no others.
    pairs = (first.astype(np.int32), second.astype(np.int32))
    upper = sparse.csr_array((values, pairs), shape=(n, n))
    return (upper + upper.conj().T).tocsr()


def _window(weight: NDArray[np.float64]) -> tuple[slice, slice]:
    """Rows and columns that hold the bulk of the weight."""
    mean = weight if weight.ndim == 2 else weight.mean(axis=0)
    bounds = []
    for axis in (0, 1):
        share = np.cumsum(mean.sum(axis=1 - axis)) / mean.sum()
        low, high = np.searchsorted(share, [(1 - _WINDOW_SHARE) / 2, (1 + _WINDOW_SHARE) / 2])
        bounds.append(slice(int(low), int(high) + 1))
    return bounds[0], bounds[1]


def _pairs(corner: NDArray[np.int64], size: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers (pair,) of patches to compare, the first below the second, each pair once, all overlapping."""
    n = len(corner)
    tree = KDTree(corner.astype(np.float64))
    _, nearest = tree.query(corner, k=list(range(1, min(_NEAREST + 1, n) + 1)), workers=-1)
    partners = [nearest]
    angle = 2 * np.pi * (np.arange(_COMPASS) + 0.25) / _COMPASS
    for reach in _REACH:
        places = corner[:, None] + reach * size * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        partners.append(tree.query(places.reshape(-1, 2), workers=-1)[1].reshape(n, _COMPASS))
    second = np.concatenate(partners, axis=1)
    first = np.broadcast_to(np.arange(n)[:, None], second.shape)
    low, high = np.minimum(first, second).ravel(), np.maximum(first, second).ravel()
    code = np.unique(low * n + high)
    low, high = code // n, code % n
    near = (low != high) & (np.abs(corner[low] - corner[high]) < size).all(axis=1)
    return low[near], high[near]


def _synchronised(matrix: sparse.csr_array, refinements: int) -> NDArray[np.complex128]:
    """Unit numbers (patch,) for one connected part."""
    degree = np.asarray(abs(matrix).sum(axis=1)).ravel()
    scale = _diagonal(1 / np.sqrt(degree))
    normal = (scale @ matrix @ scale).tocsr()
    start = _along_tree(matrix)
    n = len(degree)
    if n <= _DENSE:
        leading = np.linalg.eigh(normal.toarray())[1][:, -1]
    else:
        # The smallest gap belongs to phases that drift slowly across the scan; the tree's phases start near
        # the answer.
        _, vectors = linalg.eigsh(
            normal, k=1, which="LA", v0=start * np.sqrt(degree), ncv=min(n, 32), tol=1e-5
        )
        leading = vectors[:, 0]
    c = _unit(leading)
    step = (matrix + _diagonal(degree)).tocsr()
    for _ in range(refinements):
        c, before = _unit(step @ c), c
        if np.abs(c - before).max() < 1e-4:
            break
    return c


def _diagonal(values: NDArray[np.float64]) -> sparse.dia_array:
    """(n, n), as `scipy.sparse.diags_array` makes it from SciPy 1.12 on."""
    return sparse.dia_array((values[None], [0]), shape=(len(values), len(values)))


def _along_tree(matrix: sparse.csr_array) -> NDArray[np.complex128]:
    """Phases passed on along the tree of the strongest overlaps: exact where patches agree exactly."""
    strength = abs(matrix)
    strength.data = 1 / strength.data
    tree = csgraph.minimum_spanning_tree(strength)
    order, parent = csgraph.breadth_first_order(tree, 0, directed=False)
    phase = np.ones(matrix.shape[0], np.complex128)
    link = _unit(np.asarray(matrix[order[1:], parent[order[1:]]]).ravel())
    for node, above, value in zip(order[1:].tolist(), parent[order[1:]].tolist(), link.tolist(), strict=True):
        phase[node] = value * phase[above]
    return phase


def _unit(values: NDArray) -> NDArray[np.complex128]:
    """Complex numbers brought to modulus 1; 0 becomes 1."""
    modulus = np.abs(values)
    return np.where(modulus > 0, values / np.where(modulus > 0, modulus, 1), 1).astype(np.complex128)
