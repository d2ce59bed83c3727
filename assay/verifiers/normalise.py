"""One spelling for the many ways an answer is written: LaTeX, Unicode or plain text in, a plain linear string out.

`clean` is idempotent in meaning, linear in length and never raises. What it settles:

- delimiters (``$``, ``\\(``, ``\\left``), spacing commands, fonts and a trailing full stop vanish;
- ``\\dfrac``, ``\\tfrac``, ``\\cfrac`` are ``\\frac``; ``²``, ``×``, ``≤``, ``∪`` and their LaTeX commands are one
  symbol each;
- set braces become ``⦃ ⦄``, degree signs ``°``, ``\\%`` and "percent" ``%``;
- a repetend is its fraction (``0.1\\overline{6}`` is 1/6); ``\\overline{AB}`` is AB;
- currency signs vanish; the thousands separators ``,\\!``, ``{,}`` and ``\\,`` vanish (the plain comma is ambiguous
  and left);
- words from ``\\text{…}`` are kept between U+E000 and U+E001, so that a unit is not taken for a product of
  variables.

A unit (`split_unit`) has a power and a denominator: cm², square cm and cm^2 are one, m/s and metres per second are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from assay.verifiers.memory import remembered

TEXT_OPEN, TEXT_CLOSE = "\ue000", "\ue001"
MAX_CHARS = 50_000
"""Longer answers are compared as they are."""

_UNICODE = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/", "⁄": "/", "∕": "/",
        "⩽": "≤", "⩾": "≥", "½": "\\frac{1}{2}", "⅓": "\\frac{1}{3}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}",
        "…": "\\ldots ", "≈": "\\approx ", "∩": "\\cap ", "∖": "\\setminus ", "ℝ": "\\mathbb{R}",
        "ℤ": "\\mathbb{Z}",
        "²": "^2", "³": "^3", "⁴": "^4", "√": "\\sqrt ", "º": "°", "’": "'", "′": "'",
        "€": "", "£": "", "，": ",", "（": "(", "）": ")", "。": ".", "、": ",", "；": ";", "：": ":",
        "\xa0": " ", "\u2009": " ", "\u202f": " ",
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
    "cap": "∩", "setminus": "∖", "smallsetminus": "∖", "backslash": "∖", "approx": "≈", "equiv": "≡", "ldots": "…",
    "bmod": " mod ", "dots": "…", "cdots": "…", "dotsc": "…", "dotsb": "…", "mathbf": "", "mathrm": "", "mathit": "",
    "land": ",", "lor": ",", "quad": " ", "qquad": " ", "displaystyle": "", "textstyle": "", "limits": "", "bf": "",
    "rm": "", "it": "", "boxed": "", "fbox": "", "left": "", "right": "", "middle": "", "big": "", "Big": "",
    "bigg": "", "Bigg": "", "bigl": "", "bigr": "", "Bigl": "", "Bigr": "", "biggl": "", "biggr": "",
    "thinspace": " ", "enspace": " ", "space": " ", "nobreakspace": " ", "ldotp": ".", "surd": "\\sqrt", "large": "",
    "Large": "", "LARGE": "", "huge": "", "Huge": "", "small": "", "normalsize": "", "pounds": "", "angle": "",
    "hfill": " ",
}  # fmt: skip
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_LEFT_DOT = re.compile(r"\\(?:left|right)\s*\.")
_FONT = re.compile(
    r"\\(text|textbf|textit|textrm|textnormal|texttt|mathrm|mathbf|mathit|mathsf|mathcal|boldsymbol|bm|mbox|hbox|operatorname"
    r"|emph|underline|vec|hat|overrightarrow)\s*\{([^{}]*)\}"
)
FUNCTION_NAMES = frozenset({
    "sin", "cos", "tan", "sec", "csc", "cot", "arcsin", "arccos", "arctan", "arcsec", "arccsc", "arccot", "sinh",
    "cosh", "tanh", "sech", "csch", "coth", "arcsinh", "arccosh", "arctanh", "ln", "log", "lg", "exp", "cis",
})  # fmt: skip
_FONT_DEPTH = 8
_COUNTED = re.compile(r"(-?\d[\d.,/]*)\s+((?!and\b|or\b)[A-Za-z]{2}[^\d]*)")


def _number_set(match: re.Match[str]) -> str:
    return {"R": "ℝ", "Z": "ℤ", "N": "ℕ", "Q": "ℚ", "C": "ℂ"}[match[1] or match[2]]


def _repetend(match: re.Match[str]) -> str:
    """``0.1\\overline{6}`` and ``0.1666…`` as a fraction."""
    whole, once, again = match[1], match[2], match[3] or match[4]
    above = int((whole + once + again) or 0) - int((whole + once) or 0)
    return f"\\frac{{{above}}}{{{10 ** len(once) * (10 ** len(again) - 1)}}}"


Rules = tuple[tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]
"""Each rule is tried only where its sign occurs: most answers hold few."""


def _compiled(*rules: tuple[str, str, str | Callable[[re.Match[str]], str]]) -> Rules:
    return tuple((sign, re.compile(pattern), replacement) for sign, pattern, replacement in rules)


_LATEX_REWRITES = _compiled(
    ("\\dot", r"\\dot\s*\{?(\d)\}?(?:(\d{0,30})\\dot\s*\{?(\d)\}?)?", r"\\overline{\1\2\3}"),
    ("\\", r"(?<![\d.])(\d{0,30})\.(\d{0,30})\s*\\(?:overline|bar)\s*(?:\{(\d{1,30})\}|(\d))", _repetend),
    ("\\overline", r"\\overline\s*\{((?:\s*[A-Z]'?){2,}|\d+)\s*\}", r" \1 "),
    ("\\", r"(?<=\d)(?:\s*,\s*\\!|\\[,!;])\s*(?=\d{3}(?!\d))", ""),
    ("\\over", r"\{([^{}]{1,200})\\over(?![A-Za-z])([^{}]{1,200})\}", r"\\frac{\1}{\2}"),
    ("phantom", r"\\[hv]?phantom\s*\{[^{}]*\}", ""),
    ("color", r"\\(?:text)?color\s*\{[^{}]*\}", ""),
    ("space", r"\\[hv]space\*?\s*\{[^{}]*\}", " "),
    ("\\", r"(?<!\\)\\[()\[\],;: ]", " "),
    ("\\{", r"(?<!\\)\\[{]", "⦃"),
    ("\\}", r"(?<!\\)\\[}]", "⦄"),
    ("\\!", r"(?<!\\)\\!", ""),
    ("bb", r"\\(?:mathbb|Bbb)\s*(?:\{\s*([RZNQC])\s*\}|([RZNQC])(?![A-Za-z]))", _number_set),
    ("\\circ", r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))", "°"),
    ("\\choose", r"\{([^{}]{1,20})\\choose(?![A-Za-z])([^{}]{1,20})\}", r"\\binom{\1}{\2}"),
    ("\\choose", r"^([^{}]{1,20})\\choose(?![A-Za-z])([^{}]{1,20})$", r"\\binom{\1}{\2}"),
    ("\\pmod", r"\\pmod\s*(?:\{\s*(\w+)\s*\}|(\w))", r"(mod \1\2)"),
    ("\\%", r"\\%", "%"),
    ("\\$", r"\\\$", ""),
)
_REWRITES = _compiled(
    ("{}", r"\{\}", ""),
    ("{:}", r"\{:\}", ":"),
    ("{,}", r"(?<=\d)\{,\}(?=\d{1,2}(?!\d))", "."),
    (",", r"(?<=\d)\s*\{\s*,\s*\}\s*(?=\d{3}(?!\d))", ""),
    ("~", r"(?<!\\)~", " "),
    ("$", r"\$", ""),
    ("...", r"\.{3}", r"…"),
    ("cent", r"\bper ?cent(?:age)?\b", "%"),
    ("nfinity", r"\b[Ii]nfinity\b", "∞"),
    ("pct", r"\bpct\b", "%"),
    ("10", r"(?<=\d)\s*x\s*(?=10\s*\^)", "*"),
    ("U", r"(?<=[)\]⦄])\s*U\s*(?=[(\[⦃])", "∪"),
    ("oo", r"(?<![A-Za-z])oo(?![A-Za-z])", "∞"),
    ("**", r"\*\*", "^"),
    ("<=", "<=", "≤"),
    (">=", ">=", "≥"),
    ("!=", "!=", "≠"),
    ("==", "==", "="),
)
_DOUBLE_ESCAPED = re.compile(r"\\\\(?=[A-Za-z]{2})")
_ENVIRONMENT = re.compile(r"(?<!\\)\\begin")
_BEFORE_ANSWER = re.compile(r"^(?:[≈~=]\s*)+")
_QUOTES = tuple('*`"“ ')
_PRIMES = re.compile(r"\^\s*\{\s*('+)\s*\}|\^('+)")
_NUMBER_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_BASES = {word: str(value) for value, word in enumerate(_NUMBER_WORDS, 2)} | {"sixteen": "16"}
_SPELLED_BASE = re.compile(rf"_\s*\{{?\s*{TEXT_OPEN}({'|'.join(_BASES)}){TEXT_CLOSE}\s*\}}?", re.IGNORECASE)
_MARKDOWN = re.compile(r"^\s*(\*\*|`|\"|“)(.*?)(?:\*\*|`|\"|”)\.?\s*$", re.DOTALL)
_ELLIPSIS = re.compile(r"(?<![\d.])(\d{0,30})\.(\d{0,12}?)(\d{1,12}?)(\3{2,})…")
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SCALE = re.compile(rf"(?<=\d) ?({TEXT_OPEN}?) ?({'|'.join(_SCALES)})\b")
_SPOKEN_RATIO = re.compile(rf"(\d+) ?{TEXT_OPEN}?\s*to\s*{TEXT_CLOSE}? ?(\d+)")
_TRAILING = " \t\r\n.,;\\"


@remembered
def clean(text: str) -> str:
    """The one spelling of an answer."""
    if len(text) > MAX_CHARS:
        return text.strip()
    if not text.isprintable():
        text = _CONTROL.sub("", text)
    if not text.isascii():
        text = text.translate(_UNICODE)
    if text[:1] in _QUOTES:
        text = _MARKDOWN.sub(r"\2", text)
    if "\\" in text:
        text = _rewritten(_LATEX_REWRITES, _unescaped(text))
    text = _rewritten(_REWRITES, text)
    if "\\" in text:
        text = _COMMAND.sub(_command, _unfont(text))
    if "'" in text:
        text = _PRIMES.sub(r"\1\2", text)
    if TEXT_OPEN in text:
        text = _SPELLED_BASE.sub(lambda match: "_" + _BASES[match[1].lower()], text)
    if "…" in text:
        text = _ELLIPSIS.sub(_repetend, text)
    text = " ".join(text.split()).rstrip(_TRAILING)
    if "illion" in text or "thousand" in text:
        text = _SCALE.sub(lambda match: f"*10^{_SCALES[match[2]]} {match[1]}", text)
    if "to" in text and (ratio := _SPOKEN_RATIO.fullmatch(text)):
        return f"{ratio[1]}:{ratio[2]}"
    return _BEFORE_ANSWER.sub("", text) if text[:1] in "≈~=" else text


def _rewritten(rules: Rules, text: str) -> str:
    for sign, pattern, replacement in rules:
        if sign in text:
            text = pattern.sub(replacement, text)
    return text


def _unescaped(text: str) -> str:
    """Without doubled backslashes, which JSON leaves behind, and the invisible ends of ``\\left.``"""
    if "\\\\" in text and not _ENVIRONMENT.search(text):
        text = _DOUBLE_ESCAPED.sub(r"\\", text)
        text = text.replace("\\\\\\\\", "\\\\")
    return _LEFT_DOT.sub("", text)


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
    if counted := _COUNTED.fullmatch(content):
        return f"{counted[1]} {TEXT_OPEN}{counted[2]}{TEXT_CLOSE}"
    if content in FUNCTION_NAMES:
        return f"\\{content} "
    letter_unit = len(content) == 1 and content.islower() and font in ("text", "mbox")
    if letter_unit or re.search(r"[A-Za-z]{2}|[ap]\.m|[a-z]/[a-z]", content):
        return f"{TEXT_OPEN}{content}{TEXT_CLOSE}"
    return f" {content} " if content else " "


_PUNCTUATION = re.compile(r"(?!-[\d\\(]|[./]\d|(?<=\b\w)-(?=\w\b))[^\w+=<>≤≥≠±^\[\]|]")
_ARTICLE = re.compile(r"^[^0-9a-z]*(?:an?|the)\s+(?=[a-z]{2})")


def words_of(text: str) -> str:
    """A verbal answer reduced to letters, numbers and signs: case, spaces, punctuation and an article in front do not
    count."""
    return _PUNCTUATION.sub("", _ARTICLE.sub("", text.casefold()))


_UNIT_GROUPS = (
    "cm centimeter centimeters centimetre centimetres", "mm millimeter millimeters millimetre millimetres",
    "km kilometer kilometers kilometre kilometres", "m meter meters metre metres", "in inch inches", "ft foot feet",
    "yd yard yards", "mile miles mi", "s sec secs second seconds", "min minute minutes mins", "h hr hour hours hrs",
    "day days", "week weeks wk", "month months", "year years yr yrs", "g gram grams gm", "kg kilogram kilograms",
    "lb lbs pound pounds", "oz ounce ounces", "l liter liters litre litres", "ml milliliter milliliters",
    "gallon gallons", "quart quarts", "pint pints", "acre acres", "hectare hectares", "tonne tonnes", "watt watts",
    "milligram milligrams", "joule joules", "newton newtons", "volt volts", "dollar dollars usd", "cent cents",
    "euro euros", "mph", "kmh kph", "° degree degrees deg", "radian radians rad", "%", "celsius", "fahrenheit",
)  # fmt: skip
_UNITS = {word: group.split()[0] for group in _UNIT_GROUPS for word in group.split()}
_UNIT_PARTS = frozenset({"per", "sq", "square", "squared", "cubic", "cubed", "unit", "units"})
_POWERS = {"sq": "2", "square": "2", "squared": "2", "cubic": "3", "cubed": "3"}
_COMPOUNDS = {"mph": "mile/h", "kmh": "km/h"}
_TEMPERATURES = {"c": "celsius", "f": "fahrenheit"}
_UNIT_TOKEN = re.compile(r"[a-z%°]+|[\^/]\s*\{?\s*\d?")
_NO_UNIT = FUNCTION_NAMES | {
    "pi", "sqrt", "and", "or", "infinity", "inf", "mod", "frac", "theta", "alpha", "beta", "choose",
}  # fmt: skip
_MARKED_UNIT = re.compile(rf"\s*{TEXT_OPEN}([^{TEXT_CLOSE}]*){TEXT_CLOSE}\s*(?:\^\s*\{{?\s*\d\s*\}}?)?\s*$")
_PLAIN_UNIT = re.compile(r"(?<=[\d)}π ])([A-Za-z]+(?:/[a-z]+)?)\.?\s*(?:\^\s*\{?\s*\d\s*\}?)?\s*$")
_SIGN_UNIT = re.compile(rf"\s*([°%](?:\s*{TEXT_OPEN}?[CF]{TEXT_CLOSE}?)?)\s*$")
_TRIGONOMETRIC = re.compile("sin|cos|tan|cot|sec|csc|cis")
_UNIT_WORDS, _UNIT_CHARS = 6, 80


def split_unit(text: str) -> tuple[str, str]:
    """(value, canonical unit or "") of a cleaned answer such as ``18 hours``, ``15 cm^2``, ``28 %``, ``90°``."""
    value = text
    for _ in range(_UNIT_WORDS):
        tail = max(0, len(value) - _UNIT_CHARS)
        match = _sign_unit(value, tail) or _MARKED_UNIT.search(value, tail) or _plain_unit(value, tail)
        if match is None or not any(c.isdigit() or c == "π" for c in value[: match.start()]):
            break
        value = value[: match.start()].rstrip(" -/")
    return value, _canonical_unit(text[len(value) :]) if value != text else ""


def _sign_unit(value: str, tail: int) -> re.Match[str] | None:
    """A degree sign inside a function's argument is no unit of the answer."""
    match = _SIGN_UNIT.search(value, tail)
    return None if match and match[1][0] == "°" and _TRIGONOMETRIC.search(value) else match


def _plain_unit(value: str, tail: int) -> re.Match[str] | None:
    match = _PLAIN_UNIT.search(value, tail)
    if match is None or match[1].lower() in _NO_UNIT or (match.start(1) and value[match.start(1) - 1] == "\\"):
        return None
    word, spaced = match[1], value[match.start(1) - 1 : match.start(1)] == " "
    listed = len(word) > 1 and all(part in _UNITS or part in _UNIT_PARTS for part in word.lower().split("/"))
    listed = listed and (spaced or "/" not in word)
    noun = spaced and len(word) >= 4 and word.islower() and bool(re.search("[aeiouy]", word))
    return match if listed or noun else None


@lru_cache(maxsize=1_024)
def _canonical_unit(text: str) -> str:
    """``square metres per second`` as ``m2/s``; words that are no unit of measurement do not count."""
    parts: list[str] = []
    power, above = "", True
    for token in _UNIT_TOKEN.findall(text.lower()):
        word = _TEMPERATURES.get(token, token) if parts and parts[-1] == "°" else token
        if word in _POWERS and not (word.endswith("d") and parts):
            power = _POWERS[word]
        elif word[0] == "^" or word in _POWERS:
            parts[-1:] = [parts[-1] + (_POWERS.get(word) or word[-1])] if parts else []
        elif word[0] == "/" or word == "per":
            above = False
        elif unit := _UNITS.get(word):
            unit = unit if above else "/" + unit
            parts, power, above = [*parts, _COMPOUNDS.get(unit, unit) + power], "", True
    return "".join(parts)


def same_unit(a: str, b: str) -> bool:
    """Whether two canonical units are one; degrees may be those of a thermometer."""
    return a == b or {a, b} in ({"°", "°celsius"}, {"°", "°fahrenheit"})
