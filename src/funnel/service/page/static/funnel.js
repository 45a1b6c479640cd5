// The page's own script: which part is shown, the API key, and what is read from /metrics.
"use strict";

const view = document.getElementById("view");
const status = document.getElementById("status");
const keyField = document.getElementById("key-field");
const TABS = ["overview", "explorer", "items", "bundles"];

function say(text, good) {
  status.textContent = text;
  status.classList.toggle("good", Boolean(good));
}

function key() { return sessionStorage.getItem("funnel-key") || ""; }

function headers() { return key() ? { Authorization: "Bearer " + key() } : {}; }

// ---- Parts -------------------------------------------------------------------------------------

function tab() {
  const wanted = new URLSearchParams(location.search).get("tab");
  return TABS.includes(wanted) ? wanted : "overview";
}

function show() {
  const query = new URLSearchParams(location.search);
  query.delete("tab");
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.tab === tab()) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = tab()[0].toUpperCase() + tab().slice(1) + " · funnel";
  return htmx.ajax("GET", "/view/" + tab() + (query.size ? "?" + query : ""), { target: "#view" });
}

function go(url) {
  history.pushState({}, "", url);
  say("");
  return show();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  const url = new URL(link.href, location.href);
  if (url.origin !== location.origin || url.pathname !== "/" || !url.searchParams.has("tab")) return;
  event.preventDefault();
  go(url.pathname + url.search).then(() => view.focus({ preventScroll: true }));
});

window.addEventListener("popstate", show);

// A form of a part is a page of its own, which can be kept and sent.
document.addEventListener("htmx:beforeRequest", (event) => {
  const form = event.detail.elt.closest("form[data-form]");
  if (!form || form !== event.detail.elt) return;
  const query = new URLSearchParams({ tab: form.dataset.form });
  for (const [name, value] of new FormData(form)) if (value) query.set(name, value);
  history.replaceState({}, "", "/?" + query);
  say("");
});

// ---- Key, and what goes wrong ------------------------------------------------------------------

document.addEventListener("htmx:configRequest", (event) => {
  Object.assign(event.detail.headers, headers());
  if (event.detail.verb === "post") event.detail.headers["Content-Type"] = "application/json";
});

document.getElementById("key").addEventListener("submit", (event) => event.preventDefault());
keyField.addEventListener("change", () => {
  sessionStorage.setItem("funnel-key", keyField.value.trim());
  say("");
  show();
});

function detail(text) {
  try {
    return JSON.parse(text).detail || text;
  } catch {
    return text;
  }
}

document.addEventListener("htmx:responseError", (event) => say(detail(event.detail.xhr.responseText)));
document.addEventListener("htmx:sendError", () => say("the service does not answer"));

document.addEventListener("htmx:afterRequest", (event) => {
  const act = event.detail.elt.dataset && event.detail.elt.dataset.act;
  if (!act || !event.detail.successful) return;
  show().then(() => say(act === "publish" ? "published" : "rolled back", true));
});

// ---- Items that are the same in every list -----------------------------------------------------

function mark(event) {
  const item = event.target.closest(".item");
  if (!item) return;
  for (const other of document.querySelectorAll(".item")) {
    other.classList.toggle("same", other.dataset.item === item.dataset.item);
  }
}
for (const kind of ["mouseover", "focusin", "click"]) view.addEventListener(kind, mark);

view.addEventListener("keydown", (event) => {
  const item = event.target.closest(".item");
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!item || !step) return;
  const every = [...item.closest("ol").querySelectorAll(".item")];
  const next = every[every.indexOf(item) + step];
  if (next) next.focus();
  event.preventDefault();
});

// ---- Metrics: what Prometheus reads, of all workers --------------------------------------------

function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([^ ]+)$/.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, name, value] of (found[2] || "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[name] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    }
    samples.push({ name: found[1], labels, value: Number(found[3]) });
  }
  return samples;
}

function sum(samples, name) {
  return samples.filter((s) => s.name === name).reduce((total, s) => total + s.value, 0);
}

// Cumulative bins of a histogram by one label: {label: [[bound, count], ...]}.
function bins(samples, name, label) {
  const by = {};
  for (const s of samples) {
    if (s.name !== name + "_bucket") continue;
    (by[s.labels[label]] ||= []).push([s.labels.le === "+Inf" ? Infinity : Number(s.labels.le), s.value]);
  }
  for (const own of Object.values(by)) own.sort((a, b) => a[0] - b[0]);
  return by;
}

// Linear within a bin, as Prometheus' histogram_quantile.
function quantile(own, q) {
  const total = own.length ? own[own.length - 1][1] : 0;
  let low = 0, before = 0;
  for (const [bound, count] of own) {
    if (count >= q * total && total) {
      if (bound === Infinity) return low;
      return low + ((bound - low) * (q * total - before)) / Math.max(count - before, 1);
    }
    [low, before] = [bound, count];
  }
  return NaN;
}

function milliseconds(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const ms = 1000 * seconds;
  return ms.toFixed(ms < 1 ? 3 : ms < 100 ? 2 : 0) + " ms";
}

function put(name, text) {
  const place = view.querySelector(`[data-live="${name}"]`);
  if (place) place.textContent = text;
}

function rows(name, lines) {
  const body = view.querySelector(`[data-live="${name}"]`);
  if (!body || !lines.length) return;
  body.replaceChildren(...lines.map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    return row;
  }));
}

const traffic = { times: [], rates: [], last: null, chart: null };

function drawMetrics(samples) {
  const answers = sum(samples, "funnel_answers_total"), now = Date.now() / 1000;
  put("answers", answers.toLocaleString("en"));
  if (traffic.last) {
    traffic.times.push(now);
    traffic.rates.push(Math.max(0, (answers - traffic.last[1]) / (now - traffic.last[0])));
    put("rate", traffic.rates.at(-1).toFixed(1) + " a second");
  }
  traffic.last = [now, answers];
  const stages = bins(samples, "funnel_stage_seconds", "stage"), skips = {};
  for (const s of samples) if (s.name === "funnel_stage_skips_total") skips[s.labels.stage] = s.value;
  rows("stages", Object.entries(stages).map(([stage, own]) => [
    stage, own.at(-1)[1].toLocaleString("en"), ...[0.5, 0.9, 0.99].map((q) => milliseconds(quantile(own, q))),
    (skips[stage] || 0).toLocaleString("en"),
  ]));
  for (const [stage, own] of Object.entries(stages)) {
    for (const place of view.querySelectorAll("[data-stage]")) {
      if (place.dataset.stage === stage) place.textContent = milliseconds(quantile(own, 0.5));
    }
    for (const place of view.querySelectorAll("[data-stage-tail]")) {
      if (place.dataset.stageTail === stage) place.textContent = "p99 " + milliseconds(quantile(own, 0.99));
    }
  }
  const asked = bins(samples, "funnel_http_request_seconds", "route")["/v1/recommend"] || [];
  put("latency", milliseconds(quantile(asked, 0.5)));
  put("p99", asked.length ? "p99 " + milliseconds(quantile(asked, 0.99)) : "of /v1/recommend");
  const reasons = samples.filter((s) => s.name === "funnel_answer_reasons_total").sort((a, b) => b.value - a.value);
  rows("reasons", reasons.slice(0, 12).map((s) => [
    s.labels.reason, s.value.toLocaleString("en"), ((100 * s.value) / Math.max(answers, 1)).toFixed(1) + "%",
  ]));
}

async function poll() {
  if (tab() !== "overview" || document.hidden) return;
  try {
    const answer = await fetch("/metrics", { headers: headers() });
    if (!answer.ok) return;
    drawMetrics(parse(await answer.text()));
    const place = document.getElementById("traffic");
    if (place && traffic.times.length > 1) {
      if (traffic.chart && place.contains(traffic.chart.root)) traffic.chart.setData([traffic.times, traffic.rates]);
      else traffic.chart = plot(place, [traffic.times, traffic.rates], "answers a second");
    }
  } catch {
    say("the service does not answer");
  }
}

// ---- Charts ------------------------------------------------------------------------------------

// dots: of a few points, by day; else a line, by the second. Times are UTC.
function plot(place, data, name, dots) {
  const colour = (variable) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--hair"), width: 1 }, ticks: { show: false } };
  const days = (data[0].at(-1) - data[0][0]) / 86400;
  const [from, to] = !dots ? [11, 19] : days > 5 ? [0, 10] : [5, 16];
  const clock = (_, times) => times.map((at) => new Date(1000 * at).toISOString().slice(from, to).replace("T", " "));
  const around = (_, low, high) => (!dots ? [Math.min(low, high - 60), high] : high > low ? [low, high] : [low - 3600, high + 3600]);
  place.replaceChildren();
  return new uPlot({
    width: place.clientWidth, height: 190, legend: { show: false }, cursor: { y: false },
    scales: { x: { range: around }, y: { range: (_, low, high) => [0, 1.1 * Math.max(high, dots ? 1e-9 : 1)] } },
    axes: [{ ...axis, values: clock, space: 90 }, { ...axis, size: 54 }],
    series: [{}, { label: name, stroke: colour("--accent"), width: 2, points: { show: Boolean(dots), size: 7 } }],
  }, data, place);
}

function age(seconds) {
  for (const [unit, length] of [["days", 86400], ["hours", 3600], ["min", 60]]) {
    if (seconds >= 2 * length) return Math.floor(seconds / length) + " " + unit;
  }
  return Math.floor(seconds) + " s";
}

function draw() {
  for (const place of view.querySelectorAll("[data-seconds]")) place.textContent = age(Number(place.dataset.seconds));
  const place = document.getElementById("quality");
  if (place) {
    const points = JSON.parse(place.dataset.points);
    if (points[0].length) plot(place, points, place.dataset.name, true);
  }
  if (document.querySelector("form[data-form=explorer]") && !document.getElementById("why")) {
    htmx.trigger(document.querySelector("form[data-form=explorer]"), "submit");
  }
}

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target === view) {
    draw();
    poll();
  }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => tab() === "overview" && show());
setInterval(poll, 2000);
keyField.value = key();
show();
