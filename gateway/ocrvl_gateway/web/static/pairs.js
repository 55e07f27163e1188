// Boxes on an image and what was read in them: one side selects the other, by mouse and by keyboard.

const SVG = "http://www.w3.org/2000/svg";

/** `element` holds both sides. A box has the class `box`, its text `block`, both the number of their pair. */
export class Pairs {
  constructor(element) {
    this.pairs = [];
    element.addEventListener("click", (event) => this.#clicked(event));
    element.addEventListener("keydown", (event) => this.#pressed(event));
  }

  /** Boxes over an image of this size, named as a group; each of `boxes` is a `box`, its `kind`, `name` and `failed`. */
  draw(width, height, name, boxes) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", name);
    for (const [number, one] of boxes.entries()) {
      const [left, top, right, bottom] = one.box;
      const box = document.createElementNS(SVG, "rect");
      const attributes = { x: left, y: top, width: Math.max(1, right - left), height: Math.max(1, bottom - top) };
      for (const [key, value] of Object.entries(attributes)) box.setAttribute(key, value);
      box.classList.add("box");
      box.classList.toggle("failed", Boolean(one.failed));
      box.setAttribute("role", "button");
      box.setAttribute("aria-label", `${number + 1}, ${one.name}: show its text`);
      prepare(box, number, one.kind);
      svg.append(box);
      this.pairs.push({ box, text: null });
    }
    return svg;
  }

  /** Takes an element as what was read in a box, or in none where no boxes are drawn. */
  addText(number, text, kind) {
    prepare(text, number, kind);
    this.pairs[number] ??= { box: null, text };
    this.pairs[number].text = text;
  }

  /** Forgets the texts, which are shown in another way from now on. */
  clearTexts() {
    for (const pair of this.pairs) pair.text = null;
  }

  /** One stop for the Tab key on each side: the pair that was selected last. */
  setTabStop(number) {
    for (const [other, pair] of this.pairs.entries()) {
      for (const side of [pair.box, pair.text]) side?.setAttribute("tabindex", other === number ? "0" : "-1");
    }
  }

  /** Marks a pair on both sides, null for none. `to` is the side that is brought into view. */
  select(number, to) {
    for (const [other, pair] of this.pairs.entries()) {
      for (const side of [pair.box, pair.text]) {
        side?.classList.toggle("on", other === number);
        if (other === number) side?.setAttribute("aria-current", "true");
        else side?.removeAttribute("aria-current");
      }
    }
    if (number === null) return;
    this.setTabStop(number);
    this.pairs[number][to]?.scrollIntoView({ block: to === "text" ? "center" : "nearest", behavior: "smooth" });
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

function other(side) {
  return side === "box" ? "text" : "box";
}

function prepare(side, number, kind) {
  side.dataset.number = number;
  side.setAttribute("tabindex", number ? "-1" : "0");
  side.style.setProperty("--hue", hueOf(kind));
}

/** A colour of the kind's own, the same on every page. */
function hueOf(kind) {
  let hash = 0;
  for (const character of kind) hash = (hash * 31 + character.charCodeAt(0)) % 360;
  return hash;
}
