/** How callers, outcomes and reasons are said, in the reader's language. */

import type { ContactBody } from "./api.ts";
import { country, plain } from "./format.ts";
import { isKey, type Key, language, t } from "./i18n.ts";
import type { MatchBody, NoticeFrame, PartyBody, PopBody, TouchBody } from "./protocol.ts";

/** The one contact that a match stands for, if it stands for one. */
export function knownContact(match: MatchBody | null) {
  return match?.result === "known" ? match.candidates[0] : undefined;
}

/** The far end in one line, when we do not know the person. */
export function partyName(party: PartyBody): string {
  if (party.kind === "withheld") return t("party.withheld");
  return party.display || party.address || party.name || t("party.unknown");
}

/** Whom to announce. */
export function callerName(pop: PopBody): string {
  const contact = knownContact(pop.match);
  if (contact !== undefined) return contact.name;
  if (pop.match.result === "internal") return pop.party.name || partyName(pop.party);
  return partyName(pop.party);
}

/** The line below the name in an announcement. */
export function callerPlace(pop: PopBody): string {
  const contact = knownContact(pop.match);
  const parts = [
    contact?.account ?? "",
    contact === undefined ? t(`match.${pop.match.result}` as Key) : "",
    pop.queue === "" ? "" : t("pop.queue", { queue: pop.queue }),
  ];
  return parts.filter((part) => part !== "").join(" · ");
}

/** A number or address of the person alone, else one that reaches others, too. */
function reachedAt({ points }: ContactBody): string {
  const current = points.filter((point) => point.valid_to === null);
  const own = current.filter((point) => !point.shared);
  const best = own.find((point) => point.kind === "phone") ?? own[0] ?? current[0];
  return best === undefined ? "" : best.display || best.value;
}

/** The line below a name that was found: it tells people of the same name apart. */
export function contactLine(contact: ContactBody): string {
  const parts = [contact.account?.name, contact.external_id, reachedAt(contact)];
  return parts.filter(Boolean).join(" · ");
}

export function touchName(touch: TouchBody): string {
  return touch.contact?.name ?? touch.party.name ?? "";
}

export function countryOf(party: PartyBody): string {
  return party.kind === "phone" ? country(party.region, language.value) : "";
}

/** A text for a code of the server; the code itself where a newer server knows more than we do. */
export function coded(prefix: string, code: string): string {
  const key = `${prefix}.${code}`;
  return isKey(key) ? t(key) : plain(code.replaceAll("_", " "));
}

/** What a number or address is for: the usual words in the reader's language, others as they are. */
export function labelName(label: string): string {
  const key = `label.${label.trim().toLowerCase()}`;
  return isKey(key) ? t(key) : label;
}

/** Something is wrong: it stays longer. */
export function isWarning({ code }: NoticeFrame): boolean {
  return code !== "mail_received";
}

interface NoticeText {
  /** The sentence, with `values` in its places. */
  readonly key: Key | null;
  readonly values: Readonly<Record<string, string>>;
  /** What to say when there is no such sentence: a newer server knows more than we do. */
  readonly plain: string;
}

/** A notice as a sentence. */
export function noticeText({ code, values }: NoticeFrame): NoticeText {
  const bare = code === "mail_received" && !values["subject"]?.trim();
  const key = `notice.${bare ? "mail_received_bare" : code}`;
  const rest = Object.values(values).filter((value) => value !== "");
  return {
    key: isKey(key) ? key : null,
    values,
    plain: plain([code.replaceAll("_", " "), ...rest].join(" · ")),
  };
}

/** A missed call: inbound, and nobody of ours answered it. */
export function isMissed(touch: TouchBody): boolean {
  return (
    touch.medium === "phone" &&
    touch.direction === "inbound" &&
    ["abandoned", "no_answer", "busy", "failed"].includes(touch.outcome)
  );
}

/** What a touch was, in a few words: "Answered call", "Missed call", "Mail received". */
export function touchKind(touch: TouchBody): string {
  if (touch.medium === "note") return t("touch.note");
  if (touch.medium === "email") {
    return t(touch.direction === "outbound" ? "touch.mail_out" : "touch.mail_in");
  }
  if (touch.outcome === "in_progress") return t("touch.in_progress");
  if (touch.outcome === "voicemail") return t("outcome.voicemail");
  if (touch.direction === "internal") return t("touch.call_internal");
  if (touch.direction === "outbound") {
    return touch.outcome === "answered"
      ? t("touch.call_out")
      : t("touch.call_out_failed", { outcome: coded("outcome", touch.outcome) });
  }
  if (touch.outcome === "answered") return t("touch.call_in");
  if (isMissed(touch)) return t("touch.missed");
  return t("touch.call_unclear");
}

/** "ami:main" as a person says it. */
export function linkName(name: string): string {
  const [kind = "", which = ""] = name.split(":", 2);
  if (kind === "ami") return t("link.ami", { name: which });
  if (kind === "imap") return t("link.imap", { name: which });
  if (kind === "database") return t("link.database");
  return plain(name);
}

/** What it means for the reader that a connection is down. */
export function linkConsequence(name: string): string {
  const kind = name.split(":", 1)[0] ?? "";
  if (kind === "ami") return t("link.ami_down");
  if (kind === "imap") return t("link.imap_down");
  if (kind === "database") return t("link.database_down");
  return "";
}
