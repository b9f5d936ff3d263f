/** Small pieces of text: foreign names, running times, sentences with parts in them. */

import type { ComponentChildren } from "preact";
import { ago, clockTime, duration, fullTime, since } from "../format.ts";
import { type Key, language, pattern, region, split } from "../i18n.ts";
import { readReason } from "../reasons.ts";
import { now } from "../store.ts";
import { labelName } from "../words.ts";

/** A name from outside: it keeps its own direction and cannot turn its surroundings. */
export function Name({ children }: { children: string }) {
  return <bdi>{children}</bdi>;
}

interface SentenceProps {
  id: Key;
  values: Record<string, ComponentChildren>;
  /** Chooses the plural, and stands in the place `count`. */
  count?: number;
}

/** The sentence of a key, with elements in its places. */
export function Sentence({ id, values, count = 0 }: SentenceProps) {
  const parts = split(pattern(language.value, id, { count }));
  return <>{parts.map((part, index) => (index % 2 === 0 ? part : values[part]))}</>;
}

/** One reason of a match. */
export function ReasonText({ sentence }: { sentence: string }) {
  const reason = readReason(sentence);
  if (reason === null) {
    return (
      <span lang="en">
        <Name>{sentence}</Name>
      </span>
    );
  }
  const values = Object.entries(reason.values).map(([name, value]) => [
    name,
    <Name key={name}>{name === "label" ? labelName(value) : value}</Name>,
  ]);
  const count = Number(reason.values["count"] ?? 0);
  return <Sentence id={reason.key} values={Object.fromEntries(values)} count={count} />;
}

/** Seconds that run from a time of the server; they stand still when `until` is given. */
export function Running({ from, until }: { from: string; until?: string | null }) {
  const end = until ? Date.parse(until) : now.value;
  return <span class="time">{duration(since(from, end))}</span>;
}

interface RunningOnProps {
  base: number;
  at: string;
  /** Server time in milliseconds at which they stopped; null while they run. */
  until: number | null;
}

/** Seconds that were `base` when the server said so at `at`, and ran on. */
export function RunningOn({ base, at, until }: RunningOnProps) {
  return <span class="time">{duration(base + since(at, until ?? now.value))}</span>;
}

export function Ago({ at }: { at: string }) {
  return (
    <time dateTime={at} title={fullTime(at, region.value)}>
      {ago(at, now.value, region.value)}
    </time>
  );
}

export function ClockTime({ at }: { at: string }) {
  return (
    <time dateTime={at} title={fullTime(at, region.value)}>
      {clockTime(at, region.value)}
    </time>
  );
}

export function Tier({ tier }: { tier: string }) {
  return tier === "" ? null : (
    <span class="tier" data-tier={tier.toLowerCase()}>
      <bdi>{tier}</bdi>
    </span>
  );
}
