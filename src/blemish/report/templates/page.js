// Sorting: a click on a column's heading, a second one for the other direction.
const board = document.querySelector(".board");
board.querySelectorAll("thead button").forEach((button) => {
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
// Paper has no folds.
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((details) => (details.open = true));
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
document.body.append(times);
