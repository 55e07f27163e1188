// One page: its image with the boxes of its blocks, and beside it what was read in them.

import { bytesOf } from "./events.js";
import { render } from "./markdown.js";
import { count, sentence } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
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
    this.pairs = [];
    this.reading = make("div", "reading");
    const columns = make("div", "columns");
    columns.append(this.#figure(), this.reading);
    this.element.append(columns);
    this.showAs(view);
    this.element.addEventListener("click", (event) => this.#clicked(event));
    this.element.addEventListener("keydown", (event) => this.#pressed(event));
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
    for (const pair of this.pairs) pair.text = null;
    if (this.page.warning) this.reading.append(make("p", "note", sentence(this.page.warning)));
    if (this.page.error) {
      this.reading.append(make("p", "note bad", sentence(`this page could not be read: ${this.page.error}`)));
      return;
    }
    if (view === "markdown") this.#showMarkdown();
    else if (view === "json") this.reading.append(make("pre", "source", JSON.stringify(this.page.content, null, 2)));
    else this.#showBlocks();
  }

  /** Marks a block on both sides, null for none. `to` is the side that is brought into view. */
  select(number, to) {
    for (const [other, pair] of this.pairs.entries()) {
      for (const side of [pair.box, pair.text]) {
        side?.classList.toggle("on", other === number);
        if (other === number) side?.setAttribute("aria-current", "true");
        else side?.removeAttribute("aria-current");
      }
    }
    if (number === null) return;
    this.#setTabStop(number);
    this.pairs[number][to]?.scrollIntoView({ block: to === "text" ? "center" : "nearest", behavior: "smooth" });
  }

  #figure() {
    const figure = make("figure", "image");
    if (!this.image) {
      figure.append(make("p", "note", "No image of this page."));
      return figure;
    }
    const { width, height } = this.page.content;
    this.imageAddress = addressOf(this.image);
    const image = make("img");
    image.src = this.imageAddress;
    image.alt = `Page ${this.page.index + 1} as it was read`;
    if (width) [image.width, image.height] = [width, height];
    const canvas = make("div", "canvas");
    if (width) {
      canvas.style.setProperty("--ratio", width / height);
      canvas.style.setProperty("--width", width);
    }
    canvas.append(image);
    if (width) canvas.append(this.#boxes(width, height));
    figure.append(canvas);
    return figure;
  }

  #boxes(width, height) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", "Blocks on the page");
    for (const [number, block] of this.blocks.entries()) {
      const [left, top, right, bottom] = block.block_bbox;
      const box = document.createElementNS(SVG, "rect");
      const attributes = { x: left, y: top, width: Math.max(1, right - left), height: Math.max(1, bottom - top) };
      for (const [name, value] of Object.entries(attributes)) box.setAttribute(name, value);
      box.classList.add("box");
      box.classList.toggle("failed", Boolean(block.error));
      box.setAttribute("role", "button");
      box.setAttribute("aria-label", `${number + 1}, ${block.block_label}: show its text`);
      prepare(box, number, block);
      svg.append(box);
      this.pairs.push({ box, text: null });
    }
    return svg;
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
      prepare(text, number, block);
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
      this.pairs[number] ??= { box: null, text };
      this.pairs[number].text = text;
    }
    if (this.blocks.every((block) => !block.block_content.trim() && !block.error)) this.#showNothing();
    if (this.blocks.length) this.#setTabStop(0);
  }

  /** One stop for the Tab key on each side: the block that was selected last. */
  #setTabStop(number) {
    for (const [other, pair] of this.pairs.entries()) {
      for (const side of [pair.box, pair.text]) side?.setAttribute("tabindex", other === number ? "0" : "-1");
    }
  }

  #sideOf(target) {
    const side = target.closest?.(".box, .block");
    if (!side) return null;
    return { number: Number(side.dataset.number), from: side.classList.contains("box") ? "box" : "text" };
  }

  #clicked(event) {
    const side = this.#sideOf(event.target);
    // a selection of text, to copy it, selects no box
    if (!side || !window.getSelection().isCollapsed) return;
    this.select(side.number, other(side.from));
  }

  #pressed(event) {
    const side = this.#sideOf(event.target);
    if (!side) return;
    const { number, from } = side;
    const last = this.pairs.length - 1;
    const next = { ArrowDown: number + 1, ArrowUp: number - 1, Home: 0, End: last }[event.key];
    if (next !== undefined) {
      const target = Math.min(last, Math.max(0, next));
      this.select(target, other(from));
      this.pairs[target][from]?.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      this.select(number, other(from));
      this.pairs[number][other(from)]?.focus();
    } else if (event.key === "Escape") this.select(null);
    else return;
    event.preventDefault();
  }
}

function nameOf(label) {
  return label === "ocr" ? "text" : label.replaceAll("_", " ");
}

function other(side) {
  return side === "box" ? "text" : "box";
}

function prepare(side, number, block) {
  side.dataset.number = number;
  side.setAttribute("tabindex", number ? "-1" : "0");
  side.style.setProperty("--hue", hueOf(block.block_label));
}

/** A colour of the label's own, the same on every page. */
function hueOf(label) {
  let hash = 0;
  for (const character of label) hash = (hash * 31 + character.charCodeAt(0)) % 360;
  return hash;
}

function addressOf(bytes) {
  return URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
}

function section(title) {
  const made = make("section", "sheet");
  made.append(make("h2", "", title));
  made.setAttribute("aria-label", title);
  return made;
}

function make(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
