"use strict";
// Without this script the page is complete; it only opens what is folded when that is wanted.
const unfold = (element) => {
  for (let node = element; node; node = node.parentElement) {
    if (node.tagName === "DETAILS") node.open = true;
  }
};
const follow = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target) unfold(target);
};
window.addEventListener("hashchange", follow);
window.addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details.more")) one.open = true;
});
follow();
