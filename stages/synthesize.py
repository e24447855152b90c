"""synthesize: recipes for training, rendered validation and weak-defect sets, a preview."""

from pathlib import Path

from blemish.core.errors import run_stage
from blemish.core.files import finished_folder
from blemish.core.params import load_params
from blemish.synthesis.synthesize import synthesize


def main(prepared: str, textures: str, crops: str, out: str) -> None:
    params = load_params()
    with finished_folder(Path(out)) as folder:
        synthesize(Path(prepared), Path(textures), Path(crops), params.synthesis, folder)


if __name__ == "__main__":
    run_stage(main)
