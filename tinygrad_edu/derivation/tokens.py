"""The words of the notation: characters as typed become plain ASCII, and that is cut into tokens.

Greek letters, hats, Σ, √, − and their like are other spellings of ASCII words; every token remembers where it stood in
the text as it was written, so that an error can point there.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from tinygrad_edu.derivation.expressions import FormulaError

__all__ = ["GREEK", "LONGEST", "Token", "problem", "tokens_of"]

LONGEST = 10_000  # characters of one formula

_LETTERS = "alpha beta gamma delta zeta eta theta iota kappa lambda mu nu xi pi rho tau phi chi psi omega"
GREEK = {
    unicodedata.lookup(f"GREEK SMALL LETTER {'LAMDA' if w == 'lambda' else w.upper()}"): w for w in _LETTERS.split()
}
GREEK |= {"µ": "mu", "ε": "eps", "ϵ": "eps", "σ": "sigma", "ϕ": "phi", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta"}
GREEK |= {"Λ": "Lambda", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega"}
_SIGNS = {
    **dict.fromkeys("−–—", "-"),
    **dict.fromkeys("∘⊙∗", "*"),
    **dict.fromkeys("·⋅×", "·"),
    **{
        "≥": ">=",
        "≤": "<=",
        "≠": "!=",
        "√": " sqrt ",
        "Σ": " sum",
        "∑": " sum",
        "ᵀ": "^T",
        "⊤": "T",
        "𝟙": " 1",
        "𝟏": " 1",
    },
}
_MARKS = {"\u0302": "hat", "\u0303": "~", "\u0304": "bar"}
_LOW = dict(zip("ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ₀₁₂₃₄₅₆₇₈₉", "aehijklmnoprstuvx0123456789", strict=True))
_HIGH = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁱʲᵏᵐⁿʳˢᵗ", "0123456789-+ijkmnrst", strict=True))

_TOKEN = re.compile(
    r"""(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<prime>(?:sigmoid|sigma|tanh|relu|exp|log|sin|cos)')
      | (?P<word>[A-Za-z][A-Za-z0-9]*~?(?:_(?:[A-Za-z0-9]+~?'*|\{[^{}]*\}|\([^()]*\)))*)
      | (?P<op>\*\*|[!<>=]=|\.m?T\b|[-+*/@^·()\[\]{}<>=,_])
      | (?P<space>\s+)""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """A number, a word, a sign ("op") or the "end"; `start` and `end` count characters of the text as written."""

    kind: str
    text: str
    start: int
    end: int
    glued: bool = False  # no space between the token before and this one


def problem(text: str, start: int, words: str, end: int | None = None) -> FormulaError:
    """An error that shows the text with carets under the place."""
    shown = "".join(" " if c.isspace() else c for c in text)
    # A combining mark takes no room on the screen.
    room = sum(not unicodedata.combining(c) for c in shown[:start])
    width = sum(not unicodedata.combining(c) for c in shown[start : max(start + 1, end or 0)])
    if len(shown) > 200:  # a window around the place
        low = max(0, start - 80)
        shown, room = ("… " if low else "") + shown[low : low + 160] + " …", room - low + (2 if low else 0)
    return FormulaError(f"{words}\n    {shown}\n    {' ' * room}{'^' * max(1, min(width, 80))}")


def tokens_of(text: str) -> list[Token]:
    """The tokens of a formula, an "end" last.  Raises FormulaError for a character outside the notation."""
    if len(text) > LONGEST:
        raise FormulaError(f"the formula has {len(text):,} characters; at most {LONGEST:,} are read. Name its parts")
    plain, places = _plain(text)
    tokens: list[Token] = []
    position, glued = 0, False
    while position < len(plain):
        found = _TOKEN.match(plain, position)
        if found is None:
            at = places[position]
            raise problem(text, at, f"{text[at]!r} is no part of the notation{_hint(plain, position)}")
        kind = found.lastgroup or "op"
        kind = "word" if kind == "prime" else kind
        if kind == "space":
            glued = False
        else:
            start, end = places[found.start()], places[found.end() - 1] + 1
            for piece in ("^", "T") if found.group() in (".T", ".mT") else (found.group(),):
                tokens.append(Token("word" if piece == "T" else kind, _SAME.get(piece, piece), start, end, glued))
            glued = True
        position = found.end()
    tokens.append(Token("end", "", len(text), len(text)))
    return tokens


_SAME = {"**": "^", "==": "="}


def _hint(plain: str, position: int) -> str:
    if plain[position] == "\\":
        return ". A formula in LaTeX is given as latex=r'...'"
    if plain[position] == "'":
        return "; a transpose is written ^T"
    if plain[position] == "|":
        return "; write abs(x), or sqrt(sum(x^2)) for a norm"
    if plain[position : position + 2] == ":=":
        return "; write ="
    if plain[position] == "∇":
        return "; write dL/dw for ∇_w L"
    if plain[position] == ".":
        return "; write out what the dots stand for"
    return ""


def _plain(text: str) -> tuple[str, list[int]]:
    """ASCII spelling, and for each of its characters where that stands in the text."""
    out: list[str] = []
    places: list[int] = []

    def put(piece: str, at: int) -> None:
        out.extend(piece)
        places.extend([at] * len(piece))

    k = 0
    while k < len(text):
        c, at = text[k], k
        k += 1
        if c.isascii() and c != "|":
            if out and c.isalpha() and at and text[at - 1] in GREEK:  # γx is gamma x
                put(" ", at)
            put(c, at)
        elif c == "|" and text.count("|") % 2 == 0 and "||" not in text:
            put(")" if text.count("|", 0, at) % 2 else " abs(", at)
        elif c == "∂":
            put(" d" if not out or out[-1] not in " (/[{" else "d", at)
        elif c == "σ" and k < len(text) and text[k] == "²":
            _letters("var", at, text, put)
            places[-1] = k
            k += 1
        elif c in GREEK:
            _letters(GREEK[c], at, text, put)
        elif c in _LOW:
            end = k
            while end < len(text) and text[end] in _LOW:
                end += 1
            low = "".join(_LOW[x] for x in text[at:end])
            put(low if low.isdigit() and out and out[-1].isalpha() else "_" + low, at)  # W₃ is the name W3
            k = end
        elif c in _HIGH:
            end = k
            while end < len(text) and text[end] in _HIGH:
                end += 1
            high = "".join(_HIGH[x] for x in text[at:end])
            put(f"^{high}" if high.isalnum() else f"^({high})", at)
            k = end
        elif c in _MARKS:
            put(_MARKS[c], at)
        elif c == "|":
            put(c, at)
        elif c in _SIGNS:
            put(_SIGNS[c], at)
        elif c.isspace():
            put(" ", at)
        else:
            for piece in unicodedata.normalize("NFD", c):  # ŷ is y with a hat
                put(_MARKS.get(piece, piece), at)
    return "".join(out), places


def _letters(word: str, at: int, text: str, put: object) -> None:
    """A Greek letter starts a word, unless a d or an underscore stands before it: dγ, x_α."""
    assert callable(put)
    before = text[at - 1] if at else " "
    put(word if before in "d∂_{" or not (before.isalnum() or before in GREEK) else " " + word, at)
