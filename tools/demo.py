"""`make demo`: starts the real server, reads a receipt through both protocols, shows it beside the truth, stops."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ocrvl.serving.locate import find_model_repository
from ocrvl.serving.server import ServerFailed, ServerOptions, TritonServer
from ocrvl_client import Client, Reading
from tools.nano.measure import character_score

PICTURE = Path(__file__).parent.parent / "docs/pictures/receipt.png"
TRUTH = PICTURE.with_suffix(".txt")


def show(console: Console, truth: str, grpc: Reading, http: Reading) -> None:
    """What was printed, beside what was read through each protocol."""
    table = Table(title=f"{PICTURE.name}, read by the nano checkpoint")
    for title in ("printed on it", "read through gRPC", "read through HTTP"):
        table.add_column(title)
    table.add_row(escape(truth), escape(grpc.text), escape(http.text))
    console.print(table)
    score = character_score([grpc.text], [truth])
    console.print(f"{score:.1%} of the characters are right, in {grpc.num_output_tokens} tokens")
    console.print("nano is for demos and tests; PaddleOCR-VL itself reads far better, and needs its own weights")


def main() -> int:
    """Run the demonstration; the exit status."""
    console = Console(highlight=False)
    options = ServerOptions(find_model_repository(), http_port=0, grpc_port=0, metrics_port=0)
    try:
        with TritonServer(options) as server:
            with console.status("starting Triton with vLLM") as status:
                server.wait_until_ready(
                    lambda models, seconds: status.update(f"waiting for {', '.join(models)} ({seconds:.0f} s)")
                )
            with Client(server.grpc_url) as grpc, Client(server.http_url, protocol="http") as http:
                readings = grpc.read(PICTURE), http.read(PICTURE)
            show(console, TRUTH.read_text("utf-8").rstrip("\n"), *readings)
    except ServerFailed as error:
        console.print(f"the server could not be started:\n{error}", markup=False)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
