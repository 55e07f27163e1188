// Reading a file: the request, and the events of its answer.

/** An answer that is no result: `status` is HTTP's, 0 where the connection broke. */
export class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** Sends a file; calls `on.page` and `on.document` as they come. Throws a `Problem`, or AbortError. */
export async function readDocument(file, query, key, signal, on) {
  const response = await post(`api/document?${query}`, file, "application/octet-stream", key, signal);
  for await (const { event, data } of eventsOf(response.body)) {
    if (event === "error") throw new Problem(data.message, 200);
    on[event]?.(data);
    if (event === "document") return;
  }
  throw new Problem("The connection broke before the document was done.");
}

/** The fields of a receipt, as JSON. Throws as `readDocument`. */
export async function readReceipt(file, key, signal) {
  const body = JSON.stringify({ image: await dataUrlOf(file) });
  const response = await post("receipts", body, "application/json", key, signal);
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The connection broke before the receipt was done.");
  }
}

async function post(address, body, type, key, signal) {
  const headers = { "Content-Type": type };
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(address, { method: "POST", body, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The gateway cannot be reached, or closed the connection.");
  }
  if (!response.ok) throw new Problem(await messageOf(response), response.status);
  return response;
}

function dataUrlOf(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Problem("The file cannot be read from the disk."));
    reader.readAsDataURL(file);
  });
}

async function messageOf(response) {
  const fallback = `${response.status} ${response.statusText}`;
  try {
    return (await response.json()).error?.message ?? fallback;
  } catch {
    return fallback;
  }
}

async function* eventsOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let pieces = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    pieces.push(value);
    // a page is megabytes in many chunks: they are put together once, when its end has come
    const edge = (pieces.at(-2)?.at(-1) ?? "") + value;
    if (!edge.includes("\n\n")) continue;
    const messages = pieces.join("").split("\n\n");
    pieces = [messages.pop()];
    for (const message of messages) if (message) yield parse(message);
  }
}

function parse(message) {
  let event = "message";
  const data = [];
  for (const line of message.split("\n")) {
    if (line.startsWith("event: ")) event = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  return { event, data: data.length ? JSON.parse(data.join("\n")) : null };
}

/** The bytes of base64 text. */
export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
