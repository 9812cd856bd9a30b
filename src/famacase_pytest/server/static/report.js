// What a report has in place of a server: its rows, the details of results and the files are in the page itself,
// packed. The lists that a server would make are made here. page.js follows in the same script.

async function reportSource() {
  const LINES = 150; // on a page
  const STATUSES = ["failed", "invalid", "blocked", "in_progress", "skipped", "untested", "disabled", "passed"];
  const FAILING = STATUSES.slice(0, 3);
  const SEPARATOR = " › ";

  const bytesOf = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const unzipped = (text) => new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const unpacked = (text) => new Response(unzipped(text)).json();

  const { rows, files, piece } = await unpacked(document.getElementById("rows").textContent);
  const pieces = [...document.querySelectorAll("script.details")];
  const addresses = new Map();
  const indexes = new Map(rows.map((row, index) => [row.id, index]));

  function element(html) {
    const template = document.createElement("template");
    template.innerHTML = html; // escaped by the templates that wrote it
    return template.content.firstElementChild;
  }

  function wantedOf(query) {
    const many = (name) => (query.get(name) ?? "").split(",").filter(Boolean);
    return {
      words: (query.get("q") ?? "").toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ").split(/\s+/).filter(Boolean),
      status: many("status"),
      has: many("has"),
      suite: query.get("suite") ?? "",
      tag: query.get("tag") ?? "",
      cause: query.get("cause") ?? "",
      sort: query.get("sort") ?? "status",
    };
  }

  function filter(wanted, without) {
    const below = wanted.suite + SEPARATOR;
    const tests = {
      status: (row) => !wanted.status.length || wanted.status.includes(row.status),
      has: (row) => wanted.has.every((mark) => row[mark]),
      suite: (row) => !wanted.suite || (row.suite + SEPARATOR).startsWith(below),
      tag: (row) => !wanted.tag || row.tags.includes(wanted.tag),
      cause: (row) => !wanted.cause || row.cause === wanted.cause,
      q: (row) => wanted.words.every((word) => row.text.includes(word)),
    };
    const used = Object.keys(tests).filter((name) => name !== without);
    return rows.filter((row) => used.every((name) => tests[name](row)));
  }

  const sorted = {
    status: (found) => [...found].sort((a, b) => a.rank - b.rank),
    duration: (found) => [...found].sort((a, b) => (b.duration ?? -Infinity) - (a.duration ?? -Infinity)),
    name: (found) => [...found].sort((a, b) => a.title.localeCompare(b.title)),
    order: (found) => found,
  };

  // Failures that say the same become one line, as on the page of a server.
  function grouped(found) {
    const causes = new Map();
    for (const row of found) {
      if (!FAILING.includes(row.status)) continue;
      if (!causes.has(row.cause)) causes.set(row.cause, []);
      causes.get(row.cause).push(row);
    }
    const groups = [...causes.values()].sort((a, b) => b.length - a.length);
    return [...groups.map((rows) => (rows.length > 1 ? rows : rows[0])), ...found.filter((row) => !FAILING.includes(row.status))];
  }

  function counted(found, values) {
    const counts = new Map();
    for (const row of found) for (const value of values(row)) counts.set(value, (counts.get(value) ?? 0) + 1);
    return counts;
  }

  function address(query, changes) {
    const changed = new URLSearchParams(query);
    changed.delete("page");
    for (const [name, value] of Object.entries(changes)) {
      if (value) changed.set(name, value);
      else changed.delete(name);
    }
    return `#${changed}`;
  }

  const thousands = (number) => number.toLocaleString("en");

  function chip(href, label, number, chosen, tone = "") {
    const link = make("a", { class: `chip ${tone}`, href, "data-soft": true, "aria-current": chosen && "true" });
    link.append(`${label} `, make("b", {}, thousands(number)));
    return link;
  }

  function chips(query, wanted) {
    const nav = make("nav", { class: "filters", "aria-label": "Filters" });
    const byStatus = counted(filter(wanted, "status"), (row) => [row.status]);
    const present = STATUSES.filter((status) => byStatus.has(status));
    const broken = present.filter((status) => FAILING.includes(status));
    const sum = (statuses) => statuses.reduce((total, status) => total + byStatus.get(status), 0);
    const chosen = wanted.status.join();
    nav.append(chip(address(query, { status: "" }), "all", sum(present), !chosen));
    if (broken.length > 1) {
      const all = FAILING.join();
      nav.append(chip(address(query, { status: all }), "failures", sum(broken), chosen === all, "failed ink failures"));
    }
    for (const status of present) {
      const tone = `${status} ink${broken.length === 1 && broken[0] === status ? " failures" : ""}`;
      const href = address(query, { status: chosen === status ? "" : status });
      nav.append(chip(href, status.replace("_", " "), byStatus.get(status), chosen === status, tone));
    }
    const marks = ["flaky", "muted", "files"];
    const byMark = counted(filter(wanted, "has"), (row) => marks.filter((mark) => row[mark]));
    for (const mark of marks) {
      const [on, number] = [wanted.has.includes(mark), byMark.get(mark) ?? 0];
      if (!number && !on) continue;
      const has = on ? wanted.has.filter((one) => one !== mark) : [...wanted.has, mark];
      nav.append(chip(address(query, { has: has.join() }), mark === "files" ? "has files" : mark, number, on));
    }
    if (wanted.cause) nav.append(chip(address(query, { cause: "" }), "one cause", "×", true));
    const byTag = counted(filter(wanted, "tag"), (row) => row.tags);
    if (byTag.size) {
      const tags = make("details", { class: "tags", open: Boolean(wanted.tag) }, make("summary", {}, "tags"));
      for (const [tag, number] of [...byTag].sort((a, b) => b[1] - a[1]).slice(0, 100)) {
        tags.append(chip(address(query, { tag: wanted.tag === tag ? "" : tag }), tag, number, wanted.tag === tag));
      }
      nav.append(tags);
    }
    return nav;
  }

  function tree(query, wanted) {
    const root = { children: new Map() };
    for (const row of filter(wanted, "suite")) {
      let node = root;
      let path = "";
      for (const title of row.suite ? row.suite.split(SEPARATOR) : []) {
        path = path ? path + SEPARATOR + title : title;
        if (!node.children.has(title)) node.children.set(title, { title, path, count: 0, failing: 0, children: new Map() });
        node = node.children.get(title);
        node.count += 1;
        node.failing += FAILING.includes(row.status) ? 1 : 0;
      }
    }
    const branch = (node) => {
      const list = make("ul");
      const children = [...node.children.values()].sort((a, b) => b.failing - a.failing || a.title.localeCompare(b.title));
      for (const child of children.slice(0, 300)) {
        const chosen = wanted.suite === child.path;
        const href = address(query, { suite: chosen ? "" : child.path });
        const link = make("a", { href, "data-soft": true, "aria-current": chosen && "true" }, child.title);
        const count = make("span", { class: "count" });
        if (child.failing) count.append(make("b", { class: "failed ink" }, thousands(child.failing)), " / ");
        count.append(thousands(child.count));
        const item = make("li", {}, link, " ", count);
        if (child.children.size) {
          const open = child.failing > 0 || wanted.suite.startsWith(child.path);
          const summary = make("summary", { "aria-label": `Suites in ${child.title}` });
          item.append(make("details", { "data-key": child.path, open }, summary, branch(child)));
        }
        list.append(item);
      }
      return list;
    };
    if (!root.children.size) return [];
    const suites = make("details", { class: "suites", "data-key": "", open: true });
    suites.append(make("summary", {}, make("h2", {}, "Suites")));
    const all = make("a", { href: address(query, { suite: "" }), "data-soft": true }, "All suites");
    if (wanted.suite) suites.append(make("p", {}, all));
    suites.append(branch(root));
    return [make("aside", { id: "tree", "aria-label": "Suites" }, suites)];
  }

  function line(query, one) {
    if (!Array.isArray(one)) return element(one.html);
    const [first] = one;
    const what = make("span", { class: "what" }, make("span", { class: "name" }, first.message || "(no message)"));
    const told = `${thousands(one.length)} results with this cause, the first of them: ${first.title}`;
    what.append(make("span", { class: "suites" }, told));
    const row = make("a", { class: "row", href: address(query, { cause: first.cause }), "data-group": first.cause });
    row.append(make("span", { class: `pill ${first.status}` }, `${thousands(one.length)} ×`), what);
    row.append(make("span", { class: "took unfolds", "aria-hidden": "true" }));
    return make("li", { class: `result group ${first.status}`, "data-key": `cause-${first.cause}` }, row);
  }

  function found(query) {
    const wanted = wantedOf(query);
    const results = (sorted[wanted.sort] ?? sorted.status)(filter(wanted));
    const lines = wanted.sort === "status" && !wanted.cause ? grouped(results) : results;
    const last = Math.max(1, Math.ceil(lines.length / LINES));
    const page = Math.min(last, Math.max(1, Number(query.get("page")) || 1));
    const shown = lines.slice((page - 1) * LINES, page * LINES);
    const inLines = lines.length === results.length ? "" : ` in ${thousands(lines.length)} lines`;
    const told = `${thousands(results.length)} result${results.length === 1 ? "" : "s"}${inLines}`;
    const turn = () => {
      if (last === 1) return [];
      const to = (number, label) => make("a", { href: address(query, { page: String(number) }), "data-soft": true }, label);
      const nav = make("nav", { class: "turn", "aria-label": "Pages" });
      if (page > 1) nav.append(to(page - 1, "‹ previous"));
      nav.append(make("span", { class: "muted" }, `page ${page} of ${last}`));
      if (page < last) nav.append(to(page + 1, "next ›"));
      return [nav];
    };
    const list = make("div", { class: "list" });
    list.append(make("div", { class: "head" }, make("p", { class: "small muted", role: "status" }, told), ...turn()));
    list.append(make("ol", { id: "list" }, ...shown.map((one) => line(query, one))));
    if (!shown.length) list.append(make("p", { class: "empty" }, rows.length ? "No results fit." : "This run has no results."));
    list.append(...turn());
    const columns = make("div", { class: "columns" }, ...tree(query, wanted), list);
    return make("div", { id: "found" }, chips(query, wanted), columns);
  }

  // The filters that the search keeps.
  function form(query) {
    const kept = ["status", "suite", "tag", "has", "cause"].filter((name) => query.get(name));
    const hidden = kept.map((name) => make("input", { type: "hidden", name, value: query.get(name) }));
    return make("form", { id: "search" }, ...hidden);
  }

  function blobOf(id) {
    const file = files[id];
    const script = document.getElementById(`content-${file.content}`);
    return script.dataset.packing
      ? new Response(unzipped(script.textContent)).blob()
      : new Blob([bytesOf(script.textContent)], { type: file.type });
  }

  return {
    isReport: true,
    async page(target) {
      const query = new URLSearchParams(new URL(target, location.href).hash.slice(1));
      return { page: make("div", {}, form(query), found(query)), tag: null };
    },
    async detail(row) {
      const index = indexes.get(row.dataset.opens);
      const details = await unpacked(pieces[Math.floor(index / piece)].textContent);
      return details[index % piece];
    },
    async group(row) {
      const query = new URLSearchParams(row.hash.slice(1));
      return filter(wantedOf(query)).map((one) => element(one.html));
    },
    async address(id) {
      if (!addresses.has(id)) addresses.set(id, URL.createObjectURL(await blobOf(id)));
      return addresses.get(id);
    },
    text: async (id) => (await blobOf(id)).text(),
    async frame(id) {
      if (files[id].type === "application/pdf") return make("iframe", { src: await this.address(id) });
      return make("iframe", { srcdoc: await this.text(id) });
    },
    async fill(root) {
      for (const one of root.querySelectorAll("[data-file]:not([src])")) one.src = await this.address(one.dataset.file);
    },
  };
}
