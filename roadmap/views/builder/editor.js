/* A click on a part opens it; arrow keys move between the parts of a drawing. */

const MOVES = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

/* One part per drawing is in the tab order: the open one, or the first. */
const rove = (bar, chosen) => {
  for (const button of bar.children) button.tabIndex = button === chosen ? 0 : -1;
};

const listen = (root, send) => {
  root.onclick = (event) => {
    const button = event.target.closest("[data-go]");
    if (!button) return;
    root.dataset.clicked = "yes";
    send("go", button.dataset.go);
  };
  root.onkeydown = (event) => {
    const bar = event.target.closest("[role=toolbar]");
    if (!bar) return;
    const buttons = [...bar.children];
    const here = buttons.indexOf(event.target.closest("button"));
    const ends = { Home: 0, End: buttons.length - 1 };
    const there = event.key in MOVES ? here + MOVES[event.key] : ends[event.key];
    if (there === undefined) return;
    event.preventDefault();
    const next = buttons[Math.max(0, Math.min(there, buttons.length - 1))];
    rove(bar, next);
    next.focus();
  };
};

/* In a narrow window, the controls are below the drawings. */
const reveal = () => {
  if (window.matchMedia("(min-width: 641px)").matches) return;
  document.querySelector(".st-key-builder-controls")?.scrollIntoView({ block: "center" });
};

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".root");
  if (!root.dataset.ready) {
    root.dataset.ready = "yes";
    listen(root, setTriggerValue);
  }
  if (root.shown === data.html) return;
  const moved = root.dataset.place !== undefined && root.dataset.place !== data.place;
  const focused = root.getRootNode().activeElement?.dataset?.area;
  root.innerHTML = data.html;
  root.shown = data.html;
  root.dataset.place = data.place;
  for (const bar of root.querySelectorAll("[role=toolbar]"))
    rove(bar, bar.querySelector("[aria-pressed=true]") ?? bar.firstElementChild);
  const again = focused && root.querySelector(`[data-area="${focused}"]`);
  if (again) {
    rove(again.parentElement, again);
    again.focus({ preventScroll: true });
  }
  if (moved && root.dataset.clicked) reveal();
  delete root.dataset.clicked;
}
