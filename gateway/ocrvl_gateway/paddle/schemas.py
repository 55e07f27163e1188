"""Requests and responses of PaddleOCR's service for PaddleOCR-VL (PaddleX 3.7, `serving/schemas/paddleocr_vl.py`).

Names, types and defaults are its own, so that clients need no change; a test holds them to PaddleX's. What is ours
alone is in a class of its own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

_PromptLabel = Literal["ocr", "formula", "table", "chart", "seal", "spotting"]
_MergeMode = Literal["large", "small", "union"]
_Ratio = Annotated[float, Field(gt=0)]
_Ratios = Annotated[list[_Ratio], Field(min_length=2, max_length=2)]
_Threshold = Annotated[float, Field(ge=0, le=1)]
_ClassNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}$")]
_Pixels = Annotated[int, Field(gt=0)]


class _Body(BaseModel):
    # the service takes fields that it does not know, so its clients may send them
    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class InferRequest(_Body):
    """A file and how to read it."""

    file: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="the file as base64, or its address where those are fetched"
    )
    fileType: Literal[0, 1] | None = Field(None, description="0 is a PDF, 1 an image; found out unless set")
    useDocOrientationClassify: bool | None = None
    useDocUnwarping: bool | None = None
    useLayoutDetection: bool | None = None
    useChartRecognition: bool | None = None
    useSealRecognition: bool | None = None
    useOcrForImageBlock: bool | None = None
    layoutThreshold: _Threshold | dict[_ClassNumber, _Threshold] | None = None
    layoutNms: bool | None = None
    layoutUnclipRatio: _Ratio | _Ratios | dict[_ClassNumber, Any] | None = None
    layoutMergeBboxesMode: _MergeMode | dict[_ClassNumber, _MergeMode] | None = None
    layoutShapeMode: Literal["rect", "quad", "poly", "auto"] = "auto"
    promptLabel: _PromptLabel | None = None
    formatBlockContent: bool | None = None
    repetitionPenalty: Annotated[float, Field(gt=0)] | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    topP: Annotated[float, Field(gt=0, le=1)] | None = None
    minPixels: _Pixels | None = None
    maxPixels: _Pixels | None = None
    maxNewTokens: _Pixels | None = None
    mergeLayoutBlocks: bool | None = None
    markdownIgnoreLabels: list[str] | None = None
    vlmExtraArgs: dict[str, Any] | None = None
    prettifyMarkdown: bool = True
    showFormulaNumber: bool = False
    returnMarkdownImages: bool = True
    restructurePages: bool = False
    mergeTables: bool = True
    relevelTitles: bool = True
    visualize: bool | None = None
    outputFormats: list[Literal["docx"]] | None = None
    logId: Annotated[str, StringConstraints(max_length=128)] | None = None

    @model_validator(mode="after")
    def _check(self) -> InferRequest:
        if self.minPixels and self.maxPixels and self.minPixels > self.maxPixels:
            raise ValueError(f"`minPixels` ({self.minPixels}) cannot be greater than `maxPixels` ({self.maxPixels})")
        return self


class LayoutParsingRequest(InferRequest):
    """The service's request, and what it has no names for: a file may have more pages than are read at a time."""

    pages: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        None, description="which pages, from 1 on: `1-5,8,12-`; all unless set; not the service's"
    )
    dpi: int | None = Field(
        None, description="dots an inch at which pages of a PDF are drawn, 36 to 600; 144 unless set; not the service's"
    )


class MarkdownData(BaseModel):
    """Markdown, and its images (JPEG files as base64) by the names that it calls them."""

    text: str
    images: dict[str, str] | None = None


class ExportContent(BaseModel):
    """A file as base64."""

    content: str
    fileName: str


class DocumentExports(BaseModel):
    """Files that were requested."""

    docx: ExportContent | None = None


class LayoutParsingResult(BaseModel):
    """A page; images are JPEG files as base64."""

    prunedResult: dict[str, Any]
    markdown: MarkdownData
    outputImages: dict[str, str] | None = None
    inputImage: str | None = None
    exports: DocumentExports | None = None


class ImageInfo(BaseModel):
    """An image, in pixels."""

    width: int
    height: int
    type: Literal["image"] = "image"


class PageInfo(BaseModel):
    """A page as it was read, in pixels."""

    width: int
    height: int


class PagesInfo(BaseModel):
    """A file of pages."""

    numPages: int
    pages: list[PageInfo]
    type: Literal["pdf", "tiff"]


class InferResult(BaseModel):
    """The pages of a file."""

    layoutParsingResults: list[LayoutParsingResult]
    dataInfo: ImageInfo | PagesInfo


class Page(_Body):
    """A page as `/layout-parsing` sent it."""

    prunedResult: dict[str, Any]
    markdownImages: dict[str, str] | None = None

    @model_validator(mode="after")
    def _check(self) -> Page:
        missing = [name for name in ("parsing_res_list", "model_settings") if name not in self.prunedResult]
        if missing and not self.has_failed:
            raise ValueError(f"prunedResult: {missing[0]} is missing, send it as /layout-parsing did")
        return self

    @property
    def has_failed(self) -> bool:
        """Whether it could not be read: it has an error instead of blocks."""
        return bool(self.prunedResult.get("error")) and "parsing_res_list" not in self.prunedResult


class RestructureRequest(_Body):
    """Pages that become one document."""

    pages: Annotated[list[Page], Field(max_length=1000)]
    mergeTables: bool = True
    relevelTitles: bool = True
    concatenatePages: bool = False
    prettifyMarkdown: bool = True
    showFormulaNumber: bool = False
    returnMarkdownImages: bool = True
    outputFormats: list[Literal["docx"]] | None = None
    logId: Annotated[str, StringConstraints(max_length=128)] | None = None


class RestructureResult(BaseModel):
    """The pages as parts of one document, or the one page that they were put together to."""

    layoutParsingResults: list[LayoutParsingResult]


class InferResponse(BaseModel):
    """The envelope around `InferResult`."""

    logId: str
    result: InferResult
    errorCode: Literal[0] = 0
    errorMsg: Literal["Success"] = "Success"


class RestructureResponse(BaseModel):
    """The envelope around `RestructureResult`."""

    logId: str
    result: RestructureResult
    errorCode: Literal[0] = 0
    errorMsg: Literal["Success"] = "Success"


class NoResultResponse(BaseModel):
    """The envelope of an error."""

    logId: str
    errorCode: int
    errorMsg: str
