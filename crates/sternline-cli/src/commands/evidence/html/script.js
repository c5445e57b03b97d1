"use strict";
(function () {
  const bar = document.getElementById("search");
  const field = document.getElementById("q");
  const trouble = document.getElementById("trouble");
  const hits = document.getElementById("hits");
  const rows = Array.from(document.querySelectorAll("[data-row]"), function (element) {
    return {
      element: element,
      text: element.textContent.toLowerCase(),
      bad: element.classList.contains("bad") || element.classList.contains("warning"),
    };
  });
  if (rows.length === 0) {
    return;
  }
  bar.hidden = false;
  const sections = Array.from(document.querySelectorAll("main section")).filter(function (section) {
    return section.querySelector("[data-row]") !== null;
  });

  // Marks what was found, without touching the page's content.
  function mark(words) {
    if (!("highlights" in CSS)) {
      return;
    }
    CSS.highlights.delete("found");
    if (words.length === 0) {
      return;
    }
    const ranges = [];
    for (const row of rows) {
      if (ranges.length > 1000) {
        break;
      }
      if (row.element.hidden) {
        continue;
      }
      const walker = document.createTreeWalker(row.element, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const text = node.data.toLowerCase();
        // Where lower case has another length, places do not fit.
        if (text.length !== node.data.length) {
          continue;
        }
        for (const word of words) {
          for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
            const range = new Range();
            range.setStart(node, at);
            range.setEnd(node, at + word.length);
            ranges.push(range);
          }
        }
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  }

  function search() {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const found = (!trouble.checked || row.bad) && words.every(function (word) {
        return row.text.includes(word);
      });
      row.element.hidden = !found;
      shown += found ? 1 : 0;
    }
    for (const section of sections) {
      section.hidden = section.querySelector("[data-row]:not([hidden])") === null;
    }
    const all = words.length === 0 && !trouble.checked;
    hits.textContent = all ? rows.length + " entries" : shown + " of " + rows.length + " entries";
    document.body.classList.toggle("searching", !all);
    mark(words);
  }

  function remember() {
    const hash = field.value === "" ? " " : "#q=" + encodeURIComponent(field.value);
    try {
      history.replaceState(null, "", hash === " " ? location.pathname + location.search : hash);
    } catch (error) {
      // Some browsers do not allow this for files: the search works all the same.
    }
  }

  // A link can hold a search: page.html#q=words.
  function recall() {
    if (location.hash.startsWith("#q=")) {
      try {
        field.value = decodeURIComponent(location.hash.slice(3));
      } catch (error) {
        field.value = location.hash.slice(3);
      }
      search();
    }
  }

  let waiting = 0;
  field.addEventListener("input", function () {
    clearTimeout(waiting);
    waiting = setTimeout(function () {
      search();
      remember();
    }, 80);
  });
  trouble.addEventListener("change", search);
  window.addEventListener("hashchange", recall);
  document.addEventListener("keydown", function (event) {
    if (event.key === "/" && document.activeElement !== field && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      field.focus();
      field.select();
    } else if (event.key === "Escape" && document.activeElement === field) {
      field.value = "";
      search();
      remember();
    }
  });
  search();
  recall();
})();
