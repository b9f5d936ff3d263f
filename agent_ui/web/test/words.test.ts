import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, country, dayName, duration, plain, severity } from "../src/format.ts";
import {
  CATALOGUES,
  type Key,
  language,
  pattern,
  regional,
  speak,
  split,
  type Text,
  t,
} from "../src/i18n.ts";
import { readReason } from "../src/reasons.ts";
import { labelName, noticeText } from "../src/words.ts";

const forms = (text: Text) => (typeof text === "string" ? [text] : Object.values(text));
const places = (text: Text) =>
  forms(text).map((form) =>
    split(form)
      .filter((_, index) => index % 2 === 1)
      .sort()
      .join(),
  );

for (const [code, catalogue] of Object.entries(CATALOGUES)) {
  test(`${code} has every text, none of them empty, with the same places as English`, () => {
    assert.deepEqual(Object.keys(catalogue).sort(), Object.keys(CATALOGUES.en).sort());
    for (const [key, text] of Object.entries(catalogue)) {
      assert.ok(
        forms(text).every((form) => form.trim() !== ""),
        `${key} is empty`,
      );
      const wanted = places(CATALOGUES.en[key as Key])[0];
      for (const found of places(text)) assert.equal(found, wanted, `places of ${code} ${key}`);
    }
  });
}

test("Russian has all the plural forms that its numbers need", () => {
  for (const [key, text] of Object.entries(CATALOGUES.ru)) {
    if (typeof text === "string") continue;
    for (const form of ["one", "few", "many", "other"]) assert.ok(form in text, `${key}: ${form}`);
  }
  const seconds = (count: number) => pattern("ru", "connection.waiting", { count });
  assert.match(seconds(1), /секунду\.$/);
  assert.match(seconds(3), /секунды\.$/);
  assert.match(seconds(11), /секунд\.$/);
  assert.match(seconds(21), /секунду\.$/);
});

test("values from outside stand between isolates", () => {
  language.value = "en";
  assert.equal(t("alert.rings", { name: "أمل" }), "\u2068أمل\u2069 is calling");
});

test("the language is the first that we speak", () => {
  assert.equal(speak([null, "tr-TR", "en"]), "tr");
  assert.equal(speak(["de", "ru"]), "ru");
  assert.equal(speak(["de"]), "en");
  assert.equal(regional("en", ["en-US", "tr"]), "en-US");
  assert.equal(regional("en", ["tr"]), "en-GB");
  assert.equal(regional("tr", ["en-US"]), "tr");
});

const said = (sentence: string) => {
  const reason = readReason(sentence);
  assert.ok(reason !== null, sentence);
  return (["en", "tr", "ru"] as const).map((lang) =>
    pattern(lang, reason.key, { count: Number(reason.values["count"] ?? 0) }).replace(
      /\{(\w+)\}/g,
      (_, name) => reason.values[name] ?? "?",
    ),
  );
};

test("reasons of the server are said in the reader's language", () => {
  assert.deepEqual(said("exact number, mobile"), [
    "exact number, mobile",
    "numara birebir aynı, mobile",
    "номер совпал, mobile",
  ]);
  assert.deepEqual(said("shared number of Yıldız, 3 contacts"), [
    "shared number of Yıldız, 3 contacts",
    "ortak numara (Yıldız), 3 kişi",
    "общий номер (Yıldız), 3 контакта",
  ]);
  assert.deepEqual(said("9 contacts have this number at 2 accounts: Tide, Acme"), [
    "9 contacts have this number, at Tide, Acme",
    "bu numara 9 kişide kayıtlı: Tide, Acme",
    "этот номер есть у 9 контактов: Tide, Acme",
  ]);
  assert.deepEqual(said("chosen by Ece"), ["chosen by Ece", "seçen: Ece", "выбор сделан: Ece"]);
  assert.equal(readReason("the stars say so"), null);
});

test("usual labels of numbers have a name, others stay as they are", () => {
  language.value = "tr";
  assert.equal(labelName("Mobile"), "cep");
  assert.equal(labelName("Yazlık"), "Yazlık");
  language.value = "en";
});

test("a notice is a sentence; one that we do not know is at least readable", () => {
  const told = (code: string, values: Record<string, string>) =>
    noticeText({ type: "notice", seq: 1, at: "", code, values });
  assert.equal(told("mail_received", { from: "A", subject: "B" }).key, "notice.mail_received");
  assert.equal(told("mail_received", { from: "A", subject: " " }).key, "notice.mail_received_bare");
  assert.equal(told("mail_set_aside", { mailbox: "M", uid: "4" }).key, "notice.mail_set_aside");
  const unknown = told("moon_is_full", { where: "here", why: "", who: "m\u202ee" });
  assert.equal(unknown.key, null);
  assert.equal(unknown.plain, "moon is full · here · me");
});

test("durations", () => {
  assert.equal(duration(-3), "0:00");
  assert.equal(duration(7.9), "0:07");
  assert.equal(duration(760), "12:40");
  assert.equal(duration(3723), "1:02:03");
});

test("relative times go by the reader's days", () => {
  const now = new Date(2026, 10, 25, 0, 48).getTime();
  const at = (...parts: [number, number, number]) => new Date(2026, 10, ...parts).toISOString();
  assert.equal(ago(at(25, 0, 47), now, "en-GB"), "1 min ago");
  assert.equal(ago(at(24, 23, 40), now, "en-GB"), "1 hr ago");
  assert.equal(ago(at(24, 9, 0), now, "en-GB"), "yesterday");
  assert.equal(ago(at(23, 21, 48), now, "en-GB"), "2 days ago");
  assert.equal(dayName(at(24, 23, 40), now, "en-GB"), "Yesterday");
  assert.equal(dayName(at(25, 0, 1), now, "tr"), "Bugün");
  assert.equal(dayName(at(24, 1, 1), now, "ru"), "Вчера");
});

test("regions have names in the reader's language; anything else has none", () => {
  assert.equal(country("TR", "ru"), "Турция");
  assert.equal(country("RU", "tr"), "Rusya");
  assert.equal(country("", "en"), "");
  assert.equal(country("<b>", "en"), "");
  assert.equal(country("ZZ", "en") === "ZZ", false);
});

test("waits are long after one minute and very long after three", () => {
  assert.deepEqual([59, 60, 179, 180].map(severity), ["short", "long", "long", "very_long"]);
});

test("titles lose the characters that could turn them around", () => {
  assert.equal(plain("a\u202eb\u0000c\n"), "ab c");
});
