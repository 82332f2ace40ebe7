"use strict";
// the system's colours, also when they change: the theme would keep those of the first visit
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.body.setAttribute("data-md-color-scheme", dark.matches ? "slate" : "default");
dark.addEventListener("change", follow);
follow();
for (const one of document.querySelectorAll("[data-md-component=palette] input")) one.disabled = true;
// lines of code are no links: a keyboard would stop at each, and a screen reader has no name for it
for (const one of document.querySelectorAll("a[id^=__codelineno]")) one.removeAttribute("href");
// what is wider than the window can be scrolled by keyboard; the theme wraps tables after this script
const reach = () => {
  for (const one of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code")) one.tabIndex = 0;
};
addEventListener("load", () => setTimeout(reach, 0));
