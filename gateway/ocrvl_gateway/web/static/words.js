// Messages to the user.

/** A number and its noun. */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

export function sizeOf(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** A message as a sentence. */
export function sentence(text) {
  const whole = text.trim();
  if (!whole) return "";
  return whole[0].toUpperCase() + whole.slice(1) + (/[.!?…]$/.test(whole) ? "" : ".");
}

/** What went wrong with a file, and what can be done about it. */
export function problemOf(error, name, done) {
  if (error.status === 401) return `${name} was not read: the server requires an API key. Enter it above, then read again.`;
  if (error.status === 429) return `${name} was not read: too many requests came from here. Try again in a minute.`;
  if (error.status === 503) return `${name} was not read: ${plain(error.message)}. Try again in a moment.`;
  if (done) return `${name} was read up to ${count(done, "page")}, then this stopped it: ${plain(error.message)}.`;
  return `${name} could not be read: ${plain(error.message)}.`;
}

function plain(message) {
  return message.trim().replace(/[.\s]+$/, "");
}
