/* The labelling page: one key an answer, the next inputs at hand, and no answer lost.

Without this file the page is a form whose buttons are the classes. With it, an answer is written into the
browser's storage first, sent in the background, and forgotten once the service says what became of it. */
"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const config = JSON.parse(at("label-config").textContent);
  const say = (key, values = {}) =>
    config.texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
  const RETRY_MS = 1000, RETRY_AT_MOST_MS = 30000, REQUEST_MS = 15000, LOOK_AGAIN_MS = 30000,
    RENEW_MS = 300000, SOME_MORE = 4, PLENTY = 100;
  const KEPT = "labelloop:answer:", KEYS = "labelloop:keys";
  let csrf = at("label-config").dataset.csrf;

  const newId = () =>
    [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");

  async function ask(url, body) {
    const headers = { Accept: "application/json" };
    if (body) Object.assign(headers, { "Content-Type": "application/json", "X-CSRF-Token": csrf });
    try {
      const answer = await fetch(url, {
        method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), cache: "no-store",
        redirect: "manual", keepalive: Boolean(body), signal: AbortSignal.timeout(REQUEST_MS),
      });
      const said = await answer.json().catch(() => null);
      if (said?.csrf) csrf = said.csrf;
      return { status: answer.status, said };
    } catch {
      return { status: 0, said: null };
    }
  }

  // --- what waits to be sent: a key of the storage each, so that two tabs don't overwrite each other ---

  const memory = new Map(); // where the browser keeps nothing
  const outbox = { busy: null, wait: RETRY_MS, timer: 0, trouble: "", why: "", told: () => {} };

  function put(url, body) {
    const send = { id: body.id, who: config.who, url, body, at: Date.now() + performance.now() % 1 };
    try {
      localStorage.setItem(KEPT + send.id, JSON.stringify(send));
    } catch {
      memory.set(send.id, send);
    }
    return send.id;
  }

  function drop(id) {
    memory.delete(id);
    try { localStorage.removeItem(KEPT + id); } catch { /* it keeps nothing */ }
  }

  function kept() {
    const found = [...memory.values()];
    try {
      for (const key of Object.keys(localStorage).filter((name) => name.startsWith(KEPT)))
        found.push(JSON.parse(localStorage.getItem(key)));
    } catch { /* it keeps nothing */ }
    return found.filter((each) => each && each.url.startsWith(config.root)).sort((a, b) => a.at - b.at);
  }

  const own = () => kept().filter((each) => each.who === config.who);

  async function flush() {
    clearTimeout(outbox.timer);
    if (outbox.busy) return;
    try {
      for (let next = own()[0]; next; next = own()[0]) {
        outbox.busy = next.id;
        if (!(await send(next))) break;
      }
    } finally {
      outbox.busy = null;
    }
    showKept();
  }

  async function send(next) {
    let { status, said } = await ask(next.url, next.body);
    if (status === 403 && said?.code === "csrf") {
      await ask(config.session); // brings the token of the session that there is now
      ({ status, said } = await ask(next.url, next.body));
    }
    const isFinal = said && (said.saved || config.final.includes(said.code));
    if (isFinal) {
      drop(next.id);
      Object.assign(outbox, { wait: RETRY_MS, trouble: "" });
      outbox.told(next, said);
      return true;
    }
    outbox.trouble = status === 401 ? "log_in" : status === 403 || status === 409 ? "stuck" : "offline";
    outbox.why = said?.says || said?.result?.error || "";
    outbox.timer = setTimeout(flush, outbox.wait);
    outbox.wait = Math.min(outbox.wait * 2, RETRY_AT_MOST_MS);
    return false;
  }

  function showKept() {
    const mine = own().length, others = kept().length - mine, banner = at("kept");
    const trouble = mine ? outbox.trouble : "";
    const says = trouble ? say(trouble, { n: mine, why: outbox.why }) : "";
    const parts = [says, others ? say("others", { n: others }) : "", memory.size ? say("not_kept") : ""];
    const text = parts.filter(Boolean).join(" ");
    banner.hidden = !text;
    banner.className = `kept ${trouble}`;
    const [line, link] = banner.children;
    if (line.textContent !== text) line.textContent = text;
    link.hidden = trouble !== "log_in";
  }

  for (const name of ["online", "focus", "storage"]) addEventListener(name, () => flush());
  addEventListener("beforeunload", (event) => { if (memory.size) event.preventDefault(); });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  const page = at("labelling");
  if (page) label();
  flush();

  // --- one queue ------------------------------------------------------------------------------------

  function label() {
    const form = at("answer"), stage = at("stage"), isImage = page.dataset.kind === "image";
    const search = at("search"), note = at("note-text"), skip = at("skip"), useKeys = at("use-keys");
    const buttons = [...at("choices").children];
    const byKey = new Map(buttons.map((each) => [each.getAttribute("aria-keyshortcuts"), each]));
    const items = [], past = [], answered = new Set();
    let { done, left } = config, state = page.dataset.state, filling = false, since = 0, again = 0;
    const view = { scale: 1, x: 0, y: 0, turn: 0, bright: 1 };

    // --- inputs: the next ones are loaded and decoded before they are shown

    function take(found) {
      const known = new Set([...items.map((each) => each.task), ...answered]);
      for (const item of found.filter((each) => !known.has(each.task))) {
        if (isImage) load(item);
        items.push(item);
      }
    }

    function load(item) {
      item.img = new Image();
      item.img.alt = config.texts.image;
      item.img.draggable = false;
      item.img.addEventListener("error", () => { item.broken = true; showBroken(); });
      item.img.addEventListener("load", () => { item.broken = false; showBroken(); });
      item.img.src = item.image;
      item.img.decode().catch(() => {});
    }

    const showBroken = () => { at("broken").hidden = !items[0]?.broken; };

    // while plenty wait, the next ones are asked for some at a time, so that most answers are one request
    async function fill(renews = false) {
      clearTimeout(again);
      if (filling || (items.length > config.preload && !renews)) return;
      filling = true;
      const wanted = config.preload + 1 + own().length + (left > PLENTY ? SOME_MORE : 0);
      const { status, said } = await ask(`${config.base}/next?n=${wanted}`);
      filling = false;
      if (status !== 200 || !said?.items || said.who !== config.who) {
        if (status === 401) { outbox.trouble = "log_in"; showKept(); }
        if (!items.length) show("offline");
        again = setTimeout(fill, outbox.wait);
        return;
      }
      ({ done, left } = said);
      const wasEmpty = !items.length, held = new Set(said.items.map((each) => each.task));
      const lost = own().length ? [] : items.slice(1).filter((each) => !held.has(each.task));
      for (const each of lost) items.splice(items.indexOf(each), 1);
      take(said.items);
      if (wasEmpty) show(said.state);
      else showProgress();
      if (!items.length) again = setTimeout(fill, own().length ? RETRY_MS : LOOK_AGAIN_MS);
    }

    function showProgress() {
      const n = answeredHere();
      at("progress").textContent = say("progress", { done: done + n, left: Math.max(0, left - n) });
    }

    const answeredHere = () => own().filter((each) => each.url.endsWith("/answer")).length;

    function show(other) {
      const item = items[0];
      state = item ? "labelling" : other;
      form.hidden = !item;
      for (const each of page.querySelectorAll("[data-panel]")) each.hidden = each.dataset.panel !== state;
      showProgress();
      if (!item) return;
      if (isImage) stage.replaceChildren(item.img);
      else { at("text").textContent = item.text; stage.scrollTop = 0; }
      Object.assign(view, { x: 0, y: 0, turn: 0, bright: 1 }, isImage ? { scale: 1 } : {});
      showView();
      showBroken();
      form.elements.task.value = item.task;
      at("mine").hidden = !item.mine;
      at("mine").textContent = item.mine || "";
      facts(at("shown"), item.shown);
      const confirm = at("confirm");
      confirm.hidden = !item.model;
      confirm.value = item.model || "";
      confirm.lastElementChild.textContent = item.model ? say("confirm", { class: item.model }) : "";
      since = performance.now();
    }

    function facts(list, shown) {
      list.hidden = !shown?.length;
      list.replaceChildren(...(shown || []).map(({ name, value }) => {
        const row = document.createElement("div");
        for (const [tag, text] of [["dt", name], ["dd", value]])
          row.append(Object.assign(document.createElement(tag), { textContent: text }));
        return row;
      }));
    }

    // --- answers

    function answer(choice, why) {
      const item = items.shift();
      if (!item) return;
      const says = why ? config.reasons[why] : choice;
      const body = {
        id: newId(), who: config.who, task: item.task, choice, skip: why, note: note.value.trim(),
        seconds: Math.round((performance.now() - since) / 100) / 10,
      };
      answered.add(item.task);
      past.push({ id: put(`${config.base}/answer`, body), item, says });
      note.value = "";
      for (const each of [skip, at("note")]) each.open = false;
      if (search) find("");
      show("offline");
      showLast();
      at("said").textContent = say("saved", { answer: says, n: done + answeredHere() });
      flush();
      fill();
    }

    function undo() {
      const last = past.pop();
      if (!last) { at("said").textContent = say("nothing_to_undo"); return; }
      if (outbox.busy !== last.id && own().some((each) => each.id === last.id)) drop(last.id);
      else put(`${config.base}/undo`, { id: newId(), who: config.who, answer: last.id, task: last.item.task });
      answered.delete(last.item.task);
      items.unshift({ ...last.item, mine: say("mine", { class: last.says }) });
      show();
      showLast();
      at("said").textContent = say("undone");
      flush();
    }

    function showLast(shown) {
      const last = past.at(-1), strip = at("last");
      page.querySelector("[data-do=undo]").disabled = !last;
      strip.hidden = !last;
      if (!last) return;
      const line = document.createElement("p");
      line.textContent = `${say("last")}: ${last.says}`;
      const list = document.createElement("dl");
      facts(list, shown);
      strip.replaceChildren(...(isImage ? [Object.assign(last.item.img, { style: "" })] : []), line, list);
    }

    outbox.told = (sent, said) => {
      const task = sent.body.task, isUndo = sent.url.endsWith("/undo");
      if (said.saved) {
        if (sent.url.startsWith(`${config.base}/`) && said.done !== undefined) ({ done, left } = said);
        if (said.after && past.at(-1)?.id === sent.id) showLast(said.after);
      } else {
        at("said").textContent = said.says;
        at("said").classList.add("bad");
        const index = past.findIndex((each) => each.id === sent.id);
        if (index >= 0) past.splice(index, 1);
        answered.delete(task);
        const back = items.findIndex((each) => each.task === task);
        if (isUndo && back >= 0) { items.splice(back, 1); show("offline"); }
        showLast();
      }
      showProgress();
      fill();
    };

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { name, value } = event.submitter || {};
      if (name === "choice" && value) answer(value, null);
      if (name === "skip") answer(null, value);
    });
    form.addEventListener("click", (event) => {
      at("said").classList.remove("bad");
      const button = event.target.closest("button");
      if (button?.dataset.do) actions[button.dataset.do]();
      if (event.detail && button) button.blur(); // a mouse leaves the keyboard as it was
    });

    // --- the view

    function showView() {
      if (!isImage) { stage.style.setProperty("font-size", `${view.scale}em`); return; }
      const img = stage.querySelector("img");
      if (!img) return;
      const lies = view.turn % 180 !== 0;
      const fit = lies && img.offsetWidth
        ? Math.min(stage.clientWidth / img.offsetHeight, stage.clientHeight / img.offsetWidth, 4) : 1;
      const move = `translate(${view.x}px, ${view.y}px)`;
      img.style.transform = `${move} rotate(${view.turn}deg) scale(${view.scale * fit})`;
      img.style.filter = view.bright === 1 ? "" : `brightness(${view.bright})`;
      stage.style.touchAction = view.scale > 1 ? "none" : "";
      stage.classList.toggle("zoomed", view.scale > 1);
    }

    function zoom(factor, x = 0, y = 0) {
      const scale = Math.min(Math.max(view.scale * factor, isImage ? 1 : 0.5), isImage ? 20 : 4);
      const by = scale / view.scale;
      view.x = scale === 1 ? 0 : x - (x - view.x) * by;
      view.y = scale === 1 ? 0 : y - (y - view.y) * by;
      view.scale = scale;
      showView();
    }

    if (isImage) {
      stage.addEventListener("wheel", (event) => {
        event.preventDefault();
        const box = stage.getBoundingClientRect();
        const x = event.clientX - box.x - box.width / 2, y = event.clientY - box.y - box.height / 2;
        zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), x, y);
      }, { passive: false });
      stage.addEventListener("pointerdown", (event) => {
        if (view.scale > 1) stage.setPointerCapture(event.pointerId);
      });
      stage.addEventListener("pointermove", (event) => {
        if (!stage.hasPointerCapture(event.pointerId)) return;
        view.x += event.movementX;
        view.y += event.movementY;
        showView();
      });
    }

    const BRIGHT = [1, 1.5, 2.2, 0.6];
    const open = (details, field) => { details.open = true; field.focus(); };
    const actions = {
      undo,
      zoom_in: () => zoom(1.25),
      zoom_out: () => zoom(0.8),
      rotate: () => { view.turn = (view.turn + 90) % 360; showView(); },
      brighter: () => {
        view.bright = BRIGHT[(BRIGHT.indexOf(view.bright) + 1) % BRIGHT.length];
        showView();
      },
      reset: () => { Object.assign(view, { scale: 1, x: 0, y: 0, turn: 0, bright: 1 }); showView(); },
      retry: () => { load(items[0]); stage.replaceChildren(items[0].img); at("broken").hidden = true; },
      skip: () => open(skip, skip.querySelector("button")),
      note: () => open(at("note"), note),
      help: () => { const keys = page.querySelector(".keys"); keys.open = !keys.open; },
    };
    const COMMANDS = new Map(Object.entries({
      u: "undo", Backspace: "undo", s: "skip", n: "note", r: "rotate", b: "brighter", z: "reset",
      "+": "zoom_in", "=": "zoom_in", "-": "zoom_out", "?": "help",
    }));

    // --- a search, where there are too many classes for keys

    let marked = 0;
    const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
    const names = new Map(buttons.map((each) => [each, plain(each.value)]));

    function find(text) {
      if (search.value !== text) search.value = text;
      const wanted = plain(text.trim());
      const rank = (name) => name.startsWith(wanted) ? 0 : name.includes(` ${wanted}`) ? 1 : name.includes(wanted) ? 2 : 3;
      const ranked = buttons.map((each, place) => [rank(names.get(each)), place, each]);
      ranked.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      for (const [order, , each] of ranked) each.hidden = order === 3;
      at("choices").replaceChildren(...ranked.map(([, , each]) => each));
      mark(0);
      const n = ranked.filter(([order]) => order < 3).length;
      at("found").textContent = n ? "" : say("no_match");
    }

    const matching = () => [...at("choices").children].filter((each) => !each.hidden);

    function mark(place) {
      const found = matching();
      marked = Math.min(Math.max(place, 0), Math.max(found.length - 1, 0));
      const isOn = search.value.trim() !== "";
      for (const [i, each] of found.entries()) each.classList.toggle("marked", isOn && i === marked);
      if (isOn) found[marked]?.scrollIntoView({ block: "nearest" });
    }

    if (search) {
      search.closest(".search").hidden = false;
      search.addEventListener("input", () => find(search.value));
      if (matchMedia("(hover: hover)").matches) search.focus();
    }

    function searchKey(event) {
      const isEmpty = search.value.trim() === "";
      if (event.key === "Enter") {
        if (!isEmpty) matching()[marked]?.click();
        else if (!at("confirm").hidden) at("confirm").click();
      } else if (event.key === "ArrowDown") mark(marked + 1);
      else if (event.key === "ArrowUp") mark(marked - 1);
      else if (event.key === "Escape") find("");
      else if (event.key === "Backspace" && search.value === "") undo();
      else return;
      event.preventDefault();
    }

    // --- keys

    function leave() {
      for (const each of [skip, at("note")]) each.open = false;
      if (search) search.focus();
      else document.activeElement?.blur();
    }

    function keyed(event) {
      if (event.isComposing || event.repeat || form.hidden) return;
      const target = event.target, letter = /^[a-z]$/i.test(event.key) ? event.key.toLowerCase() : event.key;
      const inField = target.matches("textarea, input:not([type=checkbox])");
      const isEmpty = inField && target.value === "";
      if (letter === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey && (!inField || isEmpty)) {
        event.preventDefault();
        undo();
      }
      if (event.ctrlKey || event.metaKey) {
        if (event.key === "Enter" && target === note) leave();
        return;
      }
      if (event.key === "Escape" && target !== search) { leave(); return; }
      if (event.altKey && (search || !inField)) {
        const command = COMMANDS.get(event.code.replace(/^Key/, "").toLowerCase());
        if (command && search) { event.preventDefault(); actions[command](); }
        return;
      }
      if (target === search) { searchKey(event); return; }
      if (inField || !useKeys.checked) return;
      if (skip.open && /^[1-9]$/.test(event.key)) {
        skip.querySelectorAll("button")[Number(event.key) - 1]?.click();
      } else if (event.key === "Enter" && !target.closest("button, summary, a, label")) {
        if (!at("confirm").hidden) at("confirm").click();
      } else if (search && event.key.length === 1 && event.key !== " " && !target.closest("button, summary, a")) {
        search.focus(); // and the letter goes there
        return;
      } else if (!event.shiftKey && byKey.has(letter)) byKey.get(letter).click();
      else if (COMMANDS.has(letter)) actions[COMMANDS.get(letter)]();
      else return;
      event.preventDefault();
    }

    document.addEventListener("keydown", keyed);
    try { useKeys.checked = localStorage.getItem(KEYS) !== "off"; } catch { /* it keeps nothing */ }
    useKeys.addEventListener("change", () => {
      try { localStorage.setItem(KEYS, useKeys.checked ? "on" : "off"); } catch { /* it keeps nothing */ }
    });
    addEventListener("pagehide", () => {
      if (items.length)
        ask(`${config.base}/release`, { who: config.who, tasks: items.map((each) => each.task) });
    });
    addEventListener("focus", () => fill());
    setInterval(() => { if (items.length && !document.hidden) fill(true); }, RENEW_MS);
    const unsent = own().filter((each) => each.url.endsWith("/answer"));
    for (const each of unsent) answered.add(each.body.task);
    take(config.items);
    show(state);
    if (!config.mending) fill();
  }
})();
