// What the tests ask of a page of the web edition, put into every page as `edition`.

window.edition = (() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const last = (control) => (control.matches("select") ? control.length - 1 : Number(control.max));

  async function moved(figure, control, to) {
    if (control.matches("select")) control.selectedIndex = to;
    else control.value = to;
    delete figure.dataset.frame;
    control.dispatchEvent(new Event("input"));
    while (!figure.dataset.frame) await new Promise((done) => setTimeout(done, 5));
    const picture = figure.querySelector("img");
    await picture.decode();
    return picture.src;
  }

  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) => {
    const [red, green, blue] = channels(colour).map((level) =>
      (level <= 10 ? level / 3294.6 : ((level / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  // The colour that is seen behind a part; `known` keeps it for the parts inside.
  const ground = (part, known = new Map()) => {
    if (!part) return "rgb(255, 255, 255)";
    if (!known.has(part)) {
      const own = getComputedStyle(part).backgroundColor;
      const [share = 1] = channels(own).slice(3);
      const below = share < 1 ? ground(part.parentElement, known) : own;
      const mixed = channels(below).slice(0, 3).map((level, at) =>
        Math.round(share * channels(own)[at] + (1 - share) * level));
      known.set(part, `rgb(${mixed.join(", ")})`);
    }
    return known.get(part);
  };

  return {
    width: () => document.documentElement.scrollWidth,
    ground: () => ground(document.body),
    controls: () => all("nav, footer, .controls, .buttons").filter((each) => each.checkVisibility())
      .map((each) => each.className || each.tagName),
    isDrawn: () => !document.querySelector(".widget:not([data-live])"),

    // Each picture: whether it or what replaces it has room, and its alternative text.
    images: () => all("img").map((each) => [
      each.complete && each.naturalWidth > 0 && (each.offsetHeight > 20
        || each.closest(".widget")?.querySelector(".view").offsetHeight > 100),
      each.alt]),

    // Moves each control through some of its stops; tells which change nothing or say nothing.
    async move() {
      const faults = [];
      for (const figure of all(".explorer")) {
        for (const control of all("[data-control]", figure)) {
          const pictures = new Set();
          for (let to = 0; to <= last(control); to += Math.max(1, Math.floor(last(control) / 4))) {
            pictures.add(await moved(figure, control, to));
            if (!figure.querySelector(".finding").textContent) faults.push(`${control.id} is silent`);
          }
          await moved(figure, control, Number(control.dataset.start));
          if (pictures.size < Math.min(2, last(control) + 1)) faults.push(`${control.id} is stuck`);
        }
      }
      return faults;
    },

    // Fills a question's fields, checks the answer and returns what is said of it.
    answer(place, given) {
      const form = all("form.question")[place];
      form.reset();
      for (const [selector, value] of given) {
        const field = form.querySelector(selector);
        if (field.type === "radio" || field.type === "checkbox") field.checked = true;
        else field.value = value;
      }
      form.requestSubmit();
      if (form.dataset.kind === "OpenQuestion") form.requestSubmit();
      return form.querySelector(".verdict").textContent;
    },

    // Opens the hints of every exercise and its solution; tells which came too early or not at all.
    unfold() {
      const faults = [];
      for (const exercise of all(".exercise")) {
        const folded = all("details", exercise);
        const offered = () =>
          folded.filter((each) => each.firstElementChild.checkVisibility()).length;
        const told = (each) => each.children[1].checkVisibility();
        for (const [at, each] of folded.entries()) {
          const early = told(each) || offered() !== Math.min(at + 2, folded.length);
          each.firstElementChild.click();
          if (early || !told(each)) faults.push(each.firstElementChild.textContent);
        }
        for (const each of folded) each.open = false;
      }
      return faults;
    },

    // What is folded and cannot be seen, such as on paper it must.
    hidden: () => all("details").filter((each) => !each.lastElementChild.checkVisibility())
      .map((each) => each.textContent.slice(0, 60)),

    // Sums and the like whose limits are less than a pixel from the sign.
    touching: () => all("munder, munderover").filter((whole) => {
      const inside = (part) => {
        const { paddingTop, paddingBottom } = getComputedStyle(part);
        const box = part.getBoundingClientRect();
        return [box.top + parseFloat(paddingTop), box.bottom - parseFloat(paddingBottom)];
      };
      const [sign, under, over] = [...whole.children].map(inside);
      return under[0] - sign[1] < 1 || (over && sign[0] - over[1] < 1);
    }).map((each) => each.textContent),

    // Text that stands out from its ground less than it should, one of each kind.
    faint(least) {
      const found = {};
      const known = new Map();
      const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        const part = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || part.closest("script, .view")) continue;
        const { color } = getComputedStyle(part);
        const behind = ground(part, known);
        const ratio = contrast(color, behind);
        const kind = `${part.tagName}.${part.className} ${color} on ${behind}`;
        if (ratio < least) found[kind] ??= `${ratio.toFixed(1)}: ${texts.currentNode.data.trim()}`;
      }
      return Object.entries(found).map((each) => each.join(" "));
    },
  };
})();
