"""Data sets, samplers, collation and loaders, line by line as in PyTorch: values, types, lengths, errors."""

from __future__ import annotations

import collections
import warnings

import numpy as np
import pytest

import tinygrad_edu

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

Point = collections.namedtuple("Point", "x y")

# `lib` is the library, `d` its utils.data; Squares, Stream are data sets derived from its classes.
CASES = """
len(d.TensorDataset(lib.arange(6.0), lib.arange(6)))
d.TensorDataset(lib.arange(6.0).reshape(3, 2), lib.arange(3))[1]
d.TensorDataset(lib.arange(6.0).reshape(3, 2), lib.arange(3))[1:]
d.TensorDataset(lib.arange(6.0).reshape(3, 2), lib.arange(3))[-1]
d.TensorDataset(lib.arange(3))[3]
d.TensorDataset(lib.arange(3), lib.arange(4))
d.TensorDataset(lib.arange(3)).tensors
d.Dataset()[0]
len(d.Dataset())
iter(d.IterableDataset())
[x for x in Squares(4)]
len(Squares(4) + Squares(3))
[(Squares(4) + Squares(3))[i] for i in range(7)]
(Squares(4) + Squares(3))[-1]
(Squares(4) + Squares(3))[7]
(Squares(4) + Squares(3))[-8]
(Squares(4) + Squares(3) + Squares(2)).cumulative_sizes
d.ConcatDataset([])
d.ConcatDataset([Stream(3)])
list(Stream(3) + Stream(2))
len(d.ChainDataset([Stream(3), Stream(2)]))
list(d.ChainDataset([Squares(3)]))
d.Subset(Squares(9), [5, 2, -1])[1]
d.Subset(Squares(9), [5, 2, 8])[2]
len(d.Subset(Squares(9), [5, 2]))
d.Subset(Squares(9), [5, 2])[2]
d.Subset(d.TensorDataset(lib.arange(5)), [3, 1])[[0, 1]]
d.Subset(Squares(9), [5, 2]).indices
[len(p) for p in d.random_split(Squares(10), [3, 7])]
[len(p) for p in d.random_split(Squares(10), [0.3, 0.7])]
[len(p) for p in d.random_split(Squares(10), [0.33, 0.33, 0.34])]
[len(p) for p in d.random_split(Squares(11), (0.5, 0.25, 0.25))]
[len(p) for p in d.random_split(Squares(1), [0.5, 0.5])]
[len(p) for p in d.random_split(Squares(1), [1])]
sorted(i for p in d.random_split(Squares(10), [3, 7]) for i in p.indices)
d.random_split(Squares(10), [3, 8])
d.random_split(Squares(10), [0.3, 0.8])
d.random_split(Squares(10), [1.5, -0.5])
list(d.SequentialSampler(range(4)))
len(d.RandomSampler(range(4)))
sorted(d.RandomSampler(range(4)))
len(list(d.RandomSampler(range(4), replacement=True, num_samples=9)))
len(list(d.RandomSampler(range(4), num_samples=9)))
sorted(d.RandomSampler(range(4), num_samples=8))
d.RandomSampler(range(4), replacement=1)
d.RandomSampler(range(4), num_samples=0)
d.RandomSampler(range(4), num_samples=-2)
d.RandomSampler([])
sorted(d.SubsetRandomSampler([7, 3, 5]))
len(d.SubsetRandomSampler([7, 3, 5]))
len(d.WeightedRandomSampler([1, 2], 5))
list(d.WeightedRandomSampler([0, 2.0, 0], 3))
sorted(d.WeightedRandomSampler([1, 1, 1], 3, replacement=False))
d.WeightedRandomSampler([1, 2], 0)
d.WeightedRandomSampler([1, 2], True)
d.WeightedRandomSampler([1, 2], 3, replacement=2)
d.WeightedRandomSampler([[1, 2]], 3)
list(d.WeightedRandomSampler([1.0, 2.0], 3, replacement=False))
list(d.WeightedRandomSampler([-1.0, 2.0], 3))
list(d.BatchSampler(d.SequentialSampler(range(7)), 3, False))
list(d.BatchSampler(d.SequentialSampler(range(7)), 3, True))
len(d.BatchSampler(range(7), 3, False)), len(d.BatchSampler(range(7), 3, True))
list(d.BatchSampler([5, 6], batch_size=1, drop_last=False))
d.BatchSampler(range(4), 0, False)
d.BatchSampler(range(4), 1.5, False)
d.BatchSampler(range(4), 2, 1)
d.default_collate([1, 2, 3])
d.default_collate([1.5, 2])
d.default_collate([True, False])
d.default_collate(['a', 'b'])
d.default_collate([b'a', b'b'])
d.default_collate([('a', 1), ('b', 2)])
d.default_collate([['a', 1.0], ['b', 2.0]])
d.default_collate([{'x': 1, 'y': 'a'}, {'x': 2, 'y': 'b'}])
d.default_collate([{'x': lib.ones(2)}, {'x': lib.zeros(2)}])
d.default_collate([{'x': {'z': [1, 2]}}, {'x': {'z': [3, 4]}}])
d.default_collate([{'x': 1}, {'y': 2}])
d.default_collate([{'x': 1}, {'x': 2, 'y': 3}])
d.default_collate([collections.OrderedDict(b=1, a=2), collections.OrderedDict(b=3, a=4)])
d.default_collate([Point(1, 2.0), Point(3, 4.0)])
d.default_collate([Point([1], 'a'), Point([3], 'b')])
d.default_collate([np.ones(2), np.zeros(2)])
d.default_collate([np.float32(1.5), np.float32(2)])
d.default_collate([np.int64(1), np.int64(2)])
d.default_collate([np.float64(1), np.float64(2)])
d.default_collate([np.arange(3, dtype=np.uint8)] * 2)
d.default_collate([lib.ones(2), lib.zeros(2)])
d.default_collate([lib.tensor(1), lib.tensor(2)])
d.default_collate([lib.ones(2), lib.zeros(3)])
d.default_collate([(1, 2), (3,)])
d.default_collate([None, None])
d.default_collate([object()])
d.default_collate([])
d.default_collate([np.array(['a'])])
d.default_collate([set([1]), set([2])])
d.default_collate([range(3), range(3)])
d.default_convert(np.ones(2))
d.default_convert([np.ones(2), 'a', {'k': np.zeros(1)}])
d.default_convert(3)
d.default_convert((1, np.ones(1)))
len(d.DataLoader(Squares(10), batch_size=3)), len(d.DataLoader(Squares(10), batch_size=3, drop_last=True))
list(d.DataLoader(Squares(7), batch_size=3))
list(d.DataLoader(Squares(7), 3, drop_last=True))
list(d.DataLoader(Squares(3)))
list(d.DataLoader(Squares(3), batch_size=None))
list(d.DataLoader(Stream(5), batch_size=2))
list(d.DataLoader(Stream(5), batch_size=2, drop_last=True))
len(d.DataLoader(Stream(5), batch_size=2))
list(d.DataLoader(Stream(3), batch_size=None))
list(d.DataLoader(Pairs(5), 2))
list(d.DataLoader(Dicts(5), 2))
list(d.DataLoader(Dicts(5), 2, collate_fn=lambda b: [s['name'] for s in b]))
list(d.DataLoader(Squares(5), sampler=[4, 2, 0], batch_size=2))
list(d.DataLoader(Squares(5), batch_sampler=[[0, 4], [1]]))
list(d.DataLoader(['a', 'b', 'c'], 2))
list(d.DataLoader([lib.ones(2), lib.zeros(2)], 2))
list(d.DataLoader(lib.arange(5.0), 2))
list(d.DataLoader(d.TensorDataset(lib.arange(4.0), lib.arange(4)), 3))
list(d.DataLoader(range(4), 2))
list(d.DataLoader(np.arange(4), 2))
sorted(x.item() for b in d.DataLoader(Squares(7), 3, shuffle=True) for x in b)
next(iter(d.DataLoader(Squares(7), 3)))
d.DataLoader(Squares(7), 3).batch_size
d.DataLoader(Squares(7), 3).drop_last
d.DataLoader(Squares(7), 3).num_workers
d.DataLoader(Squares(7), 3).prefetch_factor
d.DataLoader(Squares(7), 3, num_workers=2).prefetch_factor
d.DataLoader(Squares(7), batch_sampler=[[1]]).batch_size
type(d.DataLoader(Squares(7), 3).sampler).__name__
type(d.DataLoader(Squares(7), 3, shuffle=True).sampler).__name__
type(d.DataLoader(Squares(7), 3).batch_sampler).__name__
len(d.DataLoader(Squares(7), 3).dataset)
d.DataLoader(Squares(7), 0)
d.DataLoader(Squares(7), -1)
d.DataLoader(Squares(7), 2.0)
d.DataLoader(Squares(7), '3')
d.DataLoader(Squares(7), 3, num_workers=-1)
d.DataLoader(Squares(7), 3, timeout=-1)
d.DataLoader(Squares(7), 3, prefetch_factor=2)
d.DataLoader(Squares(7), 3, num_workers=1, prefetch_factor=-1)
d.DataLoader(Squares(7), 3, persistent_workers=True)
d.DataLoader(Squares(7), 3, shuffle=True, sampler=[1])
d.DataLoader(Squares(7), 3, batch_sampler=[[1]])
d.DataLoader(Squares(7), batch_size=None, drop_last=True)
d.DataLoader(Stream(7), shuffle=True)
d.DataLoader(Stream(7), sampler=[1])
d.DataLoader(Stream(7), batch_sampler=[[1]])
d.DataLoader(Squares(0), shuffle=True)
list(d.DataLoader(Squares(0)))
list(d.DataLoader([None], 1))
list(d.DataLoader([lib.ones(1), lib.ones(2)], 2))
list(d.DataLoader(Squares(3), sampler=[5]))
list(d.DataLoader(5))
d.DataLoader()
d.DataLoader(Squares(3), batchsize=2)
d.DataLoader(Squares(3), 2).batch_size = 4
d.get_worker_info()
len(d.DataLoader(Unsized()))
list(d.DataLoader(Failing(), 2))
d.DataLoader(Squares(3), True)
len(d.DataLoader(Squares(3), 2, 'yes'))
next(d.DataLoader(Squares(3)))
d.DataLoader(Squares(3))[0]
d.DataLoader(Squares(3), pin_memory=True).pin_memory
list(d.DataLoader(Squares(4), 2, generator=lib.Generator().manual_seed(3)))
d.DataLoader(Squares(4), 2, multiprocessing_context=None).num_workers
"""


def names(lib):
    d = lib.utils.data

    class Squares(d.Dataset):
        def __init__(self, n):
            self.n = n

        def __len__(self):
            return self.n

        def __getitem__(self, i):
            if i >= self.n:
                raise IndexError(i)
            return i * i

    class Pairs(Squares):
        def __getitem__(self, i):
            return lib.full((2,), float(i)), i % 2

    class Dicts(Squares):
        def __getitem__(self, i):
            return {"image": np.full(2, i, np.float32), "label": i, "name": f"no. {i}", "box": (i, i + 0.5)}

    class Stream(d.IterableDataset):
        def __init__(self, n):
            self.n = n

        def __len__(self):
            return self.n

        def __iter__(self):
            return iter(range(self.n))

    class Unsized(d.Dataset):
        def __getitem__(self, i):
            return i

    class Failing(Squares):
        def __init__(self):
            super().__init__(3)

        def __getitem__(self, i):
            raise KeyError("no sample")

    classes = (Squares, Pairs, Dicts, Stream, Unsized, Failing)
    given = {"lib": lib, "d": d, "np": np, "collections": collections, "Point": Point}
    return given | {cls.__name__: cls for cls in classes}


def plain(value, lib):
    """Containers with their types, tensors as dtype, shape and entries, numbers as they are."""
    if isinstance(value, lib.Tensor):
        return ("Tensor", repr(value.dtype).split(".")[-1], tuple(value.shape), value.tolist())
    if isinstance(value, dict):
        return (type(value).__name__, [(key, plain(part, lib)) for key, part in value.items()])
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [plain(part, lib) for part in value])
    if isinstance(value, np.ndarray):
        return ("array", value.dtype.str, value.tolist())
    return value


def run(lib, code):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if " = " in code:
                return exec(code, names(lib))
            return plain(eval(code, names(lib)), lib)
        except Exception as error:
            return error


@pytest.mark.parametrize("code", CASES.strip().split("\n"))
def test_as_pytorch(code):
    theirs, ours = run(torch, code), run(tinygrad_edu, code)
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), f"PyTorch: {theirs!r}, here: {ours!r}"
    elif isinstance(ours, Exception):
        raise ours
    else:
        assert ours == theirs
