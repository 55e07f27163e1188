"""`make demo`: starts the real server, reads a receipt and a document, shows them beside the truth, stops."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ocrvl.launcher.server import ServerFailed, TritonServer
from ocrvl_client import Client, Document, Reading
from perf.harness.documents import DrawnPage, Typesetter, write_pdf
from perf.harness.server import server_options
from training.common.measure import character_score

IMAGE = Path(__file__).parent.parent / "docs/images/receipt.png"
TRUTH = IMAGE.with_suffix(".txt")


def show(console: Console, truth: str, grpc: Reading, http: Reading) -> None:
    """What was printed, beside what was read through each protocol."""
    table = Table(title=f"{IMAGE.name}, read by the nano checkpoint")
    for title in ("printed on it", "read through gRPC", "read through HTTP"):
        table.add_column(title)
    table.add_row(escape(truth), escape(grpc.text), escape(http.text))
    console.print(table)
    score = character_score([grpc.text], [truth])
    console.print(f"{score:.1%} of the characters are right, in {grpc.num_output_tokens} tokens")
    console.print("nano is for demos and tests; PaddleOCR-VL itself reads far better, and needs its own weights")


def show_document(console: Console, page: DrawnPage, document: Document) -> None:
    """The first blocks of a page as they are printed, beside their Markdown."""
    table = Table(title="a page of two columns as a PDF, read block by block")
    printed = [block.text for block in page.blocks if block.label in ("paragraph_title", "text", "figure_title")]
    table.add_column("printed on it")
    table.add_column("its Markdown")
    shown = [part for part in document.markdown.split("\n\n") if part.strip()]
    table.add_row(escape("\n\n".join(printed[:3])), escape("\n\n".join(shown[:12])))
    console.print(table)
    blocks = document.pages[0].content["parsing_res_list"]
    found = [block["block_content"] for block in blocks if block["block_label"] == "text"]
    truth = [block.text for block in page.blocks if block.label == "text"]
    if len(found) == len(truth):
        score = character_score([" ".join(text.split()) for text in found], truth)
        console.print(f"{len(blocks)} blocks were found; {score:.1%} of the paragraphs' characters are right")
    else:
        console.print(f"{len(blocks)} blocks were found, of {len(page.blocks)}")


def main() -> int:
    """Run the demonstration; the exit status."""
    console = Console(highlight=False)
    try:
        with TritonServer(server_options()) as server:
            with console.status("starting Triton with vLLM") as status:
                server.wait_until_ready(
                    lambda models, seconds: status.update(f"waiting for {', '.join(models)} ({seconds:.0f} s)")
                )
            with Client(server.grpc_url) as grpc, Client(server.http_url, protocol="http") as http:
                readings = grpc.read(IMAGE), http.read(IMAGE)
                page = Typesetter(seed=1).page(1, columns=2, figure=True)
                document = grpc.document(write_pdf([page]), prettify_markdown=False)
            show(console, TRUTH.read_text("utf-8").rstrip("\n"), *readings)
            show_document(console, page, document)
    except ServerFailed as error:
        console.print(f"the server could not be started:\n{error}", markup=False)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
