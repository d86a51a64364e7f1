// Shows how far the work is, as the service tells it; without this file a page shows how far it was.
(() => {
  const find = () => document.getElementById("work");
  let events = null, verb;

  function show(said) {
    const bar = find();
    if (!bar) return;
    bar.hidden = said.verb === null;
    if (said.verb === null) return;
    bar.querySelector("span").textContent = said.says;
    const progress = bar.querySelector("progress");
    if (said.total) {
      progress.max = said.total;
      progress.value = Math.min(said.done, said.total);
    } else {
      progress.removeAttribute("value");
    }
  }

  function hear(event) {
    const said = JSON.parse(event.data);
    show(said);
    if (verb !== undefined && verb !== said.verb) document.body.dispatchEvent(new Event("work"));
    verb = said.verb;
  }

  // a browser opens six connections to a host, so pages that nobody sees give theirs back
  function listen() {
    if (document.hidden) {
      events?.close();
      events = null;
    } else if (!events && find()) {
      events = new EventSource(find().dataset.events);
      events.addEventListener("work", hear);
    }
  }

  document.addEventListener("visibilitychange", listen);
  addEventListener("pageshow", listen);
  addEventListener("pagehide", () => { events?.close(); events = null; });
  document.addEventListener("DOMContentLoaded", listen);
})();
