// The form that stands in the way of everything else.

import { el } from "./dom.js";
import { field } from "./parts.js";
import { t } from "./text.js";

export function signInForm(why, signIn, preferences) {
  const token = el("input", { type: "password", name: "token", required: true, autocomplete: "current-password", autocapitalize: "off", spellcheck: "false" });
  const form = el("form", { onsubmit: submit }, field(t("token"), token, t("token_hint")),
    el("p", { class: "problem", role: "alert" }, why), el("button", { class: "main" }, t("sign_in")));
  function submit(event) {
    event.preventDefault();
    form.querySelector("button").disabled = true;
    signIn(token.value.trim());
  }
  return el("main", { id: "sign-in", class: "sign-in" }, el("h1", {}, t("sign_in_title")), form, el("div", { class: "preferences" }, preferences));
}
