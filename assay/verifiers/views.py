"""The verifiers whose verdicts stand side by side in a report, for each kind of task (F03, F04, F33)."""

from __future__ import annotations

from assay.contracts.verifier import (
    FLEXIBLE,
    STRICT,
    SYMBOLIC,
    ChoiceVerifier,
    CodeVerifier,
    InstructionsVerifier,
    JudgeVerifier,
    Verifier,
)


def views(verifier: Verifier) -> dict[str, Verifier]:
    """Name in tables -> verifier, for a task that is trained with `verifier`. It may be among them."""
    match verifier:
        case ChoiceVerifier(mode="anchor" | "simple"):
            return {mode: ChoiceVerifier(mode=mode) for mode in ("anchor", "simple")}
        case ChoiceVerifier():
            return {mode: ChoiceVerifier(mode=mode) for mode in ("legacy", "word_boundary")}
        case InstructionsVerifier():
            return {
                f"{scope}_{reading}": verifier.model_copy(update={"scope": scope, "reading": reading})
                for scope in ("prompt", "instruction")
                for reading in ("strict", "loose")
            }
        case CodeVerifier():
            return {scope: verifier.model_copy(update={"scope": scope}) for scope in ("all", "share")}
        case _ if verifier.kind in ("math", "gsm8k"):
            return {"strict": STRICT, "flexible": FLEXIBLE, "symbolic": SYMBOLIC}
        case _:
            return {verifier.kind: verifier}


def own_name(verifier: Verifier) -> str:
    """How a table that shows the views names the verifier itself: as the view that it is, else by its label."""
    return next((name for name, view in views(verifier).items() if view == verifier), verifier.label)


def gives_partial_credit(verifier: Verifier) -> bool:
    """Whether a score may lie between 0 and 1."""
    match verifier:
        case InstructionsVerifier(scope="instruction") | CodeVerifier(scope="share") | JudgeVerifier():
            return True
        case _:
            return False
