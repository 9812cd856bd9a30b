// What the pages do beyond being read. Without it they work by links and forms; with it results open in place,
// a search answers as you type, and the page of a run that goes on grows by itself.
//
// `famacase report` puts this file behind report.js, whose `reportSource` then stands in for the server.

const MOST_TEXT = 1_000_000; // characters of a file that are shown in place
const MOST_ROWS = 500; // of a table, and children of a JSON value

const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

const serverSource = {
  async page(address, tag) {
    const answer = await fetch(address, { headers: tag ? { "If-None-Match": tag } : {} });
    if (answer.status === 304) return null;
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return { page, tag: answer.headers.get("ETag") };
  },
  async detail(row) {
    const answer = await fetch(`${row.href}?part=1`);
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    return answer.text();
  },
  async group(row) {
    const { page } = await this.page(row.href);
    const more = find(".turn", page) ? [make("li", {}, make("a", { href: row.href }, "All of them"))] : [];
    return [...find("#list", page).children, ...more];
  },
  address: async (id) => `/files/${id}`,
  frame: async (id) => make("iframe", { src: `/files/${id}?show=frame` }),
  async text(id) {
    const answer = await fetch(`/files/${id}`);
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    return answer.text();
  },
  fill() {},
};

const source = typeof reportSource === "function" ? await reportSource() : serverSource;

// Opening results and groups in place

async function toggle(row) {
  const item = row.closest("li");
  const open = find(":scope > .inside", item);
  row.setAttribute("aria-expanded", String(!open));
  if (open) {
    open.remove();
    return;
  }
  const isGroup = row.dataset.group !== undefined;
  const inside = make(isGroup ? "ol" : "div", { class: isGroup ? "inside inner" : "inside" });
  item.append(inside);
  inside.textContent = "…";
  try {
    if (isGroup) inside.replaceChildren(...(await source.group(row)));
    else inside.innerHTML = await source.detail(row); // escaped by the templates
  } catch (error) {
    inside.textContent = `This could not be loaded. ${error.message}`;
  }
  enhance(inside);
}

// Search, filters, sorting: the address says it all

let tag = null;
let asked = 0; // so that a late answer does not replace a later one

const labelOf = (link) => `${link.parentElement.className} ${link.firstChild?.textContent.trim()}`;

async function go(address, isNew) {
  const mine = ++asked;
  const focused = document.activeElement?.closest("#found a[data-soft]");
  let answer;
  try {
    answer = await source.page(address);
  } catch {
    location.assign(address); // the browser says what is wrong
    return;
  }
  if (mine !== asked) return;
  if (isNew) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
  tag = answer.tag;
  const found = find("#found", answer.page);
  keepTree(found);
  const links = () => all("#found a[data-soft]").filter((one) => focused && labelOf(one) === labelOf(focused));
  const place = links().indexOf(focused);
  find("#found").replaceChildren(...found.childNodes);
  // The keyboard goes on where it was, and another page is read from its top.
  if (focused) (links().at(place) ?? find("#found a")).focus({ preventScroll: true });
  if (focused?.closest(".turn")) find("#found .head").scrollIntoView();
  const form = find("#search");
  const hidden = all("input[type=hidden]", find("#search", answer.page) ?? make("form"));
  all("input[type=hidden]", form).forEach((one) => one.remove());
  form.prepend(...hidden);
  enhance(find("#found"));
}

// Suites stay open or closed as the reader left them.
function keepTree(fresh) {
  const states = new Map(all("#tree details").map((one) => [one.dataset.key, one.open]));
  for (const one of all("#tree details", fresh)) {
    if (states.has(one.dataset.key)) one.open = states.get(one.dataset.key);
  }
  if (!states.size) foldTree(fresh);
}

// On a narrow screen the failures come before the suites.
function foldTree(root) {
  const suites = find("#tree .suites", root);
  if (suites && matchMedia("(max-width: 820px)").matches) suites.open = false;
}

function searchAddress(form) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (value && !(name === "sort" && value === "status")) query.set(name, value);
  }
  const text = query.toString();
  return form.getAttribute("action") + (text && !source.isReport ? "?" : "") + text;
}

function watchSearch(form) {
  let timer;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => go(searchAddress(form), false), 120);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    go(searchAddress(form), true);
  });
  addEventListener("popstate", () => {
    takeOver(location.href);
    go(location.href, false);
  });
}

// What an address says of the search goes into its form.
function takeOver(address) {
  const { hash, search } = new URL(address);
  const query = new URLSearchParams((source.isReport ? hash : search).slice(1));
  const form = find("#search");
  form.elements.q.value = query.get("q") ?? "";
  form.elements.sort.value = query.get("sort") ?? "status";
}

// A run that goes on

async function grow() {
  const began = performance.now();
  let answer = null;
  const mine = asked;
  try {
    if (!document.hidden) answer = await source.page(location.href, tag);
  } catch {
    // The server is away; it is asked again.
  }
  let isOpen = true;
  if (answer && mine === asked) {
    tag = answer.tag;
    isOpen = showGrowth(answer.page);
  }
  // A server that takes long is asked less often.
  if (isOpen) setTimeout(grow, Math.max(1000, 5 * (performance.now() - began)));
}

function showGrowth(page) {
  const list = find("#list");
  const rows = [...list.children];
  const anchor = rows.find((row) => row.getBoundingClientRect().bottom > 0);
  const top = anchor?.getBoundingClientRect().top;
  keepTree(page);
  const failing = find("#outcome .failing")?.textContent;
  const isOpen = find("#outcome[data-live]", page) !== null;
  for (const place of ["#outcome", "#tree", ".filters", ".list .head", ...(isOpen ? [] : ["#facts"])]) {
    const [old, fresh] = [find(place), find(place, page)];
    if (old && fresh && old.innerHTML !== fresh.innerHTML && !old.contains(document.activeElement)) {
      old.replaceChildren(...fresh.childNodes);
      enhance(old);
    }
  }
  if (!find("#tree") && find("#tree", page)) find(".columns").prepend(find("#tree", page));
  const turn = find("#list ~ .turn");
  if (!turn?.contains(document.activeElement)) {
    turn?.remove();
    list.after(...all("#list ~ .turn", page));
  }
  if (!isOpen || failing !== find("#outcome .failing")?.textContent) showComparison();
  const fresh = [...find("#list", page).children];
  if (fresh.length) find(".list .empty")?.remove();
  merge(list, fresh);
  if (anchor?.isConnected) scrollBy(0, anchor.getBoundingClientRect().top - top);
  return isOpen;
}

async function showComparison() {
  const place = find("#comparison[data-src]");
  if (!place) return;
  const answer = await fetch(place.dataset.src);
  if (answer.ok) place.innerHTML = await answer.text(); // escaped by the templates
}

// Takes over what is new without touching a line that is open or has the focus.
function merge(list, fresh) {
  const known = new Map([...list.children].map((item) => [item.dataset.key, item]));
  const kept = (item) => find(":scope > .inside", item) || item.contains(document.activeElement);
  let place = list.firstElementChild;
  for (const item of fresh) {
    const old = known.get(item.dataset.key);
    known.delete(item.dataset.key);
    if (!old) {
      enhance(item);
      list.insertBefore(item, place);
      continue;
    }
    const [oldRow, row] = [find(".row", old), find(".row", item)];
    if (oldRow.innerHTML !== row.innerHTML) {
      const inside = old.classList.contains("in_progress") && find(":scope > .inside", old);
      old.className = item.className;
      oldRow.replaceChildren(...row.childNodes);
      if (inside) renew(inside, oldRow);
    }
    if (old === place) place = place.nextElementSibling;
    else if (!kept(old)) list.insertBefore(old, place);
  }
  for (const item of known.values()) if (!kept(item)) item.remove();
}

// Shows what an open result has come to, with its steps and files as the reader left them.
async function renew(inside, row) {
  const fresh = make("div");
  try {
    fresh.innerHTML = await source.detail(row); // escaped by the templates
  } catch {
    return; // It comes with the next change.
  }
  const keyOf = (one) => one.dataset.key ?? one.dataset.id;
  const folds = new Map(all("details", inside).map((one) => [keyOf(one), one]));
  const focused = inside.contains(document.activeElement) && keyOf(document.activeElement.closest("details") ?? inside);
  for (const one of all("details", fresh)) {
    const old = folds.get(keyOf(one));
    if (old?.dataset.shown) one.replaceWith(old);
    else if (old) one.open = old.open;
  }
  inside.replaceChildren(...fresh.childNodes);
  enhance(inside);
  all("details", inside).find((one) => keyOf(one) === focused)?.querySelector("summary").focus({ preventScroll: true });
}

// Files

const views = {
  text: async (id) => textView(await source.text(id)),
  async json(id) {
    const text = await source.text(id);
    let value;
    try {
      value = JSON.parse(text);
    } catch {
      return textView(text);
    }
    return make("div", { class: "json" }, jsonView(value, 0));
  },
  async csv(id, name) {
    const rows = csvRows(await source.text(id));
    const [head, ...body] = rows.slice(0, MOST_ROWS);
    const cells = (row, kind) => make("tr", {}, ...row.map((cell) => make(kind, {}, cell)));
    const table = make("table", {}, make("thead", {}, cells(head ?? [], "th")));
    table.append(make("tbody", {}, ...body.map((row) => cells(row, "td"))));
    const region = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": name }, table);
    if (rows.length > MOST_ROWS) region.append(`The first ${MOST_ROWS} of ${rows.length} lines.`);
    return region;
  },
  async html(id, name) {
    const frame = await source.frame(id);
    // Nothing is allowed: no script, no form, no link out of the frame, no origin.
    frame.setAttribute("sandbox", "");
    frame.title = name;
    return frame;
  },
  async pdf(id, name) {
    // Chromium shows no PDF in a frame with the attribute. The server's answer has `sandbox` in its policy instead,
    // and whatever is in the file, it is called a PDF and nothing else.
    const frame = await source.frame(id);
    frame.title = name;
    return frame;
  },
};

function textView(text) {
  const cut = text.length > MOST_TEXT ? `\n… ${text.length - MOST_TEXT} more characters; save the file.` : "";
  return make("pre", { tabindex: 0 }, text.slice(0, MOST_TEXT) + cut);
}

function jsonView(value, depth) {
  if (value === null || typeof value !== "object") {
    return make("span", { class: value === null ? "null" : typeof value }, JSON.stringify(value));
  }
  const entries = Object.entries(value);
  const [before, after] = Array.isArray(value) ? "[]" : "{}";
  if (!entries.length) return make("span", {}, before + after);
  const fold = make("details", {}, make("summary", {}, `${before} ${entries.length} ${after}`));
  // What is folded is made when it is unfolded.
  const fill = () => {
    if (find(":scope > ul", fold)) return;
    const items = entries.slice(0, MOST_ROWS).map(([key, child]) => {
      return make("li", {}, make("b", {}, `${key}: `), jsonView(child, depth + 1));
    });
    if (entries.length > MOST_ROWS) items.push(make("li", {}, `… ${entries.length - MOST_ROWS} more`));
    fold.append(make("ul", {}, ...items));
  };
  fold.addEventListener("toggle", fill);
  if (depth < 2) {
    fill();
    fold.open = true;
  }
  return fold;
}

function csvRows(text) {
  const first = text.slice(0, text.indexOf("\n") + 1 || undefined);
  const comma = [",", ";", "\t"].sort((a, b) => first.split(b).length - first.split(a).length)[0];
  const rows = [[]];
  let cell = "";
  let quoted = false;
  for (let at = 0; at <= text.length; at++) {
    const one = text[at];
    if (quoted && one !== undefined) {
      if (one !== '"') cell += one;
      else if (text[at + 1] === '"') cell += text[++at];
      else quoted = false;
    } else if (one === '"' && cell === "") quoted = true;
    else if (one === comma || one === "\n" || one === undefined) {
      rows.at(-1).push(cell.replace(/\r$/, ""));
      cell = "";
      if (one === "\n" && at + 1 < text.length) rows.push([]);
      if (one === "\n" && at + 1 === text.length) break;
    } else cell += one;
  }
  return rows;
}

async function showView(view) {
  if (!view.open || view.dataset.shown) return;
  view.dataset.shown = "1";
  try {
    view.append(await views[view.dataset.view](view.dataset.id, view.dataset.name));
  } catch (error) {
    view.append(make("p", { class: "muted" }, `This could not be loaded. ${error.message}`));
  }
}

// The picture called expected lies over the one called actual; the slider uncovers it.
function compare(box) {
  const label = find("label", box);
  const range = find("input", label);
  const [over] = all(".picture", box);
  const show = () => (over.style.clipPath = `inset(0 ${100 - range.value}% 0 0)`);
  label.hidden = false;
  box.classList.add("stacked");
  range.addEventListener("input", show);
  show();
}

function enlarge(picture) {
  const image = find("img", picture);
  const close = make("button", { type: "button", autofocus: true }, "Close");
  const full = make("button", { type: "button", "aria-pressed": "false" }, "Full size");
  const large = make("img", { src: image.src, alt: image.alt });
  const dialog = make("dialog", { "aria-label": image.alt }, close, " ", full, large);
  dialog.addEventListener("click", ({ target }) => {
    if (target === full || target === large) full.setAttribute("aria-pressed", String(large.classList.toggle("full")));
    else dialog.close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    picture.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
}

async function save(link) {
  make("a", { href: await source.address(link.dataset.save), download: link.download }).click();
}

async function copy(button) {
  const text = find("pre", button.parentElement).textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
  } catch {
    getSelection().selectAllChildren(find("pre", button.parentElement));
    button.textContent = "selected";
  }
  setTimeout(() => (button.textContent = "copy"), 1500);
}

// What every piece of a page gets when it comes in

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function enhance(root) {
  source.fill(root);
  for (const time of all("time:not([data-local])", root)) {
    time.dataset.local = "1";
    time.textContent = clock.format(new Date(time.dateTime));
  }
  for (const row of all(".row[data-opens], .row[data-group]", root)) {
    if (!row.hasAttribute("aria-expanded")) row.setAttribute("aria-expanded", "false");
  }
  all("button.copy", root).forEach((button) => (button.hidden = false));
  all("[data-versus]:not(.stacked)", root).forEach(compare);
  // The end of a long trace says what went wrong.
  for (const trace of all(".trace pre", root)) {
    const [box, error] = [trace, all(".error", trace).at(-1)].map((one) => one?.getBoundingClientRect());
    if (error) trace.scrollTop += Math.min(error.bottom - box.bottom + 40, error.top - box.top - 80);
  }
}

// Clicks and keys

document.addEventListener("click", (event) => {
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const { target } = event;
  const row = target.closest(".row[data-opens], .row[data-group]");
  const soft = find("#found") && target.closest("a[data-soft]");
  const picture = target.closest("a.picture");
  const saved = target.closest("[data-save]");
  const button = target.closest("button.copy");
  const skip = target.closest(".skip");
  if (!(row || soft || picture || saved || button || skip)) return;
  event.preventDefault();
  if (skip) find("#main").focus();
  else if (row) toggle(row);
  else if (soft) {
    takeOver(soft.href);
    go(soft.href, true);
  } else if (picture) enlarge(picture);
  else if (saved) save(saved);
  else copy(button);
});

document.addEventListener("toggle", (event) => event.target.matches?.(".view") && showView(event.target), true);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || find("dialog[open]")) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const rows = all(".row");
  const here = rows.indexOf(document.activeElement?.closest(".row, li.result")?.closest("li")?.querySelector(".row"));
  const keys = {
    "/": () => find("input[type=search]")?.focus(),
    j: () => rows[Math.min(rows.length - 1, here + 1)]?.focus(),
    k: () => rows[Math.max(0, here - 1)]?.focus(),
    f: () => find(".failures")?.click(),
  };
  if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});

enhance(document);
foldTree(document);
if (find("#search")) watchSearch(find("#search"));
if (source.isReport) {
  takeOver(location.href);
  await go(location.href, false);
}
if (find("#outcome[data-live]") && find("#list")) setTimeout(grow, 1000);
await showComparison();
document.documentElement.dataset.ready = "1"; // for tests
