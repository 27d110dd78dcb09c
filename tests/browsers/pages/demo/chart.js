// Draws the share of the work that is done, over time.

/** Beyond it every second one goes: the chart must not be what makes a long run grow. */
const POINTS_MAX = 1_000;

let points = [];
let started_ms;

/** `done` and `total` count flights. */
export function drawProgress(done, total) {
  const now_ms = performance.now();
  started_ms ??= now_ms;
  points.push([(now_ms - started_ms) / 1_000, done / total]);
  if (points.length > POINTS_MAX) points = points.filter((_, index) => index % 2 === 0);
  const span_s = Math.max(1, points.at(-1)[0]);
  const line = points.map(([at_s, share]) => `${(at_s / span_s) * 100},${40 - share * 40}`);
  const polyline = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  polyline.setAttribute("points", line.join(" "));
  document.getElementById("chart").replaceChildren(polyline);
  document.getElementById("caption").textContent =
    `${done} of ${total} flights after ${span_s.toFixed(1)} s`;
}
