"use strict";
// Tooltips for pointer and arrow keys, sortable tables, tables as CSV, and the group matrix. No dependency, no network.
(() => {
  const tip = document.getElementById("tip");
  const show = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(6, Math.min(x + 12, innerWidth - box.width - 6)) + "px";
    tip.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18) + "px";
  };
  const hide = () => { tip.hidden = true; document.querySelectorAll("svg .on").forEach((mark) => mark.classList.remove("on")); };

  document.addEventListener("pointermove", (event) => {
    const mark = event.target.closest && event.target.closest("[data-tip]");
    if (mark) show(mark.dataset.tip, event.clientX, event.clientY);
    else if (!event.target.closest || !event.target.closest(".matrix svg")) hide();
  });
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  // Arrow keys walk the marks of the focused chart, from left to right.
  document.addEventListener("keydown", (event) => {
    const chart = event.target;
    if (event.key === "Escape") return hide();
    if (!chart.matches || !chart.matches("svg.chart") || !["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
    const marks = [...chart.querySelectorAll("[data-tip]:not(.band)")];
    if (!marks.length) return;
    event.preventDefault();
    const at = marks.findIndex((mark) => mark.classList.contains("on"));
    const next = event.key === "Home" ? 0 : event.key === "End" ? marks.length - 1
      : Math.max(0, Math.min(marks.length - 1, at + (event.key === "ArrowRight" ? 1 : -1)));
    hide();
    marks[next].classList.add("on");
    const box = marks[next].getBoundingClientRect();
    show(marks[next].dataset.tip, box.left + box.width / 2, Math.min(box.bottom, box.top + 40));
  });
  document.addEventListener("focusout", hide);

  // Tables: sort by a header, save what is shown.
  const value = (row, column) => {
    const cell = row.cells[column];
    const given = cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v;
    const number = Number(given.replace(/,/g, "").replace("−", "-"));
    return given !== "" && !Number.isNaN(number) ? number : given;
  };
  const order = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  document.querySelectorAll("th button").forEach((button) => button.addEventListener("click", () => {
    const header = button.closest("th"), body = button.closest("table").tBodies[0], column = Number(button.dataset.column);
    const down = header.getAttribute("aria-sort") === "ascending" || (!header.hasAttribute("aria-sort") && header.classList.contains("n"));
    header.parentNode.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].map((row) => [value(row, column), row]);
    rows.sort((a, b) => order(a[0], b[0]) * (down ? -1 : 1));
    body.append(...rows.map((pair) => pair[1]));
  }));
  const quoted = (text) => /[",\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  const plain = (cell) => cell.textContent.replace(/[↕↑↓]/g, "").replace(/\s+/g, " ").trim();
  document.querySelectorAll("button.csv").forEach((button) => button.addEventListener("click", () => {
    const rows = [...button.closest(".table-box").querySelectorAll("tr")];
    const text = rows.map((row) => [...row.cells].map((cell) => quoted(plain(cell))).join(",")).join("\r\n") + "\r\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff" + text], { type: "text/csv" }));
    link.download = button.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }));

  // The group matrix: rows are groups, then the meters of the chosen one.
  const svgns = "http://www.w3.org/2000/svg";
  const make = (name, attributes, parent) => {
    const made = document.createElementNS(svgns, name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (parent) parent.append(made);
    return made;
  };
  const expand = (cells) => cells.split(",").flatMap((part) => {
    const [share, times] = part.split("x").map(Number);
    return new Array(times || 1).fill(share);
  });
  const day = (data, number) => new Date(Date.parse(data.first + "T00:00:00Z") + number * 864e5).toISOString().slice(0, 10);

  document.querySelectorAll(".matrix").forEach((box) => {
    const figure = box.closest("figure"), back = figure.querySelector(".back");
    const data = JSON.parse(figure.querySelector('script[data-name="' + box.dataset.source + '"]').textContent);
    let open = null;
    const draw = () => {
      const rows = open ? open.meters : data.rows;
      const width = Math.max(300, Math.floor(box.clientWidth)), left = width < 500 ? 96 : 150, high = rows.length > 30 ? 15 : 20, top = 16;
      const cell = (width - left) / data.length;
      const svg = make("svg", { viewBox: `0 0 ${width} ${top + rows.length * high + 2}`, class: "chart", role: "group",
        "aria-label": open ? "Measured share of the meters of " + open.name : "Measured share by group and day" });
      for (let at = 0, last = -99; at < data.length; at++) {
        const date = day(data, at);
        if ((date.endsWith("-01") || at === 0) && left + at * cell - last > 62) {
          last = left + at * cell;
          make("text", { x: last, y: 11, "text-anchor": "start" }, svg).textContent = date.slice(0, 7);
        }
      }
      rows.forEach((row, number) => {
        const y = top + number * high, group = make("g", { class: "row" }, svg), shares = expand(row.cells), paths = {};
        shares.forEach((share, at) => {
          const level = share < 0 ? "n" : data.edges.findIndex((edge) => share >= edge);
          const wide = Math.max(cell - (cell > 6 ? 1 : 0), .4);
          paths[level] = (paths[level] || "") + `M${(left + at * cell).toFixed(1)} ${y}h${wide.toFixed(2)}v${high - 2}h-${wide.toFixed(2)}z`;
        });
        for (const level in paths) make("path", { d: paths[level], class: "l" + level }, group);
        const label = make("text", { x: left - 8, y: y + high / 2 + 3, "text-anchor": "end" }, group);
        const room = Math.floor(left / 8);
        label.textContent = row.name.length > room ? row.name.slice(0, room - 1) + "…" : row.name;
        make("rect", { x: 0, y, width, height: high, class: "hit" }, group);
        group.setAttribute("aria-label", row.name + ", " + row.note);
        group.addEventListener("pointermove", (event) => {
          const place = svg.getBoundingClientRect(), at = Math.floor(((event.clientX - place.left) * width / place.width - left) / cell);
          const share = shares[at];
          show(row.name + " (" + row.note + ")" + (share === undefined ? "" : ", " + day(data, at) + ": "
            + (share < 0 ? "nothing expected" : (share / 10).toFixed(share % 10 ? 1 : 0) + " % measured")), event.clientX, event.clientY);
        });
        group.addEventListener("pointerleave", hide);
        if (!open && row.meters.length) {
          const enter = () => { open = row; hide(); draw(); back.focus(); };
          group.setAttribute("tabindex", "0");
          group.setAttribute("role", "button");
          group.addEventListener("click", enter);
          group.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); enter(); } });
        }
      });
      box.replaceChildren(svg);
      back.hidden = !open;
      back.textContent = open ? "← all groups · shown: " + open.name : "← all groups";
    };
    back.addEventListener("click", () => { open = null; draw(); });
    let last = 0;
    new ResizeObserver(() => { if (box.clientWidth !== last) { last = box.clientWidth; draw(); } }).observe(box);
  });

  // The section being read, in the navigation.
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
    const link = links.get(entry.target.id);
    if (link) link.classList.toggle("here", entry.isIntersecting);
  }), { rootMargin: "-25% 0px -74.5% 0px" });
  document.querySelectorAll("main > section").forEach((section) => seen.observe(section));
})();
