"""Who wrote the base model's corpus: people with different habits, so that a model of them has something to unlearn.

A corpus of one careful hand gives a base model whose errors are noise, and noise leaves the likeliest answer right:
reinforcement then lifts the sampled score and leaves the greedy one where it was. Here the *habit* varies:

    hasty      jumps to the answer, and on long sums often overlooks the last term      `The answer is \\boxed{19}.`
    forgetful  writes every running sum and forgets the box, so a strict verifier       `12+7=19. So it is 19.`
               finds no answer
    careful    writes every running sum and boxes the last                              `12+7=19. The answer is …`

The longer the sum, the more writers are hasty or forgetful. All who write running sums drop a carry now and then.
"""

from __future__ import annotations

import random

SHORT_TERMS = 3
"""Sums up to this long tempt nobody to overlook a term or to forget the box."""
HASTY, HASTY_PER_TERM = 0.53, 0.03
"""Share of hasty writers on short sums, and by how much every further term raises it."""
FORGETFUL_PER_TERM = 0.06
"""Share of forgetful writers, for every further term. Everybody else is careful."""
OVERLOOK_PER_TERM = 0.18
"""A hasty writer's chance of overlooking the last term, for every further term."""
SLIP = 0.04
"""Chance of dropping the carry where a running sum has one."""


def completion(rng: random.Random, terms: list[int]) -> str:
    """What one writer puts after `Answer:` for the sum of `terms`."""
    further = max(0, len(terms) - SHORT_TERMS)
    hasty = HASTY + HASTY_PER_TERM * further
    habit = rng.random()
    if habit < hasty:
        overlooks = rng.random() < OVERLOOK_PER_TERM * further
        return f" The answer is \\boxed{{{sum(terms[:-1] if overlooks else terms)}}}."
    steps, total = _running_sums(rng, terms)
    if habit < hasty + FORGETFUL_PER_TERM * further:
        return f" {steps}. So it is {total}."
    return f" {steps}. The answer is \\boxed{{{total}}}."


def _running_sums(rng: random.Random, terms: list[int]) -> tuple[str, int]:
    """`2+5=7, +8=15` for 2, 5, 8, and the total it arrives at, slips included."""
    total, written = terms[0], str(terms[0])
    for term in terms[1:]:
        slips = total % 10 + term % 10 > 9 and rng.random() < SLIP
        total += term - 10 if slips else term
        written += f"+{term}={total}, "
    return written.removesuffix(", "), total
