"""What the checks by hand share: derivatives by central differences, arrays written entry by entry."""

from __future__ import annotations

import numpy as np


def jacobian(function, at):
    """dfunction/dat by central differences, the axes of the result first; float64, error about 1e-9."""
    at = np.asarray(at, float)
    columns = []
    for k in np.ndindex(at.shape):
        step = np.zeros(at.shape)
        step[k] = 1e-5
        columns.append((np.asarray(function(at + step)) - np.asarray(function(at - step))) / 2e-5)
    out = np.stack(columns, axis=-1) if columns else np.zeros(0)
    return out.reshape(out.shape[:-1] + at.shape)


def agrees(claim, truth):
    """Whether the claimed values are the true ones, in the same shape; what cannot be evaluated is not."""
    try:
        claimed = np.asarray(claim(), float)
    except ValueError:  # NumPy: shapes that do not fit
        return False
    return claimed.shape == truth.shape and bool(np.abs(claimed - truth).max() < 1e-6 * max(1, np.abs(truth).max()))


def entries(shape, entry):
    """An array from its entries."""
    return np.array([entry(*k) for k in np.ndindex(shape)]).reshape(shape)


def delta(i, j):
    return float(i == j)
