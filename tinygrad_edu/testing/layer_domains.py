"""What the ops of layers may be called with: convolution, pooling and the fused ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.testing.choosers import Chooser, distinct, shape_of, values
from tinygrad_edu.testing.domains import Inputs, inputs_for


def _convolution(choose: Chooser) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    groups = choose.choice([1, 1, 2])
    kernel = (choose.integer(1, 3), choose.integer(1, 3))
    dilation = (choose.integer(1, 2), choose.integer(1, 2))
    padding = (choose.integer(0, 2), choose.integer(0, 1))
    least = [max(d * (k - 1) + 1 - 2 * p, 1) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    x = (choose.integer(0, 2), groups * choose.integer(1, 2), *(n + choose.integer(0, 3) for n in least))
    weight = (groups * choose.integer(1, 2), x[1] // groups, *kernel)
    stride = (choose.integer(1, 3), choose.integer(1, 2))
    return x, weight, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def _output(x: tuple[int, ...], weight: tuple[int, ...], options: dict[str, Any]) -> tuple[int, ...]:
    sides = [
        (x[2 + i] + 2 * options["padding"][i] - options["dilation"][i] * (weight[2 + i] - 1) - 1)
        // options["stride"][i]
        + 1
        for i in range(2)
    ]
    return (x[0], weight[0], *sides)


@inputs_for(ops.convolution.conv2d)
def _conv2d(choose: Chooser) -> Inputs:
    x, weight, options = _convolution(choose)
    return [values(choose, x), values(choose, weight)], options


@inputs_for(ops.convolution.conv2d_transpose)
def _conv2d_transpose(choose: Chooser) -> Inputs:
    x, weight, options = _convolution(choose)
    return [values(choose, _output(x, weight, options)), values(choose, weight)], {"shape": x, **options}


@inputs_for(ops.convolution.conv2d_weight)
def _conv2d_weight(choose: Chooser) -> Inputs:
    x, weight, options = _convolution(choose)
    return [values(choose, x), values(choose, _output(x, weight, options))], {"shape": weight, **options}


@inputs_for(ops.fused.conv2d_bias)
def _conv2d_bias(choose: Chooser) -> Inputs:
    x, weight, options = _convolution(choose)
    return [values(choose, x), values(choose, weight), values(choose, weight[:1])], options


@inputs_for(ops.fused.conv2d_relu)
def _conv2d_relu(choose: Chooser) -> Inputs:
    shapes = _convolution(choose)
    x, weight = (values(choose, shape) for shape in shapes[:2])
    y = ops.convolution.conv2d.forward(x, weight, **shapes[2])
    return [x, weight, _off_zero(np.moveaxis(y, 1, -1).reshape(-1, y.shape[1]))], shapes[2]


@inputs_for(ops.fused.batch_norm)
def _batch_norm(choose: Chooser) -> Inputs:
    x = values(choose, (choose.integer(2, 4), choose.integer(1, 3), *shape_of(choose, max_dims=2, min_side=1)))
    weight, bias = values(choose, x.shape[1:2]), values(choose, x.shape[1:2])
    positive = choose.choice([False, True])
    if positive:
        dims = (0, *range(2, x.ndim))
        x_hat = (x - x.mean(dims, keepdims=True)) / np.sqrt(x.var(dims, keepdims=True) + 0.1)
        bias = _off_zero(np.moveaxis(x_hat, 1, -1).reshape(-1, x.shape[1]) * weight)
    return [x, weight, bias], {"eps": 0.1, "positive": positive}


def _off_zero(y: Array) -> Array:
    """For y (m, k) a bias (k,) that keeps every y + bias away from 0, where a ReLU has its kink."""
    candidates = np.linspace(-1, 1, 41)[:, None, None]
    distance = np.abs(y + candidates).min(axis=1, initial=1.0)  # (41, k)
    return np.asarray(candidates[distance.argmax(axis=0), 0, 0])


@inputs_for(ops.fused.layer_norm)
def _layer_norm(choose: Chooser) -> Inputs:
    x = values(choose, (choose.integer(1, 3), choose.integer(2, 5)))
    return [x, values(choose, x.shape[1:]), values(choose, x.shape[1:])], {"eps": 0.1}


@inputs_for(ops.fused.softmax, ops.fused.log_softmax)
def _softmax(choose: Chooser) -> Inputs:
    return [values(choose, (choose.integer(0, 4), choose.integer(1, 5)))], {}


@inputs_for(ops.fused.cross_entropy)
def _cross_entropy(choose: Chooser) -> Inputs:
    x = values(choose, (choose.integer(0, 4), choose.integer(2, 5)))
    labels = np.asarray(choose.generator().integers(0, x.shape[1], x.shape[0]))
    return [x, labels], {"ignore_index": choose.choice([-100, 0])}


@inputs_for(ops.fused.gelu)
def _gelu(choose: Chooser) -> Inputs:
    return [values(choose, shape_of(choose))], {}


@inputs_for(ops.fused.linear)
def _linear(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_dims=1))
    out = choose.integer(0, 3)
    return [x, values(choose, (out, x.shape[-1])), values(choose, (out,))], {}


@inputs_for(ops.fused.linear_relu)
def _linear_relu(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_dims=1))
    weight = values(choose, (choose.integer(0, 3), x.shape[-1]))
    y = x.reshape(int(np.prod(x.shape[:-1])), x.shape[-1]) @ weight.T
    return [x, weight, _off_zero(y)], {}


def _windows(choose: Chooser) -> tuple[tuple[int, ...], dict[str, Any]]:
    kernel = (choose.integer(1, 3), choose.integer(1, 3))
    padding = tuple(choose.integer(0, k // 2) for k in kernel)
    shape = (choose.integer(1, 2), choose.integer(1, 2), *(k + choose.integer(0, 4) for k in kernel))
    stride = (choose.integer(1, 3), choose.integer(1, 3))
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": choose.choice([False, True])}
    return shape, options


@inputs_for(ops.pooling.max_pool2d)
def _max_pool2d(choose: Chooser) -> Inputs:
    shape, options = _windows(choose)
    return [distinct(choose, shape)], options


def _pooled_places(choose: Chooser) -> tuple[Array, Array, tuple[int, ...]]:
    shape, options = _windows(choose)
    x = distinct(choose, shape)
    _, indices = ops.pooling.max_pool2d.forward(x, **options, dilation=(1, 1))
    return x, indices, shape


@inputs_for(ops.pooling.max_unpool2d)
def _max_unpool2d(choose: Chooser) -> Inputs:
    _, indices, shape = _pooled_places(choose)
    return [values(choose, indices.shape), indices], {"shape": shape}


@inputs_for(ops.pooling.max_pool2d_gather)
def _max_pool2d_gather(choose: Chooser) -> Inputs:
    x, indices, _ = _pooled_places(choose)
    return [x, indices], {}


def _averages(choose: Chooser) -> tuple[tuple[int, ...], dict[str, Any]]:
    shape, options = _windows(choose)
    options["count_include_pad"] = choose.choice([False, True])
    options["divisor_override"] = choose.choice([None, None, 3])
    return shape, options


@inputs_for(ops.pooling.avg_pool2d)
def _avg_pool2d(choose: Chooser) -> Inputs:
    shape, options = _averages(choose)
    return [values(choose, shape)], options


@inputs_for(ops.pooling.avg_pool2d_transpose)
def _avg_pool2d_transpose(choose: Chooser) -> Inputs:
    shape, options = _averages(choose)
    out = ops.pooling.avg_pool2d.forward(np.zeros(shape), **options)
    return [values(choose, out.shape)], {"shape": shape, **options}


def _sequence(choose: Chooser, gates: int) -> tuple[list[Array], list[Array]]:
    """(gates, hidden) and (weight,) of a recurrent op."""
    steps, n, k = choose.integer(1, 3), choose.integer(1, 2), choose.integer(1, 3)
    states = [values(choose, (steps, n, gates * k), (-1.5, 1.5)), values(choose, (n, k), (-1.0, 1.0))]
    return states, [values(choose, (gates * k, k), (-1.0, 1.0))]


@inputs_for(ops.recurrent.rnn)
def _rnn(choose: Chooser) -> Inputs:
    states, weights = _sequence(choose, 1)
    return [*states, *weights], {"nonlinearity": "tanh"}


@inputs_for(ops.recurrent.lstm)
def _lstm(choose: Chooser) -> Inputs:
    states, weights = _sequence(choose, 4)
    return [*states, values(choose, states[1].shape, (-1.0, 1.0)), *weights], {}


@inputs_for(ops.recurrent.gru)
def _gru(choose: Chooser) -> Inputs:
    states, weights = _sequence(choose, 3)
    return [*states, *weights, values(choose, weights[0].shape[:1], (-1.0, 1.0))], {}
