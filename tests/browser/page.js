// What the tests ask of an open notebook, put into every page as `course`. Waiting is for a state.

window.course = (() => {
  const panel = () => window.jupyterapp?.shell.currentWidget;
  const kernel = () => panel()?.sessionContext?.session?.kernel;
  const documents = () => [...window.jupyterapp.shell.widgets("main")].filter((each) => each.context);
  const cells = () => panel().content.widgets;
  const find = (id) => {
    const place = cells().findIndex((cell) => cell.model.id === id);
    if (place < 0) throw new Error(`no cell ${id}`);
    return place;
  };
  const all = (cell, selector) => [...cell.node.querySelectorAll(selector)];
  const outputs = (cell) => all(cell, ".jp-OutputArea-output");
  const pictures = (cell) => all(cell, ".jp-OutputArea img");
  const saysFailure = (output) => /^Error (displaying|creating) widget/.test(output.innerText);

  // A view must have replaced its placeholder, a picture must have come, with room, or failed to.
  const isDrawn = (cell) =>
    !outputs(cell).some((output) => output.innerText.startsWith("Loading widget")) &&
    pictures(cell).every(
      (picture) => picture.complete && (picture.offsetHeight || !picture.naturalWidth),
    );

  // Only a cell with outputs or formulas has anything to look at.
  const mayShow = ({ model }) =>
    model.type === "code" ? model.outputs.length > 0 : /[$\\]/.test(model.sharedModel.source);

  // What stands in a folded section is not on the page, and would be waited for forever.
  const unfold = () => window.jupyterapp.commands.execute("notebook:expand-all-headings");

  // A heading that had not been drawn when everything was unfolded still folds what is below it.
  async function show(place) {
    await panel().content.scrollToItem(place);
    while (!isDrawn(cells()[place])) {
      await new Promise((done) => setTimeout(done, 50));
      if (cells()[place].isHidden) await unfold();
      await panel().content.scrollToItem(place);
    }
  }

  return {
    // A kernel counts as ready only when it is connected, or the first outputs get lost.
    isReady: () =>
      Boolean(panel()?.context?.isReady) &&
      kernel()?.connectionStatus === "connected" &&
      kernel()?.status === "idle",
    isOpen: () => Boolean(panel()?.context?.isReady && panel().content?.widgets.length),
    hasKernel: () => Boolean(kernel()),
    content: () => panel().content.model.toJSON(),
    count: (id) => cells()[find(id)].model.executionCount,
    save: () => panel().context.save(),
    restart: () => kernel().restart(),
    isEmpty: () => !documents().length,
    theme: (name) => window.jupyterapp.commands.execute("apputils:change-theme", { theme: name }),

    command(name) {
      window.courseEnded = null;
      window.jupyterapp.commands.execute(name).then(
        () => { window.courseEnded = "done"; },
        (error) => { window.courseEnded = `${name}: ${error}`; },
      );
    },

    // Returns nothing: to carry what the command returns out of the page would take seconds.
    async open(path, withKernel) {
      const none = { shouldStart: false, canStart: false, autoStartDefault: false };
      const options = withKernel ? { path } : { path, kernelPreference: none };
      await window.jupyterapp.commands.execute("docmanager:open", options);
    },

    // Close every notebook and end its kernel. What has not been saved is lost; nothing is asked.
    async closeAll() {
      for (const each of documents()) {
        if (each.sessionContext.session) await each.sessionContext.shutdown();
        each.dispose();
      }
    },

    async choose(id) {
      await unfold();
      const place = find(id);
      panel().content.deselectAll();
      panel().content.activeCellIndex = place;
      cells()[place].node.dataset.cell = id;
      return panel().content.scrollToItem(place);
    },

    // Go through the notebook as a reader does: which views, pictures or formulas fail, and how
    // many pictures can be seen in each cell that has any.
    async look() {
      const broken = [], seen = {};
      await unfold();
      for (const [place, cell] of cells().entries()) {
        if (!mayShow(cell)) continue;
        await show(place);
        const failures = [
          ...outputs(cell).filter(saysFailure),
          ...pictures(cell).filter((picture) => !picture.naturalWidth),
          ...all(cell, "mjx-merror"),
        ];
        for (const node of failures)
          broken.push(`cell ${cell.model.id} shows ${node.alt || node.innerText || node.tagName}`);
        const count = pictures(cell).filter((each) => each.naturalWidth && each.offsetHeight).length;
        if (count) seen[cell.model.id] = count;
      }
      return { broken, pictures: seen };
    },
  };
})();
