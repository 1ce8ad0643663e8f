"use strict";
// The slider lays the photo over the result, from the right end to where it stands.
for (const slider of document.querySelectorAll(".cut")) {
  const stack = slider.closest("figure, dialog").querySelector(".stack");
  const cut = () => stack.style.setProperty("--cut", slider.value + "%");
  slider.addEventListener("input", cut);
  cut();
}

const dialog = document.querySelector("dialog");
for (const link of document.querySelectorAll("a.open")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // in another tab, as usual
    event.preventDefault();
    const [under, over] = dialog.querySelectorAll("img");
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

// Not while somebody looks at a picture, and where it was scrolled to it stays.
const seconds = Number(document.body.dataset.refresh);
if (seconds) {
  const again = () => {
    if (dialog && dialog.open) setTimeout(again, 1000);
    else location.reload();
  };
  setTimeout(again, seconds * 1000);
}
