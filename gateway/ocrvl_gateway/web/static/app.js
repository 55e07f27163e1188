// What the page does: takes a file, has it read, shows pages as they come, and hands out the results.

import { Problem, readDocument } from "./events.js";
import { Sheet, waitingSheet } from "./sheet.js";
import { zip } from "./zip.js";

const $ = (id) => document.getElementById(id);
const state = { file: null, sheets: [], markdown: "", view: "text", reading: null };

async function read(file) {
  state.reading?.abort();
  const reading = new AbortController();
  state.reading = reading;
  clear();
  state.file = file;
  $("chosen").textContent = `${file.name || "pasted picture"} · ${sizeOf(file.size)}`;
  $("hint").hidden = true;
  $("drop").classList.add("small");
  $("results").hidden = false;
  $("again").hidden = false;
  $("stop").hidden = false;
  const shown = /^image\/(jpeg|png|webp|bmp|gif)$/.test(file.type) ? URL.createObjectURL(file) : null;
  const waiting = waitingSheet(shown);
  $("sheets").append(waiting);
  $("progress").removeAttribute("value");
  const began = performance.now();
  const seconds = () => ((performance.now() - began) / 1000).toFixed(1);
  const clock = setInterval(() => state.sheets.length || tell(`reading, ${Math.round(seconds())} s`), 1000);
  tell("reading");
  try {
    await readDocument(file, query(), $("key").value, reading.signal, {
      page(page) {
        waiting.remove();
        const sheet = new Sheet(page, state.view);
        state.sheets.push(sheet);
        $("sheets").append(sheet.element);
        $("progress").value = page.done / page.total;
        tell(`${page.done} of ${page.total} ${page.total === 1 ? "page" : "pages"}, ${seconds()} s`);
        offer();
      },
      document(whole) {
        state.markdown = whole.markdown;
        const failed = state.sheets.filter((sheet) => sheet.page.error).length;
        tell(`done: ${count(state.sheets.length, "page")}, ${seconds()} s${failed ? `, ${failed} could not be read` : ""}`);
      },
    });
  } catch (error) {
    if (state.reading !== reading) return;
    if (error.name === "AbortError") tell(`stopped after ${count(state.sheets.length, "page")}`);
    else fail(error);
  } finally {
    clearInterval(clock);
    if (shown) URL.revokeObjectURL(shown);
    waiting.remove();
    if (state.reading === reading) {
      state.reading = null;
      $("stop").hidden = true;
      $("progress").value = state.sheets.length ? 1 : 0;
      offer();
    }
  }
}

function fail(error) {
  if (!(error instanceof Problem)) console.error(error);
  $("problem").textContent = error.message;
  $("problem").hidden = false;
  tell(state.sheets.length ? `ended after ${count(state.sheets.length, "page")}` : "not read");
  if (error.status === 401) {
    $("key-label").hidden = false;
    $("key").focus();
  }
}

function clear() {
  for (const sheet of state.sheets) sheet.forget();
  Object.assign(state, { sheets: [], markdown: "" });
  $("sheets").replaceChildren();
  $("problem").hidden = true;
  offer();
}

function query() {
  const query = new URLSearchParams();
  const mode = $("mode").value;
  if (mode) {
    query.set("use_layout_detection", "false");
    query.set("prompt_label", mode);
  }
  const pages = $("pages").value.replaceAll(/\s/g, "");
  if (pages) query.set("pages", pages);
  if ($("charts").checked) query.set("use_chart_recognition", "true");
  if ($("seals").checked) query.set("use_seal_recognition", "true");
  return query;
}

function offer() {
  for (const id of ["get-markdown", "get-json", "get-zip"]) $(id).disabled = !state.sheets.length;
}

// results

const stem = () => (state.file.name || "picture").replace(/\.[^.]*$/, "");
const markdown = () => state.markdown || state.sheets.map((sheet) => sheet.page.markdown).join("\n\n");

function json() {
  const pages = state.sheets.map(({ page }) => {
    const { index, markdown, content, error, warning } = page;
    return { index, markdown, content, error, warning };
  });
  return JSON.stringify({ file: state.file.name, markdown: markdown(), pages }, null, 2);
}

function archive() {
  const files = [[`${stem()}.md`, markdown()], [`${stem()}.json`, json()]];
  for (const sheet of state.sheets) {
    files.push(...sheet.files);
    if (sheet.picture) files.push([`page_${String(sheet.page.index + 1).padStart(4, "0")}.jpg`, sheet.picture]);
  }
  return zip(files);
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

$("get-markdown").onclick = () => save(new Blob([markdown()], { type: "text/markdown" }), `${stem()}.md`);
$("get-json").onclick = () => save(new Blob([json()], { type: "application/json" }), `${stem()}.json`);
$("get-zip").onclick = () => save(archive(), `${stem()}.zip`);

// how it is shown

for (const button of document.querySelectorAll("[data-view]")) {
  button.onclick = () => {
    state.view = button.dataset.view;
    for (const one of document.querySelectorAll("[data-view]")) one.setAttribute("aria-pressed", String(one === button));
    for (const sheet of state.sheets) sheet.showAs(state.view);
  };
}

// what is read

$("file").onchange = (event) => {
  const [file] = event.target.files;
  if (file) read(file);
  event.target.value = ""; // so that the same file can be chosen again
};
$("form").onsubmit = (event) => {
  event.preventDefault();
  if (state.file) read(state.file);
};
$("stop").onclick = () => state.reading?.abort();
document.addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (file) read(file);
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => event.relatedTarget || $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) read(file);
});
// documents have charts, seals and pages; a picture that is one block has not
$("mode").onchange = () => {
  for (const id of ["charts", "seals"]) $(id).disabled = Boolean($("mode").value);
};

function tell(text) {
  $("status").textContent = text;
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function sizeOf(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

async function lookAtServer() {
  let up = false;
  try {
    up = (await fetch("readyz")).ok;
  } catch {
    // the gateway itself is gone
  }
  $("server").className = `server ${up ? "up" : "down"}`;
  $("server").textContent = up ? "the server is ready" : "the server is not ready";
}

lookAtServer();
setInterval(() => document.hidden || lookAtServer(), 15_000);
