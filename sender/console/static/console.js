// Keeps a page up to date: asks for the same page every few seconds and takes over what has changed, cell by cell, so
// that focus, scroll and selection stay. Every page works without this script.
"use strict";
(() => {
  const main = document.querySelector("main");
  const status = document.getElementById("status");
  const state = document.getElementById("live");
  const filter = document.querySelector("[data-filter]");
  const LONGEST_MS = 15000;
  let refresh = Number(main.dataset.refresh);
  let timer = 0;
  let asking = null;
  let lostSince = "";

  // Make `old` what `fresh` is. Children with a key are moved; text that stays is not touched.
  function morph(old, fresh) {
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const keyed = new Map();
    for (const child of old.children) if (child.dataset.key !== undefined) keyed.set(child.dataset.key, child);
    let at = old.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      const key = wanted.dataset ? wanted.dataset.key : undefined;
      let found = key === undefined ? at : keyed.get(key);
      if (key === undefined && at && at.dataset && at.dataset.key !== undefined) found = null;
      if (!found || found.nodeType !== wanted.nodeType || found.nodeName !== wanted.nodeName) {
        old.insertBefore(document.importNode(wanted, true), at);
        continue;
      }
      if (found === at) at = at.nextSibling;
      else old.insertBefore(found, at);
      if (found.nodeType === Node.ELEMENT_NODE) morph(found, wanted);
      else if (found.data !== wanted.data) found.data = wanted.data;
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  function takeOver(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const focused = document.activeElement;
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(part.id);
      if (other && !part.contains(typing())) morph(part, other);
    }
    // What was moved has lost its focus.
    if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    document.title = fresh.title;
    refresh = Number(fresh.querySelector("main").dataset.refresh);
  }

  function typing() {
    const one = document.activeElement;
    return one && one.matches("input, select, textarea") ? one : null;
  }

  function selecting() {
    const selection = document.getSelection();
    const inside = selection.anchorNode && main.contains(selection.anchorNode);
    return inside && !selection.isCollapsed;
  }

  function tell(text, lost) {
    if (status.textContent !== text) status.textContent = text;
    status.hidden = text === "";
    status.classList.toggle("lost", lost);
  }

  async function look() {
    if (asking) asking.abort();
    const mine = (asking = new AbortController());
    const limit = setTimeout(() => mine.abort(), Math.max(LONGEST_MS, 2 * refresh));
    try {
      const url = new URL(location.href);
      url.searchParams.set("fragment", "1");
      const answer = await fetch(url, { signal: mine.signal, redirect: "error", cache: "no-store" });
      const text = await answer.text();
      if (mine !== asking) return;
      if (answer.status === 401) tell("Your login has ended. Load this page again to log in.", true);
      else if (answer.status === 404) tell("This is gone: it has ended and was forgotten.", false);
      else if (!answer.ok) tell(`The daemon answers with an error (${answer.status}); what is shown may be old.`, true);
      else {
        takeOver(text);
        tell("", false);
        main.dataset.looks = String(1 + Number(main.dataset.looks || 0));
      }
      lostSince = "";
    } catch (error) {
      if (mine !== asking) return;
      lostSince = lostSince || new Date().toISOString().slice(11, 19);
      tell(`The daemon has not answered since ${lostSince} UTC. What is shown is from before.`, true);
    } finally {
      clearTimeout(limit);
      if (mine === asking) {
        asking = null;
        again();
      }
    }
  }

  function again() {
    clearTimeout(timer);
    if (refresh && !document.hidden) timer = setTimeout(() => (selecting() ? pause() : look()), refresh);
  }

  function pause() {
    say("paused while text is selected");
    again();
  }

  function say(text) {
    if (state) state.textContent = text ? `, ${text}` : "";
  }

  function live() {
    say(refresh ? `live, every ${Math.round(refresh / 1000)} s` : "");
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (refresh) look();
  });
  document.addEventListener("selectionchange", () => selecting() || live());

  // The filter, as it is typed.
  if (filter && refresh) {
    let soon = 0;
    const apply = () => {
      const url = new URL(location.href);
      for (const [name, value] of new FormData(filter)) {
        if (value) url.searchParams.set(name, value);
        else url.searchParams.delete(name);
      }
      url.searchParams.delete("start");
      history.replaceState(null, "", url);
      look();
    };
    filter.addEventListener("input", () => {
      clearTimeout(soon);
      soon = setTimeout(apply, 200);
    });
    filter.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(soon);
      apply();
    });
  }

  // Keys: / goes to the filter, arrows from row to row.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && !typing()) {
      const field = document.querySelector("[data-focus]") || document.querySelector("header input[name=q]");
      if (field) {
        event.preventDefault();
        field.focus();
        field.select();
      }
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !(typing() && typing().matches("select, [type=number]"))) {
      const links = [...document.querySelectorAll("tbody th a")];
      const at = links.indexOf(document.activeElement);
      const inField = typing() && typing().closest("[data-filter]");
      const next = links[at < 0 ? 0 : at + (event.key === "ArrowDown" ? 1 : -1)];
      if (next && (at >= 0 || inField)) {
        event.preventDefault();
        next.focus();
      }
    } else if (event.key === "Escape" && typing()) typing().blur();
  });

  // What a mark in a picture tells.
  const told = document.getElementById("told");
  function tellMark(event) {
    const mark = event.target.closest && event.target.closest("[data-told]");
    if (!told || !mark) return;
    told.textContent = mark.dataset.told;
    told.hidden = false;
  }
  document.addEventListener("focusin", tellMark);
  document.addEventListener("mouseover", tellMark);

  live();
  again();
})();
