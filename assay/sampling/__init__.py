"""Writing completions: model loading, per-request random streams, the torch engine behind the `Sampler` protocol."""
