"""Answers in words: what an op does, why a gradient is missing, where a NaN began, which rule is wrong.

Everything here reads what was recorded and changes nothing of it.  Pictures of the answers are made by `visualize`.
"""

from __future__ import annotations

from tinygrad_edu.explanations.gradients import GradientReason, why_grad
from tinygrad_edu.explanations.models import Summary, summary
from tinygrad_edu.explanations.nans import NanOrigin, find_nan
from tinygrad_edu.explanations.operations import Explanation, explain
from tinygrad_edu.explanations.rules import GradientReport, RuleCheck, gradient_report

__all__ = [
    "Explanation",
    "GradientReason",
    "GradientReport",
    "NanOrigin",
    "RuleCheck",
    "Summary",
    "explain",
    "find_nan",
    "gradient_report",
    "summary",
    "why_grad",
]
