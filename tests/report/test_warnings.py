"""What gave the early warning is marked in the leaderboard, which says what the mark means."""

from blemish.report.tables import MARK, leaderboard, marked
from tests.report.runs import a_run, printed

WARNING = "It does not find the rendered validation defects (image AUROC 0.51, below 0.7)"


def test_one_warned_seed_marks_the_row_and_no_other() -> None:
    runs = [
        a_run("elpv/mono", "glass", 0),
        a_run("elpv/mono", "glass", 1, warning=WARNING),
        a_run("elpv/mono", "dmad", 0),
    ]
    assert [marked(row) for row in leaderboard(runs)] == [f"glass {MARK}", "dmad"]
    text = " ".join(printed(runs, 100).split())
    assert f"{MARK} glass on elpv/mono: some seed does not even find" in text


def test_nothing_is_marked_where_nothing_was_warned() -> None:
    assert MARK not in printed([a_run("elpv/mono", "glass", 0)], 100)
