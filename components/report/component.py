"""Kubeflow component of the stage `report`."""

from kfp import dsl


@dsl.component(base_image="assay/cpu:0.1.0-python3.11", install_kfp_package=False)
def report(
    ablation: str,
    node: str,
    key: str,
    root: str,
    runtime: str,
    metrics: dsl.Output[dsl.Metrics],
    card: dsl.Output[dsl.Markdown],
    page: dsl.Output[dsl.HTML],
) -> str:
    """Write the report: HTML, Markdown and summary.json. Returns the artifact's URI."""
    from pathlib import Path

    from assay.stages import report

    shown = report.main(ablation, node, key, root, runtime)
    for name, value in shown.metrics.items():
        metrics.log_metric(name, value)
    Path(card.path).write_text(shown.markdown, encoding="utf-8")
    Path(page.path).write_text(shown.html, encoding="utf-8")
    return shown.uri
