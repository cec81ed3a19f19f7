"use strict";
// Search within the page: marks every hit, unfolds what hides one, Enter goes to the next.
(() => {
  const input = document.getElementById("search");
  const hits = document.getElementById("hits");
  const main = document.querySelector("main");
  const LIMIT = 2000;
  let marks = [], here = -1, timer = 0;
  const unfolded = new Set();

  function clear() {
    for (const mark of marks) {
      const parent = mark.parentNode;
      parent.replaceChild(document.createTextNode(mark.textContent), mark);
      parent.normalize();
    }
    for (const details of unfolded) details.open = false;
    unfolded.clear();
    marks = [];
    here = -1;
  }

  function find(text) {
    const wanted = text.toLowerCase();
    const walker = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
    const nodes = [];
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (node.parentElement.closest("svg, script, style")) continue;
      if (node.data.toLowerCase().includes(wanted)) nodes.push(node);
    }
    for (const node of nodes) {
      let rest = node;
      for (;;) {
        const at = rest.data.toLowerCase().indexOf(wanted);
        if (at < 0 || marks.length >= LIMIT) break;
        const hit = rest.splitText(at);
        rest = hit.splitText(wanted.length);
        const mark = document.createElement("mark");
        hit.parentNode.replaceChild(mark, hit);
        mark.appendChild(hit);
        marks.push(mark);
      }
    }
    for (const mark of marks) {
      for (let d = mark.closest("details"); d; d = d.parentElement.closest("details")) {
        if (!d.open) { d.open = true; unfolded.add(d); }
      }
    }
  }

  function go(step) {
    if (!marks.length) return;
    if (here >= 0) marks[here].classList.remove("here");
    here = (here + step + marks.length) % marks.length;
    marks[here].classList.add("here");
    marks[here].scrollIntoView({ block: "center" });
    hits.textContent = `${here + 1} of ${marks.length}${marks.length >= LIMIT ? "+" : ""}`;
  }

  function search() {
    clear();
    const text = input.value;
    if (text.length < 2) { hits.textContent = ""; return; }
    find(text);
    hits.textContent = marks.length ? `${marks.length}${marks.length >= LIMIT ? "+" : ""} found` : "not found";
  }

  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 150); });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    clearTimeout(timer);
    if (!marks.length) search();
    go(event.shiftKey ? -1 : 1);
  });
})();

// Which address is under the pointer in a map of pages.
for (const img of document.querySelectorAll(".heat img")) {
  const output = img.closest("figure").querySelector("output");
  const { start, cell, count, width, height } = img.dataset;
  img.addEventListener("pointermove", (event) => {
    const box = img.getBoundingClientRect();
    const x = Math.min(width - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * width)));
    const y = Math.min(height - 1, Math.max(0, Math.floor((event.clientY - box.top) / box.height * height)));
    const index = y * width + x;
    output.textContent = index < count ? "0x" + (BigInt(start) + BigInt(cell) * BigInt(index)).toString(16) : "";
  });
  img.addEventListener("pointerleave", () => { output.textContent = ""; });
}

// A printed page shows what is folded, too.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details.stack:not([open])")) {
    details.open = true;
    details.dataset.printed = "";
  }
});
addEventListener("afterprint", () => {
  for (const details of document.querySelectorAll("details[data-printed]")) {
    details.open = false;
    delete details.dataset.printed;
  }
});
