"use strict";
// Tells the window that this page is framed in how high it is, whenever that changes.
(() => {
  const tell = () => parent.postMessage({ groundgraph: Math.ceil(document.body.getBoundingClientRect().height) }, "*");
  new ResizeObserver(tell).observe(document.body);
})();
