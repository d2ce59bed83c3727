"""Pinning down what decides results: digests of model and data, versions of the packages that compute numbers or judge.

Where tasks are judged by tests of programs, so is Python's version; where by instructions, the digest of NLTK's data.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Collection, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.version import Version

from assay.contracts.ablation import AblationSpec, CurriculumSpec, ModelSpec, ResolvedAblation
from assay.contracts.base import digest
from assay.contracts.errors import InvariantError
from assay.contracts.reward import VerifierPart
from assay.contracts.verifier import Verifier
from assay.plan.load import arm_train_spec
from assay.storage import fetch_uri
from assay.tasks.files import file_digest
from assay.tasks.sources import data_digests
from assay.verifiers.nltk_data import NAME as NLTK_DATA
from assay.verifiers.nltk_data import nltk_data

NUMERIC_PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "scipy",
    "lm-eval",
    "math-verify",
    "sympy",
    "antlr4-python3-runtime",
    "google-re2",
    "if-verifiable",
    "nltk",
    "langdetect",
    "emoji",
    "syllapy",
)


_ASKED_FOR = {"python": "code", NLTK_DATA: "instructions"}
"""Part of the environment -> the kind of verifier for whose sake it is one."""


def resolve(spec: AblationSpec, declared: str = "") -> ResolvedAblation:
    """The ablation with model and data digests and the numeric environment. Raises DataError for missing data files.

    `declared` is the file's own text, for the report.
    """
    model = spec.model.model_copy(update={"digest": model_digest(spec.model)})
    return ResolvedAblation(
        spec=spec.model_copy(update={"model": model, "curriculum": _pinned_curriculum(spec.curriculum)}),
        data_digests={use.task.name: digest(list(data_digests(use.task.source).values())) for use in spec.tasks},
        environment=numeric_environment() | verdict_environment({verifier.kind for verifier in _judges(spec)}),
        declared=declared,
    )


def _pinned_curriculum(curriculum: CurriculumSpec) -> CurriculumSpec:
    if curriculum.file is None:
        return curriculum
    return curriculum.model_copy(update={"file_digest": file_digest(Path(curriculum.file))})


def numeric_environment() -> dict[str, str]:
    """Installed versions of the packages that decide numbers; absent ones are left out.

    Without the build (`2.13.0+cpu` is 2.13.0): like the device, it does not make other work of the same spec.
    """
    found = {}
    for name in NUMERIC_PACKAGES:
        try:
            found[name] = Version(version(name)).public
        except PackageNotFoundError:
            continue
    return found


def verdict_environment(kinds: Collection[str]) -> dict[str, str]:
    """What else decides the verdicts of these kinds of verifier, and no package's version tells."""
    python = {"python": ".".join(platform.python_version_tuple()[:2])} if "code" in kinds else {}
    return python | (nltk_data() if "instructions" in kinds else {})


def _judges(spec: AblationSpec) -> Iterator[Verifier]:
    """Every verifier of the ablation: its tasks', and those that are parts of an arm's reward."""
    yield from (use.task.verifier for use in spec.tasks)
    for arm in spec.arms:
        parts = arm_train_spec(spec, arm).reward_weights.values()
        yield from (part.verifier for part in parts if isinstance(part, VerifierPart))


def locked_environment(lock: Path) -> dict[str, str]:
    """The same, as a pip lock file pins them: what an image holds that is made from it."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))
    return {name: Version(pins[name]).public for name in NUMERIC_PACKAGES if name in pins}


def check_environment(declared: dict[str, str]) -> None:
    """Raises InvariantError where a package is installed here in another version than the keys were made for."""
    here = numeric_environment() | verdict_environment({kind for name, kind in _ASKED_FOR.items() if name in declared})
    wrong = [
        f"{name} {here[name]}, not {wanted}" for name, wanted in declared.items() if here.get(name, wanted) != wanted
    ]
    if wrong:
        problem = f"this environment has {', '.join(wrong)}: results would lie under keys of other versions"
        raise InvariantError(f"{problem}. Compile where these versions are installed, or build the images again")


def model_digest(model: ModelSpec) -> str:
    """sha256 over a directory's files, or over hub id and revision."""
    directory = fetch_uri(model.path)
    if not directory.is_dir():
        return digest(["hub", model.path, model.revision])
    files = sorted(file for file in directory.iterdir() if file.is_file() and _decides(file))
    return digest([[file.name, file_digest(file)] for file in files])


def _decides(file: Path) -> bool:
    """Model cards and hidden files change nothing."""
    return file.suffix in {".safetensors", ".json", ".model", ".jinja", ".txt"}
