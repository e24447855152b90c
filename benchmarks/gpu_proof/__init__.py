"""The parts of `benchmarks/gpu.py`, see `benchmarks/gpu.md`."""
