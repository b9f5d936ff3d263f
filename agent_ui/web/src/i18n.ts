/** Texts in the reader's language. The catalogues are typed: a missing key does not compile. */

import { computed, signal } from "@preact/signals";
import { en } from "./locales/en.ts";
import { ru } from "./locales/ru.ts";
import { tr } from "./locales/tr.ts";

export type Plural = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };
export type Text = string | Plural;
export type Key = keyof typeof en;
export type Catalogue = Record<Key, Text>;
export type Language = "en" | "tr" | "ru";
export type Values = Record<string, string | number>;

export const CATALOGUES: Record<Language, Catalogue> = { en, tr, ru };
export const LANGUAGES: Record<Language, string> = { en: "English", tr: "Türkçe", ru: "Русский" };

export const language = signal<Language>("en");

/**
 * The tag for dates and numbers: the browser's own regional form of the language, so that a clock
 * has 24 hours where the reader's has.
 */
export const region = computed(() =>
  regional(language.value, globalThis.navigator?.languages ?? []),
);

export function regional(lang: Language, preferred: readonly string[]): string {
  const own = preferred.find((tag) => tag.toLowerCase().startsWith(`${lang}-`));
  return own ?? (lang === "en" ? "en-GB" : lang);
}

/** The first of `wanted` that we speak: `tr-TR` is Turkish, anything unknown is English. */
export function speak(wanted: readonly (string | null | undefined)[]): Language {
  for (const tag of wanted) {
    const base = tag?.toLowerCase().split("-")[0];
    if (base === "en" || base === "tr" || base === "ru") return base;
  }
  return "en";
}

/** The pattern of a key; a plural is chosen by the value `count`. */
export function pattern(lang: Language, key: Key, values: Values = {}): string {
  const text = CATALOGUES[lang][key];
  if (typeof text === "string") return text;
  const count = Number(values["count"] ?? 0);
  return text[new Intl.PluralRules(lang).select(count)] ?? text.other;
}

/** Split a pattern at its `{places}`: texts stand at even positions, the places' names at odd ones. */
export function split(text: string): string[] {
  return text.split(/\{(\w+)\}/);
}

/**
 * The text of a key in the current language. Values from outside are put between isolates, so that
 * a name in another script cannot turn the sentence around.
 */
export function t(key: Key, values: Values = {}): string {
  const lang = language.value;
  return split(pattern(lang, key, values))
    .map((part, index) => {
      if (index % 2 === 0) return part;
      const value = values[part];
      if (value === undefined) return "";
      return typeof value === "number"
        ? new Intl.NumberFormat(lang).format(value)
        : `\u2068${value}\u2069`;
    })
    .join("");
}

/** True for a key that exists: for codes that come from the server. */
export function isKey(key: string): key is Key {
  return Object.hasOwn(en, key);
}
