// Live updates and countdowns. Every page works without this: it only looks again so that people need not.
"use strict";

(() => {
  const kinds = document.body.dataset.events;
  const linkState = document.getElementById("link-state");
  const announce = document.getElementById("announce");
  let drawn = performance.now();
  let source = null;
  let pending = null;
  let asking = false;
  let lastAsked = -Infinity;

  // -- countdowns: by this machine's running time, so its clock may be wrong

  const two = (number) => String(number).padStart(2, "0");

  function spell(seconds) {
    const whole = Math.max(Math.floor(seconds), 0);
    const days = Math.floor(whole / 86400);
    const rest = `${two(Math.floor((whole % 3600) / 60))}:${two(whole % 60)}`;
    if (days) return `${days} d ${two(Math.floor((whole % 86400) / 3600))}:${rest}`;
    return whole >= 3600 ? `${Math.floor(whole / 3600)}:${rest}` : rest;
  }

  function tick() {
    const passed = (performance.now() - drawn) / 1000;
    for (const timer of document.querySelectorAll("[data-left]")) {
      const left = Number(timer.dataset.left) - passed;
      timer.textContent = spell(left);
      timer.classList.toggle("soon", left < 60);
      if (left <= 0 && !timer.dataset.over) {
        timer.dataset.over = "yes";
        look(1500);
      }
    }
  }

  // -- looking again: the page is asked for anew, and what is marked `data-live` is taken from it

  function look(delay) {
    if (pending !== null || document.hidden) return;
    const wait = Math.max(delay, lastAsked + 1000 - performance.now(), 0);
    pending = setTimeout(() => { pending = null; ask(); }, wait);
  }

  function ask() {
    if (asking) { look(500); return; }
    asking = true;
    lastAsked = performance.now();
    const request = new XMLHttpRequest();
    request.open("GET", location.href);
    request.responseType = "document"; // parsed without running anything in it
    request.setRequestHeader("X-Live", "1");
    request.timeout = 15000;
    request.onloadend = () => {
      asking = false;
      if (request.status === 200 && request.response && request.responseURL === location.href.split("#")[0]) take(request.response);
      else if (request.status === 200 || request.status === 401 || request.status === 403) location.reload();
    };
    request.send();
  }

  function take(fresh) {
    drawn = performance.now();
    document.title = fresh.title;
    const said = [];
    for (const region of document.querySelectorAll("[data-live]")) {
      const news = fresh.getElementById(region.id);
      if (!news) continue;
      const version = region.dataset.version;
      if (version === undefined ? same(region, news) : version === news.dataset.version) {
        keepTime(region, news);
        continue;
      }
      said.push(...differences(region, news));
      const typed = remember(region);
      const focused = region.contains(document.activeElement) ? path(document.activeElement) : null;
      const here = document.importNode(news, true);
      mark(region, here);
      region.replaceWith(here);
      restore(here, typed);
      if (focused) here.querySelector(focused)?.focus({ preventScroll: true });
    }
    tick();
    if (said.length) announce.textContent = said.join(" ");
  }

  const bare = (node) => node.textContent.replace(/\s+/g, " ");

  function same(before, after) {
    const strip = (node) => {
      const copy = node.cloneNode(true);
      for (const moving of copy.querySelectorAll("[data-left], .times")) moving.remove();
      return bare(copy);
    };
    return strip(before) === strip(after);
  }

  function keepTime(before, after) {
    const timers = after.querySelectorAll("[data-left]");
    before.querySelectorAll("[data-left]").forEach((timer, index) => {
      if (timers[index]) timer.dataset.left = timers[index].dataset.left;
    });
  }

  const titles = (region) => new Map([...region.querySelectorAll(".request")].map((one) => [one.id, one.dataset.title]));

  function differences(before, after) {
    if (before.dataset.say) return [after.dataset.say];
    const old = titles(before);
    return [...titles(after)].filter(([id]) => !old.has(id)).map(([, title]) => `New request: ${title}.`);
  }

  function mark(before, after) {
    const old = titles(before);
    for (const one of after.querySelectorAll(".request")) if (!old.has(one.id)) one.classList.add("new");
  }

  // What somebody has typed stays; what they had chosen of the rows does not, since the rows may be others now.
  const remember = (region) => [...region.querySelectorAll("[data-keep] textarea")].map((field) => [field.name, field.value]);

  function restore(region, typed) {
    for (const [name, value] of typed) {
      const field = region.querySelector(`[data-keep] textarea[name="${name}"]`);
      if (field) field.value = value;
    }
  }

  function path(element) {
    if (element.id) return `#${CSS.escape(element.id)}`;
    const link = element.getAttribute("href");
    if (link) return `[href="${CSS.escape(link)}"]`;
    return element.name ? `[name="${CSS.escape(element.name)}"]` : "a, button";
  }

  // -- events

  function say(state, text) {
    if (!linkState) return;
    linkState.className = `link-state ${state}`;
    linkState.textContent = text;
  }

  function connect() {
    if (!kinds || source || document.hidden) return;
    source = new EventSource(`/api/v1/events?only=${kinds}`);
    source.onopen = () => { say("on", "Live"); look(0); };
    source.onerror = () => {
      say("off", "Reconnecting");
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(() => { connect(); look(0); }, 5000);
      }
    };
    for (const name of ["approval", "decision", "again"]) source.addEventListener(name, () => look(200));
  }

  function disconnect() {
    if (source) source.close();
    source = null;
  }

  // A page that nobody sees holds no connection.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { disconnect(); return; }
    connect();
    look(0);
  });
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", (event) => { if (event.persisted) { connect(); look(0); } });

  const every = document.querySelector("[data-every]");
  if (every) setInterval(() => look(0), Number(every.dataset.every) * 1000);
  // Whoever types a percentage means it.
  document.addEventListener("input", (event) => {
    const choice = event.target.matches("input[name=percent]") && event.target.closest("label")?.querySelector("input[type=radio]");
    if (choice) choice.checked = true;
  });

  connect();
  tick();
  setInterval(tick, 1000);
})();
