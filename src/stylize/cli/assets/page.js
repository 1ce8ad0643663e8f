"use strict";
const find = (selector, within = document) => [...within.querySelectorAll(selector)];
const dialog = document.querySelector("dialog");
const sliders = find(".cut");

// The slider lays the photo over the result, from the left end to where it stands.
const cut = (slider) => {
  const stack = slider.closest("figure, dialog").querySelector(".stack");
  stack.style.setProperty("--cut", slider.value + "%");
};
for (const slider of sliders) {
  slider.addEventListener("input", () => cut(slider));
  cut(slider);
}

// As wide as the picture, or 640 pixels where it is smaller; never higher than the window.
const fit = (stack) => {
  const image = stack.querySelector("img");
  if (!image || !image.naturalWidth) return;
  const highest = 0.75 * innerHeight * (image.naturalWidth / image.naturalHeight);
  stack.style.width = Math.min(Math.max(image.naturalWidth, 640), highest) + "px";
};
const fitAll = () => find(".stack").forEach(fit);
addEventListener("resize", fitAll);
addEventListener("load", fitAll);
find(".stack img").forEach((image) => image.addEventListener("load", fitAll));

for (const link of find("a.open")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // in another tab, as usual
    event.preventDefault();
    const [under, over] = find("img", dialog);
    const photo = link.closest("tr").querySelector("th img");
    const result = link.querySelector("img");
    under.src = result.src;
    under.alt = result.alt;
    over.hidden = !photo;
    if (photo) over.src = photo.src;
    over.alt = photo ? "Photo" : "";
    dialog.querySelector(".file").href = link.href;
    dialog.showModal();
  });
}
if (dialog) dialog.querySelector("button").addEventListener("click", () => dialog.close());

// While the run goes on the page loads itself again, not while somebody looks at a picture or holds
// a slider; and what was set stays set.
const KEY = "stylize " + location.pathname;
const scrolls = find(".scroll");
const details = find("details");
const seconds = Number(document.body.dataset.refresh);
try {
  const kept = JSON.parse(sessionStorage.getItem(KEY) || "null");
  sessionStorage.removeItem(KEY);
  if (kept) {
    details.forEach((each, k) => (each.open = kept.open[k] || false));
    scrolls.forEach((each) => (each.scrollLeft = kept.left));
    sliders.forEach((each, k) => {
      each.value = kept.values[k] ?? 50;
      cut(each);
    });
  }
} catch {
  // Without storage everything is as at the start.
}
if (seconds) {
  const again = () => {
    if ((dialog && dialog.open) || sliders.includes(document.activeElement)) {
      setTimeout(again, 1000);
      return;
    }
    try {
      const open = details.map((each) => each.open);
      const values = sliders.map((each) => each.value);
      const left = scrolls.length ? scrolls[0].scrollLeft : 0;
      sessionStorage.setItem(KEY, JSON.stringify({ open, values, left }));
    } catch {
      // As above.
    }
    location.reload();
  };
  setTimeout(again, seconds * 1000);
}
