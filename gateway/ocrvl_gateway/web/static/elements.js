// Elements that sheets are made of.

export function make(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** A sheet of this title. */
export function section(title) {
  const made = make("section", "sheet");
  made.append(make("h2", "", title));
  made.setAttribute("aria-label", title);
  return made;
}

/** An image at `url` of this size, 0 where that is not known, below `over`; a note where there is none. */
export function figureOf(url, width, height, name, over) {
  const figure = make("figure", "image");
  if (!url) {
    figure.append(make("p", "note", "No image of this page."));
    return figure;
  }
  const image = make("img");
  image.src = url;
  image.alt = name;
  const canvas = make("div", "canvas");
  canvas.append(image);
  if (width) {
    [image.width, image.height] = [width, height];
    canvas.style.setProperty("--ratio", width / height);
    canvas.style.setProperty("--width", width);
    canvas.append(over());
  }
  figure.append(canvas);
  return figure;
}
