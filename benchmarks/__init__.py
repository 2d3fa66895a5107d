"""Side-by-side timing; `python -m benchmarks` runs it."""
