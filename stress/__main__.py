"""Load, faults, attacks and fuzzing: `python -m stress --help`."""

from __future__ import annotations

import typer

from stress.endurance import documents, faults, soak
from stress.fuzz import command as fuzz
from stress.hostile import command as hostile
from stress.receipts import command as receipts

app = typer.Typer(
    help="Tests that take minutes to hours, on servers of their own.", add_completion=False, no_args_is_help=True
)
app.command("faults")(faults.main)
app.command("soak")(soak.main)
app.command("documents")(documents.main)
app.command("hostile")(hostile.main)
app.command("fuzz")(fuzz.main)
app.command("receipts")(receipts.main)

if __name__ == "__main__":
    app()
