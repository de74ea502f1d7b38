// Keeps the page fresh: fetches it again and replaces what changes, unless somebody is busy with it.
"use strict";

const period_ms = 5000;

function isBusy() {
  const live = document.getElementById("live");
  return document.hidden || live.contains(document.activeElement) || !getSelection().isCollapsed;
}

async function refresh() {
  if (isBusy()) return;
  const silent = document.getElementById("silent");
  try {
    const answer = await fetch("/", { cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("live");
    if (!answer.ok || fresh === null) throw new Error("not the page");
    silent.hidden = true;
    if (page.body.dataset.user !== document.body.dataset.user) {
      // The session has ended, or began in another tab.
      location.reload();
    } else if (!isBusy()) {
      document.getElementById("live").replaceWith(document.adoptNode(fresh));
      document.title = page.title;
    }
  } catch {
    silent.hidden = false;
  }
}

setInterval(refresh, period_ms);
document.addEventListener("visibilitychange", refresh);
