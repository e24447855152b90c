"""Fixtures that several test files share."""

import os
import signal
from pathlib import Path

if os.environ.get("PYTEST_XDIST_WORKER"):  # before PyTorch is loaded: two workers, two cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as nohup leaves it, for children, too
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of real archives: BLEMISH_MIRROR, or `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("BLEMISH_MIRROR") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("needs the real archives: set BLEMISH_MIRROR to the folder that holds them")
    return folder


# By folder or file below tests/: what its tests need. `make quick-test` leaves these out.
MARKERS = {
    "pipeline": "slow",
    "run": "slow",
    "parity": "slow",
    **dict.fromkeys(
        (
            "commands/test_wheel.py",
            "core/test_bad_input.py",
            "datasets/test_sets.py",
            "docs/test_add_method.py",
            "evaluation/test_known_detectors.py",
            "evaluation/test_paper_protocol.py",
            "benchmarks/test_gpu_parts.py",
            "benchmarks/test_gpu_rehearsal.py",
            "core/test_scoring_times.py",
            "export/test_cpp_example.py",
            "export/test_export_stage.py",
            "export/test_window_graphs.py",
            "methods/test_checkpoint.py",
            "methods/test_dmad.py",
            "methods/test_esad.py",
            "methods/test_esad_loco.py",
            "methods/test_glass_fit.py",
            "methods/test_glass_precision.py",
            "methods/test_methods_saved.py",
            "methods/test_methods_scoring.py",
            "methods/test_methods_training.py",
            "methods/test_paper_profile.py",
            "methods/test_scoring_imports.py",
            "methods/test_seams.py",
            "methods/test_through_windows.py",
            "predict/test_watch_many.py",
            "predict/test_watch_process.py",
            "predict/test_trained.py",
            "report/test_build.py",
            "synthesis/test_display_defects.py",
            "synthesis/test_render.py",
            "textures/test_bank.py",
            "tracking/test_serving.py",
            "tracking/test_track.py",
        ),
        "slow",
    ),
    "run/test_cluster.py": "ray",
    "browser": "browser",
}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs minutes, Ray, a browser or the real archives.

    With several workers the pipeline's tests share workspaces that take a minute to make, so they
    run in one of them.
    """
    for item in items:
        place = item.path.relative_to(ROOT / "tests")
        for name, marker in MARKERS.items():
            if place.is_relative_to(name):
                item.add_marker(marker)
        if "mirror" in getattr(item, "fixturenames", ()):
            item.add_marker("archives")
        group = place.parent if place.parts[0] == "pipeline" else place
        item.add_marker(pytest.mark.xdist_group(str(group)))
