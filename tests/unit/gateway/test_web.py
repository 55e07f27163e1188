"""The page in a real browser: a file is read, boxes and texts select each other, and no model output runs."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from ocrvl_client import InvalidRequest, ServerUnavailable
from ocrvl_gateway.web.routes import STATIC
from tests.support.browser import SCREENSHOTS, launch_browser, needs_browser
from tests.support.doubles import wait_until
from tests.support.gateways import HANG, ScriptedReader, document, make_app, page, serve_app
from tests.support.images import encode
from tests.support.receipt_answers import field

pytestmark = needs_browser

WHITE = encode(Image.new("RGB", (400, 560), "white"), "JPEG")
TABLE = '<table><tr><td colspan="2">Tea</td></tr><tr><td>1 < 2</td><td>Milk & honey</td></tr></table>'
HOSTILE = (
    '<img src="x" onerror="window.acted=1"><script>window.acted=1</script><a href="javascript:window.acted=1">go</a>'
    '<div style="text-align:center" onclick="window.acted=1"><b onmouseover="window.acted=1">bold</b></div>'
    '<iframe srcdoc="<script>parent.acted=1</script>"></iframe><svg onload="window.acted=1"></svg>'
)


def blocks(*contents: tuple[str, str]) -> list[dict[str, Any]]:
    return [
        {"block_label": label, "block_content": text, "block_bbox": [20, 20 + 90 * n, 380, 90 + 90 * n], "block_id": n}
        for n, (label, text) in enumerate(contents)
    ]


def drawn(index: int, total: int, *contents: tuple[str, str], warning: str = "") -> Any:
    content = {"width": 400, "height": 560, "parsing_res_list": blocks(*contents)}
    images = {"imgs/a.jpg": WHITE, f"page_{index + 1:04d}_input.jpg": WHITE}
    markdown = "\n\n".join(text for _, text in contents)
    return page(index, total, content=content, images=images, markdown=markdown, warning=warning)


FIRST = (
    ("doc_title", "# Prices"),
    ("text", "Tea and **cake** for $x^2$ people\n\n- one\n- two"),
    ("table", TABLE),
    ("image", '<div style="text-align: center;"><img src="imgs/a.jpg" alt="Image" width="40%" /></div>\n'),
)
SECOND = (("text", "The second page."), ("text", HOSTILE))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def reader() -> ScriptedReader:
    return ScriptedReader()


@pytest.fixture(scope="module")
def url(reader: ScriptedReader) -> Iterator[str]:
    with serve_app(make_app(reader)) as url:
        yield url


@pytest.fixture
def web(browser: Browser, url: str, reader: ScriptedReader) -> Iterator[Page]:
    reader.items = [drawn(0, 2, *FIRST), drawn(1, 2, *SECOND), document(markdown="# Prices\n\nall")]
    reader.error = None
    with opened(browser, url, viewport={"width": 1200, "height": 800}) as web:
        yield web


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """The page, without errors in its console."""
    context = browser.new_context(**options)
    web = context.new_page()
    errors: list[str] = []
    web.on("pageerror", lambda error: errors.append(str(error)))
    web.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    web.goto(url)
    expect(web.locator("#server")).to_have_text("the server is ready")
    yield web
    context.close()
    assert not errors


def send(web: Page, name: str = "prices.pdf") -> None:
    web.set_input_files("#file", {"name": name, "mimeType": "application/pdf", "buffer": b"%PDF-1.7"})


def read(web: Page) -> None:
    send(web)
    expect(web.locator("#status")).to_contain_text("done: 2 pages")


def test_pages_come_with_their_boxes_beside_their_text(web: Page) -> None:
    read(web)
    assert web.locator(".sheet").count() == 2
    assert web.locator(".box").count() == web.locator(".block").count() == 6
    sheet = web.locator(".sheet").first
    expect(sheet.locator(".block h3")).to_have_text("Prices")
    expect(sheet.locator(".block strong")).to_have_text("cake")
    expect(sheet.locator(".block .math")).to_have_text("x^2")
    assert sheet.locator(".block li").all_text_contents() == ["one", "two"]
    assert sheet.locator("td").all_text_contents() == ["Tea", "1 < 2", "Milk & honey"]
    assert sheet.locator("td").first.get_attribute("colspan") == "2"
    # its image is shown, and has loaded
    assert web.evaluate("document.querySelector('.block img').naturalWidth") == 400
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    web.screenshot(path=SCREENSHOTS / "read.png")


def test_a_box_finds_its_text_and_a_text_its_box(web: Page) -> None:
    read(web)
    web.locator(".box").nth(2).click()
    assert "on" in (web.locator(".block").nth(2).get_attribute("class") or "").split()
    expect(web.locator(".block").nth(2)).to_be_in_viewport()
    web.locator(".block").nth(1).click()
    assert web.locator(".box.on").count() == 1
    assert "on" in (web.locator(".box").nth(1).get_attribute("class") or "").split()


def test_the_keyboard_reaches_every_block_and_its_box(web: Page) -> None:
    read(web)
    web.locator(".box").first.focus()
    web.keyboard.press("ArrowDown")
    web.keyboard.press("ArrowDown")
    assert web.evaluate("document.activeElement.dataset.number") == "2"
    web.keyboard.press("Enter")
    assert web.evaluate("document.activeElement.className") == "block on"
    web.keyboard.press("Escape")
    assert web.locator(".on").count() == 0
    # one stop for Tab on each side of a page
    assert web.locator(".sheet").first.locator("[tabindex='0']").count() == 2


def test_nothing_in_the_model_output_runs_or_is_fetched(web: Page) -> None:
    requested: list[str] = []
    web.on("request", lambda request: requested.append(request.url))
    read(web)
    last = web.locator(".block").last
    last.click()
    web.wait_for_timeout(100)
    assert web.evaluate("window.acted") is None
    assert last.locator("script, iframe, svg, a, img, [onclick], [onerror], [onmouseover]").count() == 0
    assert "bold" in last.inner_text()
    assert {address.split("?")[0].rpartition("/")[2] for address in requested if address.startswith("http")} <= {
        "document",
        "readyz",
    }


def test_results_can_be_downloaded(web: Page) -> None:
    read(web)
    files = {}
    for kind in ("markdown", "json", "zip"):
        with web.expect_download() as download:
            web.click(f"#get-{kind}")
        files[download.value.suggested_filename] = Path(download.value.path()).read_bytes()
    assert files["prices.md"].decode() == "# Prices\n\nall"
    assert [
        one["content"]["parsing_res_list"][0]["block_content"] for one in json.loads(files["prices.json"])["pages"]
    ] == [
        "# Prices",
        "The second page.",
    ]
    with zipfile.ZipFile(io.BytesIO(files["prices.zip"])) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {"prices.md", "prices.json", "imgs/a.jpg", "page_0001.jpg", "page_0002.jpg"}
        assert archive.read("imgs/a.jpg") == WHITE


def test_the_markdown_and_the_json_are_shown_as_they_are(web: Page) -> None:
    read(web)
    web.click("text=Markdown")
    assert web.locator("pre.source").first.inner_text().startswith("# Prices")
    web.click("button:has-text('JSON') >> nth=0")
    assert json.loads(web.locator("pre.source").first.inner_text())["width"] == 400


def test_options_reach_the_server(web: Page, reader: ScriptedReader) -> None:
    web.select_option("#mode", "table")
    web.fill("#pages", " 1-2, 4 ")
    read(web)
    options = reader.requests[-1][1]
    assert (options["use_layout_detection"], options["prompt_label"], options["pages"]) == (False, "table", "1-2,4")
    assert options["return_page_images"]


def test_errors_are_shown_as_sentences(browser: Browser, url: str, reader: ScriptedReader) -> None:
    reader.items = [InvalidRequest("it is a damaged PDF")]
    context = browser.new_context()
    web = context.new_page()
    web.goto(url)
    send(web)
    expect(web.locator("#problem")).to_have_text("prices.pdf could not be read: it is a damaged PDF.")
    expect(web.locator("#status")).to_have_text("not read")
    # there is nothing to look at in another way, or to take along
    assert not web.locator("#views, #downloads, #progress, #help").locator("visible=true").count()
    reader.items = [drawn(0, 3, *FIRST), InvalidRequest("page 2 not found")]
    send(web)
    expect(web.locator("#problem")).to_have_text(
        "prices.pdf was read up to 1 page, then this stopped it: page 2 not found."
    )
    expect(web.locator("#status")).to_have_text("ended after 1 of 3 pages")
    expect(web.locator("#get-markdown")).to_be_enabled()
    reader.items = [ServerUnavailable("the queue is full.")]
    send(web)
    expect(web.locator("#problem")).to_have_text("prices.pdf was not read: the queue is full. Try again in a moment.")
    context.close()


def test_an_api_key_is_prompted_for_where_one_is_required(browser: Browser) -> None:
    key = "a-key-of-some-length"
    reader = ScriptedReader()
    with serve_app(make_app(reader, api_keys=[key])) as url:
        context = browser.new_context()
        web = context.new_page()
        web.goto(url)
        send(web)
        expect(web.locator("#key")).to_be_focused()
        expect(web.locator("#problem")).to_contain_text("requires an API key")
        web.fill("#key", key)
        web.click("#again")
        expect(web.locator("#status")).to_contain_text("done: 1 page")
        context.close()


def test_an_image_is_shown_while_it_is_read(web: Page, reader: ScriptedReader) -> None:
    reader.items = [HANG]
    web.set_input_files("#file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": WHITE})
    expect(web.locator(".reading .waiting")).to_be_visible()
    expect(web.locator(".canvas img")).to_have_js_property("naturalWidth", 400)
    web.click("#stop")


def test_stop_cancels_the_request(web: Page, reader: ScriptedReader) -> None:
    ended, reader.hangs = reader.cancelled, True
    send(web)
    web.click("#stop")
    expect(web.locator("#status")).to_have_text("stopped after 0 pages")
    reader.hangs = False
    wait_until(lambda: reader.cancelled == ended + 1)


def test_after_a_stop_the_bar_stands_where_it_stopped(web: Page, reader: ScriptedReader) -> None:
    reader.items = [drawn(0, 4, *FIRST), HANG]
    send(web)
    expect(web.locator("#status")).to_contain_text("1 of 4 pages")
    web.click("#stop")
    expect(web.locator("#status")).to_have_text("stopped after 1 of 4 pages")
    assert web.locator("#progress").evaluate("bar => bar.value") == 0.25
    assert web.locator("#get-markdown").is_enabled()


@pytest.mark.parametrize(("name", "mode"), [("receipt.png", "ocr"), ("page.png", None)])
def test_a_first_visit_has_an_example_to_try(name: str, mode: str | None, web: Page, reader: ScriptedReader) -> None:
    web.click(f"[data-example='{name}']")
    expect(web.locator("#name")).to_contain_text(name)
    expect(web.locator("#status")).to_contain_text("done: 2 pages")
    file, options = reader.requests[-1]
    assert file == (STATIC / "examples" / name).read_bytes()
    assert options.get("prompt_label") == mode


def test_the_drop_area_keeps_saying_what_it_is(web: Page) -> None:
    before = web.locator("#drop").inner_text().split()
    read(web)
    assert web.locator("#drop").inner_text().split() == before
    assert web.locator("#name").inner_text() == "prices.pdf · 1 kB"


def test_of_several_files_the_first_is_read_and_the_page_says_so(web: Page) -> None:
    web.evaluate(
        """() => {
            const data = new DataTransfer();
            for (const name of ["a.pdf", "b.pdf"]) data.items.add(new File(["%PDF"], name));
            document.dispatchEvent(new DragEvent("drop", { dataTransfer: data }));
        }"""
    )
    expect(web.locator("#name")).to_have_text("a.pdf · 1 kB, the first of 2 files")
    expect(web.locator("#status")).to_contain_text("done")


def test_reading_again_is_offered_as_soon_as_an_option_changes(web: Page, reader: ScriptedReader) -> None:
    read(web)
    expect(web.locator("#again")).not_to_have_class("changed")
    web.select_option("#mode", "table")
    expect(web.locator("#again")).to_have_class("changed")
    web.click("text=Read again as table")
    expect(web.locator("#again")).not_to_have_class("changed")
    expect(web.locator("#status")).to_contain_text("done: 2 pages")
    assert reader.requests[-1][1]["prompt_label"] == "table"
    web.fill("#pages", "1")
    expect(web.locator("#again")).to_have_class("changed")


def test_an_empty_page_offers_other_modes(web: Page, reader: ScriptedReader) -> None:
    reader.items = [drawn(0, 1), document(markdown="")]
    send(web)
    expect(web.locator(".reading")).to_contain_text("Nothing was found on this page.")
    reader.items = [drawn(0, 1, warning="the page is blank"), document(markdown="")]
    send(web)
    expect(web.locator(".reading")).to_contain_text("The page is blank.")
    reader.items = [drawn(0, 1, *FIRST), document()]
    web.click(".offer button:has-text('a table')")
    expect(web.locator(".block")).to_have_count(4)
    assert reader.requests[-1][1]["prompt_label"] == "table"
    assert web.locator("#mode").input_value() == "table"


def test_markdown_says_what_it_leaves_out(web: Page, reader: ScriptedReader) -> None:
    page = drawn(0, 1, ("page_header", "a"), ("header", "Harbour"), ("number", "7"), ("number", "8"))
    page.content["model_settings"] = {"markdown_ignore_labels": ["header", "number", "footer"]}
    reader.items = [page, document()]
    send(web)
    web.click("[data-view=markdown]")
    expect(web.locator(".note")).to_have_text("Markdown leaves out 3 blocks (header, number): see Text.")


def test_what_is_shown_can_be_copied(web: Page) -> None:
    web.context.grant_permissions(["clipboard-read", "clipboard-write"])
    read(web)
    for view, start in (("text", "Prices\n\nTea and cake for"), ("markdown", "# Prices"), ("json", "{")):
        web.click(f"[data-view={view}]")
        web.click("#copy")
        expect(web.locator("#copy")).to_have_text("Copied")
        assert web.evaluate("navigator.clipboard.readText()").startswith(start)


def test_it_can_be_copied_where_browsers_have_no_clipboard_for_scripts(web: Page) -> None:
    web.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    read(web)
    web.click("#copy")
    expect(web.locator("#copy")).to_have_text("Copied")


JPEG: Any = {"name": "tea.jpg", "mimeType": "image/jpeg", "buffer": WHITE}


@pytest.fixture
def receipt(web: Page, reader: ScriptedReader) -> Page:
    """A receipt that was read."""
    reader.fields = {"company": field(HOSTILE, "Corner Café", 60, 10, 240, 40)}
    web.select_option("#mode", "receipt")
    assert web.locator("#pages").is_disabled()
    web.set_input_files("#file", JPEG)
    expect(web.locator("#status")).to_contain_text("done: 1 receipt")
    return web


def test_a_receipt_is_a_table_of_its_fields_with_boxes_on_its_image(receipt: Page, reader: ScriptedReader) -> None:
    assert reader.requests[-1][0] == WHITE
    fields, items = receipt.locator("table.fields").all()
    assert fields.locator("td:first-child").all_text_contents() == [
        "company",
        "date",
        "currency",
        "payment",
        "tax",
        "total",
    ]
    assert fields.locator("tr:last-child td").all_text_contents() == ["total", "12.40", "12,40", "97 %"]
    assert items.locator("tbody tr").first.locator("td").all_text_contents() == ["1", "2", "Tea", "9.99", "97 %"]
    expect(receipt.locator(".note")).to_have_text("Line 3: too long.")
    assert receipt.locator(".box").count() == receipt.locator(".block").count() == 8
    receipt.locator(".block").nth(5).click()
    assert "on" in (receipt.locator(".box").nth(5).get_attribute("class") or "").split()
    receipt.keyboard.press("Escape")
    receipt.locator(".box").first.focus()
    receipt.keyboard.press("Enter")
    assert receipt.evaluate("document.activeElement.className") == "block on"
    # what is printed on a receipt is text
    assert HOSTILE in fields.locator("tr").nth(1).inner_text()
    assert receipt.evaluate("window.acted") is None
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    receipt.screenshot(path=SCREENSHOTS / "receipt.png")


def test_the_fields_of_a_receipt_can_be_shown_copied_and_saved(receipt: Page) -> None:
    receipt.click("[data-view=markdown]")
    source = receipt.locator("pre.source")
    assert "| total | 12.40 |" in source.inner_text().splitlines()
    assert source.inner_text().splitlines()[-2] == "| 2 | Tea | 9.99 |"
    receipt.click("[data-view=json]")
    assert json.loads(source.inner_text())["fields"]["total"]["value"] == "12.40"
    with receipt.expect_download() as download:
        receipt.click("#get-json")
    saved = json.loads(Path(download.value.path()).read_bytes())
    assert (saved["file"], saved["schema_version"]) == ("tea.jpg", "1.0")


def test_a_receipt_that_cannot_be_read_is_told_why(browser: Browser, url: str, reader: ScriptedReader) -> None:
    reader.error = InvalidRequest("Request for unknown model: 'receipt' is not found; for receipts install ocrvl")
    context = browser.new_context()
    web = context.new_page()
    web.goto(url)
    web.select_option("#mode", "receipt")
    web.set_input_files("#file", JPEG)
    expect(web.locator("#problem")).to_contain_text("tea.jpg could not be read: Request for unknown model: 'receipt'")
    reader.error = None
    context.close()


PRINTED = [
    ("It costs $5 or $6 a piece", "It costs $5 or $6 a piece"),
    (r"List\<String> is 2\*\*3 of 4\*\*5", "List<String> is 2**3 of 4**5"),
    (r"US\$ and CA\$, \`tick\` &amp; 3 * 4 < 5", "US$ and CA$, `tick` & 3 * 4 < 5"),
    ("Use <b>bold</b> and <recv/>, 2**3 of 4**5", "Use <b>bold</b> and <recv/>, 2**3 of 4**5"),
    ("<table><tr><td>$5 or $6, 2**3 of 4**5, &lt;b&gt;</td></tr></table>", "$5 or $6, 2**3 of 4**5, <b>"),
    (r"\# 5 of \* these", "# 5 of * these"),
]
"""What the server sends of a text, and what was printed."""


def test_what_is_printed_is_shown_whatever_it_looks_like(web: Page, reader: ScriptedReader) -> None:
    reader.items = [drawn(0, 1, *(("text", content) for content, _ in PRINTED)), document()]
    send(web)
    expect(web.locator(".content")).to_have_text([shown for _, shown in PRINTED])
    assert not web.locator(".content").locator(".math, strong, code, b, h3").count()


def test_formulas_are_told_from_prices(web: Page, reader: ScriptedReader) -> None:
    cell = "<table><tr><td>$ a $ for $5 or $6</td></tr></table>"
    reader.items = [drawn(0, 1, ("text", r"so  $ x_1 $ is \$5 and $y^2$ is \$6"), ("table", cell)), document()]
    send(web)
    expect(web.locator(".math")).to_have_text(["x_1", "y^2", "a"])
    expect(web.locator(".content").first).to_contain_text("is $5 and")
    expect(web.locator("td")).to_contain_text("for $5 or $6")


def test_every_endpoint_that_the_page_names_is_a_link_that_leads_there(web: Page, url: str) -> None:
    links = web.locator("footer a")
    addresses = [links.nth(number).evaluate("link => link.href") for number in range(links.count())]
    described = httpx.get(f"{url}/openapi.json").json()
    for address in addresses:
        assert httpx.get(address.partition("#")[0]).status_code == 200
        node: Any = described
        for part in filter(None, address.partition("#")[2].split("/")):
            node = node[part.replace("~1", "/")]
    assert len(addresses) == web.locator("footer code").count() + 1


PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def test_on_a_phone_the_text_comes_first_and_nothing_is_to_be_dropped(
    browser: Browser, url: str, reader: ScriptedReader
) -> None:
    reader.items = [drawn(0, 2, *FIRST), drawn(1, 2, *SECOND), document()]
    with opened(browser, url, **PHONE) as web:
        for _ in range(2):
            words = web.locator("#drop").inner_text()
            assert "Choose" in words
            assert not {"drop", "paste"} & set(words.lower().split())
            read(web)
        text, image = (web.locator(f".sheet >> nth=0 >> {side}").bounding_box() for side in (".reading", ".image"))
        assert text is not None
        assert image is not None
        assert text["y"] + text["height"] <= image["y"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("phone", PHONE),
        ("dark", {"viewport": {"width": 1200, "height": 800}, "color_scheme": "dark"}),
    ],
)
def test_nothing_is_wider_than_the_screen(
    name: str, options: dict[str, Any], browser: Browser, url: str, reader: ScriptedReader
) -> None:
    reader.items = [drawn(0, 2, *FIRST, ("table", TABLE.replace("Tea", "Tea" * 200))), drawn(1, 2, *SECOND), document()]
    with opened(browser, url, **options) as web:
        read(web)
        assert web.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        web.screenshot(path=SCREENSHOTS / f"{name}.png")
