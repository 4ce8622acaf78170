// JupyterLab takes arrows, digits and letters as commands wherever nothing can be typed: an arrow on
// a list of answers would leave it, a digit would make a heading of the cell. What is marked like
// this keeps its keys. Nothing is shown.

function render({ el }) {
  el.style.display = "none";
  const guard = () => {
    const box = el.parentElement;
    if (!box) return requestAnimationFrame(guard); // the view is made before it is put in its place
    box.addEventListener("focusin", (event) => {
      event.target.setAttribute("data-lm-suppress-shortcuts", "true");
    });
  };
  guard();
}

export default { render };
