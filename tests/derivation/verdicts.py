"""Which formulas of the five reports are right, worked out by hand and apart from the tool (test_reports_by_hand*.py).

A key is the report and the label of the formula in demos/derivations. `slip` is what a wrong one got wrong, in the
words of the tool's repairs, joined by " + " where several come together; "" where no standard slip explains it.
`carried`: right as it stands, but it is built on an earlier formula of the same report that is wrong.

Where a formula can be read in two ways, the author's reading counts:
- 000 and 004 write the gradient by mu without the way through var. That is right, and no slip: this way carries
  -2/m sum_i (x_i - mu), which is zero. For the same reason 2/m (x_i - mu) is the whole derivative of var by x_i.
- 000 gives two answers for df/dvar (in part d and inside part e) and two for dmu/dx_i. Each is judged.
- 001 computes with one sample as a column vector up to (11), and with a batch x_j^r, feature j of sample r, from (12).
- 003 states the affine layer and the ReLU per element: every letter is a number (or, for the ReLU, an entry).
  A ReLU "backward" of x where x > 0 would be right as the forward pass; it stands under backward.
- 004 lets factors stand side by side and means matrix products, since only these give the transposes and their order a
  sense. With hidden layers of one unit each its formulas are right; with any other size the factors do not even fit.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expected:
    """The verdict on one formula."""

    right: bool
    slip: str = ""
    why: str = ""
    carried: bool = False


RIGHT = Expected(True)
EXPONENT = Expected(False, "exponent", "the derivative of u^(-1/2) is -1/2 u^(-3/2): -2/3 is the exponent upside down")
PRODUCT = Expected(
    False,
    "order of product",
    "the factors do not fit as matrices: W^T belongs right before (p - y), inside the sum, and 1 - a^2 is entrywise",
)

COUNTS = {
    "parameters, 3 to 100 channels": (2_800, 3 * 9 * 100 + 100),
    "parameters, 100 to 200 channels": (180_200, 100 * 9 * 200 + 200),
    "parameters, 200 to 400 channels": (720_400, 200 * 9 * 400 + 400),
    "parameters in all": (903_400, 28 * 100 + 901 * 200 + 1801 * 400),
}  # as claimed, and counted

VERDICTS: dict[tuple[str, str], Expected] = {
    **{("000", f"shape of {name}"): RIGHT for name in ("W_h", "b_h", "W_o", "b_o", "Y")},
    **{("000", label): RIGHT for label in COUNTS},
    ("000", "a"): RIGHT,
    ("000", "b"): RIGHT,
    ("000", "c"): RIGHT,
    ("000", "d"): Expected(
        False, "missing factor", "it is the answer of c again: the way from xhat to var, and the sum, are absent"
    ),
    ("000", "d in e"): RIGHT,
    ("000", "e"): RIGHT,
    ("000", "e simplified"): RIGHT,
    ("000", "f dvar"): RIGHT,
    ("000", "f dmu first"): Expected(False, "", "mu is the sum of x_i / m: its slope is 1/m, not that of xhat"),
    ("000", "f dmu second"): RIGHT,
    ("000", "f"): RIGHT,
    **{("001", str(label)): RIGHT for label in range(1, 12)},
    **{("001", f"1.1c {what}"): RIGHT for what in ("activations", "W", "b")},
    **{("001", str(label)): RIGHT for label in (12, 13, 14, 16, 25)},
    ("001", "18"): EXPONENT,
    ("001", "22"): EXPONENT,
    **{("002", f"shape of {name}"): RIGHT for name in ("W_h", "b_h", "W_o", "b_o")},
    ("002", "shape of W_o a(W_h X + b_h) + b_o"): Expected(
        False, "", "samples are the rows of X: it is a(X W_h + b_h) W_o + b_o"
    ),
    ("002", "a"): RIGHT,
    ("002", "b"): RIGHT,
    ("002", "c"): RIGHT,
    ("002", "d"): RIGHT,
    ("002", "e"): RIGHT,
    ("002", "f"): Expected(
        False,
        "exponent + missing sum",
        "1/sqrt((var + eps)^3) should be 1/sqrt(var + eps), twice, and df/dvar and df/dmu lost their sums over i",
    ),
    ("003", "affine dx"): RIGHT,
    ("003", "affine dw"): RIGHT,
    ("003", "affine db"): RIGHT,
    ("003", "relu"): Expected(False, "wrong factor", "the gradient that arrives passes where x > 0, not x itself"),
    ("003", "largest slope of the sigmoid"): RIGHT,
    ("003", "dgamma"): RIGHT,
    ("003", "dbeta"): RIGHT,
    ("003", "dx"): Expected(
        False,
        "sign + missing sum",
        "the way through xhat came out negative, and those through var and mu lost their sums over j",
    ),
    ("004", "dp"): RIGHT,
    ("004", "do"): RIGHT,
    ("004", "dW3"): RIGHT,
    ("004", "db3"): RIGHT,
    **{("004", label): PRODUCT for label in ("dW2", "db2", "dW1", "db1")},
    ("004", "dgamma"): RIGHT,
    ("004", "dbeta"): RIGHT,
    ("004", "dxhat"): RIGHT,
    ("004", "dvar"): EXPONENT,
    ("004", "dmu"): RIGHT,
    ("004", "dx"): Expected(True, carried=True, why="right with the true dF/dvar, and given her own wrong with it"),
}
