/* Underlines the first occurrence of each term on a page and opens its card. Terms are marked in
   HTML of Streamlit's st.html, inside which React does not look and which it replaces as a whole,
   and in the sentence of a lecture's slide. */
if (!glossary.started) {
glossary.started = true;
const unpacked = (text) => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt());
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
};
unpacked(glossary.packed).then(({ cards, forms, pattern }) => {
  const terms = new RegExp(pattern, "g");
  /* Where no term is marked: links, controls, code, charts and their keys, headings. */
  const notIn = "a, button, code, pre, svg, label, summary, h1, h2, h3, h4, h5, h6, thead, caption, "
    + "figcaption, dt, [aria-hidden=true], .announced, .legend, .numbered, "
    + ".summary-bar, .term";
  const PROSE = ".stHtml > :not(script, style), .lecture-sentence, "
    + ".operation :is(.figure > span, .note:not(.sum))";
  const WAIT = 120; // milliseconds without a change after which a page is marked

  /* Marking */

  const mark = (text, key) => {
    const term = document.createElement("span"); // unlike a button, it wraps with its line
    term.className = "term";
    term.dataset.term = key;
    term.tabIndex = 0;
    term.setAttribute("role", "button");
    term.setAttribute("aria-haspopup", "dialog");
    term.setAttribute("aria-expanded", "false");
    text.replaceWith(term);
    term.append(text);
  };
  /* Return the terms of a text that are not in ``found`` yet: {text, start, end, key}. */
  const termsIn = (text, found) => {
    const places = [];
    for (const { 0: said, index: start } of text.data.matchAll(terms)) {
      const key = forms[said], place = text.parentElement;
      if (!key || found.has(key) || place.closest(notIn) || !place.checkVisibility()) continue;
      found.add(key);
      places.push({ text, start, end: start + said.length, key });
    }
    return places;
  };
  /* The page, and the operations to try, which Streamlit isolates from it. */
  const partsOf = (page) => {
    const components = [...page.querySelectorAll("[data-testid=stBidiComponentIsolated]")];
    const roots = components.map(({ shadowRoot }) => shadowRoot);
    return [page, ...roots.filter((root) => root?.querySelector(".operation"))];
  };
  const markPage = () => {
    const page = document.querySelector(".lecture-slide, [data-testid=stMain]:not(:has(.lecture))");
    if (!page || page.querySelector(".glossary")) return;
    const parts = partsOf(page), places = [];
    const all = (selector) => parts.flatMap((part) => [...part.querySelectorAll(selector)]);
    const found = new Set(all(".term").map((term) => term.dataset.term));
    for (const html of all(PROSE)) {
      const texts = document.createTreeWalker(html, NodeFilter.SHOW_TEXT);
      for (let text; (text = texts.nextNode()); )
        places.push(...termsIn(text, found));
    }
    for (const root of parts.slice(1)) observe(root);
    for (const { text, start, end, key } of places.reverse()) { // so that offsets stay
      text.splitText(end);
      mark(start ? text.splitText(start) : text, key);
    }
  };

  /* The card */

  let opener = null;
  const makeCard = () => {
    const card = document.createElement("div");
    card.id = "term-card";
    card.className = "term-card";
    card.popover = "auto";
    card.tabIndex = -1;
    card.setAttribute("role", "dialog");
    card.setAttribute("aria-describedby", "term-definition");
    card.addEventListener("toggle", ({ newState }) => {
      if (newState === "closed") opener?.setAttribute("aria-expanded", "false");
    });
    return card;
  };
  /* It is inside a lecture, which hides what it covers and has its own theme. */
  const cardFor = (term) => {
    const card = document.getElementById("term-card") ?? makeCard();
    const home = term.closest(".lecture") ?? document.querySelector(".stApp");
    if (card.parentElement !== home) home.append(card);
    return card;
  };
  const place = () => {
    const card = document.getElementById("term-card");
    if (!card?.matches(":popover-open")) return;
    const lines = [...opener.getClientRects()]; // none if the page was replaced
    const { left, top } = lines[0] ?? {}, bottom = lines.at(-1)?.bottom;
    if (!(bottom > 0 && top < innerHeight)) { card.hidePopover(); return; }
    const { offsetWidth: width, offsetHeight: height } = card, edge = 16, gap = 6;
    const below = bottom + gap + height + edge;
    const y = below > innerHeight && top > innerHeight / 2 ? top - gap - height : bottom + gap;
    card.style.left = `${Math.max(edge, Math.min(left, innerWidth - width - edge))}px`;
    card.style.top = `${Math.max(edge, Math.min(y, innerHeight - height - edge))}px`;
  };
  const open = (term) => {
    const card = cardFor(term);
    opener?.setAttribute("aria-expanded", "false");
    opener = term;
    card.innerHTML = cards[term.dataset.term];
    card.setAttribute("aria-label", card.querySelector(".term-name").textContent);
    term.focus({ preventScroll: true }); // where the focus returns
    card.showPopover();
    place();
    term.setAttribute("aria-expanded", "true");
    card.focus({ preventScroll: true });
  };

  let closing = null; // the term whose open card the current click closes
  const termOf = (event) => event.composedPath()[0].closest?.(".term"); // also in a component
  document.addEventListener("pointerdown", (event) => {
    const term = termOf(event);
    closing = term?.getAttribute("aria-expanded") === "true" ? term : null;
  }, true);
  document.addEventListener("click", (event) => {
    const term = termOf(event);
    if (term && term !== closing) open(term);
  });
  document.addEventListener("keydown", (event) => {
    const term = termOf(event);
    if (!term || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    open(term);
  });
  addEventListener("scroll", place, { capture: true, passive: true });
  addEventListener("resize", place);

  /* The page Glossary: only the terms that contain what is typed */

  const find = ({ value }) => {
    const wanted = value.trim().toLowerCase();
    const entries = [...document.querySelectorAll(".glossary-card")];
    for (const entry of entries)
      entry.hidden = !`${entry.textContent} ${entry.dataset.forms}`.toLowerCase().includes(wanted);
    for (const group of document.querySelectorAll(".glossary"))
      group.classList.toggle("none", !group.querySelector(":scope > :not([hidden])"));
    const count = entries.filter(({ hidden }) => !hidden).length;
    document.querySelector(".glossary-find [role=status]").textContent =
      wanted ? `${count} of ${entries.length} terms` : "";
  };
  document.addEventListener("input", ({ target }) => {
    if (target.matches(".glossary-find input")) find(target);
  });

  /* When */

  let waiting;
  const update = () => {
    const start = performance.now();
    markPage();
    performance.measure("glossary", { start });
    place();
    changes.takeRecords(); // our own
    const wanted = document.querySelector(".glossary [data-wanted] summary");
    wanted?.closest("[data-wanted]").removeAttribute("data-wanted");
    wanted?.focus();
  };
  const later = () => { clearTimeout(waiting); waiting = setTimeout(update, WAIT); };
  const changes = new MutationObserver((records) => {
    if (!records.some(({ target }) => !target.closest?.(".js-plotly-plot, .term-card"))) return;
    if (document.querySelector(".lecture")) update(); // or a screen reader reads its words twice
    else later();
  });
  const observe = (root) => changes.observe(root, { childList: true, subtree: true });
  observe(document.body);
  document.addEventListener("toggle", later, true); // text that was folded
  later();
});
}
