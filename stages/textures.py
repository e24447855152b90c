"""textures: the bank that synthetic defects are made of."""

from pathlib import Path

from blemish.core.errors import run_stage
from blemish.core.files import finished_folder
from blemish.core.params import load_params
from blemish.textures.bank import build_bank


def main(out: str) -> None:
    params = load_params()
    with finished_folder(Path(out)) as folder:
        build_bank(params.synthesis.textures, folder)


if __name__ == "__main__":
    run_stage(main)
