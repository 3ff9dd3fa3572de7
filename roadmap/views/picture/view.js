/* Clicks open parts, hovering a map lights up its receptive field in the photograph. */

let last = null; // where the latest click was, for the zoom: x and y in the window

const within = (value, most) => Math.max(0, Math.min(most, value));

/* Position (row, column) under the pointer in a map of `side` positions. */
const under = (event, map, side) => {
  const box = map.getBoundingClientRect();
  return [
    within(Math.floor(((event.clientY - box.top) / box.height) * side), side - 1),
    within(Math.floor(((event.clientX - box.left) / box.width) * side), side - 1),
  ];
};

const geometry = (map) => {
  const [start, stride, size, side, image] = map.parentElement.dataset.field.split(" ").map(Number);
  return { start, stride, size, side, image };
};

const light = (root, map, [row, column]) => {
  const { start, stride, size, image } = geometry(map);
  const field = root.querySelector(".field");
  const share = (pixels) => `${(100 * pixels) / image}%`;
  field.style.left = share(start + column * stride);
  field.style.top = share(start + row * stride);
  field.style.width = field.style.height = share(size);
  field.classList.add("on");
  root.querySelector(".seen").textContent = `Receptive field: ${size} × ${size} pixels.`;
};

const point = (map, [row, column]) => {
  const { side } = geometry(map);
  const cursor = map.querySelector(".cursor");
  Object.assign(cursor.style, {
    left: `${(100 * column) / side}%`, top: `${(100 * row) / side}%`,
    width: `${100 / side}%`, height: `${100 / side}%`,
  });
  cursor.classList.add("on");
};

const rest = (root) => {
  const opened = root.querySelector(".grid[data-at]");
  if (opened) {
    const at = opened.dataset.at.split(",").map(Number);
    light(root, opened, at);
    point(opened, at);
    return;
  }
  root.querySelector(".field").classList.remove("on");
  root.querySelector(".seen").textContent = "";
};

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const chosen = (map) => {
  const { side } = geometry(map);
  return (map.dataset.chosen ?? map.dataset.at)?.split(",").map(Number)
    ?? [Math.floor(side / 2), Math.floor(side / 2)];
};

const listen = (root, send) => {
  root.onclick = (event) => {
    const grid = event.target.closest(".grid[data-prefix]");
    const opened = event.target.closest("[data-go], [data-picture]");
    last = event.detail ? [event.clientX, event.clientY] : null;
    if (grid) {
      const at = event.detail ? under(event, grid, geometry(grid).side) : chosen(grid);
      send("go", `${grid.dataset.prefix}/${at.join(",")}`);
    } else if (opened?.dataset.picture) send("picture", opened.dataset.picture);
    else if (opened) send("go", opened.dataset.go);
  };
  root.onpointermove = (event) => {
    const map = event.target.closest(".map");
    if (map) light(root, map, under(event, map, geometry(map).side));
    else rest(root);
  };
  root.onpointerleave = () => rest(root);
  root.addEventListener("focusin", (event) => {
    const map = event.target.closest(".map");
    if (!map) return;
    light(root, map, chosen(map));
    if (map.matches(".grid")) point(map, chosen(map));
  });
  root.onkeydown = (event) => {
    const map = event.target.closest(".map");
    const move = MOVES[event.key];
    if (!map || !move) return;
    event.preventDefault();
    if (!map.matches(".grid")) {
      const step = move[0] + move[1];
      (step > 0 ? map.nextElementSibling : map.previousElementSibling)?.focus();
      return;
    }
    const { side } = geometry(map);
    const at = chosen(map).map((place, axis) => within(place + move[axis], side - 1));
    map.dataset.chosen = at.join(",");
    light(root, map, at);
    point(map, at);
  };
};

/* Grow from where the click was when something inside was opened, shrink when going back. */
const zoom = (root, before, now) => {
  const level = root.querySelector(".level");
  const box = level.getBoundingClientRect();
  if (last) level.style.setProperty("--from", `${last[0] - box.left}px ${last[1] - box.top}px`);
  level.style.setProperty("--scale", now.length >= before.length ? ".5" : "1.3");
  level.classList.add("zoom");
};

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".root");
  if (!root.dataset.ready) {
    root.dataset.ready = "yes";
    listen(root, (name, value) => setTriggerValue(name, value));
  }
  if (root.shown === data.html) return;
  const before = root.dataset.place;
  const focused = root.getRootNode().activeElement;
  root.innerHTML = data.html;
  root.shown = data.html;
  root.dataset.place = data.place;
  rest(root);
  if (before !== undefined && before !== data.place) {
    zoom(root, before, data.place);
    const first = ".level .grid, .level [data-go]";
    if (focused) root.querySelector(first)?.focus({ preventScroll: true });
  }
}
