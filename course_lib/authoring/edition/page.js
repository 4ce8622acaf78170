// What moves on a page: explorers play frames, quizzes compare answers, the theme can be chosen.
// Everything that is needed is in the page; nothing is fetched.

const say = (place, text) => { if (place) place.textContent = text; };
const dataOf = (part) =>
  JSON.parse(part.querySelector(':scope > script[type="application/json"]').textContent);

// ---- explorers ------------------------------------------------------------------------------

async function unpacked(figure) {
  const packed = atob(figure.querySelector("script.pictures").textContent);
  const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

function pictureOf(table, frame) {
  let at = 0;
  const lines = table.frames[frame].map((step) => table.lines[(at += step)]);
  return `data:image/svg+xml,${encodeURIComponent(lines.join("\n"))}`;
}

class Explorer {
  constructor(figure) {
    this.figure = figure;
    this.controls = [...figure.querySelectorAll("[data-control]")];
    this.data = dataOf(figure);
    this.frames = new Map(this.data.places.map((place, frame) => [place.join(), frame]));
    this.image = figure.querySelector("img");
    for (const control of this.controls)
      control.addEventListener("input", () => this.move(control));
  }

  place() {
    const found = [...this.data.places[0]];
    for (const each of this.controls)
      found[each.dataset.control] = each.matches("select") ? each.selectedIndex : Number(each.value);
    return found;
  }

  // Controls that are not combined with the one that moves go back to where they start.
  settle(moved) {
    const group = this.data.groups.find((each) => each.includes(Number(moved.dataset.control)));
    let reset = 0;
    for (const each of this.controls) {
      const start = Number(each.dataset.start);
      const now = each.matches("select") ? each.selectedIndex : Number(each.value);
      if (group.includes(Number(each.dataset.control)) || now === start) continue;
      if (each.matches("select")) each.selectedIndex = start;
      else each.value = start;
      reset += 1;
    }
    say(this.figure.querySelector(".note"), reset
      ? "On this page these controls move one at a time, so the others are back at their start. "
        + "In JupyterLab they combine."
      : "");
    for (const each of this.controls) this.label(each);
  }

  label(control) {
    if (!control.dataset.stops) return;
    const shown = control.dataset.stops.split("\n")[Number(control.value)];
    control.setAttribute("aria-valuetext", shown);
    say(control.nextElementSibling, shown);
  }

  async move(control) {
    this.settle(control);
    const frame = this.frames.get(this.place().join());
    const finding = this.data.findings[frame];
    say(this.figure.querySelector(".finding"), finding);
    this.table ??= unpacked(this.figure);
    const table = await this.table;
    if (frame !== this.frames.get(this.place().join())) return; // it has moved on meanwhile
    if (table.frames[frame].length > 1) {
      this.image.src = pictureOf(table, frame);
      this.image.alt = finding;
    }
    this.figure.dataset.frame = frame;
  }
}

// A small widget brings its own script, which asks a model for what it draws.
async function widget(figure) {
  const { module, state } = dataOf(figure);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const model = {
    get: (name) => (state[name]?.base64 ? new DataView(bytes(state[name].base64).buffer)
      : state[name]),
    set: (name, value) => Object.assign(state, value === undefined ? name : { [name]: value }),
    on: () => {},
    save_changes: () => {},
  };
  const address = URL.createObjectURL(new Blob([module], { type: "text/javascript" }));
  const script = await import(address);
  URL.revokeObjectURL(address);
  script.default.render({ model, el: figure.querySelector(".view") });
  figure.dataset.live = true;
}

// ---- quizzes --------------------------------------------------------------------------------

const plain = (text) => text.replaceAll("−", "-").replaceAll('"', "'");
const words = (text) => plain(text).match(/[\p{L}\p{N}_]+|[^\p{L}\p{N}_\s]/gu) ?? [];
const values = (text) =>
  (plain(text).match(/\d+(?:\.\d*)?|[\p{L}\p{N}_]+|[^\p{L}\p{N}_\s]/gu) ?? [])
    .map((word) => (/^\d/.test(word) ? `${parseFloat(word)}` : word));
const same = (kind, one, other) => kind(one).join("\0") === kind(other).join("\0");

class NoAnswer extends Error {}
const need = (answer, remedy) => { if (!answer) throw new NoAnswer(remedy); };

function numberIn(text) {
  const cleaned = text.trim().replaceAll("−", "-").replaceAll("_", "");
  const part = (piece) => (/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(piece.trim())
    ? Number(piece) : NaN);
  const whole = (piece) => {
    if (piece.endsWith("%")) return whole(piece.slice(0, -1)) / 100;
    const [top, bottom = "1", ...more] = piece.split("/");
    return more.length ? NaN : part(top) / part(bottom);
  };
  const found = whole(cleaned);
  if (!Number.isFinite(found))
    throw new NoAnswer("Write one number with a point, such as 0.25, 2.5e-1, 25% or 1/4.");
  return found;
}

const ticked = (form) =>
  [...form.querySelectorAll("input:checked")].map((each) => Number(each.value));

// Each grader returns [right?, explanation as HTML], or raises NoAnswer with what to do.
const graders = {
  OneAnswer(form, data) {
    const [chosen] = ticked(form);
    need(chosen !== undefined, "Choose an answer first, then press Check.");
    return data[chosen];
  },
  SeveralAnswers(form, data) {
    const chosen = ticked(form);
    need(chosen.length, "Tick at least one answer first, then press Check.");
    const said = data.map((each) => (chosen.includes(each.index) ? each.ticked : each.missed));
    const right = data.every((each) => chosen.includes(each.index) === each.correct);
    return [right, said.filter(Boolean).join("<br>")];
  },
  Numeric(form, data) {
    const text = form.querySelector("input").value;
    need(text.trim(), "Type a number first, then press Check.");
    const given = numberIn(text);
    const asked = data[form.dataset.asked ?? 0];
    const found = asked.cases.find(([low, high]) => low <= given && given <= high);
    return found ? found.slice(2) : asked.other;
  },
  OrderSteps(form, data) {
    const menus = [...form.querySelectorAll("select")];
    const places = menus.map((menu) => Number(menu.value));
    const every = places.every((each) => each) && new Set(places).size === places.length;
    need(every, "Give each step a place of its own first, then press Check.");
    const order = menus.sort((one, other) => one.value - other.value);
    const wrong = order.findIndex((menu, place) => Number(menu.dataset.step) !== place);
    return data.at(wrong);
  },
  FindTheBug(form, data) {
    const [chosen] = ticked(form);
    need(chosen !== undefined, "Choose the wrong line first, then press Check.");
    return data[chosen];
  },
  PredictOutput(form, data) {
    const given = form.querySelector("textarea").value;
    need(given.trim(), "Type what you expect first, then press Check.");
    if (same(words, given, data.output)) return data.right;
    if (same(values, given, data.output)) return data.near;
    return data.mistakes.find(([output]) => same(values, given, output))?.[1] ?? data.other;
  },
  OpenQuestion(form, data) {
    need(form.querySelector("textarea").value.trim(), "Write your answer first, then press Check.");
    const rubric = form.querySelector(".rubric");
    const shown = !rubric.hidden;
    rubric.hidden = false;
    need(shown, "Read the model answer, tick what yours contains as well, then press Check again.");
    const met = ticked(form);
    const missing = data.missing.filter((_, place) => !met.includes(place));
    const [right, head] = data.counts[met.length];
    const said = missing.length ? [head, "Not yet in your answer:", ...missing] : [head];
    return [right, said.join("<br>")];
  },
};

function answer(form, data) {
  const verdict = form.querySelector(".verdict");
  try {
    const [right, said] = graders[form.dataset.kind](form, data);
    verdict.dataset.right = right;
    verdict.innerHTML = `<b>${right ? "✓ Right." : "✗ Not yet."}</b><br>${said}`;
  } catch (problem) {
    if (!(problem instanceof NoAnswer)) throw problem;
    delete verdict.dataset.right;
    say(verdict, problem.message);
  }
  const quiz = form.closest(".quiz");
  const all = [...quiz.querySelectorAll(".verdict")].map((each) => each.dataset.right);
  const done = all.filter((each) => each !== undefined).length;
  const right = all.filter((each) => each === "true").length;
  say(quiz.querySelector(":scope > p"), `Answered ${done} of ${all.length}, right ${right}.`);
}

function prepare(form) {
  let data;
  const loaded = () => (data ??= dataOf(form));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    answer(form, loaded());
  });
  form.querySelector(".again")?.addEventListener("click", () => {
    const next = (Number(form.dataset.asked ?? 0) + 1) % loaded().length;
    form.dataset.asked = next;
    form.querySelector("legend span").innerHTML = loaded()[next].prompt;
    form.querySelector("input").value = "";
    const verdict = form.querySelector(".verdict");
    delete verdict.dataset.right;
    say(verdict, "");
  });
}

// ---- search and theme -----------------------------------------------------------------------

function search(box) {
  const index = dataOf(box).map((entry) => ({ ...entry, low: entry.text.toLowerCase() }));
  const list = box.querySelector("ol");
  const field = document.querySelector('nav input[name="q"]');
  const excerpt = (text, at) => `…${text.slice(Math.max(0, at - 60), at + 120)}…`;
  const look = () => {
    const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const score = (entry) =>
      wanted.filter((word) => entry.title.toLowerCase().includes(word)).length;
    const found = wanted.length
      ? index.filter(({ title, low }) =>
        wanted.every((word) => low.includes(word) || title.toLowerCase().includes(word)))
      : [];
    found.sort((one, other) => score(other) - score(one));
    list.replaceChildren(...found.slice(0, 30).map((entry) => {
      const row = document.createElement("li");
      const link = document.createElement("a");
      link.href = entry.href;
      say(link, `${entry.page}: ${entry.title}`);
      const line = document.createElement("p");
      say(line, excerpt(entry.text, Math.max(0, entry.low.indexOf(wanted[0]))));
      row.append(link, line);
      return row;
    }));
    say(box.querySelector('[role="status"]'), wanted.length ? `${found.length} places` : "");
  };
  field.value = new URLSearchParams(location.search).get("q") ?? "";
  field.addEventListener("input", look);
  look();
}

function theme(button) {
  const root = document.documentElement;
  const dark = () => (root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches);
  const show = () => button.setAttribute("aria-pressed", dark());
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* kept for this page only */ }
    show();
  });
  show();
}

try {
  const kept = localStorage.getItem("theme");
  if (kept) document.documentElement.dataset.theme = kept;
} catch { /* a browser that stores nothing follows the system */ }
document.querySelectorAll(".explorer").forEach((figure) => new Explorer(figure));
document.querySelectorAll(".widget").forEach(widget);
document.querySelectorAll("form.question").forEach(prepare);
document.querySelectorAll(".search").forEach(search);
document.querySelectorAll("button.theme").forEach(theme);
