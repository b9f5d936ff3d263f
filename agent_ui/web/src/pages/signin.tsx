/** The sign-in page. */

import { useState } from "preact/hooks";
import { api, Problem } from "../api.ts";
import { t } from "../i18n.ts";
import { LanguageChoice, ThemeChoice } from "../parts/top_bar.tsx";
import { entered, signedOut } from "../store.ts";

function said(problem: unknown): string {
  if (!(problem instanceof Problem)) return t("error.other");
  if (problem.status === 0) return t("error.unreachable");
  if (problem.status === 429) {
    const minutes = Math.ceil((problem.retryAfter ?? 60) / 60);
    return t("signin.too_many", { count: minutes });
  }
  if (problem.status === 401) return t("signin.wrong");
  if (problem.status === 403) return t("signin.forbidden");
  if (problem.status === 400 || problem.status === 422) return t("signin.incomplete");
  if (problem.status === 503) return t("error.busy");
  return t("error.server", { code: problem.status });
}

export function SignIn() {
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (!(event.currentTarget instanceof HTMLFormElement)) return;
    const form = event.currentTarget;
    const fields = new FormData(form);
    setBusy(true);
    setError("");
    try {
      entered(await api.signIn(String(fields.get("login")).trim(), String(fields.get("password"))));
    } catch (problem) {
      setError(said(problem));
      setBusy(false);
      form.querySelector<HTMLInputElement>("[name=password]")?.select();
    }
  };

  return (
    <main class="signin">
      <form onSubmit={(event) => void submit(event)} aria-busy={busy}>
        <h1>
          <img src="/assets/icon.svg" alt="" width="40" height="40" />
          Santral
        </h1>
        <p class="lead">
          {t(signedOut.value === "" ? "signin.lead" : `signin.${signedOut.value}`)}
        </p>
        <label>
          <span>{t("signin.login")}</span>
          <input name="login" autocomplete="username" autocapitalize="none" required />
        </label>
        <label>
          <span>{t("signin.password")}</span>
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        <p class="error" role="alert">
          {error}
        </p>
        <button type="submit" class="primary" disabled={busy}>
          {t(busy ? "signin.busy" : "signin.in")}
        </button>
      </form>
      <footer>
        <LanguageChoice />
        <ThemeChoice />
      </footer>
    </main>
  );
}
