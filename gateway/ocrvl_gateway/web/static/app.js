// The page: takes a file, has it read, shows pages as they come, and offers the results.

import { Problem, readDocument, readReceipt } from "./events.js";
import { ReceiptSheet } from "./receipt.js";
import { Results, copy, save } from "./results.js";
import { Sheet, waitingSheet } from "./sheet.js";
import { count, problemOf, sizeOf } from "./words.js";

const $ = (id) => document.getElementById(id);
const state = { file: null, sheets: [], markdown: "", view: "text", reading: null, query: "" };

async function read(file, others = 0) {
  state.reading?.abort();
  const reading = new AbortController();
  state.reading = reading;
  clear();
  state.file = file;
  state.query = query().toString();
  $("name").textContent = `${nameOf(file)} · ${sizeOf(file.size)}${others ? `, the first of ${count(others + 1, "file")}` : ""}`;
  $("drop").classList.add("small");
  for (const id of ["results", "progress", "stop"]) $(id).hidden = false;
  updateReadAgain();
  const shown = addressOf(file);
  const waiting = waitingSheet(shown);
  $("sheets").append(waiting);
  $("progress").removeAttribute("value");
  const began = performance.now();
  const seconds = () => ((performance.now() - began) / 1000).toFixed(1);
  const clock = setInterval(() => state.sheets.length || setStatus(`reading, ${Math.round(seconds())} s`), 1000);
  setStatus("reading");
  try {
    const read = $("mode").value === "receipt" ? showReceipt : showDocument;
    setStatus(`done: ${await read(file, reading.signal, waiting, seconds)}, ${seconds()} s`);
    $("progress").hidden = true;
  } catch (error) {
    if (state.reading !== reading) return;
    if (error.name === "AbortError") setStatus(`stopped after ${readSoFar()}`);
    else fail(error);
  } finally {
    clearInterval(clock);
    if (shown) URL.revokeObjectURL(shown);
    waiting.remove();
    if (state.reading === reading) {
      state.reading = null;
      $("stop").hidden = true;
      // a bar that was stopped stays where it was
      if (!state.sheets.length) $("progress").hidden = true;
      updateReadAgain();
    }
  }
}

/** Shows the pages of a file as they come; says how many. */
async function showDocument(file, signal, waiting, seconds) {
  await readDocument(file, query(), $("key").value, signal, {
    page(page) {
      waiting.remove();
      show(new Sheet(page, state.view, readAs));
      $("progress").value = page.done / page.total;
      setStatus(`${page.done} of ${count(page.total, "page")}, ${seconds()} s`);
    },
    document(whole) {
      state.markdown = whole.markdown;
    },
  });
  const failed = state.sheets.filter((sheet) => sheet.page.error).length;
  return count(state.sheets.length, "page") + (failed ? ` (${failed} could not be read)` : "");
}

/** Shows the fields of a receipt. */
async function showReceipt(file, signal, waiting) {
  const receipt = await readReceipt(file, $("key").value, signal);
  waiting.remove();
  show(new ReceiptSheet(receipt, addressOf(file), state.view));
  return "1 receipt";
}

function show(sheet) {
  state.sheets.push(sheet);
  $("sheets").append(sheet.element);
  showResultActions();
}

/** The address of a file that a browser can show as an image, null of others. */
function addressOf(file) {
  return /^image\/(jpeg|png|webp|bmp|gif)$/.test(file.type) ? URL.createObjectURL(file) : null;
}

/** Reads the same file in another mode. */
function readAs(mode) {
  $("mode").value = mode;
  modeChanged();
  read(state.file);
}

function fail(error) {
  if (!(error instanceof Problem)) console.error(error);
  $("problem").textContent = problemOf(error, nameOf(state.file), state.sheets.length);
  $("problem").hidden = false;
  setStatus(state.sheets.length ? `ended after ${readSoFar()}` : "not read");
  if (error.status === 401) {
    $("key-label").hidden = false;
    $("key").focus();
  }
}

function clear() {
  for (const sheet of state.sheets) sheet.dispose();
  Object.assign(state, { sheets: [], markdown: "" });
  $("sheets").replaceChildren();
  $("problem").hidden = true;
  showResultActions();
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
  if (!mode && $("charts").checked) query.set("use_chart_recognition", "true");
  if (!mode && $("seals").checked) query.set("use_seal_recognition", "true");
  return query;
}

// actions

function showResultActions() {
  for (const id of ["views", "downloads", "help"]) $(id).hidden = !state.sheets.length;
}

/** The button to read again, with the mode where another one was chosen. */
function updateReadAgain() {
  if (!state.file) return;
  const differs = query().toString() !== state.query;
  const isOther = differs && $("mode").value !== (new URLSearchParams(state.query).get("prompt_label") ?? "");
  $("again").hidden = false;
  $("again").classList.toggle("changed", differs);
  $("again").textContent = isOther ? `Read again as ${$("mode").selectedOptions[0].text}` : "Read again";
}

function modeChanged() {
  // documents have charts, seals and pages; an image that is one block has not
  for (const id of ["charts", "seals"]) $(id).disabled = Boolean($("mode").value);
  $("pages").disabled = $("mode").value === "receipt";
  updateReadAgain();
}

// results

const results = () => new Results(nameOf(state.file), state.sheets, state.markdown);

$("get-markdown").onclick = () => save(results().markdown, `${results().stem}.md`, "text/markdown");
$("get-json").onclick = () => save(results().json, `${results().stem}.json`, "application/json");
$("get-zip").onclick = () => save(results().archive, `${results().stem}.zip`);
$("copy").onclick = async () => {
  $("copy").textContent = (await copy(results().textOf(state.view))) ? "Copied" : "Not copied";
  setTimeout(() => ($("copy").textContent = "Copy"), 2000);
};

for (const button of document.querySelectorAll("[data-view]")) {
  button.onclick = () => {
    state.view = button.dataset.view;
    for (const one of document.querySelectorAll("[data-view]")) one.setAttribute("aria-pressed", String(one === button));
    for (const sheet of state.sheets) sheet.showAs(state.view);
  };
}

// input

function readFirst(files) {
  if (files.length) read(files[0], files.length - 1);
}

for (const button of document.querySelectorAll("[data-example]")) {
  button.onclick = async () => {
    const name = button.dataset.example;
    const image = await (await fetch(`static/examples/${name}`)).blob();
    $("mode").value = button.dataset.mode;
    $("pages").value = "";
    modeChanged();
    read(new File([image], name, { type: "image/png" }));
  };
}
$("file").onchange = (event) => {
  readFirst([...event.target.files]);
  event.target.value = ""; // so that the same file can be chosen again
};
$("form").onsubmit = (event) => {
  event.preventDefault();
  if (state.file) read(state.file);
};
$("stop").onclick = () => state.reading?.abort();
document.addEventListener("paste", (event) => readFirst([...event.clipboardData.files]));
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
  readFirst([...event.dataTransfer.files]);
});
$("mode").onchange = modeChanged;
for (const id of ["pages", "charts", "seals"]) $(id).oninput = updateReadAgain;

function nameOf(file) {
  return file.name || "The pasted image";
}

function readSoFar() {
  const last = state.sheets.at(-1)?.page;
  return last ? `${last.done} of ${count(last.total, "page")}` : "0 pages";
}

function setStatus(text) {
  $("status").textContent = text;
}

async function checkServer() {
  let up = false;
  try {
    up = (await fetch("readyz")).ok;
  } catch {
    // the gateway itself is gone
  }
  $("server").className = `server ${up ? "up" : "down"}`;
  $("server").textContent = up ? "the server is ready" : "the server is not ready";
}

checkServer();
setInterval(() => document.hidden || checkServer(), 15_000);
