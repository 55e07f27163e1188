"""Training and scoring of the embedded checkpoints: `python -m training --help`."""

from __future__ import annotations

import typer

from training.fields import commands as fields
from training.mini import commands as mini
from training.nano import commands as nano

app = typer.Typer(help="The embedded checkpoints.", add_completion=False, no_args_is_help=True)
app.add_typer(nano.app, name="nano")
app.add_typer(mini.app, name="mini")
app.add_typer(fields.app, name="fields")

if __name__ == "__main__":
    app()
