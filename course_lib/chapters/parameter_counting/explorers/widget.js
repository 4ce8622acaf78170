// Rectangles whose width is a number of parameters. Point at one, or reach it with the arrow keys, and
// its formula is written below. A list chooses the model, a box ties its head to the embedding.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 900;
const ROW = 62;
const LEFT = 66;
const LEVELS = ["model", "parts", "matrices"];

function svg(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function html(name, style, text) {
  const made = document.createElement(name);
  made.style.cssText = style;
  if (text !== undefined) made.textContent = text;
  return made;
}

function readable(colour) {
  const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);
  const linear = parts.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.18 ? "black" : "white";
}

function short(count) {
  for (const [size, letter] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]])
    if (count >= size) return `${Number((count / size).toPrecision(3))} ${letter}`;
  return String(count);
}

function render({ model, el }) {
  const models = model.get("models");
  const box = html(
    "div",
    "background:white;color:#222;padding:8px;font:13px sans-serif;overflow-x:auto",
  );
  const bar = html("div", "display:flex;gap:24px;align-items:center;margin-bottom:6px");
  const chosen = html("select", "font:inherit");
  chosen.setAttribute("aria-label", "model");
  for (const each of models) {
    const option = html("option", "", each.name);
    option.value = each.name;
    chosen.append(option);
  }
  const label = html("label", "cursor:pointer");
  const tied = html("input", "");
  tied.type = "checkbox";
  label.append(tied, document.createTextNode(" the head is the embedding (tied)"));
  bar.append(chosen, label);
  const heading = html("div", "font-weight:bold;margin:4px 0");
  const picture = svg("svg", { width: LEFT + WIDTH + 4, height: 3 * ROW + 4, role: "group" });
  picture.setAttribute("aria-label", "Parts of the model. Arrow keys go from one to the next.");
  const said = html("div", "min-height:3em;margin-top:6px");
  said.setAttribute("role", "status");
  box.append(bar, heading, picture, said);
  el.replaceChildren(box);
  box.addEventListener("focusin", (event) => {
    event.target.setAttribute("data-lm-suppress-shortcuts", "true"); // as in keyboard.js
  });

  let areas = [];

  function tell(cell, total, place) {
    areas.forEach((area, i) => {
      area.setAttribute("stroke", i === place ? "black" : "white");
      area.setAttribute("stroke-width", i === place ? 2.5 : 1);
      area.setAttribute("tabindex", i === place ? 0 : -1);
    });
    const [, , count, name, formula] = cell;
    const percent = (100 * count) / total;
    const share = count === total ? "100" : percent >= 1 ? percent.toFixed(1) : percent.toPrecision(2);
    const known = model.get("name");
    said.textContent =
      `${name}: ${count.toLocaleString("en-US")} parameters, ${share} % of ${known}. ${formula}`;
  }

  function draw() {
    const own = models.find((each) => each.name === model.get("name"));
    const which = model.get("tied") ? 1 : 0;
    const cells = own.cells[which];
    const total = cells[0][2];
    chosen.value = own.name;
    tied.checked = model.get("tied");
    heading.textContent = own.findings[which];
    picture.replaceChildren();
    LEVELS.forEach((level, row) =>
      picture.append(svg("text", { x: 0, y: row * ROW + ROW / 2 + 4, "font-size": 12 }, level)),
    );
    areas = cells.map((cell, place) => {
      const [level, start, count, name, , colour] = cell;
      const x = LEFT + (WIDTH * start) / total;
      const width = (WIDTH * count) / total;
      const y = level * ROW + 2;
      const area = svg("rect", { x, y, width, height: ROW - 2, fill: colour, stroke: "white" });
      area.setAttribute("role", "button");
      area.setAttribute("aria-label", name);
      area.addEventListener("pointerenter", () => tell(cell, total, place));
      area.addEventListener("focus", () => tell(cell, total, place));
      area.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        areas[Math.max(0, Math.min(areas.length - 1, place + step))].focus();
      });
      picture.append(area);
      const room = width / 7.8;
      if (room > name.length) {
        const words = { x: x + width / 2, "text-anchor": "middle", "font-size": 12 };
        words.fill = readable(colour);
        words["pointer-events"] = "none";
        picture.append(svg("text", { ...words, y: y + ROW / 2 - 6 }, name));
        picture.append(svg("text", { ...words, y: y + ROW / 2 + 10 }, short(count)));
      }
      return area;
    });
    tell(cells[0], total, 0);
  }

  chosen.addEventListener("change", () => {
    const own = models.find((each) => each.name === chosen.value);
    model.set({ name: own.name, tied: own.tied });
    model.save_changes();
    draw();
  });
  tied.addEventListener("change", () => {
    model.set("tied", tied.checked);
    model.save_changes();
    draw();
  });
  draw();
}

export default { render };
