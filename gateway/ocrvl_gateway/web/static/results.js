// Results to save: Markdown, JSON, an archive with the images, and the clipboard.

import { zip } from "./zip.js";

/** `sheets` are the pages that came; `markdown` is the whole document's, once it is there. */
export class Results {
  constructor(name, sheets, markdown) {
    this.stem = name.replace(/\.[^.]*$/, "");
    this.name = name;
    this.sheets = sheets;
    this.markdown = markdown || sheets.map((sheet) => sheet.page.markdown).join("\n\n");
  }

  get json() {
    const [first] = this.sheets;
    if (first?.receipt) return JSON.stringify({ file: this.name, ...first.receipt }, null, 2);
    const pages = this.sheets.map(({ page }) => {
      const { index, markdown, content, error, warning } = page;
      return { index, markdown, content, error, warning };
    });
    return JSON.stringify({ file: this.name, markdown: this.markdown, pages }, null, 2);
  }

  get archive() {
    const files = [[`${this.stem}.md`, this.markdown], [`${this.stem}.json`, this.json]];
    for (const sheet of this.sheets) {
      files.push(...sheet.files);
      if (sheet.image) files.push([`page_${String(sheet.page.index + 1).padStart(4, "0")}.jpg`, sheet.image]);
    }
    return zip(files);
  }

  /** What a view shows, as text. */
  textOf(view) {
    if (view === "markdown") return this.markdown;
    if (view === "json") return this.json;
    return this.sheets.map((sheet) => sheet.text).join("\n\n");
  }
}

export function save(content, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Puts a text on the clipboard; says whether it is there. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // browsers have no clipboard for pages over plain HTTP, but still copy what is selected
    const box = document.createElement("textarea");
    box.value = text;
    box.className = "unseen";
    document.body.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    return done;
  }
}
