"""`Derivation`: a forward pass with a student's formulas for its derivatives, and `check`, which judges each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_edu.autograd.modes import keep_values
from tinygrad_edu.derivation.changes import shown
from tinygrad_edu.derivation.counterexamples import smallest
from tinygrad_edu.derivation.expressions import FormulaError
from tinygrad_edu.derivation.formulas import Comparison, Formula, compare, is_gradient, parameters, true_value
from tinygrad_edu.derivation.graphs import Recorded
from tinygrad_edu.derivation.meanings import settled, settled_target
from tinygrad_edu.derivation.runs import places_in, sized, with_larger_constants, world_of, worlds_of
from tinygrad_edu.derivation.search import found_repairs
from tinygrad_edu.derivation.setting import Setting, Shape, setting_of
from tinygrad_edu.derivation.statements import parse_target
from tinygrad_edu.derivation.truth import Names, World
from tinygrad_edu.derivation.verdicts import Checked, Verdict

__all__ = ["Derivation", "check"]

# how pictures write a name
PRETTY = {"mu": "μ", "var": "σ²", "sigma": "σ", "xhat": "x̂", "x_hat": "x̂", "gamma": "γ", "beta": "β", "x~": "x̃"}


@dataclass(frozen=True)
class _Claim:
    label: str
    statement: str
    judge: Callable[[World], tuple[bool, float, str]]
    target: str = ""
    once: bool = False  # it does not depend on the run


class Derivation:
    """A forward pass, and formulas about it to be checked against the engine.

    forward: a function of the inputs (float64 tensors) and the constants (keywords) that returns its named
        intermediates as a dict in order, the output last.
    inputs: shapes of letters and integers, {"x": ("m", 10)}; a pair (shape, draw) says from what the input is drawn:
        one_hot, positive, probabilities, or a function of (rng, shape).  The default is any number.
    sizes: what the letters are; formulas are checked at other sizes as well.  constants: names with fixed values.
    loss: what formulas call the loss.  upstream: the name of dL/d(output), drawn at random, when the output is not the
        loss.
    products: what names side by side mean in a formula given as text: "entries" or "matrices".
    parameters: the inputs that pictures draw as parameters.
    Raises TypeError or ValueError for options that do not fit, FormulaError when forward does not return such a dict.
    """

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        *,
        inputs: Mapping[str, Any],
        sizes: Mapping[str, int] | None = None,
        constants: Mapping[str, Any] | None = None,
        loss: str | None = None,
        upstream: str | None = None,
        products: str = "entries",
        parameters: Sequence[str] = (),
    ) -> None:
        setting = setting_of(name, forward, inputs, sizes, constants, loss, upstream, products)
        strange = [key for key in parameters if key not in setting.shapes]
        if strange:
            raise ValueError(
                f"derivation {name!r}: parameters are names of inputs ({', '.join(setting.shapes)}), not {strange[0]!r}"
            )
        self.parameters = tuple(parameters)
        world = world_of(setting, setting.sizes, 0)
        names = tuple(key for key in (*world.tensors, *world.fixed) if key not in setting.shapes)
        inner = tuple(n for n in names if n != world.output)
        scalar = world.values[world.output].size == 1
        self.setting: Setting = replace(setting, names=(*inner, world.output), scalar=scalar)
        if upstream is not None and upstream in names:
            raise ValueError(f"derivation {name!r}: upstream {upstream!r} is also an intermediate; rename one")
        self._world = world_of(self.setting, setting.sizes, 0)
        self._sized = sized(self._world)
        self._entries: list[Formula | _Claim] = []

    @property
    def name(self) -> str:
        """What it is called in print."""
        return self.setting.name

    # -- what is claimed ----------------------------------------------------------------------------------------------

    def formula(
        self,
        label: str,
        statement: str | None = None,
        function: Callable[..., Any] | None = None,
        *,
        latex: str | None = None,
    ) -> Derivation:
        """Add a formula: as text ("df/dx_i = g_i gamma"), as a target and a Python function, or as LaTeX.

        Raises FormulaError where it cannot be read, is about a value that nobody named, or the label is taken.
        """
        self._new(label)
        known, loss = self.setting.known, next(iter(self.setting.losses), None)
        if latex is not None:
            from tinygrad_edu.derivation.latex import from_latex

            if statement is not None or function is not None:
                raise TypeError(f"formula {label!r}: give it as text, as a function or as LaTeX, not two of them")
            statement = from_latex(latex, known)
        if statement is None:
            raise TypeError(f"formula {label!r}: give a statement such as 'df/dx_i = g_i gamma'")
        if function is not None:
            if "=" in statement:
                raise TypeError(f"formula {label!r}: with a function the statement is its left side only, as 'df/dx_i'")
            target = settled_target(parse_target(statement, known, loss=loss), self._sized)
            made = Formula(label, target, statement, function=function)
            parameters(function, target, self._world)
        else:
            from tinygrad_edu.derivation.notation import parse

            read = parse(statement, products=self.setting.products, known=known, loss=loss)
            target = settled_target(read.left, self._sized)
            made = Formula(label, target, statement.strip(), settled(read.right, target, self._sized))
        true_value(made.target, self._world)
        self._entries.append(made)
        return self

    def shape(self, name: str, shape: Sequence[str | int]) -> Derivation:
        """Add the claim that a value has this shape, of letters and integers.

        Raises FormulaError for an unknown name or letter.
        """
        label = f"shape of {name}"
        self._new(label)
        if name not in self._world.values:
            raise FormulaError(f"the shape of {name!r} is claimed, but known are {', '.join(self._world.values)}")
        claimed: Shape = tuple(shape)
        unknown = [n for n in claimed if isinstance(n, str) and n not in self.setting.sizes]
        if unknown:
            raise FormulaError(f"the size {unknown[0]!r} in the shape of {name} is unknown; give it in sizes=")

        def judge(world: World) -> tuple[bool, float, str]:
            mine = tuple(world.sizes[n] if isinstance(n, str) else n for n in claimed)
            true = world.shape(name)
            return mine == true, 0.0 if mine == true else np.inf, f"it is {true}, not {mine}, at {_sizes(world)}"

        text = f"{name} is ({', '.join(map(str, claimed))}{',' if len(claimed) == 1 else ''})"
        self._entries.append(_Claim(label, text, judge, name))
        return self

    def claim(self, label: str, ours: Callable[[], Any], value: Any, *, rtol: float = 1e-7) -> Derivation:
        """Add the claim that something is `value`: a number, an array, a shape; `ours()` computes it.

        Right when the two have the same shape and agree to the relative error `rtol`; wrong when `ours` raises, with
        its message.
        """
        self._new(label)

        def judge(world: World) -> tuple[bool, float, str]:
            try:
                found = ours()
                true = np.asarray(found, np.float64)
            except Exception as raised:  # whatever it is: that is the answer
                return False, np.inf, f"{type(raised).__name__}: {raised}"
            mine = np.asarray(value, np.float64)
            if mine.shape != true.shape:
                return False, np.inf, f"{_number(value)} is claimed, and it is {_number(found)}"
            difference = float(np.abs(mine - true).max(initial=0.0))
            scale = float((np.abs(mine) + np.abs(true)).max(initial=0.0))
            error = difference / scale if scale else 0.0
            return error <= rtol, error, f"it is {_number(found)}"

        self._entries.append(_Claim(label, _number(value), judge, once=True))
        return self

    def _new(self, label: str) -> None:
        if any(entry.label == label for entry in self._entries):
            raise FormulaError(f"the label {label!r} is taken; give each formula its own")

    # -- the judgement ------------------------------------------------------------------------------------------------

    def check(self, seed: int = 0) -> Checked:
        """Judge every formula at several random inputs and sizes; prints nothing."""
        worlds = worlds_of(self.setting, seed)
        place = places_in(worlds[0])
        judged: list[tuple[Verdict, Formula | None, Comparison | None]] = []
        order = sorted(
            self._entries, key=lambda e: -place.get(e.target.by if isinstance(e, Formula) else e.target, np.inf)
        )
        for entry in order:
            if isinstance(entry, _Claim):
                judged.append((_claimed(entry, worlds), None, None))
            else:
                judged.append(self._judged(entry, worlds, seed))
        settled = {formula.target.name for verdict, formula, _ in judged if formula is not None and verdict.right}
        hers = {
            formula.target.name: (verdict, formula)
            for verdict, formula, _ in judged
            if formula is not None and not verdict.right and formula.target.name not in settled
        }
        verdicts = tuple(
            replace(verdict, carried=_carried(formula, hers, worlds)) if formula is not None else verdict
            for verdict, formula, _ in judged
        )
        return Checked(self.name, verdicts, _recorded(self.setting, seed, self.parameters))

    def _judged(
        self, formula: Formula, worlds: list[World], seed: int
    ) -> tuple[Verdict, Formula | None, Comparison | None]:
        formula.trace(worlds[0], worlds[1:])
        comparisons = [compare(formula, world) for world in worlds]
        shown_in = self.setting
        if all(c.right for c in comparisons) and (moved := with_larger_constants(formula.tree, worlds[0], seed)):
            worlds, shown_in = [*worlds, moved], moved.setting
            comparisons.append(compare(formula, moved))
        wrong = [c for c in comparisons if not c.right]
        target = formula.target
        common: dict[str, Any] = {
            "label": formula.label,
            "statement": formula.statement,
            "shown": _shown(formula, self.setting.products),
            "by": target.by,
            "of": None if is_gradient(target, worlds[0]) else target.of,
        }
        error = max(c.error for c in comparisons)
        if not wrong:
            return Verdict(right=True, error=error, **common), formula, comparisons[0]
        search = found_repairs(formula, worlds)
        example = smallest(formula, shown_in, seed)
        if example is not None and shown_in is not self.setting:
            larger = [f"{k} = {c}" for k, c in shown_in.constants.items() if c is not self.setting.constants[k]]
            example = replace(example, text=f"{', '.join(larger)}, {example.text}")
        verdict = Verdict(
            right=False,
            error=error,
            problem=next((c.problem for c in wrong if c.problem), ""),
            counterexample=example,
            repair=search.repairs[0] if search.repairs else None,
            others=search.repairs[1:],
            tried=search.tried,
            terms=search.terms,
            instead=search.instead,
            note=formula.why_opaque if formula.tree is None else "",
            **common,
        )
        return verdict, formula, comparisons[0]


def check(
    forward: Callable[..., Any],
    formulas: Mapping[str, Any],
    *,
    inputs: Mapping[str, Any],
    sizes: Mapping[str, int] | None = None,
    constants: Mapping[str, Any] | None = None,
    loss: str | None = None,
    upstream: str | None = None,
    products: str = "entries",
    parameters: Sequence[str] = (),
    name: str = "derivation",
    seed: int = 0,
) -> Checked:
    """Judge formulas, {"df/dgamma": function, "df/dx_i": "text", ...}, against the engine's derivatives of `forward`.

    The options are those of `Derivation`; prints nothing.

    >>> found = check(lambda x: {"y": (x * x).sum()}, {"dy/dx": lambda x: 2 * x}, inputs={"x": (3,)})
    >>> found.right
    True
    """
    made = Derivation(
        name,
        forward,
        inputs=inputs,
        sizes=sizes,
        constants=constants,
        loss=loss,
        upstream=upstream,
        products=products,
        parameters=parameters,
    )
    for left, right in formulas.items():
        if callable(right):
            made.formula(left, left, right)
        elif isinstance(right, str):
            made.formula(left, f"{left} = {right}")
        else:
            raise TypeError(f"check: the formula for {left} must be a function or text, got {type(right).__name__}")
    return made.check(seed)


# -- verdicts ----------------------------------------------------------------------------------------------------------


def _claimed(claim: _Claim, worlds: list[World]) -> Verdict:
    results = [claim.judge(world) for world in (worlds[:1] if claim.once else worlds)]
    wrong = [result for result in results if not result[0]]
    return Verdict(
        claim.label,
        claim.statement,
        not wrong,
        max(error for _, error, _ in results),
        wrong[0][2] if wrong else "",
        by=claim.target,
        kind="shape" if claim.target else "claim",
    )


def _carried(formula: Formula, hers: Mapping[str, tuple[Verdict, Formula]], worlds: list[World]) -> str | None:
    """How a formula comes out with the author's own wrong values put in, None if it uses none of them."""
    world = worlds[0]
    if formula.tree is None and formula.function is None:
        return None
    from tinygrad_edu.derivation.expressions import names_in

    if formula.tree is not None:
        used = names_in(formula.tree)
    else:
        used = {which for kind, which in parameters(formula.function, formula.target, world).values() if kind == "name"}  # type: ignore[arg-type]
    for name, (verdict, earlier) in hers.items():
        meant = [key for key in used if _same(key, earlier, world)]
        if not meant or earlier is formula:
            continue
        comparison = compare(earlier, world)
        array = comparison.mine
        if array is None or array.shape != world.names.shape(meant[0]):
            continue
        with_hers = compare(formula, world, Names(world, dict.fromkeys(meant, array)))
        if not with_hers.right:
            error = "" if with_hers.error == np.inf else f" (relative error {with_hers.error:.1e})"
            return f"with the author's own {name} from {verdict.label}, which is wrong, it comes out wrong{error}"
        return f"it uses {name} from {verdict.label}, which is wrong, but that does not change it here"
    return None


def _shown(formula: Formula, products: str) -> str:
    """The statement with its right side."""
    if formula.function is None or formula.tree is None:
        return formula.statement
    return f"{formula.statement} = {shown(formula.tree, products)}"


def _same(key: str, earlier: Formula, world: World) -> bool:
    found = world.names.derivative(key)
    if found is None:
        return False
    of = None if is_gradient(earlier.target, world) else earlier.target.of
    return found == (of, earlier.target.by)


def _recorded(setting: Setting, seed: int, parameters: tuple[str, ...]) -> Recorded:
    with keep_values():
        world = world_of(setting, setting.sizes, 3 * seed)
        for key, tensor in world.tensors.items():
            tensor.name = PRETTY.get(key, key)
        if world.upstream is not None:
            from tinygrad_edu.derivation.formulas import _tensor

            world.tensors[world.output].backward(_tensor(world.upstream), retain_graph=True)
    return Recorded(dict(world.tensors), world.output, parameters)


def _sizes(world: World) -> str:
    return ", ".join(f"{letter} = {n}" for letter, n in world.sizes.items()) or "these inputs"


def _number(x: Any) -> str:
    """A claimed number with its thousands apart, a shape, a small array."""
    if isinstance(x, tuple):
        return str(x)
    array = np.asarray(x)
    if array.ndim == 0 and float(array) == int(array) and abs(int(array)) >= 1000:
        return f"{int(array):,}"
    from tinygrad_edu.explanations.text import array_text

    return array_text(x)
