// The server's Markdown to elements: texts are escaped where they look like markup, tables and images are HTML. What a
// model wrote is untrusted: every element is made here, by a list of those that are known; nothing is ever handed to the
// document as HTML.

const ELEMENTS = new Set("TABLE THEAD TBODY TFOOT TR TD TH CAPTION DIV P BR CENTER".split(" "));
const TAG = new RegExp(`<(/?)(${[...ELEMENTS].join("|")}|IMG)\\b([^<>]*)>|<`, "gi");
const ATTRIBUTE = /\b(?:colspan|rowspan|src|alt|width)\s*=\s*(?:"[^"]*"|'[^']*'|[\w%]+)/gi;
const HTML_BLOCK = /^<\/?(?:table|div|center|img|p)\b/i;
const ITEM = /^\s*([-*+•]|\d+[.)])\s+/;
const ROW = /^\s*\|.*\|\s*$/;
const RULE = /^[\s|:-]*-[\s|:-]*$/;

// a formula has spaces on both sides of it, as PaddleOCR writes it, or on neither; a price has no formula's end
const FORMULA = String.raw`\$\$[^$]+\$\$|(?<![0-9])\$(?:\s[^$]+\s|[^\s$](?:[^$]*[^\s$])?)\$(?![0-9])`;
const INLINE = new RegExp(
  String.raw`(\\[!-/:-@\[-\x60{-~]|\x60+[^\x60\n]+\x60+|(?<![\w*])\*\*(?=\S)[^*\n]+(?<=\S)\*\*(?![\w*])|${FORMULA}|!\[[^\]\n]*\]\([^)\s]+\))`,
);
const IN_CELLS = new RegExp(String.raw`(\$\s[^$]+\s\$(?!\s*[0-9])|\$\$[^$]+\$\$|\$[^\s$0-9][^\s$]*[\\^_{][^\s$]*\$)`);

/** The elements of a Markdown text; `images` are addresses by the names that it calls them. */
export function render(markdown, images) {
  const out = document.createDocumentFragment();
  const lines = markdown.replaceAll("\r", "").split("\n");
  while (lines.length) {
    if (!lines[0].trim()) {
      lines.shift();
      continue;
    }
    out.append(takeBlock(lines, images));
  }
  return out;
}

function takeBlock(lines, images) {
  const first = lines[0];
  const heading = /^(#{1,6})\s+(.*)$/.exec(first);
  if (heading) {
    lines.shift();
    // the page has the first two levels
    return inline(element(`h${Math.min(6, heading[1].length + 2)}`), heading[2], images);
  }
  if (/^```/.test(first)) return takeFence(lines);
  if (/^\s*\$\$/.test(first)) return takeFormula(lines);
  if (ROW.test(first) && RULE.test(lines[1] ?? "")) return takeTable(lines, images);
  if (ITEM.test(first)) return takeList(lines, images);
  const text = [lines.shift()];
  while (lines.length && lines[0].trim()) text.push(lines.shift());
  if (HTML_BLOCK.test(first)) return html(text.join("\n"), images);
  return inline(element("p"), text.join("\n"), images);
}

function takeFence(lines) {
  lines.shift();
  const text = [];
  while (lines.length && !/^```/.test(lines[0])) text.push(lines.shift());
  lines.shift();
  return element("pre", text.join("\n"));
}

function takeFormula(lines) {
  const text = [];
  do text.push(lines.shift());
  while (lines.length && !/\$\$\s*$/.test(text.length > 1 ? text.at(-1) : text[0].replace(/^\s*\$\$/, "")));
  const shown = element("div", text.join("\n").trim().replace(/^\$\$|\$\$$/g, "").trim());
  shown.className = "math";
  return shown;
}

function takeList(lines, images) {
  const first = ITEM.exec(lines[0])[1];
  const list = element(/^\d/.test(first) ? "ol" : "ul");
  if (list.tagName === "OL") list.start = parseInt(first, 10);
  const same = (line) => ITEM.test(line) && /^\s*\d/.test(line) === /^\d/.test(first);
  while (lines.length && same(lines[0])) list.append(inline(element("li"), lines.shift().replace(ITEM, ""), images));
  return list;
}

function takeTable(lines, images) {
  const table = element("table");
  while (lines.length && ROW.test(lines[0])) {
    const line = lines.shift();
    if (RULE.test(line)) continue;
    const row = table.insertRow();
    for (const cell of line.trim().slice(1, -1).split(/(?<!\\)\|/)) inline(row.insertCell(), cell.trim(), images);
  }
  return scrolling(table);
}

/** HTML of the known elements; all other angle brackets are what they are. */
function html(text, images) {
  const known = text.replace(/&(?!#?\w{1,31};)/g, "&amp;").replace(TAG, cleaned);
  const parsed = new DOMParser().parseFromString(known, "text/html"); // inert: nothing in it loads or runs
  const box = element("div");
  copy(parsed.body, box, images);
  return box;
}

/** A tag with what is kept of it, before any parser sees it; a bracket that begins no known tag is itself. */
function cleaned(_, slash, name, attributes) {
  if (!name) return "&lt;";
  if (slash) return `</${name}>`;
  const centred = /text-align:\s*center/.test(attributes) ? " data-center" : "";
  return `<${name} ${(attributes.match(ATTRIBUTE) ?? []).join(" ")}${centred}>`;
}

function copy(from, to, images) {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) inHtml(to, node.data);
    else if (node.tagName === "IMG") to.append(image(node.getAttribute("src"), node.getAttribute("alt"), images, node.getAttribute("width")));
    else if (ELEMENTS.has(node.tagName)) {
      const made = element(node.tagName === "CENTER" ? "div" : node.tagName);
      for (const name of ["colspan", "rowspan"]) {
        if (/^\d{1,3}$/.test(node.getAttribute(name) ?? "")) made.setAttribute(name, node.getAttribute(name));
      }
      if (node.tagName === "CENTER" || node.hasAttribute("data-center")) made.className = "center";
      copy(node, made, images);
      to.append(node.tagName === "TABLE" ? scrolling(made) : made);
    } else if (node.nodeType === Node.ELEMENT_NODE) copy(node, to, images);
  }
}

/** Adds text of an HTML block to an element: no Markdown in it but formulas, which no escapes mark there. */
function inHtml(to, text) {
  for (const [number, piece] of text.split(IN_CELLS).entries()) {
    if (number % 2) to.append(math(piece));
    else if (piece) addLines(to, piece);
  }
}

/** Adds Markdown to an element: escapes, emphasis, code, formulas and images. */
function inline(to, text, images) {
  let plain = "";
  const flush = () => {
    if (plain) addLines(to, plain);
    plain = "";
  };
  for (const [number, piece] of text.split(INLINE).entries()) {
    if (number % 2 === 0) plain += piece.replace(/&(#?\w{1,31});/g, entity);
    else if (piece.startsWith("\\")) plain += piece[1];
    else {
      flush();
      to.append(special(piece, images));
    }
  }
  flush();
  return to;
}

function special(piece, images) {
  if (piece.startsWith("**")) return element("strong", piece.slice(2, -2));
  if (piece.startsWith("`")) return element("code", piece.replace(/^`+|`+$/g, ""));
  if (piece.startsWith("$")) return math(piece);
  const [, name, source] = /^!\[(.*?)\]\((.*)\)$/.exec(piece);
  return image(source, name, images);
}

function math(piece) {
  return Object.assign(element("span", piece.replace(/^\$+|\$+$/g, "").trim()), { className: "math" });
}

function entity(whole) {
  return new DOMParser().parseFromString(whole, "text/html").body.textContent;
}

function addLines(to, text) {
  for (const [number, line] of text.split("\n").entries()) {
    if (number) to.append(["TABLE", "TR", "TBODY", "THEAD"].includes(to.tagName) ? "" : element("br"));
    if (line) to.append(line);
  }
}

function image(source, name, images, width) {
  // only what came with the document is shown: no URL of the text's own is ever requested
  if (!source || !Object.hasOwn(images, source)) return element("em", name || "image");
  const image = element("img");
  image.src = images[source];
  image.alt = name || "image";
  image.loading = "lazy";
  if (/^\d{1,3}%$/.test(width ?? "")) image.style.width = width;
  return image;
}

function scrolling(table) {
  const box = element("div");
  box.className = "scroll";
  box.append(table);
  return box;
}

function element(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
}
