/** Times and places in readable form. Pure: the language and the clock come as arguments. */

/** `0:07`, `12:40`, `1:02:03`; never negative. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Seconds since an ISO time, at `now` in milliseconds of the same clock. */
export function since(at: string, now: number): number {
  return (now - Date.parse(at)) / 1000;
}

/** "now", "3 minutes ago", "yesterday"; beyond a week the date. */
export function ago(at: string, now: number, language: string): string {
  const seconds = Math.round((now - Date.parse(at)) / 1000);
  const words = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  if (seconds < 45) return words.format(0, "second");
  if (seconds < 3600) return words.format(-Math.max(1, Math.round(seconds / 60)), "minute");
  const days = daysBetween(at, now);
  if (days === 0 || seconds < 12 * 3600) {
    return words.format(-Math.max(1, Math.floor(seconds / 3600)), "hour");
  }
  if (days < 7) return words.format(-days, "day");
  return new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(Date.parse(at));
}

export function clockTime(at: string | number, language: string): string {
  return new Intl.DateTimeFormat(language, { timeStyle: "short" }).format(new Date(at));
}

export function fullTime(at: string, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "medium" }).format(
    Date.parse(at),
  );
}

/** Midnights between two moments, where the reader is. */
export function daysBetween(at: string, now: number): number {
  const midnight = (time: number | string) => new Date(time).setHours(0, 0, 0, 0);
  return Math.round((midnight(now) - midnight(at)) / 86_400_000);
}

/** A key that is the same for all times of one local day. */
export function dayKey(at: string | number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;
}

/** The heading of a day in a list: "today", "yesterday", else the date with its weekday. */
export function dayName(at: string, now: number, language: string): string {
  const words = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  const upper = (text: string) => text.charAt(0).toLocaleUpperCase(language) + text.slice(1);
  const days = daysBetween(at, now);
  if (days === 0 || days === 1) return upper(words.format(-days, "day"));
  return upper(
    new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long" }).format(
      Date.parse(at),
    ),
  );
}

/** "Türkiye" for `TR` in the reader's language; `""` for what is no region. */
export function country(region: string, language: string): string {
  if (!/^[A-Z]{2}$/.test(region)) return "";
  return new Intl.DisplayNames([language], { type: "region", fallback: "none" }).of(region) ?? "";
}

export type Severity = "short" | "long" | "very_long";

/** How bad a wait is. The board says it in words as well as in colour. */
export function severity(seconds: number): Severity {
  if (seconds < 60) return "short";
  return seconds < 180 ? "long" : "very_long";
}

/** Text without characters that could turn around what stands beside it, for titles and notices. */
export function plain(text: string): string {
  return text
    .replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "")
    .replace(/\p{Cc}+/gu, " ")
    .trim();
}
