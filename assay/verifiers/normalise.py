"""One spelling for the many ways an answer is written: LaTeX, Unicode or plain text in, a plain linear string out.

`clean` is idempotent in meaning, linear in length and never raises. What it settles:

- delimiters (``$``, ``\\(``, ``\\left``), spacing commands, fonts and a trailing full stop vanish;
- ``\\dfrac``, ``\\tfrac``, ``\\cfrac`` are ``\\frac``; ``²``, ``×``, ``≤``, ``∪`` and their LaTeX commands are one
  symbol each;
- set braces become ``⦃ ⦄``, degree signs ``°``, ``\\%`` and "percent" ``%``;
- currency signs vanish; the thousands separators ``,\\!``, ``{,}`` and ``\\,`` vanish (the plain comma is ambiguous
  and left);
- words from ``\\text{…}`` are kept between U+E000 and U+E001, so that a unit is not taken for a product of
  variables.

Units policy (`split_unit`): a unit is dropped when one side has none; two known units that differ make answers
different. A percent sign may be read as a unit (28 % ≡ 28) or as a factor (28 % ≡ 0.28); without a sign 28 and 0.28
differ.
"""

from __future__ import annotations

import re
from functools import lru_cache

TEXT_OPEN, TEXT_CLOSE = "\ue000", "\ue001"
MAX_CHARS = 50_000
"""Longer answers are compared as they are."""

_UNICODE = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/", "⁄": "/", "∕": "/",
        "⩽": "≤", "⩾": "≥", "½": "\\frac{1}{2}", "⅓": "\\frac{1}{3}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}",
        "²": "^2", "³": "^3", "⁴": "^4", "√": "\\sqrt ", "º": "°", "’": "'", "′": "'",
        "€": "", "£": "", "，": ",", "（": "(", "）": ")", "\xa0": " ", "\u2009": " ", "\u202f": " ",
        TEXT_OPEN: "", TEXT_CLOSE: "",
    }
)  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\ufeff]")

_SYMBOLS = {
    "cdot": "*", "times": "*", "ast": "*", "div": "/", "le": "≤", "leq": "≤", "leqslant": "≤", "ge": "≥",
    "geq": "≥", "geqslant": "≥", "lt": "<", "gt": ">", "ne": "≠", "neq": "≠", "infty": "∞", "pm": "±", "mp": "∓",
    "cup": "∪", "in": "∈", "pi": "π", "lbrace": "⦃", "rbrace": "⦄", "langle": "⟨", "rangle": "⟩", "lfloor": "⌊",
    "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "vert": "|", "lvert": "|", "rvert": "|", "mid": "|", "degree": "°",
    "degrees": "°", "prime": "'", "dfrac": "\\frac", "tfrac": "\\frac", "cfrac": "\\frac", "dbinom": "\\binom",
    "tbinom": "\\binom", "emptyset": "∅", "varnothing": "∅", "lbrack": "[", "rbrack": "]", "colon": ":", "sim": "~",
    "land": ",", "lor": ",", "quad": " ", "qquad": " ", "displaystyle": "", "textstyle": "", "limits": "", "bf": "",
    "rm": "", "it": "", "boxed": "", "fbox": "", "left": "", "right": "", "middle": "", "big": "", "Big": "",
    "bigg": "", "Bigg": "", "bigl": "", "bigr": "", "Bigl": "", "Bigr": "", "biggl": "", "biggr": "",
    "thinspace": " ", "enspace": " ", "space": " ", "nobreakspace": " ", "ldotp": ".",
}  # fmt: skip
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_LEFT_DOT = re.compile(r"\\(?:left|right)\s*\.")
_FONT = re.compile(
    r"\\(text|textbf|textit|textrm|textnormal|texttt|mathrm|mathbf|mathit|mathsf|mathcal|boldsymbol|bm|mbox|hbox|operatorname"
    r"|emph|underline|overline)\s*\{([^{}]*)\}"
)
_FUNCTION_NAMES = frozenset({
    "sin", "cos", "tan", "sec", "csc", "cot", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "ln", "log", "lg",
    "exp",
})  # fmt: skip
_FONT_DEPTH = 8

_REWRITES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<=\d)(?:,\\!|\{,\}|\\,|\\!|\\;)\s*(?=\d{3}(?!\d))", ""),
        (r"(?<!\\)\\[()\[\]]", " "),
        (r"(?<!\\)\\[{]", "⦃"),
        (r"(?<!\\)\\[}]", "⦄"),
        (r"(?<!\\)\\[,;: ]|(?<!\\)~", " "),
        (r"(?<!\\)\\!", ""),
        (r"\\?\$", ""),
        (r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))", "°"),
        (r"\\?%|\bper ?cent\b", "%"),
        (r"\*\*", "^"),
        (r"<=", "≤"),
        (r">=", "≥"),
        (r"!=", "≠"),
        (r"==", "="),
    )
)
_DOUBLE_ESCAPED = re.compile(r"\\\\(?=[A-Za-z]{2})")
_ENVIRONMENT = re.compile(r"(?<!\\)\\begin")
_TRAILING = " \t\r\n.,;\\"


@lru_cache(maxsize=16_384)
def _clean_short(text: str) -> str:
    return _clean(text)


def clean(text: str) -> str:
    """The one spelling of an answer. Results for short strings are remembered: golds repeat within a group."""
    if len(text) > MAX_CHARS:
        return text.strip()
    return _clean_short(text) if len(text) <= 256 else _clean(text)


def _clean(text: str) -> str:
    text = _CONTROL.sub("", text).translate(_UNICODE)
    if not _ENVIRONMENT.search(text):
        text = _DOUBLE_ESCAPED.sub(r"\\", text)
        text = text.replace("\\\\\\\\", "\\\\")
    text = _LEFT_DOT.sub("", text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = _unfont(text)
    text = _COMMAND.sub(_command, text)
    text = re.sub(r"\^\s*\{\s*('+)\s*\}|\^('+)", r"\1\2", text)
    return re.sub(r"\s+", " ", text).strip().rstrip(_TRAILING)


def _command(match: re.Match[str]) -> str:
    return _SYMBOLS.get(match[1], match[0])


def _unfont(text: str) -> str:
    for _ in range(_FONT_DEPTH):
        text, count = _FONT.subn(_font, text)
        if not count:
            break
    return text


def _font(match: re.Match[str]) -> str:
    """Words stay marked as words; numbers, formulas and single symbols are mathematics set in another fount."""
    font, content = match[1], match[2].strip()
    if content in _FUNCTION_NAMES:
        return f"\\{content} "
    letter_unit = len(content) == 1 and content.islower() and font in ("text", "mbox")
    if letter_unit or re.search(r"[A-Za-z]{2}|[ap]\.m|[a-z]/[a-z]", content):
        return f"{TEXT_OPEN}{content}{TEXT_CLOSE}"
    return f" {content} " if content else " "


def words_of(text: str) -> str:
    """A verbal answer reduced to its letters and digits: case, spaces, punctuation and LaTeX dress do not count."""
    return re.sub(r"[^0-9a-z]+", "", re.sub(r"\\[A-Za-z]+", "", text).casefold())


_UNIT_GROUPS = (
    "cm centimeter centimeters centimetre centimetres", "mm millimeter millimeters",
    "km kilometer kilometers kilometre kilometres", "m meter meters metre metres", "in inch inches", "ft foot feet",
    "yd yard yards", "mile miles mi", "s sec second seconds", "min minute minutes mins", "h hr hour hours hrs",
    "day days", "week weeks", "month months", "year years yr yrs", "g gram grams", "kg kilogram kilograms",
    "lb lbs pound pounds", "oz ounce ounces", "l liter liters litre litres", "ml", "dollar dollars usd",
    "cent cents", "euro euros", "mph", "kmh", "degree degrees °", "radian radians rad", "%", "unit units",
    "sq square squared", "cubic cubed", "per",
)  # fmt: skip
_UNITS = {word: group.split()[0] for group in _UNIT_GROUPS for word in group.split()}
_NO_UNIT = frozenset({
    "pi", "sqrt", "sin", "cos", "tan", "sec", "csc", "cot", "log", "ln", "lg", "exp", "and", "or", "infinity", "inf",
    "mod", "frac", "theta", "alpha", "beta",
})  # fmt: skip
_MARKED_UNIT = re.compile(rf"\s*{TEXT_OPEN}([^{TEXT_CLOSE}]*){TEXT_CLOSE}\s*(?:\^\s*\{{?\s*\d\s*\}}?)?\s*$")
_PLAIN_UNIT = re.compile(r"(?<=[\d)}π ])([A-Za-z]+)\.?\s*(?:\^\s*\{?\s*\d\s*\}?)?\s*$")
_SIGN_UNIT = re.compile(r"\s*([°%])\s*$")
_TRIGONOMETRIC = re.compile("sin|cos|tan|cot|sec|csc")
_UNIT_WORDS, _UNIT_CHARS = 6, 80


def split_unit(text: str) -> tuple[str, str]:
    """(value, canonical unit or "") of a cleaned answer such as ``18 hours``, ``15 cm^2``, ``28 %``, ``90°``."""
    value, units = text, []
    for _ in range(_UNIT_WORDS):
        tail = max(0, len(value) - _UNIT_CHARS)
        match = _sign_unit(value, tail) or _MARKED_UNIT.search(value, tail) or _plain_unit(value, tail)
        if match is None or not any(c.isdigit() or c == "π" for c in value[: match.start()]):
            break
        value = value[: match.start()].rstrip(" -/")
        units.append(match[1])
    return value, _canonical_unit(units)


def _sign_unit(value: str, tail: int) -> re.Match[str] | None:
    """A degree sign inside a function's argument is no unit of the answer."""
    match = _SIGN_UNIT.search(value, tail)
    return None if match and match[1] == "°" and _TRIGONOMETRIC.search(value) else match


def _plain_unit(value: str, tail: int) -> re.Match[str] | None:
    match = _PLAIN_UNIT.search(value, tail)
    if match is None or match[1].lower() in _NO_UNIT or (match.start(1) and value[match.start(1) - 1] == "\\"):
        return None
    word, spaced = match[1], value[match.start(1) - 1 : match.start(1)] == " "
    listed = word.lower() in _UNITS and len(word) > 1
    noun = spaced and len(word) >= 4 and word.islower() and bool(re.search("[aeiouy]", word))
    return match if listed or noun else None


def _canonical_unit(units: list[str]) -> str:
    words = [w for unit in reversed(units) for w in re.findall(r"[a-z%°]+", unit.lower())]
    known = [_UNITS[w] for w in words if w in _UNITS and _UNITS[w] not in ("unit", "sq", "cubic", "per")]
    return " ".join(known)
