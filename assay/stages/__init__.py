"""One module a stage: `run(spec, work) -> Outcome`, and `main(…)`, what a component or `assay stage` calls."""
