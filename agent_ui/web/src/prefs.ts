/** What a person has set on this browser: theme, language, sound. Shared by its tabs. */

import { effect, signal } from "@preact/signals";
import { type Language, language, speak } from "./i18n.ts";

export type Theme = "auto" | "light" | "dark";

/** Storage may be forbidden; then a setting lasts as long as the page. */
function read(name: string): string | null {
  try {
    return localStorage.getItem(`santral.${name}`);
  } catch {
    return null;
  }
}

function write(name: string, value: string): void {
  try {
    localStorage.setItem(`santral.${name}`, value);
  } catch {
    // see read()
  }
}

function asTheme(text: string | null): Theme {
  return text === "light" || text === "dark" ? text : "auto";
}

export const theme = signal<Theme>(asTheme(read("theme")));
export const muted = signal<boolean>(read("muted") === "1");

export function setTheme(next: Theme): void {
  theme.value = next;
  write("theme", next);
}

export function setMuted(next: boolean): void {
  muted.value = next;
  write("muted", next ? "1" : "0");
}

export function setLanguage(next: Language): void {
  language.value = next;
  write("language", next);
}

/**
 * The language chosen here, else the user's, else the browser's. A user has English when nobody has
 * set anything else, so that English says nothing of the user.
 */
export function settleLanguage(ofUser?: string): void {
  const set = ofUser === "en" ? null : ofUser;
  language.value = speak([read("language"), set, ...navigator.languages]);
}

/** Keep the document in step with the settings, and the settings with the other tabs. */
export function followPrefs(): void {
  effect(() => {
    const root = document.documentElement;
    if (theme.value === "auto") delete root.dataset["theme"];
    else root.dataset["theme"] = theme.value;
    root.lang = language.value;
  });
  addEventListener("storage", (event) => {
    if (event.key === "santral.theme") theme.value = asTheme(event.newValue);
    if (event.key === "santral.muted") muted.value = event.newValue === "1";
    if (event.key === "santral.language") settleLanguage();
  });
}
