"use strict";
// Plays the glimpses of a gallery: parts of its pictures are marked with the glimpse they belong to (data-step, from 1).
// Without this script all glimpses are shown at once, with the last one's texts.
for (const film of document.querySelectorAll(".film")) {
  const player = film.querySelector(".player");
  const [back, play, forward] = player.querySelectorAll("button");
  const slider = player.querySelector("input"), told = player.querySelector("output");
  const parts = [...film.querySelectorAll("[data-step]")], steps = Number(slider.max);
  let at = steps, timer = 0;
  const show = step => {
    at = Math.min(steps, Math.max(1, step));
    for (const part of parts) {
      const its = Number(part.dataset.step);
      if (part.classList.contains("only")) { // a text that gives way to the next step's
        part.setAttribute("visibility", its === at ? "visible" : "hidden");
        continue;
      }
      part.classList.toggle("later", its > at);
      part.classList.toggle("past", its < at && at < steps);
    }
    slider.value = at;
    told.textContent = at < steps ? `glimpse ${at} of ${steps}` : `all ${steps} glimpses`;
    back.disabled = at === 1;
    forward.disabled = at === steps;
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  const step = to => { stop(); show(to); };
  play.addEventListener("click", () => {
    if (timer) return stop();
    show(at === steps ? 1 : at + 1);
    play.textContent = "Pause";
    timer = setInterval(() => { if (at < steps) show(at + 1); else stop(); }, 700);
  });
  back.addEventListener("click", () => step(at - 1));
  forward.addEventListener("click", () => step(at + 1));
  slider.addEventListener("input", () => step(Number(slider.value)));
  player.hidden = false;
  show(steps);
}
