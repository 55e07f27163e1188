"""`python -m perf figures`: write the tables of the documentation from the figures, or say which are stale."""

from __future__ import annotations

from typing import Annotated

import typer

from perf.figures.pages import ROOT, list_pages, write_tables


def main(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit status 1 where a page is stale.")] = False,
) -> None:
    """Write the tables of all Markdown files from `perf/figures/*.json`.

    A table stands between `<!-- figures: NAME -->` and `<!-- end -->`, each on a line of its own, where NAME is a file
    without `.json`, or `NAME/TABLE` for another than its first table. The comments may be moved to any page.
    """
    try:
        stale = [page for page in list_pages() if write_tables(page) != page.read_text("utf-8")]
    except ValueError as error:
        print(error)
        raise typer.Exit(2) from None
    for page in stale:
        print(f"{'stale: ' if check else ''}{page.relative_to(ROOT)}")
        if not check:
            page.write_text(write_tables(page), "utf-8")
    if check and stale:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
