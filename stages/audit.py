"""audit: which of a unit's normal images look least like the others."""

from pathlib import Path

from blemish.audit.audit import write_audit
from blemish.core.device import choose_device
from blemish.core.errors import run_stage
from blemish.core.files import finished_folder
from blemish.core.params import load_params
from blemish.images.store import GIB, STORE, ImageStore


def main(prepared: str, out: str) -> None:
    params = load_params()
    choose_device("cpu", params.training.threads)
    store = ImageStore(STORE, params.data.store_gib * GIB)
    with finished_folder(Path(out)) as folder:
        print(write_audit(Path(prepared), folder, params.audit.sheet, store))


if __name__ == "__main__":
    run_stage(main)
