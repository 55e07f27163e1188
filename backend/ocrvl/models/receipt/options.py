"""What a request for a receipt may ask for: those options of `ocr` that mean something for its lines, and ours."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ocrvl.options import AdapterChoice, CancelToken, parse_object


class ReceiptOptions(BaseModel):
    """The options of a receipt. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    max_tokens: int = Field(256, ge=1, le=131_072, description="tokens generated for a line")
    min_pixels: int | None = Field(None, ge=784, le=16_777_216, description="smaller lines are enlarged to it")
    max_pixels: int | None = Field(None, ge=784, le=16_777_216, description="larger lines are reduced to it")
    adapter: AdapterChoice | None = Field(
        None, description="the LoRA adapter to read with, or an object of adapters by task"
    )
    stop_repetition: bool = Field(True, description="a line whose text only repeats itself is ended")
    timeout_ms: int | None = Field(None, ge=1, le=3_600_000, description="the request is ended after this time")
    cancel_token: CancelToken | None = Field(None, description="ends the request through the model `cancel`")
    visualize: bool = Field(False, description="the image is sent as well, with its fields drawn on it, as JPEG")
    base64_files: bool = Field(False, description="that image comes as base64 text, for those who ask in JSON")

    @model_validator(mode="after")
    def _check(self) -> ReceiptOptions:
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels ({self.min_pixels}) is larger than max_pixels ({self.max_pixels})")
        return self


def parse_receipt_options(raw: bytes | None) -> ReceiptOptions:
    """The options of a request for a receipt. Raises `InvalidArgument` naming the key and what it may be."""
    return parse_object(ReceiptOptions, raw)
