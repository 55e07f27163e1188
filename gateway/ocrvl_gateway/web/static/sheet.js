// One page: its image with the boxes of its blocks, and beside it what was read in them.

import { figureOf, make, section } from "./elements.js";
import { bytesOf } from "./events.js";
import { render } from "./markdown.js";
import { Pairs } from "./pairs.js";
import { count, sentence } from "./words.js";

const ASIDE = new Set(["header", "footer", "number", "footnote", "aside_text", "header_image", "footer_image"]);

/** A page that is still being read; `url` is its image's, null where the browser cannot show it. */
export function waitingSheet(url) {
  const sheet = section("Page 1");
  const columns = make("div", "columns");
  const figure = make("figure", "image");
  if (url) {
    const image = make("img");
    image.src = url;
    image.alt = "The page, before it is read";
    const canvas = make("div", "canvas");
    canvas.append(image);
    figure.append(canvas);
  } else figure.append(make("div", "waiting"));
  const reading = make("div", "reading");
  reading.append(make("div", "waiting"));
  reading.setAttribute("aria-busy", "true");
  columns.append(figure, reading);
  sheet.append(columns);
  return sheet;
}

/** A page as it came. `view` is how its text is shown; `showAs` changes it. `readAs` reads the file in another mode. */
export class Sheet {
  constructor(page, view, readAs) {
    this.page = page;
    this.readAs = readAs;
    this.files = Object.entries(page.images).map(([name, data]) => [name, bytesOf(data)]);
    this.addresses = this.files.map(([name, bytes]) => [name, addressOf(bytes)]);
    this.image = page.image && bytesOf(page.image);
    this.element = section(page.total > 1 ? `Page ${page.index + 1}` : "Page");
    this.blocks = page.content.parsing_res_list ?? [];
    this.pairs = new Pairs(this.element);
    this.reading = make("div", "reading");
    const columns = make("div", "columns");
    columns.append(this.#figure(), this.reading);
    this.element.append(columns);
    this.showAs(view);
  }

  /** Frees the images. */
  dispose() {
    for (const [, address] of this.addresses) URL.revokeObjectURL(address);
    if (this.imageAddress) URL.revokeObjectURL(this.imageAddress);
  }

  /** What was read, without the labels of its blocks. */
  get text() {
    return [...this.reading.querySelectorAll(".content")].map((block) => block.innerText.trim()).join("\n\n");
  }

  showAs(view) {
    this.reading.replaceChildren();
    this.pairs.clearTexts();
    if (this.page.warning) this.reading.append(make("p", "note", sentence(this.page.warning)));
    if (this.page.error) {
      this.reading.append(make("p", "note bad", sentence(`this page could not be read: ${this.page.error}`)));
      return;
    }
    if (view === "markdown") this.#showMarkdown();
    else if (view === "json") this.reading.append(make("pre", "source", JSON.stringify(this.page.content, null, 2)));
    else this.#showBlocks();
  }

  #figure() {
    if (this.image) this.imageAddress = addressOf(this.image);
    const { width, height } = this.page.content;
    const boxes = this.blocks.map((block) => {
      return { box: block.block_bbox, kind: block.block_label, name: block.block_label, failed: block.error };
    });
    const name = `Page ${this.page.index + 1} as it was read`;
    return figureOf(this.imageAddress, width, height, name, () => this.pairs.draw(width, height, "Blocks on the page", boxes));
  }

  #showMarkdown() {
    const ignored = new Set(this.page.content.model_settings?.markdown_ignore_labels ?? []);
    const omitted = this.blocks.filter((block) => ignored.has(block.block_label)).map((block) => nameOf(block.block_label));
    if (omitted.length) {
      const names = [...new Set(omitted)].join(", ");
      this.reading.append(make("p", "note", `Markdown leaves out ${count(omitted.length, "block")} (${names}): see Text.`));
    }
    if (this.page.markdown.trim()) this.reading.append(make("pre", "source", this.page.markdown));
    else if (!omitted.length) this.#showNothing();
  }

  /** Where nothing was found: other modes to try. */
  #showNothing() {
    if (!this.page.warning) this.reading.append(make("p", "note", "Nothing was found on this page."));
    const offer = make("p", "offer", "Try it as");
    for (const [mode, name] of [["ocr", "text"], ["table", "a table"], ["formula", "a formula"]]) {
      const button = make("button", "", name);
      button.type = "button";
      button.onclick = () => this.readAs(mode);
      offer.append(" ", button);
    }
    this.reading.append(offer);
  }

  #showBlocks() {
    const images = Object.fromEntries(this.addresses);
    for (const [number, block] of this.blocks.entries()) {
      const text = make("div", "block");
      text.classList.toggle("aside", ASIDE.has(block.block_label));
      text.setAttribute("role", "group");
      text.setAttribute("aria-label", `${number + 1}, ${block.block_label}`);
      this.pairs.addText(number, text, block.block_label);
      const label = make("span", "label", `${number + 1} ${nameOf(block.block_label)}`);
      label.setAttribute("aria-hidden", "true");
      text.append(label);
      if (block.error) text.append(make("p", "note bad", sentence(`this block could not be read: ${block.error}`)));
      else {
        const content = make("div", "content");
        content.append(render(block.block_content, images));
        text.append(content);
      }
      this.reading.append(text);
    }
    if (this.blocks.every((block) => !block.block_content.trim() && !block.error)) this.#showNothing();
    if (this.blocks.length) this.pairs.setTabStop(0);
  }
}

function nameOf(label) {
  return label === "ocr" ? "text" : label.replaceAll("_", " ");
}

function addressOf(bytes) {
  return URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
}
