"use strict";
(function () {
  const form = document.getElementById("controls");
  const list = document.getElementById("utterances");
  const count = document.getElementById("count");
  const all = Array.from(list.children);
  const text = new Map(all.map((one) => [one, one.textContent.toLowerCase().replace(/\s+/g, " ")]));

  function value(name) {
    return form.elements[name] ? form.elements[name].value : "";
  }

  function fits(one) {
    const errors = Number(one.dataset.errors);
    const show = value("show");
    return (
      (show !== "wrong" || errors > 0) &&
      (show !== "right" || errors === 0) &&
      (!value("kind") || one.dataset.kinds.includes("|" + value("kind") + "|")) &&
      (!value("speaker") || one.dataset.speaker === value("speaker")) &&
      text.get(one).includes(value("find").toLowerCase().trim())
    );
  }

  function update() {
    const key = value("sort");
    const sign = key === "order" ? 1 : -1;
    all.sort(
      (a, b) =>
        sign * (Number(a.dataset[key]) - Number(b.dataset[key])) ||
        Number(a.dataset.order) - Number(b.dataset.order)
    );
    let shown = 0;
    for (const one of all) {
      one.hidden = !fits(one);
      shown += one.hidden ? 0 : 1;
    }
    list.append(...all);
    count.textContent = shown + " of " + all.length + " shown";
    const chosen = new URLSearchParams(
      Array.from(new FormData(form)).filter(([name, told]) => told !== first[name])
    );
    history.replaceState(null, "", "#" + chosen);
  }

  const first = Object.fromEntries(new FormData(form));
  for (const [name, told] of new URLSearchParams(location.hash.slice(1))) {
    if (form.elements[name]) form.elements[name].value = told;
  }
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-kind]");
    if (button) {
      form.elements.kind.value = button.dataset.kind;
      update();
      form.scrollIntoView({ behavior: "smooth" });
      return;
    }
    const word = event.target.closest(".w[data-t]");
    const sound = word && word.closest("article").querySelector("audio");
    if (sound) {
      const begin = /#t=([\d.]+)/.exec(sound.getAttribute("src"));
      sound.currentTime = Number(word.dataset.t) + (begin ? Number(begin[1]) : 0);
      sound.play();
      for (const other of document.querySelectorAll(".playing")) other.classList.remove("playing");
      word.classList.add("playing");
    }
  });
  update();
})();
