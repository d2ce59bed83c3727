"""A task turned into prompts: source -> problems -> disjoint splits -> rendered, tokenised rows.

task   = load_task(path)                       the YAML, checked
splits = split_problems(TaskUse(task=task, …), seed)
rows, dropped = prompt_rows(task, splits, tokenizer)
write_prompts(path, rows)
"""

from assay.tasks.contamination import Overlap, contamination
from assay.tasks.ids import canonical_id, require_known, require_unique
from assay.tasks.loading import load_task
from assay.tasks.prompts import Tokenizer, prompt_rows, render
from assay.tasks.shots import Shots
from assay.tasks.sources import data_digests, load_problems, moving_digests
from assay.tasks.splits import Splits, split_problems

__all__ = [
    "Overlap",
    "Shots",
    "Splits",
    "Tokenizer",
    "canonical_id",
    "contamination",
    "data_digests",
    "load_problems",
    "load_task",
    "moving_digests",
    "prompt_rows",
    "render",
    "require_known",
    "require_unique",
    "split_problems",
]
