"""Many stages at once: what `dvc repro` does, on all cores, all GPUs or a cluster."""
