"""Derivatives found by hand, checked against the engine: formula by formula, with the likely slip of a wrong one.

>>> def forward(x, gamma):
...     mu = x.mean()
...     xc = x - mu
...     return {"mu": mu, "xc": xc, "y": gamma * xc}
>>> found = check(
...     forward,
...     {"df/dgamma": "sum_i g_i xc_i", "df/dxc": lambda g, gamma: -gamma * g},
...     inputs={"x": ("m",), "gamma": ()}, sizes={"m": 4}, loss="f", upstream="g",
... )
>>> [verdict.right for verdict in found]
[True, False]
>>> print(found.first_wrong.words)
sign: the sign of the whole is wrong

A formula is text (docs/notation.md), LaTeX, or a Python function of the named values.  Each is evaluated in several
float64 runs beside the engine's derivative; for a wrong one every standard repair is tried, and none is guessed.
"""

from __future__ import annotations

from tinygrad_edu.derivation.derivation import Derivation, check
from tinygrad_edu.derivation.draws import Draw, any_number, one_hot, positive, probabilities
from tinygrad_edu.derivation.expressions import FormulaError
from tinygrad_edu.derivation.verdicts import Checked, Counterexample, Repair, Verdict

__all__ = [
    "Checked",
    "Counterexample",
    "Derivation",
    "Draw",
    "FormulaError",
    "Repair",
    "Verdict",
    "any_number",
    "check",
    "one_hot",
    "positive",
    "probabilities",
]
