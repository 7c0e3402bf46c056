// Light or dark: what the system says, unless the reader chose; set before anything is painted.
const kept = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
document.documentElement.dataset.theme = kept ?? system;

document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("theme").addEventListener("click", () => {
    const other = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = other;
    try { localStorage.setItem("theme", other); } catch { /* a browser that keeps nothing */ }
  });
  document.getElementById("sign-out")?.addEventListener("click", async () => {
    const csrf = document.querySelector("meta[name=csrf]").content;
    const { ok, status } = await fetch("/api/v1/visits", { method: "DELETE", headers: { "X-CSRF-Token": csrf } });
    if (ok || status === 401) location.assign("/sign-in");
    else location.reload(); // another visit has begun here since: the page has its word then
  });
});
