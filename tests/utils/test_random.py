"""Generators: seeds, states, and what is refused."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import random


@given(seed=st.integers(-(2**63), 2**64 - 1))
def test_same_seed_same_numbers(seed):
    first, second = random.Generator().manual_seed(seed), random.Generator().manual_seed(seed)
    assert first.numpy.random() == second.numpy.random()
    assert first.initial_seed() == seed % 2**64


def test_reseeding_reaches_those_who_hold_the_numpy_generator():
    generator = random.Generator()
    held = generator.numpy
    first = held.random(3)
    generator.manual_seed(random.Generator().initial_seed())
    assert (held.random(3) == first).all()


@pytest.mark.parametrize("draws", [0, 1, 2])
def test_state_comes_back(draws):
    generator = random.Generator().manual_seed(5)
    generator.numpy.integers(0, 7, draws, dtype=np.uint32)  # an odd number leaves half of a 64-bit draw in the state
    state = generator.get_state()
    expected = generator.numpy.integers(0, 7, 9, dtype=np.uint32)
    for form in (state, state.tobytes()):
        other = random.Generator().manual_seed(1)
        other.set_state(form)
        assert (other.numpy.integers(0, 7, 9, dtype=np.uint32) == expected).all()
        assert other.initial_seed() == 5
    assert state.dtype == np.uint8


def test_default_generator():
    before = random.get_rng_state()
    try:
        assert random.manual_seed(3) is random.default_generator
        assert random.initial_seed() == 3
        state = random.get_rng_state()
        first = random.default_generator.numpy.random()
        random.set_rng_state(state)
        assert random.default_generator.numpy.random() == first
        assert random.seed() == random.initial_seed() != 3
    finally:
        random.set_rng_state(before)


def test_copies_are_independent():
    generator = random.Generator()
    clone = copy.deepcopy(generator)
    assert generator.numpy.random() == clone.numpy.random()
    generator.numpy.random()
    assert generator.numpy.random() != clone.numpy.random()


@pytest.mark.parametrize("seed", [1.5, "3", None, True])
def test_a_seed_is_an_integer(seed):
    with pytest.raises(TypeError, match="the seed must be an integer, got"):
        random.manual_seed(seed)


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_a_seed_has_64_bits(seed):
    with pytest.raises(ValueError, match=r"must lie in \[-2\*\*63, 2\*\*64 - 1\]"):
        random.Generator().manual_seed(seed)


def test_a_foreign_state_is_refused():
    with pytest.raises(RuntimeError, match="got 3 bytes that are no state"):
        random.set_rng_state(b"abc")
    with pytest.raises(TypeError, match="must be uint8"):
        random.set_rng_state(np.zeros(51))


def test_one_device():
    assert str(random.Generator("cpu").device) == "cpu"
    with pytest.raises(RuntimeError, match="'cuda' is not available"):
        random.Generator("cuda")
