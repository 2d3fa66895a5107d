"""Wrong calls that students make: PyTorch's type of error, and a message with the op, what came, and the fix."""

from __future__ import annotations

import copy
import importlib
import re
import warnings

import pytest

import tinygrad_edu

# (code, type of error, words that must be in the message); the names are those of `names` below.
TABLE = [
    ("torch.ones(2, 3) @ torch.ones(2, 3)", RuntimeError, "matmul: (2, 3) Did you mean y.mT?"),
    ("torch.ones(2, 3) + torch.ones(4)", RuntimeError, "add: (2, 3) (4,) unsqueeze"),
    ("torch.cat([torch.ones(2), torch.ones(2, 2)])", RuntimeError, "cat: (2,) (2, 2)"),
    ("torch.stack([torch.ones(2), torch.ones(3)])", RuntimeError, "stack: (2,) (3,)"),
    ("torch.ones(6).reshape(4, 2)", RuntimeError, "reshape: (4, 2) 8 6"),
    ("torch.ones(2, 3).view(7)", RuntimeError, "view: (7,) 6"),
    ("torch.ones(2, 3)[5]", IndexError, "index: 5 (2, 3)"),
    ("torch.ones(2, 3)[0, 0, 0]", IndexError, "index: 3 (2, 3)"),
    ("torch.ones(2, 3)[torch.tensor([0.5])]", IndexError, "index: float32 .long()"),
    ("torch.ones(2, 3).sum(2)", IndexError, "sum: dim 2 [-2, 1]"),
    ("torch.arange(3).mean()", RuntimeError, "mean: int64 .float()"),
    ("torch.tensor([1, 2], requires_grad=True)", RuntimeError, "requires_grad: int64 .float()"),
    ("torch.tensor([[1.0], [2.0, 3.0]])", ValueError, "tensor: lists differ in length"),
    ("torch.ones(2).item()", RuntimeError, "item: (2,) tolist()"),
    ("bool(torch.ones(2))", RuntimeError, "ambiguous (2,) .any()"),
    ("torch.ones(2, 3).softmax(5)", IndexError, "softmax: dim 5"),
    ("torch.ones(2, requires_grad=True).numpy()", RuntimeError, "numpy() detach()"),
    ("torch.nosuchfunction(3)", AttributeError, "nosuchfunction"),
    ("torch.ones(2).nosuchmethod()", AttributeError, "Tensor nosuchmethod"),
    ("torch.ones(2, 3).unsqueeze(7)", IndexError, "unsqueeze: dim 7"),
    ("torch.ones(2, 3).expand(4, 3)", RuntimeError, "expand: (2, 3) (4, 3) size 1"),
    ('torch.ones(2, device="cuda")', RuntimeError, "'cuda' CPU"),
    ("torch.ones(3).backward()", RuntimeError, "backward: requires_grad=True"),
    ("torch.ones(3, requires_grad=True).backward()", RuntimeError, "backward: (3,) loss.mean() gradient="),
    ("twice(torch.ones(3, requires_grad=True))", RuntimeError, "second time retain_graph=True"),
    ("changed(torch.ones(3, requires_grad=True))", RuntimeError, "exp: inplace (3,) clone()"),
    ("torch.ones(3, requires_grad=True).add_(1)", RuntimeError, "add_: leaf no_grad"),
    (
        "torch.autograd.grad(torch.ones(3, requires_grad=True).sum(), torch.ones(2, requires_grad=True))",
        RuntimeError,
        "grad: (2,) allow_unused=True",
    ),
    ("torch.autograd.grad(torch.ones(3), torch.ones(2))", RuntimeError, "grad: requires_grad=True"),
    ("torch.ones(3, requires_grad=True).sum().backward(torch.ones(2))", RuntimeError, "backward: (2,) ()"),
    ("(torch.ones(2, requires_grad=True) * 2).requires_grad_(False)", RuntimeError, "requires_grad_: leaf detach()"),
    ("torch.ones(3).register_hook(print)", RuntimeError, "register_hook: require gradient"),
    ("copy.deepcopy(torch.ones(2, requires_grad=True) * 2)", RuntimeError, "deepcopy: .detach().clone()"),
    ("Square.apply(torch.ones(2, requires_grad=True)).backward()", RuntimeError, "backward: (2,) loss.sum()"),
    ("Wrong.apply(torch.ones(2, requires_grad=True)).sum().backward()", RuntimeError, "Wrong [3] [2]"),
    ("TooMany.apply(torch.ones(2, requires_grad=True)).sum().backward()", RuntimeError, "TooMany expected 1 got 2"),
    ("Square()(torch.ones(2))", RuntimeError, "Square .apply"),
    ('setattr(torch.ones(3, requires_grad=True), "grad", torch.ones(2))', RuntimeError, "gradient [2] [3]"),
    ('setattr(torch.ones(3, requires_grad=True), "grad", 3)', TypeError, "grad Tensor int"),
    ("nn.Linear(3, 4)(torch.ones(2, 5))", RuntimeError, "Linear (2, 5) in_features=3"),
    ("nn.Linear(3, 4)(torch.ones(2, 3, dtype=torch.float64))", RuntimeError, "Linear float64 float32 .to("),
    ("nn.Linear(3, 4)(torch.ones(2, 3, dtype=torch.int64))", RuntimeError, "Linear int64 .to("),
    ("nn.Linear(3, 4)([1.0, 2.0, 3.0])", TypeError, "linear: Tensor list tensor("),
    ("nn.Linear(3, 4)()", TypeError, "forward() 'input'"),
    ("nn.Linear(3)", TypeError, "Linear 'out_features'"),
    ("nn.Linear(-3, 4)", RuntimeError, "-3"),
    ("nn.Conv2d(3, 8, 3)(torch.ones(2, 1, 8, 8))", RuntimeError, "(2, 1, 8, 8) 3 in_channels"),
    ("nn.Conv2d(3, 8, 3)(torch.ones(8, 8))", RuntimeError, "conv2d: (n, c, h, w) (8, 8)"),
    ("nn.Conv2d(3, 8, 5)(torch.ones(2, 3, 4, 4))", RuntimeError, "conv2d: 5 4 smaller kernel"),
    ('nn.Conv2d(3, 8, 3, padding="big")', ValueError, "'big' 'same'"),
    ('nn.Conv2d(3, 8, 3, padding_mode="mirror")', ValueError, "'mirror' 'reflect'"),
    ("nn.Conv2d(3, 8, 3, groups=2)", ValueError, "in_channels 3 2"),
    ("nn.MaxPool2d(2)(torch.ones(4, 4))", RuntimeError, "max_pool2d: (n, c, h, w) (4, 4)"),
    ("nn.MaxPool2d(5)(torch.ones(1, 1, 4, 4))", RuntimeError, "max_pool2d: 5 (1, 1, 4, 4) smaller kernel_size"),
    ("nn.MaxPool2d(2, padding=2)(torch.ones(1, 1, 4, 4))", RuntimeError, "max_pool2d: half (2, 2)"),
    ("nn.BatchNorm1d(4)(torch.ones(2, 3))", RuntimeError, "(2, 3) num_features=4"),
    ("nn.BatchNorm1d(4)(torch.ones(1, 4))", ValueError, "batch_norm: [1, 4] .eval()"),
    ("nn.BatchNorm2d(4)(torch.ones(2, 4))", ValueError, "4D (2, 4)"),
    ("nn.LayerNorm(4)(torch.ones(2, 3))", RuntimeError, "layer_norm: [4] [2, 3]"),
    ("nn.Dropout(1.5)", ValueError, "dropout 1.5"),
    ("nn.Embedding(5, 3)(torch.tensor([5]))", IndexError, "embedding: 5 [0, 4]"),
    ("nn.Embedding(5, 3)(torch.tensor([0.5]))", RuntimeError, "embedding: float32 .long()"),
    ("nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 5))(torch.ones(1, 2))", RuntimeError, "(1, 3) in_features=4"),
    ("nn.Sequential(nn.Linear(2, 3), 5)", TypeError, "int Module"),
    ("nn.ModuleList([nn.Linear(1, 1), 3])", TypeError, "int Module"),
    ("nn.Softmax(dim=3)(torch.ones(2, 2))", IndexError, "softmax: dim 3"),
    ("nn.Module()(torch.ones(2))", NotImplementedError, 'Module "forward"'),
    ('nn.Linear(2, 2).load_state_dict({"weight": torch.ones(2, 2)})', RuntimeError, 'Linear Missing "bias"'),
    (
        'nn.Linear(2, 2).load_state_dict({"weight": torch.ones(3, 2), "bias": torch.ones(2)})',
        RuntimeError,
        "weight [3, 2] [2, 2]",
    ),
    ('nn.Linear(2, 2).load_state_dict({"w": torch.ones(2, 2)})', RuntimeError, 'Unexpected "w" "weight"'),
    ("nn.Linear(2, 2).load_state_dict(5)", TypeError, "state_dict int"),
    ('nn.Linear(2, 2).get_submodule("conv1")', AttributeError, "Linear conv1"),
    ('nn.Linear(2, 2).register_buffer("weight", torch.ones(1))', KeyError, "'weight' exists"),
    ('nn.Linear(2, 2).register_parameter("extra", torch.ones(1))', TypeError, "'extra' nn.Parameter("),
    ('setattr(nn.Linear(2, 2), "weight", torch.ones(2, 2))', TypeError, "'weight' nn.Parameter( no_grad"),
    ("nn.Linear(2, 2).wieght", AttributeError, "Linear 'wieght'"),
    ("NoSuper()", AttributeError, "super().__init__()"),
    ("nn.Parameter(torch.tensor([1, 2]))", RuntimeError, "int64 .float()"),
    ("nn.init.kaiming_uniform_(torch.ones(3))", ValueError, "2 dimensions"),
    ("nn.init.xavier_uniform_(torch.ones(3))", ValueError, "2 dimensions"),
    ('nn.init.calculate_gain("swish")', ValueError, "swish leaky_relu"),
    (
        "nn.utils.clip_grad_norm_(with_nan(nn.Linear(1, 1)), 1.0, error_if_nonfinite=True)",
        RuntimeError,
        "norm non-finite error_if_nonfinite=False",
    ),
    ("nn.Linear(2, 2).to(torch.int64)", TypeError, "to floating int64"),
    ("F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 3]))", IndexError, "cross_entropy: target[1] 3 (2, 3) 0 to 2"),
    ("F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1, 2]))", ValueError, "cross_entropy: (2, 3) (3,)"),
    ("F.cross_entropy(torch.ones(2, 3), torch.tensor([0.0, 1.0]))", RuntimeError, "cross_entropy: float32 .long()"),
    ("F.cross_entropy(torch.ones(2, 3), torch.ones(2, 4))", RuntimeError, "cross_entropy: (2, 3) [2, 4]"),
    (
        'F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1]), reduction="avg")',
        ValueError,
        "cross_entropy: avg 'mean'",
    ),
    (
        "F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1]), weight=torch.ones(4))",
        RuntimeError,
        "cross_entropy: weight 3 [4]",
    ),
    (
        "F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1]), label_smoothing=2.0)",
        RuntimeError,
        "label_smoothing 1.0 2.0",
    ),
    ("F.cross_entropy(torch.ones(2, 3), [0, 1])", TypeError, "cross_entropy: 'target' list tensor("),
    ("F.nll_loss(torch.ones(2, 3), torch.tensor([0, -1]))", IndexError, "nll_loss: target[1] -1 (2, 3)"),
    (
        "F.binary_cross_entropy(torch.tensor([1.5]), torch.tensor([1.0]))",
        RuntimeError,
        "binary_cross_entropy: 1.5 sigmoid",
    ),
    ("F.binary_cross_entropy(torch.ones(2), torch.ones(3))", ValueError, "binary_cross_entropy: (3,) (2,)"),
    ("F.binary_cross_entropy_with_logits(torch.ones(2), torch.ones(2, 1))", ValueError, "(2, 1) (2,) squeeze"),
    (
        "F.binary_cross_entropy_with_logits(torch.ones(2), torch.tensor([0, 1]))",
        RuntimeError,
        "binary_cross_entropy_with_logits: int64 .float()",
    ),
    ("nn.BCELoss()(torch.ones(2), torch.tensor([0, 1]))", RuntimeError, "binary_cross_entropy: int64 .float()"),
    ("F.mse_loss(torch.ones(2, 2), torch.ones(3))", RuntimeError, "mse_loss: (2, 2) (3,)"),
    ("F.huber_loss(torch.ones(2), torch.ones(2), delta=-1.0)", RuntimeError, "huber_loss delta -1.0"),
    ('nn.MSELoss(reduction="total")(torch.ones(2), torch.ones(2))', ValueError, "mse_loss: total 'mean'"),
    ("F.one_hot(torch.tensor([0.5]))", RuntimeError, "one_hot: float32 .long()"),
    ("F.dropout(torch.ones(2), p=-0.1)", ValueError, "dropout: -0.1"),
    ("F.conv2d(torch.ones(1, 2, 4, 4), torch.ones(3, 1, 3, 3))", RuntimeError, "(1, 2, 4, 4) (3, 1, 3, 3)"),
    ("F.linear(torch.ones(2, 3), torch.ones(4, 5))", RuntimeError, "(2, 3) 5"),
    ("F.pad(torch.ones(2, 2), (1, 2, 3))", RuntimeError, "pad: (1, 2, 3) (2, 2)"),
    ('F.pad(torch.ones(2, 2), (1, 1), mode="mirror")', NotImplementedError, "pad: mirror reflect"),
    ("optim.SGD(layer().parameters(), lr=-1)", ValueError, "learning rate: -1 >= 0"),
    ('optim.SGD(layer().parameters(), lr="0.1")', TypeError, "learning rate: '0.1' number"),
    ("optim.SGD(layer().parameters(), momentum=-0.5)", ValueError, "momentum -0.5 >= 0"),
    ("optim.SGD(layer().parameters(), nesterov=True)", ValueError, "Nesterov momentum dampening"),
    ("optim.Adam(layer().parameters(), betas=(0.9, 1.5))", ValueError, "index 1: 1.5 [0, 1)"),
    ("optim.Adam(layer().parameters(), betas=0.9)", TypeError, "betas=(0.9, 0.999) 0.9"),
    ("optim.Adam(layer().parameters(), eps=-1)", ValueError, "epsilon -1 >= 0"),
    ("optim.Adam(layer().parameters(), learning_rate=0.1)", TypeError, "Adam 'learning_rate'"),
    ("optim.SGD(layer(), lr=0.1)", TypeError, "Linear model.parameters()"),
    ("optim.SGD([], lr=0.1)", ValueError, "empty generator"),
    ("optim.SGD([3.0], lr=0.1)", TypeError, "Tensors float"),
    ("optim.SGD(torch.ones(2, requires_grad=True), lr=0.1)", TypeError, "Tensor [tensor]"),
    ("optim.SGD([torch.ones(2, requires_grad=True) * 2], lr=0.1)", ValueError, "non-leaf"),
    ('optim.SGD([{"lr": 0.1}], lr=0.1)', KeyError, "'params' 'lr'"),
    ('optim.SGD(layer().parameters()).load_state_dict({"foo": 1})', KeyError, "'param_groups' 'foo' state_dict()"),
    (
        'optim.SGD(layer().parameters()).load_state_dict({"state": {}, "param_groups": []})',
        ValueError,
        "parameter groups: 0, not 1",
    ),
    (
        'optim.SGD([layer().bias]).load_state_dict({"state": {}, "param_groups": [{"params": [0, 1]}]})',
        ValueError,
        "2 parameters, not 1",
    ),
    ("optim.SGD(layer().parameters()).add_param_group(3)", TypeError, "dict int"),
    ("optim.lr_scheduler.StepLR(layer(), 3)", TypeError, "Linear Optimizer"),
    ("optim.lr_scheduler.StepLR(sgd())", TypeError, "StepLR 'step_size'"),
    ("optim.lr_scheduler.CosineAnnealingLR(sgd(), T_max=10, T_min=2)", TypeError, "CosineAnnealingLR 'T_min'"),
    ("optim.lr_scheduler.OneCycleLR(sgd(), 0.1)", ValueError, "OneCycleLR: total_steps steps_per_epoch"),
    ('optim.lr_scheduler.ReduceLROnPlateau(sgd(), mode="lowest")', ValueError, "'lowest' 'min'"),
    ("optim.lr_scheduler.ReduceLROnPlateau(sgd()).step()", TypeError, "ReduceLROnPlateau 'metrics'"),
    ("optim.lr_scheduler.SequentialLR(sgd(), [], [])", ValueError, "SequentialLR at least one"),
    ("optim.lr_scheduler.LambdaLR(sgd(), [abs, abs])", ValueError, "LambdaLR: 1 2"),
    ("data.TensorDataset(torch.ones(3), torch.ones(4))", AssertionError, "TensorDataset: (3,) (4,)"),
    ("data.TensorDataset(torch.ones(3))[7]", IndexError, "7 (3,)"),
    ("data.DataLoader(rows(), batch_size=0)", ValueError, "batch_size=0 positive"),
    ("data.DataLoader(rows(), sampler=[0], shuffle=True)", ValueError, "DataLoader: sampler shuffle"),
    ("data.DataLoader(rows(), num_workers=-1)", ValueError, "num_workers -1 num_workers=0"),
    ("data.DataLoader(rows(), batchsize=3)", TypeError, "DataLoader 'batchsize'"),
    ("list(data.DataLoader([torch.ones(2), torch.ones(3)], batch_size=2))", RuntimeError, "(2,) (3,) collate_fn"),
    ("list(data.DataLoader([None, None], batch_size=2))", TypeError, "default_collate: NoneType collate_fn"),
    ('list(data.DataLoader([{"a": 1}, {"b": 2}], batch_size=2))', KeyError, "default_collate: 'a' entry 1"),
    ("data.random_split(rows(), [1, 6])", ValueError, "random_split: [1, 6] 3 7"),
    ("data.random_split(rows(), [0.5, 0.6])", ValueError, "random_split: [0.5, 0.6] 3"),
    ("data.Subset(rows(), [20])[0]", IndexError, "20 (3,)"),
    ("data.WeightedRandomSampler([0.5], 0)", ValueError, "WeightedRandomSampler: num_samples 0"),
    ('torch.load("no_such_file.pt")', FileNotFoundError, "no_such_file.pt"),
    ("torch.set_default_dtype(torch.int64)", TypeError, "set_default_dtype: int64"),
]
OTHERWISE = {'torch.ones(2, device="cuda")'}  # PyTorch's type depends on how it was built


def names(lib):
    """What the lines of the table may use, of one library."""
    nn, data = lib.nn, importlib.import_module(f"{lib.__name__}.utils.data")

    def twice(x):
        loss = (x * x).sum()
        loss.backward()
        loss.backward()

    def changed(x):
        y = (x * 1).exp()
        y.add_(1)
        y.sum().backward()

    def with_nan(module):
        for p in module.parameters():
            p.grad = lib.full_like(p, float("nan"))
        return module.parameters()

    class NoSuper(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)

    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, grad):
            return 2 * ctx.saved_tensors[0] * grad

    class Wrong(Square):
        @staticmethod
        def backward(ctx, grad):
            return lib.ones(3)

    class TooMany(Square):
        @staticmethod
        def backward(ctx, grad):
            return grad, grad

    return {
        "torch": lib,
        "nn": nn,
        "F": importlib.import_module(f"{lib.__name__}.nn.functional"),
        "optim": lib.optim,
        "data": data,
        "copy": copy,
        "twice": twice,
        "changed": changed,
        "with_nan": with_nan,
        "NoSuper": NoSuper,
        "Square": Square,
        "Wrong": Wrong,
        "TooMany": TooMany,
        "layer": lambda: nn.Linear(1, 1),
        "sgd": lambda: lib.optim.SGD(nn.Linear(1, 1).parameters()),
        "rows": lambda: data.TensorDataset(lib.ones(3)),
    }


def error_of(lib, code):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            eval(code, names(lib))
        except Exception as error:
            return error
    raise AssertionError(f"{code} raises nothing")


@pytest.mark.parametrize(("code", "kind", "words"), TABLE, ids=[row[0] for row in TABLE])
def test_the_message_helps(code, kind, words):
    error = error_of(tinygrad_edu, code)
    assert isinstance(error, kind), repr(error)
    for word in re.findall(r"\([^()]*\)[.\w()]*|\[[^\[\]]*\]|\S+", words):  # a shape or a list is one word
        assert word in str(error), f"{word!r} is missing in: {error}"


@pytest.mark.torch
@pytest.mark.parametrize(("code", "kind"), [row[:2] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_type_is_pytorchs(code, kind):
    torch = pytest.importorskip("torch")
    if code not in OTHERWISE:
        assert type(error_of(torch, code)) is kind


def test_the_table_is_long_enough():
    assert len({row[0] for row in TABLE}) == len(TABLE) >= 100


def test_after_wrong_calls_everything_works():
    """No wrong call leaves a mode, a default or a thread behind."""
    for code, _, _ in TABLE:
        error_of(tinygrad_edu, code)
    assert tinygrad_edu.is_grad_enabled() and tinygrad_edu.get_default_dtype() is tinygrad_edu.float32
    x = tinygrad_edu.ones(3, requires_grad=True)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
