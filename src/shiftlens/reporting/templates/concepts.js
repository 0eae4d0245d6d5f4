
// Sorting and filtering concepts, and lighting up what a flow is pointed at. Without this all is there.
for (const tools of document.querySelectorAll(".tools")) {
  const list = document.getElementById(tools.dataset.list);
  const cards = list ? [...list.querySelectorAll(".concept[data-index]")] : [];
  const pick = (name) => tools.querySelector(name);
  const sort = pick(".sort-by"), verdict = pick(".by-verdict"), word = pick(".by-word");
  const found = pick(".found"), heat = pick(".all-heat");
  if (!cards.length) continue;
  const said = new Map(cards.map((card) => [
    card,
    [...card.querySelectorAll(".word, h3, h4")].map((one) => one.textContent.toLowerCase()).join("\n"),
  ]));
  const rising = new Set(["index", "overlap"]);
  const unknown = (value) => value === undefined || value === "";
  const order = (key) => (a, b) => {
    const [x, y] = [a.dataset[key], b.dataset[key]];
    if (unknown(x) || unknown(y)) return unknown(x) - unknown(y) || a.dataset.index - b.dataset.index;
    return (rising.has(key) ? x - y : y - x) || a.dataset.index - b.dataset.index;
  };
  const flatten = () => {
    for (const card of cards) list.append(card);
    for (const fold of list.querySelectorAll("details.more")) fold.hidden = true;
  };
  const filter = () => {
    const wanted = word.value.trim().toLowerCase(), judged = verdict ? verdict.value : "";
    let shown = 0;
    for (const card of cards) {
      const fits = (!judged || card.dataset.verdict === judged) && said.get(card).includes(wanted);
      card.hidden = !fits;
      shown += fits;
    }
    found.textContent = `${shown} of ${cards.length} concepts shown`;
  };
  const title = list.parentElement.querySelector(".order-said");
  const change = () => {
    flatten();
    filter();
  };
  sort.addEventListener("change", () => {
    cards.sort(order(sort.value));
    change();
    if (title) title.textContent = `by ${sort.selectedOptions[0].textContent}`;
  });
  if (verdict) verdict.addEventListener("change", change);
  word.addEventListener("input", change);
  if (heat) heat.addEventListener("change", () => list.classList.toggle("show-heat", heat.checked));
  // A link to a concept that is filtered out brings it back.
  window.addEventListener("hashchange", () => {
    const card = cards.find((one) => `#${one.id}` === location.hash);
    if (!card || !card.hidden) return;
    word.value = "";
    if (verdict) verdict.value = "";
    filter();
    card.scrollIntoView();
  });
  tools.hidden = false;
  filter();
}
for (const figure of document.querySelectorAll(".flow svg")) {
  const lit = (marked) => {
    figure.classList.toggle("is-pointed", marked.length > 0);
    for (const one of figure.querySelectorAll(".is-lit")) one.classList.remove("is-lit");
    for (const one of marked) one.classList.add("is-lit");
  };
  const related = (target) => {
    const band = target.closest(".band-of"), node = target.closest(".node");
    if (!band && !node) return [];
    const side = node && (node.dataset.from === undefined ? "to" : "from");
    const bands = band
      ? [band]
      : [...figure.querySelectorAll(`.band-of[data-${side}="${node.dataset[side]}"]`)];
    const ends = bands.flatMap((one) => [
      figure.querySelector(`.node[data-from="${one.dataset.from}"]`),
      figure.querySelector(`.node[data-to="${one.dataset.to}"]`),
    ]);
    return [...bands, ...ends, ...(node ? [node] : [])];
  };
  for (const kind of ["mouseover", "focusin"]) {
    figure.addEventListener(kind, (event) => lit(related(event.target)));
  }
  for (const kind of ["mouseleave", "focusout"]) figure.addEventListener(kind, () => lit([]));
}
{
  // Everything that is folded away or filtered out is printed.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const one of closed) {
      one.open = true;
      one.hidden = false;
    }
  });
  window.addEventListener("afterprint", () => {
    for (const one of closed) {
      one.open = false;
      if (one.classList.contains("more") && !one.querySelector(".concept")) one.hidden = true;
    }
    closed = [];
  });
}
