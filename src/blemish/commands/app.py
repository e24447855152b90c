"""The `blemish` command: what DVC itself does not offer. Each verb is a module beside this one.

Verbs import what they run inside their functions, so that `blemish --help` comes at once.
"""

import sys

import typer

from blemish.commands.clean import clean
from blemish.commands.compare import compare
from blemish.commands.leaderboard import leaderboard
from blemish.commands.metrics import metrics
from blemish.commands.params import params
from blemish.commands.predict import predict
from blemish.commands.profile import profile
from blemish.commands.promote import promote
from blemish.commands.recalibrate import recalibrate
from blemish.commands.reference import reference
from blemish.commands.review import review
from blemish.commands.run import run
from blemish.commands.speed import speed
from blemish.commands.units import units
from blemish.commands.watch import watch
from blemish.core.errors import UserError
from blemish.core.surroundings import adapt_to_surroundings

app = typer.Typer(
    help="Blemish: industrial visual anomaly detection as a DVC pipeline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
VERBS = (
    *(run, clean, leaderboard, reference, params, units, profile, metrics),
    *(predict, speed, watch, promote),
    *(review, compare, recalibrate),
)
for verb in VERBS:
    app.command()(verb)


def main() -> None:
    """Entry point: a UserError becomes one line and exit status 1."""
    adapt_to_surroundings()
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
