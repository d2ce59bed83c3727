"""Checks before any training: is the model asked in its own language, judged fairly, and given room to answer?

    F02/chat-template  F02/special-tokens  F02/garbage    prompt style against model kind; what the model writes
    F03/acceptance     F03/gold                           does the training verifier see what the model gets right?
    F05/prompt-parity                                     training prompt and evaluation prompt, byte by byte
    F11/token-budget   F12/run-on                         does an answer end, and where?
    F17/dropped                                           prompts that were left out
    contamination                                         held-out questions that training gives away
    moving-data                                           rows of the hub that nothing pins
    F19/verifier-ready F19/verifier                       verifiers that cannot judge here; verifiers that fail

Each check looks at data handed in and returns findings; `assay.guards.require_passed` ends the stage on errors.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from assay.contracts.errors import AssayError
from assay.contracts.manifest import Finding, Severity
from assay.contracts.records import FinishReason, Verdict
from assay.contracts.task import HubSource, TaskSpec
from assay.guards.findings import TRUNCATED_ERROR, TRUNCATED_WARN, finding
from assay.guards.text import CHAT_MARKERS, is_garbage
from assay.tasks.contamination import WINDOW_WORDS, Overlap
from assay.tasks.ids import listed, unknown_ids
from assay.verifiers import check_gold, views
from assay.verifiers.registry import kind_of

GARBAGE_WARN, GARBAGE_ERROR = 0.1, 0.3
"""Shares of garbage in the probe; the run of F02 had 0.42."""
RUN_ON_WARN, RUN_ON_ERROR = 0.02, 0.1
GOLD_ERROR = 0.05
"""Share of gold answers refused by the training verifier."""
VERIFIER_FAILED_WARN, VERIFIER_FAILED_ERROR = 0.0, 0.05
ACCEPTANCE_RATIO = 0.25
"""A training verifier that accepts less than this part of what the most lenient one accepts is an error."""
MIN_ACCEPTED = 4
"""Fewer accepted completions than this prove nothing about a verifier."""
CONTAMINATED_WARN = 0.01
"""Share of held-out questions that share words with training; one asked word for word is always a warning."""
MIN_SAMPLES = 40
"""Completions below which a share is never an error: one alone would weigh over 2.5 %."""
FRAMES = ("Question:", "Problem:", "Q:", "Exercise:", "Instruction:", "User:", "Human:")
"""How invented questions begin, besides the task's own frame."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One completion of the base model, sampled as training will sample; `text` ends before the first stop string."""

    problem_id: str
    prompt: str
    text: str
    gold: str
    finish_reason: FinishReason


def verifier_ready(task: TaskSpec) -> list[Finding]:
    """Whether this machine can judge at all: a sandbox, an endpoint, a library may be missing (F19)."""
    try:
        kind_of(task.verifier).ready(task.verifier)
    except AssayError as missing:
        return [finding("F19/verifier-ready", "error", f"task {task.name}: verifier", str(missing))]
    return []


def chat_template(task: TaskSpec, kind: Literal["base", "instruct"], has_template: bool) -> list[Finding]:
    """Whether the prompt style suits the model (F02)."""
    where = f"task {task.name}: style"
    if kind == "base" and task.style == "chat":
        message = "A base model would get a chat template, which it never saw. Use `style: completion`"
        return [finding("F02/chat-template", "error", where, message)]
    if kind == "instruct" and task.style == "chat" and not has_template:
        message = "The tokenizer has no chat template. Use the instruct model's own tokenizer, or `style: completion`"
        return [finding("F02/chat-template", "error", where, message)]
    if kind == "instruct" and task.style == "completion":
        message = "An instruct model gets its prompts without the chat template. Use `style: chat` unless that is meant"
        return [finding("F02/chat-template", "warning", where, message)]
    return []


def special_tokens(task: TaskSpec, prompts: Iterable[str], of_tokenizer: Collection[str]) -> list[Finding]:
    """Turn markers or special tokens inside completion prompts (F02)."""
    if task.style == "chat":
        return []
    markers = [*CHAT_MARKERS, *(token for token in of_tokenizer if token)]
    found = sorted({marker for prompt in prompts for marker in markers if marker in prompt})
    if not found:
        return []
    message = f"Completion prompts contain {', '.join(map(repr, found))}. Take them out of the template or the data"
    return [finding("F02/special-tokens", "error", f"task {task.name}: prompt", message)]


def garbage(task: TaskSpec, probes: Sequence[Probe]) -> list[Finding]:
    """Share of completions that are no text at all (F02)."""
    broken = [probe for probe in probes if is_garbage(probe.prompt, probe.text)]
    example = f"for instance {broken[0].text[:60]!r}" if broken else ""
    advice = f"{example}. Check `model.kind`, the prompt style and the temperature"
    return _share(
        "F02/garbage", task, len(broken), len(probes), GARBAGE_WARN, GARBAGE_ERROR, "completions are garbage", advice
    )


def acceptance(task: TaskSpec, own: Sequence[Verdict], shown: Mapping[str, Sequence[Verdict]]) -> list[Finding]:
    """How many of the same completions the training verifier and its views accept (F03) and fail on (F19).

    Args:
        own: verdicts of the training verifier over the probe.
        shown: name of a view -> its verdicts.
    """
    names = {name: view.label for name, view in views(task.verifier).items()}
    matrix = {task.verifier.label: own} | {names[name]: row for name, row in shown.items()}
    accepted = {judge: sum(verdict.status == "correct" for verdict in row) for judge, row in matrix.items()}
    told = ", ".join(f"{judge} {count}" for judge, count in accepted.items())
    severity, message = _acceptance(task, accepted, f"Of {len(own)} completions the judges accept: {told}")
    first = finding("F03/acceptance", severity, f"task {task.name}: verifier", message)
    return [first, *_verifier_failures(task, matrix)]


def _acceptance(task: TaskSpec, accepted: Mapping[str, int], shown: str) -> tuple[Severity, str]:
    own = task.verifier.label
    best = max(accepted, key=lambda judge: accepted[judge])
    if accepted[best] == 0:
        return "warning", f"{shown}. Nothing would be rewarded: take an easier task, or a larger probe"
    if accepted[best] < MIN_ACCEPTED:
        return "info", f"{shown}. Too few to compare judges"
    if accepted[own] < ACCEPTANCE_RATIO * accepted[best]:
        remedy = f"Train with `verifier: {best}` or ask in the prompt for what {own!r} reads"
        return "error", f"{shown}. {own!r} misses most of what {best!r} accepts. {remedy}"
    return "info", shown


def _verifier_failures(task: TaskSpec, matrix: Mapping[str, Sequence[Verdict]]) -> list[Finding]:
    failed = [verdict for row in matrix.values() for verdict in row if verdict.status in ("error", "timeout")]
    total = sum(map(len, matrix.values()))
    advice = f"the first says {failed[0].detail[:120]!r}. They count as neither right nor wrong" if failed else ""
    return _share(
        "F19/verifier", task, len(failed), total, VERIFIER_FAILED_WARN, VERIFIER_FAILED_ERROR, "verdicts failed", advice
    )


def gold(task: TaskSpec, golds: Sequence[str]) -> list[Finding]:
    """Gold answers that the training verifier itself refuses: no completion could ever be rewarded for them."""
    refused = check_gold(task.verifier, golds)
    advice = f"for instance {refused[:3]}. Use another verifier or mend the data" if refused else ""
    told = f"gold answers are refused by {task.verifier.label!r}"
    return _share("F03/gold", task, len(refused), len(golds), 0.0, GOLD_ERROR, told, advice)


def contaminated(heldout: Mapping[str, Sequence[str]], overlaps: Sequence[Overlap]) -> list[Finding]:
    """Held-out questions that training questions, of whatever task, give away. `heldout`: task -> its held-out ids."""
    kinds: dict[str, str] = {}
    for overlap in overlaps:
        kinds[overlap.heldout_id] = "exact" if overlap.kind == "exact" else kinds.get(overlap.heldout_id, "ngram")
    return [found for task, ids in heldout.items() for found in _contaminated(task, ids, kinds)]


def _contaminated(task: str, ids: Sequence[str], kinds: Mapping[str, str]) -> list[Finding]:
    known = [identity for identity in ids if identity in kinds]
    if not known:
        return []
    exact = sum(kinds[identity] == "exact" for identity in known)
    share = len(known) / len(ids)
    message = (
        f"{len(known)} of {len(ids)} held-out questions ({share:.1%}) are given away by training questions: "
        f"{exact} are asked word for word, {len(known) - exact} share {WINDOW_WORDS} words in a row with one; "
        f"{listed(known)}. contamination.parquet beside the prompts names the pairs; leave them out of one side"
    )
    severity: Severity = "warning" if exact or share > CONTAMINATED_WARN else "info"
    return [finding("contamination", severity, f"task {task}: heldout", message)]


def moving_data(task: TaskSpec, digests: Mapping[str, str]) -> list[Finding]:
    """Data of the hub at a branch: another day, the same ablation may be about other questions. `digests`: by split."""
    if not digests or not isinstance(task.source, HubSource):
        return []
    found = ", ".join(f"{split}: {digest}" for split, digest in digests.items())
    message = (
        f"{task.source.name} is read at {task.source.revision!r}, which may move; its rows are now {{{found}}}. "
        "Write these under `source.digest`, or a commit as `source.revision`"
    )
    return [finding("moving-data", "warning", f"task {task.name}: source.revision", message)]


def prompt_parity(task: TaskSpec, training: Mapping[str, str], evaluation: Mapping[str, str]) -> list[Finding]:
    """Prompts of the same problems as training and as evaluation renders them: problem id -> text (F05)."""
    where = f"task {task.name}: prompt"
    missing = unknown_ids(evaluation, training)
    if missing:
        message = f"Evaluation has {len(missing)} problems that were not rendered: {listed(missing)}. Prepare again"
        return [finding("F05/prompt-parity", "error", where, message)]
    different = [identity for identity, text in evaluation.items() if text != training[identity]]
    if not different:
        return []
    first = different[0]
    message = (
        f"{len(different)} of {len(evaluation)} prompts differ between training and evaluation, first {first}, "
        f"{_first_difference(training[first], evaluation[first])}. Let both be written by the task's template"
    )
    return [finding("F05/prompt-parity", "error", where, message)]


def _first_difference(a: str, b: str) -> str:
    pairs = zip(a, b, strict=False)
    at = next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))
    return f"at character {at}: {a[at : at + 30]!r} against {b[at : at + 30]!r}"


def token_budget(task: TaskSpec, probes: Sequence[Probe]) -> list[Finding]:
    """Share of completions cut by the token budget (F11)."""
    cut = sum(probe.finish_reason == "length" for probe in probes)
    told = f"completions are cut at max_completion_tokens {task.max_completion_tokens}"
    advice = "Raise the budget, or give the task the stop string that ends an answer"
    return _share("F11/token-budget", task, cut, len(probes), TRUNCATED_WARN, TRUNCATED_ERROR, told, advice)


def run_on(task: TaskSpec, probes: Sequence[Probe]) -> list[Finding]:
    """Completions that go on to invent the next question because no stop string ends them (F12)."""
    frames = dict.fromkeys([*_own_frame(task), *FRAMES])
    counts = {frame: sum(_opens_line(frame, probe.text) for probe in probes) for frame in frames}
    worst = max(counts, key=lambda frame: counts[frame])
    told = f"completions run on into a new {worst!r}"
    advice = f'Add "\\n{worst}" to the task\'s `stop`'
    return _share("F12/run-on", task, counts[worst], len(probes), RUN_ON_WARN, RUN_ON_ERROR, told, advice)


def _own_frame(task: TaskSpec) -> list[str]:
    """What the template puts before the question on its line, for instance `Question:`."""
    frame = task.prompt.split("{question}")[0].rpartition("\n")[2].strip()
    return [frame] if frame else []


def _opens_line(frame: str, text: str) -> bool:
    return re.search(rf"^[ \t]*{re.escape(frame)}", text, re.MULTILINE) is not None


def dropped(where: str, kept: int, reasons: Mapping[str, int], max_share: float) -> list[Finding]:
    """Prompts left out, by reason, against the bound of the config (F17)."""
    lost = sum(reasons.values())
    if not lost:
        return []
    share = lost / (kept + lost)
    parts = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    message = f"{lost} of {kept + lost} prompts ({share:.1%}) are left out: {parts}."
    if share > max_share:
        remedy = f"The bound max_dropped_share is {max_share:.1%}: raise max_prompt_tokens, or the bound"
        return [finding("F17/dropped", "error", where, f"{message} {remedy}")]
    return [finding("F17/dropped", "info", where, message)]


def _share(
    identity: str, task: TaskSpec, count: int, total: int, warn: float, error: float, told: str, advice: str
) -> list[Finding]:
    """A finding when `count` of `total` is over a bound; an error only from `MIN_SAMPLES` on."""
    share = count / total if total else 0.0
    if share <= warn:
        return []
    severity: Severity = "error" if share > error and total >= MIN_SAMPLES else "warning"
    return [finding(identity, severity, f"task {task.name}", f"{count} of {total} {told} ({share:.1%}); {advice}")]
