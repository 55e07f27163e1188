// A receipt: its image with the boxes of its fields, and beside it the fields as tables.

import { figureOf, make, section } from "./elements.js";
import { Pairs } from "./pairs.js";
import { sentence } from "./words.js";

const FIELDS = ["company", "address", "date", "currency", "payment", "subtotal", "tax", "total"];
const PARTS = ["quantity", "name", "price"];

/** A receipt as it came, with the interface of a page's sheet; `url` is its image's, null where the browser has none. */
export class ReceiptSheet {
  constructor(receipt, url, view) {
    this.receipt = receipt;
    this.url = url;
    this.files = [];
    this.image = null;
    this.rows = rowsOf(receipt.fields);
    const warning = receipt.warnings.join("; ");
    this.page = { index: 0, done: 1, total: 1, markdown: markdownOf(receipt.fields), content: receipt, warning, error: "" };
    this.element = section("Receipt");
    this.pairs = new Pairs(this.element);
    this.reading = make("div", "reading");
    const boxes = this.rows.map(({ box, name, kind }) => ({ box, name, kind }));
    const draw = () => this.pairs.draw(receipt.width, receipt.height, "Fields of the receipt", boxes);
    const columns = make("div", "columns");
    columns.append(figureOf(url, receipt.width, receipt.height, "The receipt as it was read", draw), this.reading);
    this.element.append(columns);
    this.showAs(view);
  }

  /** Frees the image. */
  dispose() {
    if (this.url) URL.revokeObjectURL(this.url);
  }

  /** The fields, a line each. */
  get text() {
    return this.rows.map(({ name, values }) => [name, ...values].filter(Boolean).join("\t")).join("\n");
  }

  showAs(view) {
    this.reading.replaceChildren();
    this.pairs.clearTexts();
    if (view === "markdown") this.reading.append(make("pre", "source", this.page.markdown));
    else if (view === "json") this.reading.append(make("pre", "source", JSON.stringify(this.receipt, null, 2)));
    else this.#showFields();
  }

  #showFields() {
    for (const warning of this.receipt.warnings) this.reading.append(make("p", "note", sentence(warning)));
    if (this.receipt.checks.sum === "mismatch") {
      this.reading.append(make("p", "note bad", "The items do not add up to the total."));
    }
    if (!this.rows.length) this.reading.append(make("p", "note", "No fields were found."));
    const items = this.rows.filter((row) => row.kind === "item");
    const fields = this.rows.filter((row) => row.kind !== "item");
    if (fields.length) this.reading.append(this.#table(["field", "value", "as printed", "confidence"], fields));
    if (items.length) this.reading.append(this.#table(["item", ...PARTS, "confidence"], items));
    if (this.rows.length) this.pairs.setTabStop(0);
  }

  #table(heads, rows) {
    const table = make("table", "fields");
    const head = make("tr");
    head.append(...heads.map((name) => make("th", "", name)));
    table.createTHead().append(head);
    const body = table.createTBody();
    for (const { number, name, kind, values, confidence } of rows) {
      const row = make("tr", "block");
      row.setAttribute("aria-label", `${number + 1}, ${name}`);
      row.append(...[name, ...values, `${Math.round(100 * confidence)} %`].map((text) => make("td", "", text)));
      this.pairs.addText(number, row, kind);
      body.append(row);
    }
    return table;
  }
}

/** What was found, in the order in which it is shown: a row a field, and a row an item with the box around its parts. */
function rowsOf(fields) {
  const rows = FIELDS.filter((name) => fields[name]).map((name) => {
    const { text, value, confidence, box } = fields[name];
    return { name, kind: name, values: [value ?? "", text], confidence, box };
  });
  for (const [number, item] of fields.items.entries()) {
    const parts = PARTS.map((part) => item[part]).filter(Boolean);
    const confidence = Math.min(...parts.map((part) => part.confidence));
    rows.push({ name: String(number + 1), kind: "item", values: PARTS.map((part) => shown(item[part])), confidence, box: around(parts) });
  }
  return rows.map((row, number) => ({ ...row, number }));
}

function around(parts) {
  const sides = (index) => parts.map((part) => part.box[index]);
  return [Math.min(...sides(0)), Math.min(...sides(1)), Math.max(...sides(2)), Math.max(...sides(3))];
}

function shown(field) {
  return field ? (field.value ?? field.text) : "";
}

function markdownOf(fields) {
  const line = (cells) => `| ${cells.map((cell) => cell.replaceAll(/\s+/g, " ").replaceAll(/([\\|`*_<$#[\]])/g, "\\$1")).join(" | ")} |`;
  const rows = FIELDS.filter((name) => fields[name]).map((name) => line([name, shown(fields[name])]));
  const items = fields.items.map((item) => line(PARTS.map((part) => shown(item[part]))));
  const tables = [];
  if (rows.length) tables.push([line(["field", "value"]), "| --- | --- |", ...rows].join("\n"));
  if (items.length) tables.push([line(PARTS), "| ---: | --- | ---: |", ...items].join("\n"));
  return tables.join("\n\n");
}
