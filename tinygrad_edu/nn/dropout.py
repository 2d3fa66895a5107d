"""Dropout layers."""

from __future__ import annotations

from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn.module import Module
from tinygrad_edu.tensor import Tensor


class Dropout(Module):
    """In training each entry is 0 with probability p, the others are scaled by 1/(1 − p); in evaluation y = x.

    Raises ValueError unless 0 <= p <= 1.  Source: Srivastava et al. (2014).
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        """y = mask · x."""
        return F.dropout(input, self.p, self.training, self.inplace)

    def picture_detail(self) -> str:
        """Dropout(0.5)."""
        return f"{self._get_name()}({self.p})"

    def extra_repr(self) -> str:
        """The options, as PyTorch prints them."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout1d(Dropout):
    """Dropout of whole channels of sequences (n, c, l)."""

    def forward(self, input: Tensor) -> Tensor:
        """y = mask · x, one draw per channel."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(Dropout):
    """Dropout of whole channels of images (n, c, h, w)."""

    def forward(self, input: Tensor) -> Tensor:
        """y = mask · x, one draw per channel."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class AlphaDropout(Dropout):
    """Dropout for selu networks, which keeps mean 0 and variance 1 (Klambauer et al., 2017)."""

    def forward(self, input: Tensor) -> Tensor:
        """y = a · (x, or the low end of selu) + b."""
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(Dropout):
    """Alpha dropout of whole channels (n, c, ...)."""

    def forward(self, input: Tensor) -> Tensor:
        """y = a · (x, or the low end of selu) + b, one draw per channel."""
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
