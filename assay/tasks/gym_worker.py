"""The process in which reasoning-gym writes its questions; `reasoning_gym` starts it by path.

Some of its data sets draw from the global generators or iterate over sets, so that their questions differ from one
process to the next; some print. Here generators are seeded for every question, PYTHONHASHSEED is fixed by who starts
this, and what is printed goes to standard error.

A line of JSON in, {"settings", "seed"}, and one out: {"question", "answer"}; or {"refused": why}, {"known": [data set]}
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
from importlib import import_module
from typing import Any

import numpy as np

GYM: Any = import_module("reasoning_gym.factory")


def drawn(dataset: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """One question; or why the data set refuses these settings; or the data sets that there are."""
    if dataset not in GYM.DATASETS:
        return {"known": sorted(GYM.DATASETS)}
    random.seed(seed)
    np.random.seed(seed)
    try:
        item = GYM.create_dataset(dataset, seed=seed, size=1, **settings)[0]
    except (TypeError, AssertionError, ValueError) as error:
        return {"refused": str(error)}
    return {"question": item["question"], "answer": "" if item["answer"] is None else str(item["answer"])}


def main() -> None:
    """Answer until nobody asks."""
    replies = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        for line in sys.stdin:
            print(json.dumps(drawn(sys.argv[1], **json.loads(line))), file=replies, flush=True)


if __name__ == "__main__":
    main()
