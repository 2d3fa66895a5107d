"""Data sets joined and split, and samplers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu.errors import ShapeError
from tinygrad_edu.random import Generator
from tinygrad_edu.recording import wrap
from tinygrad_edu.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)


class Numbers(Dataset):
    def __init__(self, *numbers):
        self.numbers = numbers

    def __getitem__(self, index):
        return self.numbers[index]

    def __len__(self):
        return len(self.numbers)


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.n


def test_tensor_dataset():
    dataset = TensorDataset(wrap(np.arange(6.0).reshape(3, 2)), wrap(np.arange(3)))
    x, y = dataset[1]
    assert np.asarray(x).tolist() == [2, 3]
    assert int(np.asarray(y)) == 1
    assert len(dataset) == 3


def test_tensor_dataset_names_the_shapes():
    with pytest.raises(ShapeError, match=r"\(3, 2\) and \(4,\); all must have the same first dim") as caught:
        TensorDataset(wrap(np.zeros((3, 2))), wrap(np.zeros(4)))
    assert isinstance(caught.value, AssertionError)  # PyTorch's type
    with pytest.raises(ShapeError, match=r"shape \(\)"):
        TensorDataset(wrap(np.array(1.0)))
    with pytest.raises(ValueError, match="at least one tensor"):
        TensorDataset()


def test_concat_and_add():
    both = Numbers(1, 2) + Numbers() + Numbers(3)
    assert isinstance(both, ConcatDataset)
    assert [both[i] for i in range(len(both))] == [1, 2, 3]
    assert both[-1] == 3
    assert both[-3] == 1
    with pytest.raises(IndexError, match="index 3 is out of range for 3 samples"):
        both[3]
    with pytest.raises(ValueError, match="index -4 is out of range"):
        both[-4]
    with pytest.raises(AssertionError, match="at least one"):
        ConcatDataset([])
    with pytest.raises(AssertionError, match="data set 1 is an IterableDataset"):
        ConcatDataset([Numbers(1), Stream(2)])


def test_chain():
    chain = Stream(2) + Stream(3)
    assert isinstance(chain, ChainDataset)
    assert list(chain) == [0, 1, 0, 1, 2]
    assert len(chain) == 5
    with pytest.raises(AssertionError, match="Numbers.*no IterableDataset"):
        ChainDataset([Numbers(1)])


def test_undefined_methods_name_the_class():
    class Empty(Dataset):
        pass

    class EmptyStream(IterableDataset):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty must define __getitem__"):
        Empty()[0]
    with pytest.raises(TypeError, match=r"abstract class EmptyStream .*__iter__"):
        EmptyStream()


@given(sizes=st.lists(st.integers(0, 20), min_size=2, max_size=4), seed=st.integers(0, 2**63))
def test_random_split_is_a_partition(sizes, seed):
    if sum(sizes) == 1:
        return  # fractions by PyTorch's rule
    dataset = Numbers(*range(100, 100 + sum(sizes)))
    parts = random_split(dataset, sizes, Generator().manual_seed(seed))
    assert [len(part) for part in parts] == sizes
    assert sorted(part[i] for part in parts for i in range(len(part))) == list(dataset.numbers)
    again = random_split(dataset, sizes, Generator().manual_seed(seed))
    assert [part.indices for part in parts] == [part.indices for part in again]


@pytest.mark.parametrize(
    ("n", "fractions", "sizes"),
    [
        (10, [0.5, 0.25, 0.25], [6, 2, 2]),
        (10, [0.7, 0.2, 0.1], [7, 2, 1]),
        (11, [0.9, 0.1], [10, 1]),
        (7, [1.0], [7]),
    ],
)
def test_random_split_by_fractions(n, fractions, sizes):
    assert [len(part) for part in random_split(Numbers(*range(n)), fractions)] == sizes


def test_random_split_warns_of_an_empty_part():
    with pytest.warns(UserWarning, match="part 1 is empty: 0.1 of 2"):
        random_split(Numbers(1, 2), [0.9, 0.1])


@pytest.mark.parametrize("lengths", [[3, 3], [0.5, 0.6], [-5, 15], [5.5, 4.5]])
def test_random_split_wants_a_full_sum(lengths):
    with pytest.raises(ValueError, match="must be whole and add up to the data set's 10 samples"):
        random_split(Numbers(*range(10)), lengths)


def test_random_split_wants_fractions_in_range():
    with pytest.raises(ValueError, match="fraction 0 is -0.5"):
        random_split(Numbers(*range(10)), [-0.5, 1.5])


@given(n=st.integers(1, 30), wanted=st.none() | st.integers(1, 70), seed=st.integers(0, 2**32))
def test_random_sampler_repeats_permutations(n, wanted, seed):
    order = list(RandomSampler(range(n), num_samples=wanted, generator=Generator().manual_seed(seed)))
    assert len(order) == (wanted or n)
    for start in range(0, len(order), n):
        part = order[start : start + n]
        assert len(set(part)) == len(part)
        assert all(type(i) is int and 0 <= i < n for i in part)


def test_random_sampler_changes_between_epochs_and_repeats_with_the_seed():
    sampler = RandomSampler(range(50), generator=Generator().manual_seed(0))
    first, second = list(sampler), list(sampler)
    assert first != second
    sampler.generator.manual_seed(0)
    assert [list(sampler), list(sampler)] == [first, second]


def test_random_sampler_with_replacement():
    sampler = RandomSampler(range(3), replacement=True, num_samples=200)
    assert len(sampler) == 200
    assert set(sampler) == {0, 1, 2}


@pytest.mark.parametrize("num_samples", [0, -1, 2.0, True])
def test_random_sampler_wants_a_count(num_samples):
    with pytest.raises(ValueError, match="num_samples should be a positive integer value"):
        RandomSampler(range(5), num_samples=num_samples)


def test_random_sampler_of_nothing_says_what_to_do():
    with pytest.raises(ValueError, match=r"num_samples=0: the data set is empty\. Check .* shuffle=False"):
        RandomSampler([])
    with pytest.raises(TypeError, match="replacement should be a boolean value, got 1"):
        RandomSampler(range(5), replacement=1)


def test_weighted_sampler_follows_the_weights():
    weights = np.array([1.0, 0.0, 3.0, 6.0])
    n = 20_000
    counts = np.bincount(list(WeightedRandomSampler(weights, n, generator=Generator().manual_seed(1))), minlength=4)
    p = weights / weights.sum()
    assert counts[1] == 0
    assert (abs(counts / n - p) <= 5 * np.sqrt(p * (1 - p) / n)).all()  # 5 standard deviations of a binomial


def test_weighted_sampler_without_replacement():
    drawn = list(WeightedRandomSampler([1, 0, 2, 3], 3, replacement=False))
    assert sorted(drawn) == [0, 2, 3]


@pytest.mark.parametrize(
    ("weights", "error", "words"),
    [
        ([[1.0]], ValueError, r"1d sequence, got the shape \(1, 1\)"),
        ([1.0, -2.0], RuntimeError, r"weights\[1\] is -2.0"),
        ([1.0, float("nan")], RuntimeError, r"weights\[1\] is nan"),
        ([0.0, 0.0], RuntimeError, "no weight is positive"),
        ([], RuntimeError, "no weight is positive"),
    ],
)
def test_weighted_sampler_refuses(weights, error, words):
    with pytest.raises(error, match=words):
        WeightedRandomSampler(weights, 1)


def test_weighted_sampler_without_replacement_needs_enough():
    with pytest.raises(RuntimeError, match="cannot draw 3 samples without replacement from 2 positive weights"):
        WeightedRandomSampler([1.0, 1.0, 0.0], 3, replacement=False)


def test_subset_sampler():
    assert sorted(SubsetRandomSampler([4, 7, 9])) == [4, 7, 9]


def test_batch_sampler():
    sampler = SequentialSampler(range(5))
    assert list(BatchSampler(sampler, 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(BatchSampler(sampler, 2, True)) == [[0, 1], [2, 3]]
    assert [len(BatchSampler(sampler, size, last)) for size, last in [(2, False), (2, True), (5, True)]] == [3, 2, 1]
    for size in (0, -1, 2.5, True, "3"):
        with pytest.raises(ValueError, match="batch_size should be a positive integer value"):
            BatchSampler(sampler, size, False)
    with pytest.raises(ValueError, match="drop_last should be a boolean value"):
        BatchSampler(sampler, 2, 1)


def test_subset_of_a_subset():
    inner = Subset(Numbers(*range(10)), [9, 7, 5])
    assert [Subset(inner, [2, 0])[i] for i in range(2)] == [5, 9]
