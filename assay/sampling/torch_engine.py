"""The torch engine: batched generation with any Hugging Face causal LM, for tiny models and machines without vLLM.

The distinct prompts of a batch are left-padded and prefilled once, then its rows are decoded token by token with the
KV cache. Rows that are done leave the batch as soon as half of it is done. Sampling is by inverse CDF on counter-based
uniforms (`assay.sampling.streams`), from the full temperature-scaled distribution: no top-p, no top-k (F09).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from assay.contracts.records import FinishReason
from assay.contracts.sampling import Completion, Progress, SampleRequest, Score
from assay.sampling.models import end_token_ids, position_limit
from assay.sampling.requests import require_room
from assay.sampling.stops import StopWatcher
from assay.sampling.streams import uniforms


class TorchSampler:
    """Implements `assay.contracts.sampling.Sampler` on a model that the caller may go on training between calls."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_batch_sequences: int) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.max_batch_sequences = max_batch_sequences
        self.end_tokens = end_token_ids(model.generation_config, tokenizer)
        self.room_tokens = position_limit(model.config)
        self.watchers: dict[tuple[str, ...], StopWatcher] = {}

    @torch.no_grad()
    def generate(self, requests: Sequence[SampleRequest], progress: Progress | None = None) -> list[Completion]:
        """Completions in the order of the requests; equal prompt lengths are batched together to avoid padding.

        Raises SpecError for a request that the model has not positions enough for: beyond them it writes rubbish.
        """
        require_room(requests, self.room_tokens, "the model's max_position_embeddings")
        order = sorted(range(len(requests)), key=lambda i: (len(requests[i].prompt_tokens), requests[i].prompt_tokens))
        results: dict[int, Completion] = {}
        for start in range(0, len(order), self.max_batch_sequences):
            rows = order[start : start + self.max_batch_sequences]
            for finished in _Batch(self, [requests[i] for i in rows]).run():
                ended = {rows[place]: completion for place, completion in finished.items()}
                results.update(ended)
                if progress:
                    progress(ended)
        return [results[i] for i in range(len(requests))]

    def rest(self) -> None:
        """Nothing is held between two calls."""

    def update_weights(self, weights: Iterable[tuple[str, torch.Tensor]], score: Score | None) -> None:
        """Nothing to do: the model is the trainer's own."""

    def watcher(self, stop: tuple[str, ...]) -> StopWatcher:
        """The stop-string watcher of one task, built once."""
        if stop not in self.watchers:
            self.watchers[stop] = StopWatcher(self.tokenizer, stop)
        return self.watchers[stop]


class _Batch:
    """One batch while it is decoded. Rows keep their place in `requests`; `active_B` maps batch rows to it."""

    def __init__(self, sampler: TorchSampler, requests: Sequence[SampleRequest]) -> None:
        self.sampler = sampler
        self.requests = requests
        self.device = sampler.model.device
        self.tokens: list[list[int]] = [[] for _ in requests]
        self.logprobs: list[list[float]] = [[] for _ in requests]
        self.reasons: list[FinishReason | None] = [None] * len(requests)
        self.active_B = list(range(len(requests)))
        self.seeds_B = np.array([request.seed for request in requests], dtype=np.uint64)
        self.temperature_B1 = torch.tensor([[r.temperature] for r in requests], dtype=torch.float32, device=self.device)
        self.cache = DynamicCache(config=sampler.model.config)

    def run(self) -> Iterator[dict[int, Completion]]:
        """Prefill, then decode until every row is done: completions by their place, as they end."""
        logits_BV, mask_BS, position_B1 = self._prefill()
        for step in range(max(request.max_tokens for request in self.requests)):
            chosen_B = self._sample(logits_BV, step)
            if finished := self._note_finished(chosen_B):
                yield {row: self._completion(row) for row in finished}
            keep = np.array([self.reasons[row] is None for row in self.active_B], dtype=bool)
            if not keep.any():
                break
            input_B1, position_B1 = chosen_B[:, None], position_B1 + 1
            mask_BS = torch.cat([mask_BS, mask_BS.new_ones(len(mask_BS), 1)], dim=1)
            if keep.mean() <= 0.5:
                input_B1, mask_BS, position_B1 = self._compact(keep, input_B1, mask_BS, position_B1)
            logits_BV = self._forward(input_B1, mask_BS, position_B1)

    def _prefill(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """First logits, attention mask and last position of every row; a prompt that many rows share is run once."""
        places = {prompt: place for place, prompt in enumerate(dict.fromkeys(r.prompt_tokens for r in self.requests))}
        input_PS, mask_PS = self._left_pad(list(places))
        position_PS = (mask_PS.cumsum(-1) - 1).clamp(min=0)
        logits_PV = self._forward(input_PS, mask_PS, position_PS)
        rows_B = torch.tensor([places[request.prompt_tokens] for request in self.requests], device=self.device)
        self.cache.batch_select_indices(rows_B)
        return logits_PV[rows_B], mask_PS[rows_B], position_PS[rows_B, -1:]

    def _left_pad(self, prompts: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and attention mask, prompts flush right. Padding is told by the mask, never by its id (F10)."""
        width = max(map(len, prompts))
        input_PS = torch.zeros(len(prompts), width, dtype=torch.long)
        mask_PS = torch.zeros_like(input_PS)
        for row, prompt in enumerate(prompts):
            input_PS[row, width - len(prompt) :] = torch.tensor(prompt)
            mask_PS[row, width - len(prompt) :] = 1
        return input_PS.to(self.device), mask_PS.to(self.device)

    def _forward(self, input_BS: torch.Tensor, mask_BS: torch.Tensor, position_BS: torch.Tensor) -> torch.Tensor:
        """fp32 logits of the next token, shape (B, V)."""
        logits_B1V: torch.Tensor = self.sampler.model(
            input_ids=input_BS,
            attention_mask=mask_BS,
            position_ids=position_BS,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return logits_B1V[:, -1].float()

    def _sample(self, logits_BV: torch.Tensor, step: int) -> torch.Tensor:
        """Draw one token a row and record it with its log-prob; rows already done draw too, and are ignored."""
        greedy_B1 = self.temperature_B1 == 0
        logprobs_BV = torch.log_softmax(logits_BV / torch.where(greedy_B1, 1.0, self.temperature_B1), dim=-1)
        cdf_BV = logprobs_BV.double().exp().cumsum(-1)
        drawn_B1 = torch.from_numpy(uniforms(self.seeds_B, step)[:, None]).to(self.device) * cdf_BV[:, -1:]
        sampled_B1 = torch.searchsorted(cdf_BV, drawn_B1, right=True).clamp(max=logits_BV.shape[-1] - 1)
        chosen_B1 = torch.where(greedy_B1, logits_BV.argmax(-1, keepdim=True), sampled_B1)
        self._record(chosen_B1[:, 0].tolist(), logprobs_BV.gather(1, chosen_B1)[:, 0].tolist())
        return chosen_B1[:, 0]

    def _record(self, tokens_B: list[int], logprobs_B: list[float]) -> None:
        for row, token, logprob in zip(self.active_B, tokens_B, logprobs_B, strict=True):
            if self.reasons[row] is None:
                self.tokens[row].append(token)
                self.logprobs[row].append(logprob)

    def _note_finished(self, chosen_B: torch.Tensor) -> list[int]:
        """Mark rows that ended with this token; returns them."""
        finished: list[int] = []
        for row, token in zip(self.active_B, chosen_B.tolist(), strict=True):
            if self.reasons[row] is None:
                self.reasons[row] = self._reason(self.requests[row], token, self.tokens[row])
                finished += [row] if self.reasons[row] else []
        return finished

    def _reason(self, request: SampleRequest, token: int, tokens: list[int]) -> FinishReason | None:
        if token in self.sampler.end_tokens or self.sampler.watcher(request.stop).completed_by(token, tokens):
            return "stop"
        return "length" if len(tokens) >= request.max_tokens else None

    def _compact(self, keep: NDArray[np.bool_], *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Drop the rows that are done from the batch, the cache and the given tensors."""
        kept = torch.from_numpy(np.flatnonzero(keep)).to(self.device)
        self.active_B = [row for row in self.active_B if self.reasons[row] is None]
        self.seeds_B = self.seeds_B[keep]
        self.temperature_B1 = self.temperature_B1[kept]
        self.cache.batch_select_indices(kept)
        return tuple(tensor[kept] for tensor in tensors)

    def _completion(self, row: int) -> Completion:
        tokens, reason = self.tokens[row], self.reasons[row]
        assert reason is not None, "every row ends by a stop or by its token budget"
        shown = tokens[:-1] if tokens and tokens[-1] in self.sampler.end_tokens else tokens
        text = self.sampler.watcher(self.requests[row].stop).text(shown)
        return Completion(text, tuple(tokens), tuple(self.logprobs[row]), reason)
