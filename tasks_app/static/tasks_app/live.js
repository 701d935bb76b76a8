// Keeps the live parts of a page up to date: polls every few seconds while the page is visible, and updates what changed.
// Also serves the list: select all, confirm before canceling. No framework, no other host.
"use strict";

(() => {
  document.addEventListener("change", (event) => {
    const target = event.target;
    if (target.matches("[data-tick-all]")) {
      for (const box of document.querySelectorAll('input[name="task"]')) box.checked = target.checked;
    } else if (target.matches("[data-submit]")) {
      target.form.requestSubmit();
    }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-confirm]");
    if (button && !window.confirm(button.dataset.confirm)) event.preventDefault();
  });

  const start = () => {
    const root = document.querySelector("[data-live]");
    if (!root) return;
    const status = root.querySelector("[data-live-status]");
    const pauseMs = 1000 * Number(root.dataset.liveSeconds);
    let timer = 0;
    let isRefreshing = false;

    const address = () => {
      if ("liveRows" in root.dataset) {
        const ids = [...root.querySelectorAll("[data-live-id]")].map((row) => row.dataset.liveId);
        return ids.length ? `${root.dataset.live}?ids=${ids.join(",")}` : "";
      }
      const charts = document.getElementById("overview-charts");
      return charts ? `${root.dataset.live}?minute=${charts.dataset.minute}` : root.dataset.live;
    };

    const stateOf = () => document.getElementById("task-head")?.dataset.status;

    const refresh = async () => {
      window.clearTimeout(timer);
      if (document.hidden || isRefreshing) return;
      const wanted = address();
      if (wanted) {
        isRefreshing = true;
        try {
          const response = await fetch(wanted, { headers: { Accept: "application/json" }, redirect: "manual" });
          if (response.status === 403 || response.status === 404 || response.type === "opaqueredirect") return;
          if (!response.ok) throw new Error(String(response.status));
          const before = stateOf();
          replaceParts((await response.json()).parts);
          const after = stateOf();
          showStatus(before === after ? "" : after);
        } catch {
          showStatus(root.dataset.liveLost);
        } finally {
          isRefreshing = false;
        }
      }
      timer = window.setTimeout(refresh, pauseMs);
    };

    // Screen readers announce this text, so it is set only when it changes.
    const showStatus = (words) => {
      if (words || status.textContent === root.dataset.liveLost) status.textContent = words;
    };

    document.addEventListener("visibilitychange", refresh);
    timer = window.setTimeout(refresh, pauseMs);
  };

  const replaceParts = (parts) => {
    for (const [id, html] of Object.entries(parts)) {
      const old = document.getElementById(id);
      const template = document.createElement("template");
      template.innerHTML = html;
      const fresh = template.content.firstElementChild;
      if (old && fresh) morph(old, fresh);
    }
  };

  // Change `from` into `to` in place, so that focus, selections and running transitions are kept.
  const morph = (from, to) => {
    if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName || from.id !== to.id) {
      from.replaceWith(document.importNode(to, true));
      return;
    }
    if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    if (from.hasAttribute("data-live-keep")) return;
    for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    for (const { name } of [...from.attributes]) if (!to.hasAttribute(name)) from.removeAttribute(name);
    const [olds, news] = [[...from.childNodes], [...to.childNodes]];
    news.forEach((child, index) => {
      if (index < olds.length) morph(olds[index], child);
      else from.append(document.importNode(child, true));
    });
    for (const extra of olds.slice(news.length)) extra.remove();
  };

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
