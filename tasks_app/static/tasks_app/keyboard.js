// Makes django-unfold's clickable spans usable by keyboard and screen reader: its menu toggles are not buttons.
// Names come from the page's language.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const names = document.documentElement.lang.startsWith("es")
    ? { menu: "Menú", close: "Cerrar el menú", account: "Cuenta", home: "Inicio" }
    : { menu: "Menu", close: "Close the menu", account: "Account", home: "Home" };
  const interactive = "a[href], button, input, select, textarea";
  for (const element of document.querySelectorAll("span, div, a:not([href])")) {
    if (!element.hasAttribute("x-on:click") || element.matches(interactive) || element.querySelector(interactive)) continue;
    element.setAttribute("role", "button");
    element.tabIndex = 0;
    const action = element.getAttribute("x-on:click");
    const icon = element.textContent.trim();
    if (action.includes("openUserLinks")) element.setAttribute("aria-label", `${names.account}: ${icon.split(/\s+/)[0]}`);
    else if (action.includes("sidebar")) element.setAttribute("aria-label", icon === "close" ? names.close : names.menu);
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      element.click();
    });
  }
  for (const link of document.querySelectorAll("a[href]:not([aria-label])")) {
    const icon = link.querySelector(".material-symbols-outlined");
    if (icon && link.textContent.trim() === icon.textContent.trim()) link.setAttribute("aria-label", names.home);
  }
  // Icons are ligatures, words in an icon font: hidden from screen readers.
  for (const icon of document.querySelectorAll(".material-symbols-outlined:not([role])")) icon.setAttribute("aria-hidden", "true");
});
