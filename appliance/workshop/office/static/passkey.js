// Asks the browser for a passkey and hands its answer over in the form that asked for it.
// A form with data-passkey="get" logs in, one with data-passkey="create" makes a new passkey.
"use strict";

const parse = {
  get: (options) => PublicKeyCredential.parseRequestOptionsFromJSON(options),
  create: (options) => PublicKeyCredential.parseCreationOptionsFromJSON(options),
};

async function ask(form) {
  const kind = form.dataset.passkey;
  const asked = await fetch(`${form.action}/options`, { method: "POST", body: new FormData(form) });
  if (!asked.ok) throw new Error(`the hub answered ${asked.status}`);
  const credential = await navigator.credentials[kind]({ publicKey: parse[kind](await asked.json()) });
  form.elements.answer.value = JSON.stringify(credential.toJSON());
  form.submit();
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential || !PublicKeyCredential.parseRequestOptionsFromJSON) continue;
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const told = form.querySelector("[role=alert]");
    told.textContent = "";
    ask(form).catch((error) => { told.textContent = `No passkey was taken: ${error.message}`; });
  });
}
