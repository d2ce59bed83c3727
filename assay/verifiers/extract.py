"""Finding the answer in a response: one function per rule, each linear in the length of the text.

Rules, in the order in which mode `any` tries them (the first that applies wins; its name is the verdict's `method`,
F33):

    boxed        the last balanced ``\\boxed{…}``; nested braces and escaped braces are understood. Boxes that make a
                 list with it (``\\boxed{1} and \\boxed{2}``) belong to the answer
    hash_marks   what follows the last ``####`` on its line
    answer_is    what follows the last "(final) answer is" or "answer:", up to the end of the sentence; of prose, what
                 last_math finds there
    whole        the response itself, when it is an answer and not prose
    last_math    the last ``$…$``, ``\\(…\\)`` or ``\\[…\\]``, or the last number, whichever ends later; the number is
                 2/3 and not 3

The other modes know one rule each: `the_answer_is` the third of these, and

    boxed_last     the last balanced ``\\boxed{…}`` alone

    boxed_strict   the only ``\\boxed{…}``; two, be they equal or nested, or one that never closes, are none
    last_number    the last number written in digits
    minerva        what lm_eval's minerva_math reads, to the byte
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple


class _Box(NamedTuple):
    """Where ``\\boxed`` stands, where its content begins, and where its brace closes."""

    start: int
    content: int
    close: int


class Found(NamedTuple):
    """An answer as it stands in the text, and the rule that found it."""

    text: str
    method: str


_BOX = re.compile(r"\\boxed(?![A-Za-z])")
_BRACES = re.compile(r"\\boxed\s*\{|\\[\\{}]|[{}]")
_NUMBER = re.compile(
    r"(?=[-.\d])(?:(?<![\w)\]}])-)?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?:(?<![\w)\]}])-)?\.\d+", re.ASCII
)
_QUANTITY = re.compile(
    r"(?:(?<![\w)\]}])-\s?\\?\$\s?(?=[\d.]))?"
    rf"(?:\d+ \d+/\d+|(?:{_NUMBER.pattern})(?:\s?[/:]\s?\d+)*)(?:\s?\\?%|\s?percent\b)?",
    re.ASCII,
)
_BEFORE_OPERAND = re.compile(r"[\w)\]}][*/^+]\{?$")
_BETWEEN_BOXES = re.compile(
    r"(?=.*?(?:[,;]|and|or))(?:[\s,;$~]|\\[()\[\],; ]|\\q?quad|\\(?:text|mbox)\s*\{[\s,]*(?:and|or)\s*\}|and|or)*",
    re.DOTALL,
)
_THOUSANDS = re.compile(r"(?<=\d)(?:,\\!|\{,\}|\\,)\s*(?=\d{3}(?!\d))")
_CURRENCY_SIGN = re.compile(r"-\s?\\?\$\s?(?=[\d.])")
_ANSWER_IS = re.compile(r"\banswer\s*(?:is|:)(?:\s*:)?[\s*]*", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\.(?=\s|$)|\n|<\||</")
_MATH = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)\$|\\\(((?:[^$\\]|\\[^()])+)\\\)|\\\[((?:[^$\\]|\\[^\[\]])+)\\\]")
_SPACE = re.compile(r"\s")
_PROSE_WORD = re.compile(r"[A-Za-z]{2,}")
_NOT_PROSE = re.compile(
    r"\\(?:text|mbox|textbf|textit|mathrm|mathbf)\s*\{[^{}]*\}|\\[A-Za-z]+|\\begin\{\w+\}|\\end\{\w+\}"
)
_MATH_WORDS = frozenset({
    "and", "or", "pi", "sqrt", "sin", "cos", "tan", "log", "ln", "exp", "infinity", "inf", "infty",
})  # fmt: skip
_MINERVA_BEGIN = "Final Answer: The final answer is"
_MINERVA_END = re.compile(r". I hope it is correct.")
_ANSWER_WORDS = 4
_SEGMENT_CHARS = 3
_ANSWER_CHARS = 50_000
_NUMBER_CHARS = 40


def before_stop(response: str, stop: Sequence[str]) -> str:
    """The response up to the first of the stop strings (F12); empty stop strings are ignored."""
    found = [response.find(s) for s in stop if s]
    ends = [position for position in found if position >= 0]
    return response[: min(ends)] if ends else response


def boxed(text: str) -> str | None:
    """The content of the last balanced ``\\boxed{…}``, or None. One pass whatever the nesting."""
    start = text.rfind("\\boxed")
    if start < 0:
        return None
    tail = text[start + 6 :].lstrip()
    if tail.startswith("{"):
        close = tail.find("}")
        if close > 0 and "{" not in tail[1:close] and "\\" not in tail[1:close]:
            return tail[1:close].strip()
    return _last_balanced(text)


def only_box(text: str) -> str | None:
    """The content of the response's only ``\\boxed{…}``, or None where there are more, or none that closes."""
    return boxed(text) if len(_BOX.findall(text)) == 1 else None


def boxed_list(text: str) -> str | None:
    """The content of the last balanced ``\\boxed{…}``, after those of the boxes that it is listed with."""
    if text.count("\\boxed") < 2:
        return boxed(text)
    boxes = _balanced(text)
    first = len(boxes) - 1
    while first > 0 and _BETWEEN_BOXES.fullmatch(text, boxes[first - 1].close + 1, boxes[first].start):
        first -= 1
    answers = dict.fromkeys(text[box.content : box.close].strip() for box in boxes[max(first, 0) :])
    return ", ".join(answers) or None


def _last_balanced(text: str) -> str | None:
    boxes = _balanced(text)
    return text[boxes[-1].content : boxes[-1].close].strip() if boxes else None


def _balanced(text: str) -> list[_Box]:
    """The boxes that close, in the order in which they open."""
    open_braces: list[re.Match[str]] = []
    boxes: list[_Box] = []
    for match in _BRACES.finditer(text):
        token = match.group()
        if token == "}":
            brace = open_braces.pop() if open_braces else None
            if brace and len(brace.group()) > 1:
                boxes.append(_Box(brace.start(), brace.end(), match.start()))
        elif token.endswith("{") and token != "\\{":
            open_braces.append(match)
    return sorted(boxes)


def last_number(text: str) -> str | None:
    """The last number written in digits. ``$\\boxed{18}$.`` reads 18; LaTeX thousands separators are understood."""
    plain = _CURRENCY_SIGN.sub("-", _THOUSANDS.sub("", _end_of_last_number(text)))
    last = deque(_NUMBER.finditer(plain), maxlen=1)
    return last[0].group() if last else None


def _end_of_last_number(text: str) -> str:
    """The text up to its last digit, cut where no number can begin; long responses are mostly working."""
    end = max(map(text.rfind, "0123456789")) + 1
    start = max(0, end - _NUMBER_CHARS)
    return text[:end] if text[start:end].strip("0123456789.,{}\\!$-") == "" else text[start:end]


def hash_marks(text: str) -> str | None:
    """What follows the last ``####`` on its line (the GSM8K convention)."""
    _, marks, tail = text.rpartition("####")
    line = tail.strip().split("\n", 1)[0].strip() if marks else ""
    return line or None


def answer_is(text: str) -> str | None:
    """What follows the last "answer is" or "answer:"; a formula if one stands there, else the rest of the sentence,
    or the last formula or number in it if it is prose."""
    last = deque(_ANSWER_IS.finditer(text), maxlen=1)
    if not last:
        return None
    tail = text[last[0].end() :]
    math = _MATH.match(tail)
    if math and not re.match(r"\s*(?:,|and\b|or\b)\s*\$", tail[math.end() :]):
        return _inside(math)
    sentence = _SENTENCE_END.split(tail, maxsplit=1)[0].strip(" *")
    return whole(sentence) or last_math(sentence) or sentence or None


def minerva(text: str) -> str | None:
    """What lm_eval 0.4.13's minerva_math reads: between the first "Final Answer: The final answer is" and the next ". I
    hope it is correct." on that line, which counts as written at the end of the text. None where it reads nothing.
    """
    for line in (text + "I hope it is correct.").split("\n"):
        _, found, tail = line.partition(_MINERVA_BEGIN)
        if found and (end := _MINERVA_END.search(tail)):
            return tail[: end.start()].strip()
    return None


def whole(text: str) -> str | None:
    """The text itself when it is an answer: mathematics, words only, a number with a few words after it, or anything
    without a space."""
    body = text.strip()
    if not body or len(body) > _ANSWER_CHARS:
        return None
    if not _SPACE.search(body):
        return body
    bare = _NOT_PROSE.sub(" ", body)
    words = [w for w in _PROSE_WORD.findall(bare) if not _is_mathematics(w)]
    if not words or not any(c.isdigit() or c in "=$\\" for c in body):
        return body if len(words) <= 2 * _ANSWER_WORDS and "\n\n" not in body else None
    starts_with_word = (first := _PROSE_WORD.match(bare.lstrip())) and not _is_mathematics(first.group())
    return None if starts_with_word or len(words) > _ANSWER_WORDS else body


def _is_mathematics(word: str) -> bool:
    """Names of functions, and of segments such as AB."""
    return word.lower() in _MATH_WORDS or (word.isupper() and len(word) <= _SEGMENT_CHARS)


def last_math(text: str) -> str | None:
    """The last formula or the last number, whichever ends later."""
    formulas = deque(_MATH.finditer(text), maxlen=1)
    numbers = deque((match for match in _QUANTITY.finditer(text) if not _in_name(text, match)), maxlen=1)
    if formulas and (not numbers or formulas[0].end() >= numbers[0].end()):
        return _inside(formulas[0])
    return _with_operators(text, numbers[0]) if numbers else None


def _with_operators(text: str, number: re.Match[str]) -> str:
    """A number, or the whole of ``x/2`` and ``2^{10}``."""
    start, end = number.span()
    if not _BEFORE_OPERAND.search(text[max(0, start - 3) : start]):
        return number.group()
    while end < len(text) and text[end] in ")}":
        end += 1
    return text[max(text.rfind(" ", 0, start), text.rfind("\n", 0, start)) + 1 : end]


def _in_name(text: str, match: re.Match[str]) -> bool:
    """The 1 of ``v1`` is no number."""
    before = text[match.start() - 1 : match.start()]
    return before == "_" or (before.isascii() and before.isalpha())


def _inside(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None).strip()


_MODES = {
    "boxed_strict": ((only_box, "boxed"),),
    "boxed_last": ((boxed, "boxed"),),
    "minerva": ((minerva, "minerva"),),
    "the_answer_is": ((answer_is, "answer_is"),),
    "last_number": ((last_number, "last_number"),),
    "any": (
        (boxed_list, "boxed"),
        (hash_marks, "hash_marks"),
        (answer_is, "answer_is"),
        (whole, "whole"),
        (last_math, "last_math"),
    ),
}


def find(mode: str, text: str) -> Found | None:
    """The answer by the rules of a mode, in their order."""
    for rule, method in _MODES[mode]:
        answer = rule(text)
        if answer:
            return Found(answer, method)
    return None
