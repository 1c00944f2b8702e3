/* A signature pad: draws with mouse, pen or finger, and keeps the strokes in the form. */
"use strict";

for (const pad of document.querySelectorAll("canvas[data-strokes]")) {
  const field = document.getElementById(pad.dataset.strokes);
  const clear = document.getElementById(pad.dataset.clear);
  const ink = pad.getContext("2d");
  let strokes = [];

  pad.parentElement.hidden = false;

  const draw = () => {
    ink.clearRect(0, 0, pad.width, pad.height);
    ink.strokeStyle = "#0b2545";
    ink.lineWidth = 3;
    ink.lineCap = ink.lineJoin = "round";
    for (const stroke of strokes) {
      ink.beginPath();
      for (const [x, y] of stroke) ink.lineTo(x, y);
      ink.stroke();
    }
  };
  const point = (event) => {
    const box = pad.getBoundingClientRect();
    const within = (part, most) => Math.round(Math.min(Math.max(part, 0), 1) * most);
    return [
      within((event.clientX - box.left) / box.width, pad.width),
      within((event.clientY - box.top) / box.height, pad.height),
    ];
  };
  const keep = () => { field.value = strokes.length ? JSON.stringify(strokes) : ""; };

  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    strokes.push([point(event)]);
    event.preventDefault();
  });
  pad.addEventListener("pointermove", (event) => {
    if (!pad.hasPointerCapture(event.pointerId)) return;
    strokes[strokes.length - 1].push(point(event));
    draw();
  });
  pad.addEventListener("pointerup", keep);
  pad.addEventListener("pointercancel", keep);
  clear.addEventListener("click", () => { strokes = []; draw(); keep(); });
}
