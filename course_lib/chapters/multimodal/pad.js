// Squares to paint on a picture. Drag to paint in the chosen colour; with the keyboard, arrows move a
// frame and the space bar paints. `value` has one character for each square: a colour's number or ".".

const SIDE = 12;

function render({ model, el }) {
  const squares = model.get("squares");
  const colours = model.get("colours");
  const names = model.get("names");
  let cells = [...(model.get("value") || ".".repeat(squares * squares))];
  let [x, y, painting] = [0, 0, false];

  const box = document.createElement("div");
  box.style.cssText = "background:white;color:#222;padding:8px;font:13px sans-serif;width:fit-content";
  const bar = document.createElement("div");
  bar.style.cssText = "display:flex;gap:12px;margin-bottom:6px";
  const chosen = document.createElement("select");
  chosen.setAttribute("aria-label", "colour to paint in");
  [...names, "erase"].forEach((name, place) => {
    const option = document.createElement("option");
    option.textContent = name;
    option.value = place < names.length ? String(place) : ".";
    chosen.append(option);
  });
  const clear = document.createElement("button");
  clear.textContent = "erase all";
  bar.append(model.get("description"), chosen, clear);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = squares * SIDE;
  canvas.tabIndex = 0;
  canvas.style.cssText = "cursor:crosshair;touch-action:none;border:1px solid #888";
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "Squares to paint. Arrows move, the space bar paints.");
  const said = document.createElement("div");
  said.setAttribute("role", "status");
  box.append(bar, canvas, said);
  el.replaceChildren(box);

  function show() {
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    cells.forEach((cell, place) => {
      const [left, top] = [(place % squares) * SIDE, Math.floor(place / squares) * SIDE];
      pen.fillStyle = cell === "." ? "#eeeeee" : colours[Number(cell)];
      pen.fillRect(left, top, SIDE - 1, SIDE - 1);
    });
    pen.strokeStyle = "#D55E00";
    pen.strokeRect(x * SIDE + 0.5, y * SIDE + 0.5, SIDE - 2, SIDE - 2);
    const painted = cells.filter((cell) => cell !== ".").length;
    said.textContent = `Row ${y + 1}, column ${x + 1}. Painted squares: ${painted}.`;
  }

  function paint() {
    cells[y * squares + x] = chosen.value;
    show();
  }

  function send() {
    model.set("value", cells.every((cell) => cell === ".") ? "" : cells.join(""));
    model.save_changes();
  }

  function go(event) {
    const place = canvas.getBoundingClientRect();
    const at = (value) => Math.max(0, Math.min(squares - 1, Math.floor(value / SIDE)));
    x = at(event.clientX - place.left);
    y = at(event.clientY - place.top);
    paint();
  }

  canvas.addEventListener("pointerdown", (event) => {
    painting = true;
    canvas.setPointerCapture(event.pointerId);
    go(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (painting) go(event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      painting = false;
      send();
    });
  }
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key !== " " && !step[event.key]) return;
    event.preventDefault();
    if (event.key === " ") {
      paint();
      send();
      return;
    }
    x = Math.max(0, Math.min(squares - 1, x + step[event.key][0]));
    y = Math.max(0, Math.min(squares - 1, y + step[event.key][1]));
    show();
  });
  clear.addEventListener("click", () => {
    cells = cells.map(() => ".");
    show();
    send();
  });
  show();
}

export default { render };
