// What is too wide scrolls in itself, and then a keyboard must reach it.
(() => {
  const reach = () => {
    for (const box of document.querySelectorAll(".highlight pre, .table-wrapper")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  window.addEventListener("resize", reach);
  window.addEventListener("DOMContentLoaded", reach);
})();
