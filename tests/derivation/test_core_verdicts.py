"""Derivation, check, Verdict, Checked: what they say, in which order, and how they fail."""

from __future__ import annotations

import numpy as np
import pytest
from core_cases import EPS, activation_derivation, batchnorm, batchnorm_derivation, softmax_derivation

import tinygrad_edu as torch
from tinygrad_edu.derivation import Derivation, FormulaError, check, one_hot, positive, probabilities


def square(x):
    return {"y": (x * x).sum()}


# -- the short form, and what is right -------------------------------------------------------------------------------


def test_check_in_one_line():
    found = check(square, {"dy/dx": lambda x: 2 * x, "dy/dx_i": "2 x_i"}, inputs={"x": (3,)})
    assert found.right and len(found) == 2
    assert found["dy/dx"].error < 1e-12
    with pytest.raises(KeyError, match="no formula has the label 'dy/dz'"):
        _ = found["dy/dz"]


def test_check_takes_functions_and_text_only():
    with pytest.raises(TypeError, match="must be a function or text, got int"):
        check(square, {"dy/dx": 3}, inputs={"x": (3,)})


def test_it_prints_nothing_and_repeats_itself(capsys):
    def run():
        made = batchnorm_derivation().formula("v", "df/dvar = sum_i df/dxhat_i (x_i - mu) (var + eps)^(-3/2)")
        return str(made.check(seed=4))

    assert run() == run()
    assert capsys.readouterr().out == ""


def test_the_loss_has_the_name_of_the_output_or_the_given_one():
    for left in ("dy/dx_i", "dL/dx_i", "dE/dx_i"):
        assert check(square, {left: "2 x_i"}, inputs={"x": (3,)}).right
    assert check(square, {"dE/dx_i": "2 x_i", "dy/dx_i": "2 x_i"}, inputs={"x": (3,)}, loss="E").right
    with pytest.raises(FormulaError, match="unknown name 'L'"):
        check(square, {"dL/dx_i": "2 x_i"}, inputs={"x": (3,)}, loss="E")


def test_a_formula_right_at_special_points_only_is_wrong():
    """m = 1 makes 1/m and 1/m^2 the same, and one-hot targets make t and t^2 the same."""
    assert not check(lambda x: {"y": x.mean()}, {"dy/dx_i": "1/m^2"}, inputs={"x": ("m",)}, sizes={"m": 1}).right

    def crossed(p, t):
        return {"L": -(t * p.log()).sum()}

    inputs = {"p": (("k",), probabilities), "t": (("k",), one_hot)}
    assert check(crossed, {"dL/dp_i": "-t_i^2 / p_i"}, inputs=inputs, sizes={"k": 3}).right
    inputs["t"] = (("k",), positive)
    assert not check(crossed, {"dL/dp_i": "-t_i^2 / p_i"}, inputs=inputs, sizes={"k": 3}).right


def test_tiny_numbers_are_judged_as_well():
    """No absolute tolerance: a gradient of 1e-14 is not zero."""

    def tiny(x):
        return {"y": 1e-14 * (x * x).sum()}

    inputs = {"x": (3,)}
    assert check(tiny, {"dy/dx_i": "2 / 10^14 x_i"}, inputs=inputs).right
    assert not check(tiny, {"dy/dx_i": "1 / 10^14 x_i"}, inputs=inputs).right
    assert not check(tiny, {"dy/dx_i": "0"}, inputs=inputs).right


def test_zero_by_cancellation_is_zero():
    made = batchnorm_derivation()
    made.formula("zero", "dvar/dmu = 0").formula("sum", "dvar/dmu = -2/m sum_i (x_i - mu)")
    made.formula("not zero", "dvar/dmu = -2/m mu")
    found = made.check()
    assert found["zero"].right and found["sum"].right and not found["not zero"].right


# -- order, first wrong, what is carried along -----------------------------------------------------------------------


def test_the_order_of_the_backward_pass():
    made = batchnorm_derivation()
    for label, statement in {
        "x": "df/dx_i = df/dxhat_i",
        "mu": "df/dmu = -sum_i df/dxhat_i / sqrt(var + eps)",
        "var": "df/dvar = sum_i df/dxhat_i",
        "xhat": "df/dxhat_i = g_i gamma",
        "gamma": "df/dgamma = sum_i g_i xhat_i",
    }.items():
        made.formula(label, statement)
    found = made.check()
    assert [verdict.label for verdict in found] == ["gamma", "xhat", "var", "mu", "x"]
    assert found.first_wrong is not None and found.first_wrong.label == "var"
    assert found.title == "BatchNorm: 2 of 5 wrong; the first wrong step is var, df/dvar = sum_i df/dxhat_i"


def test_a_wrong_step_is_carried_into_the_next():
    made = batchnorm_derivation()
    made.formula("var", "df/dvar = 1/2 sum_i df/dxhat_i (x_i - mu) (var + eps)^(-3/2)")
    made.formula("x", "df/dx_i = df/dxhat_i / sqrt(var + eps) + df/dvar 2 (x_i - mu)/m + df/dmu / m")
    made.formula("function", "df/dx_i", lambda dxhat, var, eps, dvar, x, mu, m, dmu, i: (
        dxhat[i] / (var + eps) ** 0.5 + dvar * 2 * (x[i] - mu) / m + dmu / m))  # fmt: skip
    made.formula("mu", "df/dmu = -sum_i df/dxhat_i / sqrt(var + eps) - 2/m df/dvar sum_i (x_i - mu)")
    made.formula("gamma", "df/dgamma = sum_i g_i xhat_i")
    found = made.check()
    assert not found["var"].right
    for label in ("x", "function"):
        assert found[label].right
        assert found[label].carried is not None
        assert "df/dvar from var, which is wrong" in found[label].carried and "comes out wrong" in found[label].carried
    assert "does not change it here" in (found["mu"].carried or "")
    assert found["gamma"].carried is None


# -- what cannot be judged -------------------------------------------------------------------------------------------


def test_a_formula_that_cannot_be_evaluated_is_wrong_and_says_why():
    made = batchnorm_derivation()
    made.formula("raises", "df/dxhat", lambda g: g.nothing())
    made.formula("none", "df/dgamma", lambda g: None)
    made.formula("left over", "df/dgamma = g_i xhat_i")
    made.formula("nan", "df/dgamma = sum_i log(-1 - g_i^2)")
    made.formula("divides by zero", "df/dgamma = 1 / (gamma - gamma)")
    made.formula("shape", "df/dxhat", lambda g: g[:2])
    made.formula("size", "df/dxhat = g_i + x_j")
    found = made.check()
    problems = {verdict.label: verdict.problem for verdict in found}
    assert not any(verdict.right for verdict in found)
    assert "AttributeError" in problems["raises"] and "nothing" in problems["raises"]
    assert "returned None" in problems["none"]
    assert "the index i is left over" in problems["left over"]
    assert "NaN or infinity" in problems["nan"] and "NaN or infinity" in problems["divides by zero"]
    assert "its shape is (2,), that of the derivative (4,)" in problems["shape"]
    assert found["left over"].slip == "missing sum"
    assert found["nan"].error == np.inf


BAD = {
    "unknown target": ("df/dnothing = 1", "unknown name 'nothing'"),
    "unknown name": ("df/dxhat_i = h_i gamma", "unknown name 'h_?i?'|h_i"),
    "too many indices": ("df/dxhat_ij = g_i", "has the shape .4,., which takes 1 indices, not 2"),
    "two sizes": ("dxhat_i/dx_ij = 1", "takes 1 indices"),
    "no equation": ("gamma", "="),
    "loss with index": ("df_i/dx_i = g_i", "it takes no index"),
}


@pytest.mark.parametrize("case", BAD)
def test_statements_that_mean_nothing(case):
    statement, message = BAD[case]
    with pytest.raises(FormulaError, match=message):
        batchnorm_derivation().formula("a", statement)


def test_parameters_that_mean_nothing():
    made = batchnorm_derivation()
    with pytest.raises(FormulaError, match="takes 'gama', which is no name here; did you mean gamma?"):
        made.formula("a", "df/dxhat", lambda g, gama: g * gama)
    with pytest.raises(TypeError, match="with a function the statement is its left side only"):
        made.formula("b", "df/dxhat = g", lambda g: g)
    with pytest.raises(TypeError, match="give a statement such as"):
        made.formula("c")
    made.formula("d", "df/dxhat_i = g_i gamma")
    with pytest.raises(FormulaError, match="the label 'd' is taken"):
        made.formula("d", "df/dxhat_i = g_i gamma")


OPTIONS = {
    "forward": ({"forward": 3}, TypeError, "forward must be a function"),
    "inputs": ({"inputs": {}}, ValueError, "give the shapes of the inputs"),
    "size": ({"inputs": {"x": ("n",)}}, ValueError, "the size 'n' is in a shape and has no value; give sizes"),
    "zero": ({"inputs": {"x": ("n",)}, "sizes": {"n": 0}}, ValueError, "must be a positive integer, got 0"),
    "shape": ({"inputs": {"x": 3}}, TypeError, "must be a tuple such as"),
    "shape entry": ({"inputs": {"x": (2.5,)}}, TypeError, "letters and positive integers; x has 2.5"),
    "draw": ({"inputs": {"x": ((3,), "normal")}}, TypeError, "a draw must be one_hot"),
    "products": ({"products": "both"}, ValueError, "must be 'entries' or 'matrices', got 'both'"),
    "twice": ({"sizes": {"x": 3}}, ValueError, "'x' is an input and a size; rename one"),
    "upstream": ({"upstream": "x"}, ValueError, "upstream 'x' is also an input"),
    "upstream named": ({"upstream": "y"}, ValueError, "upstream 'y' is also an intermediate"),
    "constant": ({"constants": {"c": 1.0}}, TypeError, "forward is called with the inputs and constants .x, c."),
    "missing input": ({"forward": batchnorm}, TypeError, "missing a required argument"),
    "no dict": ({"forward": lambda x: (x * x).sum()}, FormulaError, "must return a dict of named intermediates"),
    "empty": ({"forward": lambda x: {}}, FormulaError, "must return a dict of named intermediates"),
    "input again": ({"forward": lambda x: {"x": 2 * x}}, FormulaError, "x is an input and an intermediate"),
    "nan": ({"forward": lambda x: {"y": x.log().sum()}}, FormulaError, "NaN or infinite at random inputs; give the"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_do_not_fit(case):
    options, error, message = OPTIONS[case]
    given = {"forward": square, "inputs": {"x": (3,)}, **options}
    with pytest.raises(error, match=message):
        Derivation("d", given.pop("forward"), **given)


def test_no_loss_to_differentiate():
    made = Derivation("d", lambda x: {"y": 2 * x}, inputs={"x": (3,)})
    with pytest.raises(FormulaError, match=r"the output y has the shape \(3,\), so there is no loss.*upstream='g'"):
        made.formula("a", "dL/dx_i = 2")
    made.formula("b", "dy_i/dx_j = 2 delta_ij")
    assert made.check().right


def test_a_domain_of_ones_own():
    def logarithm(x):
        return {"y": x.log().sum()}

    def large(rng, shape):
        return rng.uniform(5, 6, shape)

    for draw in (positive, large):
        assert check(logarithm, {"dy/dx_i": "1/x_i"}, inputs={"x": ((3,), draw)}).right


# -- shapes and claims -----------------------------------------------------------------------------------------------


def test_shapes():
    made = softmax_derivation()
    made.shape("z", ("m", "k")).shape("W", ("d", "k")).shape("L", ())
    found = made.check()
    assert found["shape of z"].right and found["shape of L"].right
    assert not found["shape of W"].right and "(4, 2), not (2, 4)" in found["shape of W"].problem
    with pytest.raises(FormulaError, match="the shape of 'V' is claimed, but known are"):
        made.shape("V", (3,))
    with pytest.raises(FormulaError, match="the size 'q' in the shape of b is unknown"):
        made.shape("b", ("q",))


def test_claims():
    made = batchnorm_derivation()
    made.claim("a quarter", lambda: torch.tensor(0.0).sigmoid() * (1 - torch.tensor(0.0).sigmoid()), 0.25)
    made.claim("a third", lambda: 0.25, 1 / 3)
    made.claim("a shape", lambda: (2, 3), (2, 3))
    made.claim("a product", lambda: torch.zeros(2, 3) @ torch.zeros(2, 3), 0)
    made.claim("parameters", lambda: 903_400, 903_400)
    found = made.check()
    assert [found[label].right for label in ("a quarter", "a third", "a shape", "a product", "parameters")] == [
        True, False, True, False, True]  # fmt: skip
    assert "it is 0.25" in found["a third"].problem
    assert "ShapeError: matmul" in found["a product"].problem
    assert "903,400" in str(found)


# -- counter-examples ------------------------------------------------------------------------------------------------


def test_the_counter_example_is_small_and_true():
    made = batchnorm_derivation()
    made.formula("c", "df/dxhat_i = -g_i gamma")
    made.formula("v", "dvar/dx_i = 2 (x_i - mu)")
    found = made.check()
    simple = found["c"].counterexample
    assert simple is not None and simple.inputs["g"].shape == (1,)
    assert simple.yours == -simple.true != 0
    again = found["v"].counterexample
    assert again is not None and again.inputs["x"].shape == (2,), "at m = 1 both are 0"
    x = again.inputs["x"]
    k = int(again.entry.split("i = ")[1])
    assert again.yours == pytest.approx(2 * (x[k] - x.mean())) and again.true == pytest.approx(again.yours / 2)
    assert "x = [" in str(again) and f"i = {k}" in str(again)


def test_the_counter_example_of_a_shape_shows_shapes():
    made = softmax_derivation().formula("W", "dL/dW = 1/m (p - t) x")
    example = made.check()["W"].counterexample
    assert example is not None and example.yours is None
    assert "p (" in str(example) and "the matrix product of" in str(example)


# -- printing and pictures -------------------------------------------------------------------------------------------


def checked():
    made = batchnorm_derivation()
    made.formula("c", "df/dxhat_i = g_i gamma")
    made.formula("d", "df/dvar = -1/2 sum_i df/dxhat_i (x_i - mu) (var + eps)^(-2/3)")
    made.formula("f", "dxhat_i/dmu = 1/sqrt(var + eps)")
    return made.check()


def test_the_table():
    text = str(checked())
    assert "BatchNorm: 2 of 3 wrong" in text
    assert "exponent: the exponent −2/3 should be −3/2" in text
    assert "right would be" in text and "repairs tried" in text
    assert max(map(len, text.splitlines())) <= 160
    html = checked()._repr_html_()
    assert html.count("<table>") == 1 and "−3/2" in html and "<script" not in html
    assert "**BatchNorm: 2 of 3 wrong" in checked()._repr_markdown_()


def test_the_graph_and_what_is_marked_on_it():
    found = checked()
    graph = found.graph()
    places = found.vertices(graph)
    assert set(places) == {"x", "gamma", "beta", "mu", "var", "xhat", "y"}
    by_id = {vertex.id: vertex for vertex in graph.vertices}
    assert by_id[places["var"]].name == "σ²" and by_id[places["var"]].shape == ()
    assert found.marked(graph) == [places["xhat"], places["var"]] or set(found.marked(graph)) == {
        places["xhat"], places["var"]}  # fmt: skip
    assert all(vertex.value is not None for vertex in graph.vertices if vertex.role == "op")
    assert by_id[places["x"]].grad is not None


def test_a_derivation_of_a_named_expression():
    made = batchnorm_derivation()
    made.formula("18", "d(1/sqrt(var + eps))/dx_i = -(var + eps)^(-2/3)/m (x_i - mu)")
    made.formula("right", "d(1/sqrt(var + eps))/dx_j = -(var + eps)^(-3/2)/m (x_j - mu)")
    made.formula("entries", "d(x_i xhat_i)/dx_j = delta_ij xhat_i + x_i dxhat_i/dx_j")
    found = made.check()
    assert found["right"].right and found["entries"].right
    assert found["18"].slip == "exponent"


def test_the_same_value_under_two_names():
    def layer(a):
        e = a.exp()
        s = e / e.sum()
        return {"softmax": s, "s": s, "x": s}

    made = Derivation("softmax", layer, inputs={"a": ("n",)}, sizes={"n": 3}, loss="L", upstream="g")
    made.formula("2", "dsoftmax_i/da_j = s_i (delta_ij - s_j)")
    made.formula("7", "dL/da_i = s_i dL/dx_i - s_i sum_j s_j dL/dx_j")
    assert made.check().right


def test_what_it_is_instead():
    made = batchnorm_derivation()
    made.formula("d", "df/dvar = g_i gamma")
    made.formula("mu", "dmu/dx_i = 1/sqrt(var + eps)")
    found = made.check()
    assert found["d"].repair is not None and found["d"].slip == "missing factor"
    assert "df/dxhat" in found["d"].repair.words and "times dxhat/dvar" in found["d"].repair.words
    assert found["mu"].repair is None
    assert found["mu"].instead == "the partial derivative of xhat by x with the other named values held"


def test_terms_are_judged_one_by_one():
    made = batchnorm_derivation()
    made.formula("x", "df/dx_i = -df/dxhat_i/sqrt(var + eps) + df/dvar 2 (x_i - mu) + df/dmu / m")
    verdict = made.check()["x"]
    assert verdict.repair is not None
    assert set(verdict.repair.slip.split(" + ")) == {"sign", "missing 1/m"}


def test_letters_of_activations():
    made = activation_derivation().formula("wrong", "ds_i/dx_j = delta_ij s_i (1 - s_i)^2")
    verdict = made.check()["wrong"]
    assert verdict.slip == "exponent" and EPS > 0


def test_a_detached_output_has_no_gradient():
    with pytest.raises(FormulaError, match="was not computed from the inputs by recorded operations"):
        check(lambda x: {"z": x * x, "y": (x * x).sum().item()}, {"dy/dx_i": "2 x_i"}, inputs={"x": (3,)})


def test_the_example_of_the_package():
    import doctest

    from tinygrad_edu import derivation

    assert doctest.testmod(derivation).failed == 0
    assert doctest.testmod(derivation.derivation).failed == 0


def test_the_derivative_of_an_elementwise_step_is_a_factor():
    """The mask of the ReLU forgotten inside a chain of matrix products."""

    def mlp(x, W1, W2, t):
        z = x @ W1
        a = z.relu()
        p = torch.softmax(a @ W2, dim=1)
        return {"z": z, "a": a, "p": p, "L": -(t * p.log()).sum()}

    inputs = {"x": ("m", "d"), "W1": ("d", "h"), "W2": ("h", "k"), "t": (("m", "k"), one_hot)}
    made = Derivation("mlp", mlp, inputs=inputs, sizes={"m": 4, "d": 3, "h": 5, "k": 3}, loss="L")
    made.formula("right", "dL/dW1", lambda x, p, t, W2, z: x.T @ (((p - t) @ W2.T) * (z > 0)))
    made.formula("forgotten", "dL/dW1", lambda x, p, t, W2: x.T @ ((p - t) @ W2.T))
    made.formula("wrong", "dL/dz", lambda da, a: da * a)
    found = made.check()
    assert found["right"].right
    assert found["forgotten"].slip == "missing factor" and "da/dz (entry by entry)" in found["forgotten"].words
    assert found["wrong"].slip == "wrong factor" and "a should be da/dz" in found["wrong"].words


def test_parameters_are_drawn_as_parameters():
    made = batchnorm_derivation(parameters=("gamma", "beta")).formula("c", "df/dxhat_i = g_i gamma")
    found = made.check()
    graph = found.graph()
    roles = {vertex.id: vertex.role for vertex in graph.vertices}
    places = found.vertices(graph)
    assert [roles[places[key]] for key in ("x", "gamma", "beta")] == ["input", "parameter", "parameter"]
    assert {vertex.name for vertex in graph.vertices} >= {"x", "γ", "β", "μ", "σ²", "x̂"}
    with pytest.raises(ValueError, match="parameters are names of inputs .x, gamma, beta., not 'mu'"):
        batchnorm_derivation(parameters=("mu",))
