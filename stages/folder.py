"""folder: list a user's own folder (`data.folders`), so that DVC sees which unit changed."""

from pathlib import Path

from blemish.core.errors import run_stage
from blemish.core.files import finished_file, sha256, write_json
from blemish.core.params import load_params
from blemish.datasets.own_folder import categories_in, inventory, left_out


def main(name: str, path: str, out: str) -> None:
    load_params()
    root = Path(path).expanduser()
    listing = {category: _files(root, category) for category in categories_in(name, root)}
    with finished_file(Path(out)) as temporary:
        write_json(temporary, listing)


def _files(root: Path, category: str) -> dict[str, str]:
    """The files of a category with their digests; and, as a note depends on it, what is no use."""
    files = {image: sha256(file) for image, file in inventory(root, category).items()}
    rest = left_out(root, category)
    return files | ({"": rest} if rest else {})


if __name__ == "__main__":
    run_stage(main)
