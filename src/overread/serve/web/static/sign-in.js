// A token is shown once, and becomes a cookie that scripts cannot read.
import { reason, unreachable } from "./api.js";

const form = document.getElementById("sign-in");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const said = document.getElementById("said");
  try {
    const response = await fetch("/api/v1/visits", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: new FormData(form).get("token") }),
    }).catch(unreachable);
    if (!response.ok) throw new Error(await reason(response));
    const next = new URL(new URLSearchParams(location.search).get("next") ?? "/", location.origin);
    location.assign(next.origin === location.origin ? next.href : "/");
  } catch (fault) {
    said.textContent = fault.message;
  }
});
