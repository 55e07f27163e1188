// Markdown to elements. What a model wrote is untrusted: every element is made here, by a list of those that are known;
// nothing is ever handed to the document as HTML.

const ELEMENTS = new Set(
  "TABLE THEAD TBODY TFOOT TR TD TH CAPTION DIV P BR B I U EM STRONG SUB SUP SPAN CENTER UL OL LI HR".split(" "),
);
const TAG = new RegExp(`<(/?)(${[...ELEMENTS].join("|")}|IMG)\\b([^<>]*)>|<`, "gi");
const ATTRIBUTE = /\b(?:colspan|rowspan|src|alt|width)\s*=\s*(?:"[^"]*"|'[^']*'|[\w%]+)/gi;
const INLINE = /(\*\*[^*\n]+\*\*|`[^`\n]+`|\$\$[^$]+\$\$|\$[^$\n]+\$|!\[[^\]\n]*\]\([^)\s]+\))/;

/** The elements of a Markdown text; `pictures` are addresses by the names that it calls them. */
export function render(markdown, pictures) {
  const out = document.createDocumentFragment();
  const lines = markdown.replaceAll("\r", "").split("\n");
  while (lines.length) {
    if (!lines[0].trim()) {
      lines.shift();
      continue;
    }
    out.append(takeBlock(lines, pictures));
  }
  return out;
}

function takeBlock(lines, pictures) {
  const first = lines[0];
  const heading = /^(#{1,6})\s+(.*)$/.exec(first);
  if (heading) {
    lines.shift();
    // the page has the first two levels
    return inline(element(`h${Math.min(6, heading[1].length + 2)}`), heading[2], pictures);
  }
  if (/^```/.test(first)) return takeFence(lines);
  if (/^\s*\$\$/.test(first)) return takeFormula(lines);
  if (/^\s*\|.*\|\s*$/.test(first)) return takeTable(lines, pictures);
  const item = /^\s*([-*•]|\d+[.)])\s+/;
  if (item.test(first)) {
    const list = element(/^\s*\d/.test(first) ? "ol" : "ul");
    if (list.tagName === "OL") list.start = parseInt(first.trim(), 10);
    while (lines.length && item.test(lines[0])) list.append(inline(element("li"), lines.shift().replace(item, ""), pictures));
    return list;
  }
  const text = [];
  while (lines.length && lines[0].trim()) text.push(lines.shift());
  return html(text.join("\n"), pictures);
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

function takeTable(lines, pictures) {
  const table = element("table");
  while (lines.length && /^\s*\|.*\|\s*$/.test(lines[0])) {
    const cells = lines.shift().trim().slice(1, -1).split(/(?<!\\)\|/);
    if (cells.every((cell) => /^\s*:?-+:?\s*$/.test(cell))) continue;
    const row = table.insertRow();
    for (const cell of cells) inline(row.insertCell(), cell.trim().replaceAll("\\|", "|"), pictures);
  }
  return scrolling(table);
}

/** Text with HTML of the known elements in it; all other angle brackets are what they are. */
function html(text, pictures) {
  const known = text.replace(/&(?!#?\w{1,10};)/g, "&amp;").replace(TAG, cleaned);
  const parsed = new DOMParser().parseFromString(known, "text/html"); // inert: nothing in it loads or runs
  const box = element(parsed.body.querySelector("table,div,p,ul,ol,center") ? "div" : "p");
  copy(parsed.body, box, pictures);
  return box;
}

/** A tag with what is kept of it, before any parser sees it; a bracket that begins no known tag is itself. */
function cleaned(_, slash, name, attributes) {
  if (!name) return "&lt;";
  if (slash) return `</${name}>`;
  const centred = /text-align:\s*center/.test(attributes) ? " data-center" : "";
  return `<${name} ${(attributes.match(ATTRIBUTE) ?? []).join(" ")}${centred}>`;
}

function copy(from, to, pictures) {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) inline(to, node.data, pictures);
    else if (node.tagName === "IMG") to.append(picture(node.getAttribute("src"), node.getAttribute("alt"), pictures, node.getAttribute("width")));
    else if (ELEMENTS.has(node.tagName)) {
      const made = element(node.tagName === "CENTER" ? "div" : node.tagName);
      for (const name of ["colspan", "rowspan"]) {
        if (/^\d{1,3}$/.test(node.getAttribute(name) ?? "")) made.setAttribute(name, node.getAttribute(name));
      }
      if (node.tagName === "CENTER" || node.hasAttribute("data-center")) made.className = "center";
      copy(node, made, pictures);
      to.append(node.tagName === "TABLE" ? scrolling(made) : made);
    } else if (node.nodeType === Node.ELEMENT_NODE) copy(node, to, pictures);
  }
}

/** Adds text with emphasis, code, formulas and pictures to an element. */
function inline(to, text, pictures) {
  for (const [number, piece] of text.split(INLINE).entries()) {
    if (!piece) continue;
    if (number % 2 === 0) addLines(to, piece);
    else if (piece.startsWith("**")) to.append(element("strong", piece.slice(2, -2)));
    else if (piece.startsWith("`")) to.append(element("code", piece.slice(1, -1)));
    else if (piece.startsWith("$")) to.append(Object.assign(element("span", piece.replace(/^\$+|\$+$/g, "").trim()), { className: "math" }));
    else {
      const [, name, source] = /^!\[(.*?)\]\((.*)\)$/.exec(piece);
      to.append(picture(source, name, pictures));
    }
  }
  return to;
}

function addLines(to, text) {
  for (const [number, line] of text.split("\n").entries()) {
    if (number) to.append(["TABLE", "TR", "TBODY", "THEAD"].includes(to.tagName) ? "" : element("br"));
    if (line) to.append(line);
  }
}

function picture(source, name, pictures, width) {
  // only what came with the document is shown: no address of the text's own is ever asked
  if (!source || !Object.hasOwn(pictures, source)) return element("em", name || "picture");
  const image = element("img");
  image.src = pictures[source];
  image.alt = name || "picture";
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
