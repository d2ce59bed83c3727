"""What must hold before the first update, and what is looked at again from time to time. Else the run is stopped.

    prompts      decode to what the task rendered; no special token where the model was never taught any (F02, F05)
    step 0       trainer = sampler log-probs, ratio = 1, KL = 0: three views of one model (F09, F25)
    gradients    Adam's eps lies below them, or it turns the loss scale into a learning rate (F15, F16)

Bounds are what rounding explains in the precision that the model computes in (`assay.contracts.precision`); whatever
else differs, differs by more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from transformers import PreTrainedTokenizerBase

from assay.contracts.errors import InvariantError
from assay.contracts.precision import BOUNDS, bounds
from assay.contracts.records import PromptRow
from assay.contracts.task import TaskSpec
from assay.contracts.training import OptimizerSpec, TrainSpec
from assay.training.metrics import kl_metrics, mismatch_metrics

TokenValues = Sequence[Sequence[float]]

EPS_DOMINATES = 1.0
"""Adam's eps in gradient RMS from which on it is over half of Adam's denominator, √v + eps."""


def check_prompts(prompts: Sequence[PromptRow], tokenizer: PreTrainedTokenizerBase) -> None:
    """Token ids are the prompt's text, byte for byte (or as the tokenizer's own normaliser spells it)."""
    for prompt in prompts:
        decoded = tokenizer.decode(prompt.prompt_tokens, clean_up_tokenization_spaces=False)
        if decoded not in (prompt.prompt, _normalised(prompt.prompt, tokenizer)):
            at = next((i for i, (a, b) in enumerate(zip(decoded, prompt.prompt, strict=False)) if a != b), len(decoded))
            raise InvariantError(
                f"prompt {prompt.id}: its tokens decode to {decoded[at : at + 30]!r} at character {at}, where the task "
                f"rendered {prompt.prompt[at : at + 30]!r} (F05). Prepare again with the tokenizer of the model"
            )


def _normalised(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend.normalizer.normalize_str(text) if backend is not None and backend.normalizer else text


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids of those with a role (`eos_token`, …), and of special ones without any, as Llama 3's <|eot_id|> (F02)."""
    added = tokenizer.added_tokens_decoder
    return {*tokenizer.all_special_ids, *(token for token, entry in added.items() if entry.special)}


def check_special_tokens(
    prompts: Sequence[PromptRow], tasks: Mapping[str, TaskSpec], special: Collection[int], begin: int | None
) -> None:
    """A prompt that is plain text holds no token of the chat template; the one that begins every text may (F02)."""
    for prompt in prompts:
        tokens = prompt.prompt_tokens[1:] if prompt.prompt_tokens[:1] == [begin] else prompt.prompt_tokens
        found = sorted(set(tokens) & set(special))
        if found and tasks[prompt.task].style != "chat":
            raise InvariantError(
                f"prompt {prompt.id}: a completion prompt holds special tokens {found} (F02). Take them out of the "
                "template or the data, or give the task `style: chat`"
            )


def check_agreement(step: int, trainer: TokenValues, sampler: TokenValues, spec: TrainSpec) -> None:
    """Trainer and sampler are one model: their log-probs of the same tokens agree (F09, F25)."""
    gap, k3 = mismatch_metrics(trainer, sampler)["logprob_gap_mean"], kl_metrics(sampler, trainer)["kl"]
    allowed = bounds(spec)
    if not (gap <= allowed.gap and k3 <= allowed.k3):
        raise InvariantError(
            f"step {step}: trainer and sampler log-probs differ by {gap:.4g} nats a token on average (k3 {k3:.2g}), "
            f"{spec.engine.dtype} explains {allowed.gap:g} (k3 {allowed.k3:g}; F09, F25). Check temperature, precision "
            "and weight sync, or set train.logprob_tolerance if it is meant to be so"
        )


def check_ratio(step: int, ratio_max: float, spec: TrainSpec) -> None:
    """π_θ / π_old = 1 in the first update of a run: the policy has not moved since it scored the completions."""
    allowed = bounds(spec).ratio
    if not ratio_max <= allowed:
        raise InvariantError(
            f"step {step}: the importance ratio of the run's first update reaches {ratio_max:.4g}, not 1 "
            f"({spec.engine.dtype} explains {allowed:g}): the policy scores its own completions in two ways (F25). "
            "Switch dropout off in the model's config"
        )


def check_reference(policy: TokenValues, reference: TokenValues, spec: TrainSpec) -> None:
    """KL to the reference is 0 before the first update."""
    kl, allowed = kl_metrics(policy, reference)["kl"], BOUNDS[spec.engine.dtype].k3
    if not kl <= allowed:
        raise InvariantError(
            f"step 0: KL to the reference is {kl:.3g}, not 0 ({spec.engine.dtype} explains {allowed:g}). "
            "The reference is not the start model: start the run in an empty artifact, without foreign checkpoints"
        )


def check_adam_eps(grad_rms: float, grad_norm: float, spec: OptimizerSpec) -> None:
    """Adam's eps against the first gradient as Adam sees it, after clipping (F15, F16). One of 0 tells nothing."""
    seen = grad_rms * min(1.0, spec.max_grad_norm / grad_norm) if grad_norm > 0 else 0.0
    if seen and spec.eps >= EPS_DOMINATES * seen:
        raise InvariantError(
            f"train.optimizer.eps is {spec.eps:g} and the first gradient's RMS {seen:.2g}: updates would be "
            f"{1 + spec.eps / seen:.3g} times too small, and follow the loss scale (F16). Set it to {seen / 1000:.0e}"
        )
