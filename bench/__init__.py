"""Benchmarks: one module per claim. `python -m bench` runs them; see docs/benchmarks.md."""
