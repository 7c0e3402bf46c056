// Asks the service, and makes one error of whatever goes wrong.
const csrf = document.querySelector("meta[name=csrf]").content;

export async function ask(path, { method = "GET", body } = {}) {
  const response = await fetch(path, {
    method,
    headers: { "X-CSRF-Token": csrf, ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body && JSON.stringify(body),
  }).catch(unreachable);
  if (response.status === 401) location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
  if (!response.ok) throw new Error(await reason(response));
  return response;
}

export function unreachable() {
  throw new Error("The service cannot be reached. Is it running?");
}

export async function reason(response) {
  try {
    return (await response.json()).detail;
  } catch {
    return `The service answered ${response.status}.`;
  }
}

// The progress of a body that is on its way can only be had from the older interface.
export function send(path, form, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.setRequestHeader("X-CSRF-Token", csrf);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded));
    request.addEventListener("load", () => {
      if (request.status < 300) resolve(request.response);
      else reject(new Error(request.response?.detail ?? `The service answered ${request.status}.`));
    });
    request.addEventListener("error", () => reject(new Error("The service cannot be reached. Is it running?")));
    request.send(form);
  });
}

export const rest = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
