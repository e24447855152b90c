"""The report: the leaderboard, the files that DVC plots, and one page that shows it all."""
