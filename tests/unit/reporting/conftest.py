"""A made-up ablation, complete down to hostile completions, from which the report's tests (and anyone curious) draw a
page."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from assay.contracts.manifest import Finding
from assay.contracts.records import PromptRow, SampleRow, ScoredRow, Verdict
from assay.contracts.report import (
    BandScore,
    CheckpointScore,
    CurriculumBin,
    CurvePoint,
    KnowledgeFormat,
    PassAtK,
    ReportData,
    SampleCard,
)
from assay.contracts.summary import ArmSummary, Comparison, Delta, Metric, StageSummary, Summary
from assay.reporting.scores import ModelScores, by_question

ARMS = ("grpo", "dr_grpo", "easy to hard")
TASKS = ("sums", "chains")
LEVELS = ("2x1", "2x2", "3x2", "4x2")
GAINS = {"grpo": 0.19, "dr_grpo": 0.012, "easy to hard": 0.214}
BINS = ((0.0, 0.0), (0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.0), (1.0, 1.0))
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><!-- <script>alert(1)</script> {{ 7*7 }} \u2028 | `x`"
BASE_SCORES = {
    "pass@1": (0.412, 1.0),
    "pass@2": (0.53, 0.7),
    "pass@4": (0.64, 0.45),
    "pass@8": (0.731, 0.28),
    "greedy": (0.448, 1.1),
    "greedy_strict": (0.448, 1.1),
    "greedy_symbolic": (0.52, 0.8),
    "greedy_flexible": (0.5, 0.7),
}
"""Metric -> the base model's score, and which part of an arm's gain it sees."""

DECLARED = """\
name: sums-grpo
description: Does ordering by difficulty help?
model: {path: models/tiny-sums, kind: base}
seeds: [0, 1]
train:
  steps: 40
  kl: {coefficient: 1e-3}
  optimizer: {learning_rate: 1.0e-4}
arms:
  grpo: {}
  dr_grpo:
    loss: {objective: dr_grpo, clip_high: 0.28}
  easy to hard:
    prompts: {order: easy_to_hard}
"""
RESOLVED = DECLARED.replace("  steps: 40\n", "  steps: 40\n  temperature: 1.0\n  samples_per_prompt: 8\n").replace(
    "arms:\n", "  loss: {objective: grpo, clip_high: 0.2}\n  prompts: {order: shuffled}\narms:\n"
)


def actual(arm: str) -> dict[str, str]:
    return {
        "steps": "40",
        "temperature": "1.0",
        "samples_per_prompt": "8",
        "kl.coefficient": "1e-06" if arm == "grpo" else "0.001",
        "optimizer.learning_rate": "0.0001",
        "loss.objective": "dr_grpo" if arm == "dr_grpo" else "grpo",
        "loss.clip_high": "0.28" if arm == "dr_grpo" else "0.2",
        "prompts.order": "easy_to_hard" if arm == "easy to hard" else "shuffled",
    }


def metric(value: float, gain: float | None, n: int) -> Metric:
    half = 1.96 * math.sqrt(max(value * (1 - value), 1e-4) / n)
    delta = None
    if gain is not None:
        paired = half * 0.75
        p = min(1.0, 2 * math.exp(-0.72 * (gain / paired * 1.96) ** 2))
        delta = Delta(value=gain, ci_low=gain - paired, ci_high=gain + paired, p_adjusted=p)
    return Metric(value=value, ci_low=max(0, value - half), ci_high=min(1, value + half), n=n, delta_vs_base=delta)


def metrics(task: str, gain: float | None, n: int) -> dict[str, Metric]:
    shift = {"sums": 0.03, "chains": -0.05}.get(task, 0.0)
    found = {}
    for name, (base, part) in BASE_SCORES.items():
        mine = None if gain is None else gain * part
        found[f"{task}/{name}"] = metric(min(0.98, base + shift + (mine or 0)), mine, n)
    found[f"{task}/truncated"] = metric(0.031 if gain is None else 0.012, None if gain is None else -0.019, n)
    return found


def arm_summary(arm: str, tasks: tuple[str, ...], seeds: int, gain: float | None, n: int) -> ArmSummary:
    found = {key: value for task in tasks for key, value in metrics(task, gain, n).items()}
    chosen = "" if arm == "base" else ", ".join(f"step-{40 - 10 * (seed % 2):06d}" for seed in range(seeds))
    health = ("kl-spike",) if arm == "dr_grpo" else ()
    hours = 0.0 if arm == "base" else 0.21
    return ArmSummary(
        seeds=max(seeds, 1), checkpoint=chosen, metrics=found, health=health, gpu_hours=0, train_hours=hours
    )


def curve_points(arm: str, place: int, seed: int, steps: int) -> list[CurvePoint]:
    random_ = random.Random(f"{arm}/{seed}")
    last = steps * 6 // 10 if arm == "dr_grpo" and seed == 1 else steps
    points = []
    for step in range(last):
        up = 1 - math.exp(-step / (9 + 4 * place))
        values = {
            "reward_mean": 0.41 + 0.26 * up + random_.gauss(0, 0.015),
            "kl": 0.0002 * (step + 1) * (1 + place) + abs(random_.gauss(0, 0.0008)),
            "entropy": 0.82 - 0.4 * up + random_.gauss(0, 0.02),
            "grad_norm": 1.2 + random_.expovariate(1.8) + (60 if arm == "dr_grpo" and step == 20 else 0),
            "completion_tokens_mean": 21 + 3 * up + random_.gauss(0, 0.4),
            "truncated_share": max(0, 0.03 - 0.02 * up + random_.gauss(0, 0.002)),
            "clip_fraction": abs(random_.gauss(0.004, 0.002)),
            "ratio_max": 1 + random_.expovariate(3),
            "learning_rate": 1e-4 * min(1, (step + 1) / 5),
            "step_seconds": 1.5 + random_.gauss(0, 0.05),
            "reward_std": math.nan if step == 3 else 0.3 + random_.gauss(0, 0.01),
        }
        if step % 10 == 9 or step == 0:
            values["validation_accuracy"] = 0.41 + 0.22 * up - 0.1 * (arm == "dr_grpo") * up + random_.gauss(0, 0.012)
        points.append(CurvePoint(arm, seed, step, values))
    return points


def verdict(status: str, answer: int) -> Verdict:
    if status == "timeout":
        return Verdict("timeout", 0.0, str(answer), "boxed", "no verdict within 1 s")
    if status == "unparseable":
        return Verdict("unparseable", 0.0)
    return Verdict(status, float(status == "correct"), str(answer), "boxed")  # type: ignore[arg-type]


def sample_cards(models: tuple[str, ...], count: int) -> list[SampleCard]:
    random_ = random.Random(7)
    cards = []
    for place in range(count):
        task, level = TASKS[place // len(models) % 2], LEVELS[place // (2 * len(models)) % 4]
        a, b = random_.randint(2, 99), random_.randint(2, 99)
        prompt = f"Question: What is {a} + {b}?\nWork it out, then write the answer in \\boxed{{}}.\nAnswer:"
        right, boxed = random_.random() < 0.6, random_.random() < 0.8
        answer = a + b if right else a + b + random_.choice((-10, 1, 10))
        steps = f" {a} + {b} = {answer}.\nThe tens give {a // 10 + b // 10}, the units {a % 10 + b % 10}.\n"
        text = steps + (f"So the answer is \\boxed{{{answer}}}." if boxed else f"So the answer is {answer}.")
        truncated = place % 17 == 5
        text = HOSTILE if place == 3 else text[: len(text) // 2] if truncated else text
        strict = ("correct" if right else "wrong") if boxed and not truncated else "unparseable"
        lenient = "timeout" if place == 11 else "unparseable" if truncated else "correct" if right else "wrong"
        verdicts = {"strict": strict, "flexible": "correct" if right else "wrong", "symbolic": lenient}
        cards.append(
            SampleCard(
                model=models[place % len(models)],
                task=task,
                level=level,
                problem_id=f"{task}/{level}-{place // len(models):04d}",
                prompt=prompt,
                gold=str(a + b),
                mode="greedy" if place % 3 else "sampled",
                text=text,
                truncated=truncated,
                tokens=len(text) // 3,
                verdicts={name: verdict(status, answer) for name, status in verdicts.items()},
                own="strict",
                lm_eval={"strict-match": float(strict == "correct"), "flexible-extract": float(right)},
            )
        )
    return cards


def findings() -> tuple[Finding, ...]:
    return (
        Finding(
            id="kl-spike",
            failure="F32",
            severity="warning",
            where="dr_grpo/seed1/step 23",
            message="KL rose to 0.84 at step 23 while the reward rose; read samples of steps 20 to 24.",
        ),
        Finding(
            id="guard/gradient",
            failure="F21",
            severity="error",
            where="dr_grpo/seed1",
            message="grad_norm was above 200 for 3 steps; stopped at step 24. Lower optimizer.learning_rate.",
        ),
        Finding(
            id="format-drift",
            failure="F04",
            severity="warning",
            where="grpo",
            message="Answers in the asked-for format fell from 81.2 % to 64.0 %; give `format` a reward weight.",
        ),
        Finding(
            id="setting-differs",
            failure="F28",
            severity="error",
            where="grpo/kl.coefficient",
            message="Declared 1e-3, the run used 1e-06; run the arm again.",
        ),
        Finding(
            id="seeds",
            failure="F29",
            severity="info",
            where="seeds",
            message="Two seeds per arm show a difference between arms of 3 points at best; use five to see less. "
            + HOSTILE,
        ),
    )


def make_report(
    arms: tuple[str, ...] = ARMS, tasks: tuple[str, ...] = TASKS, seeds: int = 2, steps: int = 40, samples: int = 200
) -> ReportData:
    gains = {arm: GAINS.get(arm, 0.2 * math.sin(place)) for place, arm in enumerate(arms)}
    models = ("base", *arms)
    summary = Summary(
        name="sums-grpo",
        verdict="easy to hard beats the base model by 21.4 points (95 % interval 17.6 to 25.2). "
        "Between easy to hard and grpo there is no evidence of a difference.",
        primary_metric="pooled/pass@1",
        arms={
            model: arm_summary(model, tasks, seeds if model in gains else 0, gains.get(model), 256) for model in models
        },
        pooled={
            model: arm_summary(model, ("pooled",), seeds if model in gains else 0, gains.get(model), 256 * len(tasks))
            for model in models
        },
        comparisons=tuple(
            comparison(a, b, gains[a] - gains[b]) for place, a in enumerate(arms) for b in arms[place + 1 :]
        ),
        stages=(
            StageSummary(name="prepare", key="a1" * 10, reused=True, seconds=4.2),
            StageSummary(name="curriculum", key="b2" * 10, reused=True, seconds=312),
            *(
                StageSummary(name=f"train {arm}/seed{seed}", key="c3" * 10, reused=False, seconds=378 + 11 * seed)
                for arm in arms
                for seed in range(seeds)
            ),
            StageSummary(name="report", key="d4" * 10, reused=False, seconds=8.9),
        ),
        dropped={"prepare/prompt too long": 12, "rescore/symbolic timeout": 1, "train/truncated": 1034},
    )
    return ReportData(
        summary=summary,
        description="Does ordering prompts by the base model's pass rate help a 0.8 M-parameter model learn sums?",
        created="2026-11-21T06:30:00Z",
        model="models/tiny-sums",
        parameters=812_544,
        hardware="2 CPU cores",
        curves=tuple(
            point
            for place, arm in enumerate(arms)
            for seed in range(seeds)
            for point in curve_points(arm, place, seed, steps)
        ),
        pass_at_k=tuple(pass_at_k(model, gains.get(model, 0), k) for model in models for k in (1, 2, 4, 8)),
        bands=tuple(band for model in models for band in band_scores(model, gains.get(model, 0))),
        checkpoints=tuple(
            CheckpointScore(
                arm, seed, step, *spread(0.412 + gains[arm] * step / 40 - 0.02 * seed), step == 40 - 10 * (seed % 2)
            )
            for arm in arms
            for seed in range(seeds)
            for step in (10, 20, 30, 40)
        ),
        curriculum=tuple(
            CurriculumBin(level, low, high, abs(place * 2 - bin_) * 14 + 3)
            for place, level in enumerate(LEVELS)
            for bin_, (low, high) in enumerate(BINS)
        ),
        knowledge=tuple(knowledge(model, task, gains.get(model, 0)) for model in models for task in tasks),
        findings=findings() if arms == ARMS else (),
        samples=tuple(sample_cards(("base", *(f"{arm}/seed0/step-000040" for arm in arms)), samples)),
        declared=DECLARED,
        resolved=RESOLVED,
        actual={arm: actual(arm) for arm in arms},
    )


def comparison(a: str, b: str, gap: float) -> Comparison:
    verdict = "no evidence of a difference" if abs(gap) < 0.05 else "better" if gap > 0 else "worse"
    p = 0.41 if abs(gap) < 0.05 else 0.0004
    return Comparison(a=a, b=b, value=gap, ci_low=gap - 0.045, ci_high=gap + 0.045, p_adjusted=p, verdict=verdict)  # type: ignore[arg-type]


def spread(value: float, half: float = 0.04) -> tuple[float, float, float]:
    return value, value - half, value + half


def pass_at_k(model: str, gain: float, k: int) -> PassAtK:
    return PassAtK(model, k, *spread(min(0.97, 0.412 + gain + (0.32 - gain * 0.7) * math.log2(k) / 3), 0.03))


def band_scores(model: str, gain: float) -> list[BandScore]:
    scores = [
        BandScore(
            model,
            "level",
            f"{task}/{level}",
            *spread(min(0.96, 0.85 - 0.2 * place + gain * (0.4 + place / 4)), 0.06),
            64,
        )
        for task in TASKS
        for place, level in enumerate(LEVELS)
    ]
    bands = ("0 %", "1–25 %", "26–50 %", "51–75 %", "76–99 %", "100 %")
    return scores + [
        BandScore(
            model,
            "base pass rate",
            band,
            *spread(min(0.97, 0.04 + place * 0.17 + gain * (1 - place / 6)), 0.05),
            40 + place,
        )
        for place, band in enumerate(bands)
    ]


def knowledge(model: str, task: str, gain: float) -> KnowledgeFormat:
    kept = 0.64 if model == "grpo" and task == "chains" else 0.83 + gain * 0.5
    right = 0.52 + gain * 0.8
    lm_eval = {"strict-match": right * kept, "flexible-extract": right * 0.97}
    truncated = 0.061 if model == "base" and task == "chains" else 0.012
    return KnowledgeFormat(model, task, right, kept, right * kept, right * 0.96, lm_eval, truncated, 256)


@pytest.fixture
def report() -> ReportData:
    return make_report()


@pytest.fixture(scope="session")
def make() -> Callable[..., ReportData]:
    return make_report


VERDICTS = {
    "+": Verdict("correct", 1.0),
    "-": Verdict("wrong", 0.0),
    "0": Verdict("unparseable", 0.0),
    "!": Verdict("error", 0.0, detail="the worker died"),
    "?": Verdict("timeout", 0.0, detail="late"),
}
"""One letter a verdict, so that a question's answers read as a word."""
MATHS = ("strict", "flexible", "symbolic")


def scored_rows(
    problem_id: str, sampled: str = "", greedy: str = "", truncated: int = 0, names: tuple[str, ...] = MATHS
) -> list[ScoredRow]:
    """The rows of one question under one model: a letter for each sampled answer; `greedy` holds a letter for each
    view's verdict on one greedy answer, or one for all. The own verdict is that of the first view. The first
    `truncated` rows ran out of tokens."""
    letters = [("sampled", place, letter * len(names)) for place, letter in enumerate(sampled)]
    letters += [("greedy", 0, greedy * len(names) if len(greedy) == 1 else greedy)] if greedy else []
    return [
        ScoredRow(
            sample_row(problem_id, mode, index, place < truncated),
            VERDICTS[read[0]],
            {name: VERDICTS[letter] for name, letter in zip(names, read, strict=True)},
        )
        for place, (mode, index, read) in enumerate(letters)
    ]


def sample_row(problem_id: str, mode: str, index: int, truncated: bool) -> SampleRow:
    return SampleRow(
        model="",
        task=problem_id.split("/")[0],
        problem_id=problem_id,
        level="",
        mode=mode,  # type: ignore[arg-type]
        sample_index=index,
        prompt_digest="",
        text="",
        finish_reason="length" if truncated else "stop",
        completion_tokens=1,
        gold="",
        lm_eval_scores={"strict-match": 1.0} if mode == "greedy" else {},
    )


def model_scores(arm: str, rows: list[ScoredRow], seed: int = 0, step: int = 10, chosen: bool = True) -> ModelScores:
    return ModelScores(arm, seed, step, chosen, by_question(rows))


def question_row(problem_id: str, level: str = "easy") -> PromptRow:
    return PromptRow(problem_id, problem_id.split("/")[0], "heldout", "", "", level, "", [])


@pytest.fixture
def answered() -> Callable[..., list[ScoredRow]]:
    return scored_rows


@pytest.fixture
def scored_by() -> Callable[..., ModelScores]:
    return model_scores


@pytest.fixture
def question() -> Callable[..., PromptRow]:
    return question_row
