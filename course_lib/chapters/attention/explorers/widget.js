// Lines from token to token. Left: all heads, click one. Right: point at a token, see what it reads.
// Everything can be done with the keyboard: arrows move in the mosaic and in the column of tokens.

const SVG = "http://www.w3.org/2000/svg";
const ROW = 18;
const SIDE = 260;
const BLUE = "#0072B2";
const FRAME = "#D55E00";

function svg(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function shade(value) {
  // cividis, in five stops: dark blue to yellow
  const stops = [[0, 34, 78], [65, 77, 107], [124, 123, 120], [187, 175, 113], [254, 232, 56]];
  const at = (value / 255) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  return stops[low].map((start, i) => start + (at - low) * (stops[low + 1][i] - start));
}

function render({ model, el }) {
  const [layers, heads, rows, cols] = model.get("shape");
  const tokens = model.get("tokens");
  const view = model.get("weights");
  const weights = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const offset = cols - rows;
  let [layer, head, query] = [model.get("layer"), model.get("head"), model.get("query")];

  const weight = (row, col) => weights[((layer * heads + head) * rows + row) * cols + col] / 255;

  const box = document.createElement("div");
  box.style.cssText =
    "display:flex;gap:24px;align-items:flex-start;background:white;color:#222;padding:8px;" +
    "font:13px sans-serif;overflow-x:auto";
  const canvas = document.createElement("canvas");
  canvas.width = heads * (cols + 2);
  canvas.height = layers * (rows + 2);
  const tall = Math.min(SIDE * 1.6, Math.max(90, (SIDE * layers) / heads));
  canvas.style.cssText = `width:${SIDE}px;height:${tall}px;image-rendering:pixelated;cursor:pointer`;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "All heads. Arrow keys choose a layer and a head.");
  const left = document.createElement("div");
  const said = document.createElement("div");
  said.setAttribute("role", "status");
  said.style.cssText = "margin-top:8px;max-width:" + SIDE + "px";
  left.append(canvas, said);
  const picture = svg("svg", { width: 340, height: cols * ROW + 8 });
  picture.setAttribute("role", "group");
  picture.setAttribute("aria-label", "Tokens that read, left, and tokens that are read, right.");
  box.append(left, picture);
  el.replaceChildren(box);
  box.addEventListener("focusin", (event) => {
    event.target.setAttribute("data-lm-suppress-shortcuts", "true"); // as in keyboard.js
  });

  const lines = svg("g", { stroke: BLUE, "stroke-linecap": "round" });
  picture.append(lines);
  const middle = (place) => place * ROW + ROW / 2 + 4;
  const label = (text, x, place, anchor) => {
    const made = svg("text", { x, y: middle(place), "text-anchor": anchor, "font-size": 13 });
    made.setAttribute("dominant-baseline", "central");
    made.textContent = text;
    picture.append(made);
    return made;
  };
  const keys = tokens.map((text, place) => label(text, 215, place, "start"));
  const readers = tokens.slice(offset).map((text, row) => {
    const made = label(text, 125, row + offset, "end");
    made.style.cursor = "pointer";
    made.setAttribute("role", "button");
    const area = svg("rect", { x: 0, y: (row + offset) * ROW + 4, width: 130, height: ROW });
    area.setAttribute("fill", "transparent");
    area.addEventListener("pointerenter", () => point(row));
    picture.append(area);
    made.addEventListener("focus", () => point(row));
    made.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      readers[Math.max(0, Math.min(rows - 1, row + step))].focus();
    });
    return made;
  });

  function paintMosaic() {
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(canvas.width, canvas.height);
    image.data.fill(255);
    for (let l = 0; l < layers; l++)
      for (let h = 0; h < heads; h++)
        for (let t = 0; t < rows; t++)
          for (let s = 0; s < cols; s++) {
            const x = h * (cols + 2) + s + 1;
            const y = l * (rows + 2) + t + 1;
            const at = 4 * (y * canvas.width + x);
            const colour = shade(weights[((l * heads + h) * rows + t) * cols + s]);
            for (let c = 0; c < 3; c++) image.data[at + c] = colour[c];
          }
    pen.putImageData(image, 0, 0);
    pen.strokeStyle = FRAME;
    pen.lineWidth = 1; // the margin between two maps, so that no weight is covered
    pen.strokeRect(head * (cols + 2) + 0.5, layer * (rows + 2) + 0.5, cols + 1, rows + 1);
  }

  function point(row) {
    query = row;
    lines.replaceChildren();
    let best = 0;
    keys.forEach((key, col) => {
      const share = weight(row, col);
      if (share > weight(row, best)) best = col;
      key.setAttribute("opacity", 0.35 + 0.65 * Math.min(1, 2 * share));
      key.setAttribute("font-weight", share > 0.3 ? "bold" : "normal");
      if (share < 0.004) return;
      lines.append(
        svg("line", {
          x1: 132,
          y1: middle(row + offset),
          x2: 208,
          y2: middle(col),
          "stroke-width": 0.5 + 5 * share,
          opacity: Math.min(1, 0.1 + share),
        }),
      );
    });
    readers.forEach((reader, place) => {
      reader.setAttribute("font-weight", place === row ? "bold" : "normal");
      reader.setAttribute("tabindex", place === row ? 0 : -1);
    });
    said.textContent =
      `Layer ${layer}, head ${head}: “${tokens[row + offset]}” (position ${row + offset}) reads ` +
      `mostly “${tokens[best]}” (position ${best}), ${weight(row, best).toFixed(2)}.`;
  }

  function choose(newLayer, newHead) {
    layer = Math.max(0, Math.min(layers - 1, newLayer));
    head = Math.max(0, Math.min(heads - 1, newHead));
    paintMosaic();
    point(query);
    model.set({ layer, head });
    model.save_changes();
  }

  canvas.addEventListener("click", (event) => {
    const place = canvas.getBoundingClientRect();
    choose(
      Math.floor(((event.clientY - place.top) / place.height) * layers),
      Math.floor(((event.clientX - place.left) / place.width) * heads),
    );
  });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    choose(layer + step[0], head + step[1]);
  });
  paintMosaic();
  point(query);
}

export default { render };
