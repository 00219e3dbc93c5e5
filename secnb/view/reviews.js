// One unit at a time, judged with keys. Whatever comes from data is set as text, never as markup.

const VERDICTS = { t: "true", f: "false", u: "unsure" };
const BACK = ["arrowleft", "backspace"];
// From then on the page says that the kernel is busy or gone.
const PATIENCE_MS = 2000;
const SVG = "http://www.w3.org/2000/svg";

function made(tag, attributes = {}, children = []) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function drawn(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// The picture is in the page, hidden, before its turn comes.
function figureOf(picture, url) {
  const [width, height] = picture.extent;
  // A picture is fitted into 16 by 9, a tall one by its height; what is written on it keeps its size.
  const unit = Math.max(width / 640, height / 360);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": picture.label || "No picture" });
  svg.append(drawn("rect", { width, height, class: "secnb-review-empty" }));
  const note = made("figcaption", {}, [picture.note || picture.path]);
  if (picture.note && picture.path) note.append(made("br"), picture.path);
  if (url) {
    const image = drawn("image", { width, height, href: url });
    image.addEventListener("error", () => note.prepend("No image: the browser cannot draw it. "));
    svg.append(image);
  }
  if (picture.box) {
    const [x, y, w, h] = picture.box;
    svg.append(drawn("rect", { x, y, width: w, height: h, class: "secnb-review-box" }));
    const isBelow = y <= 20 * unit;
    const label = drawn("text", {
      x: isBelow ? x + 4 * unit : x,
      y: isBelow ? y + 15 * unit : y - 4 * unit,
      "font-size": 13 * unit,
      "stroke-width": 3 * unit,
      class: "secnb-review-label",
    });
    label.textContent = picture.label;
    svg.append(label);
  }
  const figure = made("figure", { hidden: "" }, [svg, note]);
  return figure;
}

function listed(pairs) {
  return pairs.flatMap(([name, text]) => [made("dt", {}, [name]), made("dd", {}, [text])]);
}

// Someone who types, or is at another cell, must not give verdicts unawares: after Shift+Enter the next cell
// is the active one, and the keys are for that.
function isWaitedFor(root) {
  const focus = document.activeElement;
  const isTyping = focus?.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(focus?.tagName);
  return !isTyping && root.closest(".jp-Cell")?.classList.contains("jp-mod-active");
}

function render({ model, el }) {
  const looks = new Map();
  let card = { unit: null, keep: [] };
  let waiting = null;

  const title = made("strong");
  const bar = made("progress", { "aria-label": "judged" });
  const progress = made("span", { class: "secnb-review-progress" });
  const pictures = made("div", { class: "secnb-review-pictures" });
  const facts = made("dl");
  const said = made("dl", { class: "secnb-review-said" });
  const problem = made("p", { role: "alert", class: "secnb-review-problem" });
  const spoken = made("p", { role: "status", "aria-live": "polite", class: "secnb-review-spoken" });
  const buttons = new Map();
  const row = made("div", { class: "secnb-review-buttons" });
  const hint = made("span", { class: "secnb-review-hint" }, ["Click here to judge with the keys."]);
  const body = made("div", { class: "secnb-review-body" }, [
    pictures,
    made("div", { class: "secnb-review-side" }, [facts, said]),
  ]);
  const root = made(
    "div",
    { class: "secnb-review", role: "group", "aria-label": "Review", tabindex: 0 },
    [made("div", { class: "secnb-review-head" }, [title, bar, progress]), row, problem, body, spoken],
  );

  function add(name, key, keys, onClick) {
    const button = made("button", { type: "button", "aria-keyshortcuts": keys }, [name, " ", made("kbd", {}, [key])]);
    button.addEventListener("click", onClick);
    buttons.set(name.toLowerCase(), button);
    row.append(button);
  }
  for (const [key, verdict] of Object.entries(VERDICTS)) {
    add(verdict[0].toUpperCase() + verdict.slice(1), key, key, () => record(verdict));
  }
  add("Back", "\u2190", "ArrowLeft Backspace", back);
  row.append(hint);

  // A key counts once, and only for a unit that can be seen.
  const isOpen = () => waiting === null && looks.has(card.unit);

  function press(verdict) {
    for (const name of Object.values(VERDICTS)) buttons.get(name).setAttribute("aria-pressed", name === verdict);
  }
  function ask(content) {
    root.setAttribute("aria-busy", "true");
    problem.textContent = "";
    waiting = setTimeout(() => {
      problem.textContent = "Not stored yet: the kernel is busy, or has ended; then run this cell again.";
    }, PATIENCE_MS);
    model.send(content);
  }
  function record(verdict) {
    if (!isOpen()) return;
    press(verdict);
    ask({ kind: "record", unit: card.unit, verdict });
  }
  function back() {
    if (waiting === null && card.can_go_back) ask({ kind: "back", unit: card.unit });
  }
  function answered() {
    clearTimeout(waiting);
    waiting = null;
    root.removeAttribute("aria-busy");
  }

  function forget(unit) {
    const { figure, url } = looks.get(unit);
    figure.remove();
    if (url) URL.revokeObjectURL(url);
    looks.delete(unit);
  }
  function showLook() {
    const look = looks.get(card.unit);
    for (const [unit, { figure }] of looks) figure.hidden = unit !== card.unit;
    said.replaceChildren(...listed(look?.said ?? []));
    pictures.classList.toggle("secnb-review-loading", card.unit !== null && !look);
    if (waiting === null) row.classList.toggle("secnb-review-closed", !look);
  }
  function showCard() {
    body.hidden = hint.hidden = card.unit === null;
    title.textContent = card.unit ?? (card.n ? "All judged" : "Nothing to review");
    bar.max = Math.max(card.n, 1);
    bar.value = card.n_done;
    progress.textContent = card.progress;
    facts.replaceChildren(...listed(card.facts));
    problem.textContent = card.problem;
    spoken.textContent = card.said;
    press(card.verdict);
    for (const name of Object.values(VERDICTS)) buttons.get(name).setAttribute("aria-disabled", card.unit === null);
    buttons.get("back").setAttribute("aria-disabled", !card.can_go_back);
    showLook();
  }

  function onMessage(content, buffers) {
    if (content.kind === "card") {
      if (content.is_answer) answered();
      card = content;
      for (const unit of [...looks.keys()]) if (!card.keep.includes(unit)) forget(unit);
      showCard();
    } else if (content.kind === "look" && card.keep.includes(content.unit)) {
      if (looks.has(content.unit)) forget(content.unit);
      const { mime } = content.picture;
      const url = buffers?.length ? URL.createObjectURL(new Blob([buffers[0]], { type: mime })) : null;
      const figure = figureOf(content.picture, url);
      looks.set(content.unit, { figure, url, said: content.said });
      pictures.append(figure);
      showLook();
    }
  }

  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const key = event.key.toLowerCase();
    const isBack = BACK.includes(key);
    if (!isBack && !(key in VERDICTS)) return;
    event.preventDefault();
    event.stopPropagation();
    // A key that is held down is one verdict.
    if (event.repeat) return;
    if (isBack) back();
    else record(VERDICTS[key]);
  }

  // JupyterLab asks for this attribute, before anyone else hears of a key: Ctrl+S is its own, d d is not.
  function onAnyKey(event) {
    root.toggleAttribute("data-lm-suppress-shortcuts", !event.ctrlKey && !event.metaKey);
  }

  window.addEventListener("keydown", onAnyKey, true);
  root.addEventListener("keydown", onKey);
  model.on("msg:custom", onMessage);
  el.append(root);
  const shown = new ResizeObserver(() => {
    if (!root.isConnected) return;
    shown.disconnect();
    if (isWaitedFor(root)) root.focus({ preventScroll: true });
  });
  shown.observe(root);
  model.send({ kind: "ready" });
  return () => {
    shown.disconnect();
    clearTimeout(waiting);
    window.removeEventListener("keydown", onAnyKey, true);
    model.off("msg:custom", onMessage);
    for (const unit of [...looks.keys()]) forget(unit);
  };
}

export default { render };
