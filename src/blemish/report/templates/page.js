// Sorting: a click on a column's heading, a second one for the other direction.
const board = document.querySelector(".board");  // none on the page of a unit
board?.querySelectorAll("thead button").forEach((button) => {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const words = ["unit", "method"].includes(button.dataset.key);
    const up = heading.ariaSort ? heading.ariaSort !== "ascending" : words;
    const value = (row) => {
      const text = row.querySelector(`[data-key="${button.dataset.key}"]`)?.dataset.value ?? "";
      return text === "" || isNaN(text) ? text : Number(text);
    };
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");  // no value: last
      return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1);
    };
    board.querySelectorAll("th").forEach((th) => (th.ariaSort = null));
    heading.ariaSort = up ? "ascending" : "descending";
    board.classList.add("sorted");
    board.tBodies[0].append(...[...board.tBodies[0].rows].sort(order));
  });
});
// Columns: a heading over several, and the cell that stands for all pixel metrics, span those shown.
const show = (key, shown) => {
  board.querySelectorAll(`:is(th, td)[data-key="${key}"]`).forEach((cell) => (cell.hidden = !shown));
  board.querySelectorAll("[data-group]").forEach((cell) => {
    const below = board.querySelectorAll(`thead [data-of="${cell.dataset.group}"]:not([hidden])`);
    cell.hidden = !below.length;
    cell.colSpan = below.length || 1;
  });
};
document.querySelectorAll(".columns input").forEach((box) => {
  box.addEventListener("change", () => show(box.name, box.checked));
});
// Paper has no folds.
addEventListener("beforeprint", () => {
  document.querySelectorAll("details:not(.columns)").forEach((part) => (part.open = true));
});
// Times differ from run to run, so they are not in this page: they lie beside its folder.
const times = document.createElement("script");
times.src = "../speed/times.js";
times.onload = () => {
  board.querySelectorAll("td[data-models]").forEach((cell) => {
    const taken = cell.dataset.models.split(" ").map((model) => window.millisecondsAnImage[model]);
    const known = taken.filter((one) => one !== undefined);
    if (!known.length) return;
    cell.dataset.value = known.reduce((sum, one) => sum + one) / known.length;
    cell.textContent = Number(cell.dataset.value).toFixed(0);
    board.querySelectorAll(".time").forEach((part) => (part.hidden = false));
  });
};
if (board) document.body.append(times);
