"""`python -m ocrvl.models.engine.headless_worker MODEL_JSON --node-rank N`: one more machine of an engine.

It ends when the engine's first machine does, with status 1: ranks without their engine are of no use, and whoever runs
them can start the whole again.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ocrvl.engine_settings import EngineSettings
from ocrvl.processes import descendants, kill

_CHECK_SECONDS = 2.0
_LOST_AFTER = 5
"""So many checks in a row that find nobody; a machine that is only busy still accepts a connection."""


def main(arguments: list[str] | None = None) -> int:
    """Take part until the engine ends."""
    parser = argparse.ArgumentParser(prog="ocrvl.models.engine.headless_worker", description=__doc__)
    parser.add_argument("settings", type=Path, help="the model.json of the engine's first machine")
    parser.add_argument("--node-rank", type=int, required=True, help="which machine this is, from 1 on")
    options = parser.parse_args(arguments)
    try:
        settings = EngineSettings.from_file(options.settings)
    except ValueError as error:
        parser.error(str(error))
    args = settings.engine_args
    machines = int(args.get("nnodes", 1))
    if not 0 < options.node_rank < machines:
        parser.error(f"--node-rank: {options.node_rank} is not below nnodes ({machines}) and at least 1")
    if not {"master_addr", "master_port"} <= args.keys():
        parser.error(f"{options.settings}: expected master_addr and master_port of the first machine")
    watch_leader(str(args["master_addr"]), int(args["master_port"]), _end)
    from ocrvl.models.engine.vllm_engine import run_headless_worker

    run_headless_worker(settings, options.node_rank)
    return 1


def watch_leader(host: str, port: int, on_lost: Callable[[], None], check_seconds: float = _CHECK_SECONDS) -> None:
    """Call `on_lost`, from a thread, when the first machine was there and is gone.

    Its ranks wait for it without end: vLLM tells them of its end only where it has time to.
    """

    def check() -> None:
        seen, missed = False, 0
        while missed < _LOST_AFTER:
            try:
                socket.create_connection((host, port), timeout=check_seconds).close()
                seen, missed = True, 0
            except OSError:
                missed += seen
            time.sleep(check_seconds)
        on_lost()

    threading.Thread(target=check, name="leader-watch", daemon=True).start()


def _end() -> None:
    print("the engine's first machine is gone", file=sys.stderr, flush=True)  # noqa: T201 - a command
    kill(descendants())
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
