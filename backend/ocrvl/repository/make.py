"""Options to a repository in a folder: checked, planned, rendered, and only then written."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

from ocrvl.launcher.locate import find_model_repository
from ocrvl.repository.checks import Checkpoint
from ocrvl.repository.folder import check_folder, write_folder
from ocrvl.repository.options import RepositoryOptions
from ocrvl.repository.plan import Plan
from ocrvl.repository.render import render_files


def make_repository(folder: Path, options: RepositoryOptions, *, force: bool = False) -> Plan:
    """Write the repository for this machine; what it holds. Relative paths are taken from the working directory.

    Raises `OptionRefused` before anything is written, `OSError` where the folder cannot be written.
    """
    check_folder(folder, force=force)
    checkpoint = Checkpoint.find(options.checkpoint, Path.cwd())
    plan = Plan(replace(options, checkpoint=checkpoint.name), checkpoint, tuple(sorted(os.sched_getaffinity(0))))
    arguments = plan.options.arguments()
    command = shlex.join(["ocrvl", "repository", str(folder.resolve()), *arguments])
    header = f"Made by this command; run it again, with --force, rather than edit this file.\n{command}"
    write_folder(folder, render_files(plan, find_model_repository(), header), arguments)
    return plan
