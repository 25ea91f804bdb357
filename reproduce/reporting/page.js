"use strict";
// Filters: a row stays when it has the chosen value in every group. Long tables begin short.
for (const table of document.querySelectorAll("[data-filtered]")) {
  const form = table.querySelector("form");
  const more = table.querySelector(".more");
  const rows = [...table.querySelectorAll("tbody tr")].map((row) => [row, JSON.parse(row.dataset.values)]);
  let first = more ? Number(table.dataset.first) : Infinity;
  const show = () => {
    const wanted = [...form.querySelectorAll("fieldset")]
      .map((group) => [group.dataset.group, group.querySelector("input:checked").value])
      .filter(([, value]) => value);
    const limit = wanted.length ? Infinity : first;
    let fit = 0;
    for (const [row, values] of rows) {
      const fits = wanted.every(([group, value]) => values[group] === value);
      fit += fits;
      row.classList.toggle("later", fits && fit > limit);
      row.hidden = !fits;
    }
    if (more) more.hidden = fit <= limit;
    form.querySelector("output").value = `${fit} of ${rows.length} rows`;
  };
  more?.addEventListener("click", () => { first = Infinity; show(); });
  form.addEventListener("change", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.reset();
  show();
}

// A link to something folded opens it.
const unfold = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", unfold);
unfold();

// On paper nothing can be unfolded.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const one of folded) one.open = true;
});
addEventListener("afterprint", () => { for (const one of folded) one.open = false; });

// The contents are folded on a phone.
const contents = document.querySelector("nav details");
const narrow = matchMedia("(max-width: 1080px)");
const fold = () => { contents.open = !narrow.matches; };
narrow.addEventListener("change", fold);
fold();
contents.addEventListener("click", (event) => { if (narrow.matches && event.target.closest("a")) contents.open = false; });

// The section in view is marked in the contents.
const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const a of links.values()) a.removeAttribute("aria-current");
    links.get(entry.target.id)?.setAttribute("aria-current", "true");
  }
}, { rootMargin: "-10% 0px -80% 0px" });
for (const id of links.keys()) observer.observe(document.getElementById(id));

// Light or dark: the system's choice until the button is pressed.
const root = document.documentElement;
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
