"""Transformers' `generate` behind FastAPI, one request at a time.

`python -m perf.baselines.one_at_a_time CHECKPOINT --port 8100`
"""

from __future__ import annotations

import base64
import io
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from fastapi import FastAPI
from PIL import Image
from pydantic import BaseModel

from ocrvl.prompts import TASK_PROMPTS
from ocrvl.wire import Task


class ReadRequest(BaseModel):
    """An image in base64 and the most tokens to write."""

    image: str
    max_tokens: int


class Text(BaseModel):
    """What was read."""

    text: str
    num_output_tokens: int


def make_app(checkpoint: Path) -> FastAPI:
    """The service; `/read` takes one image and waits for those before it."""
    import torch
    from transformers import AutoProcessor

    from training.common.checkpoint import load_model

    model: Any = load_model(checkpoint)
    processor = AutoProcessor.from_pretrained(checkpoint)
    content = [{"type": "image"}, {"type": "text", "text": TASK_PROMPTS[Task.OCR]}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    one = threading.Lock()
    app = FastAPI()

    @app.get("/health")
    def health() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/read")
    def read(request: ReadRequest) -> Text:
        image = Image.open(io.BytesIO(base64.b64decode(request.image))).convert("RGB")
        with one, torch.inference_mode():
            inputs = processor(text=[prompt], images=[image], return_tensors="pt")
            ids = model.generate(**inputs, max_new_tokens=request.max_tokens, do_sample=False)
        written = ids[0, inputs["input_ids"].shape[1] :]
        return Text(text=processor.decode(written, skip_special_tokens=True), num_output_tokens=len(written))

    return app


def main(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint's folder.")],
    port: Annotated[int, typer.Option(help="On loopback.")] = 8100,
) -> None:
    """Serve a checkpoint, one request at a time."""
    uvicorn.run(make_app(checkpoint), host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    typer.run(main)
