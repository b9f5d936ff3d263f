/** One touch as a line: in the list, on a card, and in a contact's history. */

import { useState } from "preact/hooks";
import { daysBetween, duration } from "../format.ts";
import { t } from "../i18n.ts";
import type { TouchBody } from "../protocol.ts";
import { now, openContact } from "../store.ts";
import { isMissed, partyName, touchKind } from "../words.ts";
import { Candidates, LookUp } from "./choose.tsx";
import { Icon, type IconName } from "./icon.tsx";
import { Ago, ClockTime, Name, Tier } from "./text.tsx";

export function touchIcon(touch: TouchBody): IconName {
  if (touch.medium === "note") return "note";
  if (touch.medium === "email") return "mail";
  if (touch.direction === "internal") return "phone";
  if (isMissed(touch)) return "phone_missed";
  return touch.direction === "outbound" ? "phone_out" : "phone_in";
}

/** Whom we called is in the row already: its subject would repeat the number. */
function saysNumber({ direction, contact, account }: TouchBody): boolean {
  return direction === "outbound" && (contact === null || !(contact.account || account));
}

/** What else is worth saying: the subject, how long it was talked, how long it was waited. */
function details(touch: TouchBody): string {
  const parts: string[] = [];
  if (touch.medium !== "phone" && touch.subject !== "") parts.push(touch.subject);
  if (touch.medium === "phone") {
    if (touch.talk_s) parts.push(t("touch.talked", { time: duration(touch.talk_s) }));
    else if (touch.wait_s) parts.push(t("touch.waited", { time: duration(touch.wait_s) }));
    const place = touch.queue || (saysNumber(touch) ? "" : touch.subject);
    if (place !== "") parts.push(place);
  }
  return parts.join(" · ");
}

function What({ touch }: { touch: TouchBody }) {
  const rest = details(touch);
  return (
    <>
      <span class={isMissed(touch) ? "kind missed" : "kind"}>{touchKind(touch)}</span>
      {rest !== "" && (
        <span class="rest">
          <Name>{rest}</Name>
        </span>
      )}
    </>
  );
}

/** A line that says what happened and when; on a card or in a contact's panel. */
export function TouchLine({ touch }: { touch: TouchBody }) {
  return (
    <li class="touch-line" data-medium={touch.medium}>
      <Icon name={touchIcon(touch)} />
      <div class="what">
        <What touch={touch} />
      </div>
      <div class="when">
        <Ago at={touch.at} />
        {touch.agent_name !== "" && (
          <span class="who">
            <Name>{touch.agent_name}</Name>
          </span>
        )}
      </div>
    </li>
  );
}

/** What to say below a number that is nobody's. */
function unnamed({ match }: TouchBody): string {
  switch (match.result) {
    case "ambiguous":
      return t("touch.several", { count: match.candidates.length });
    case "internal":
    case "own":
      return t(`match.${match.result}`);
    case "withheld":
      return "";
    default:
      return t("touch.nobody");
  }
}

/** Whether someone can still say who it was. */
function isOpen({ match }: TouchBody): boolean {
  return match.result === "ambiguous" || match.result === "unknown";
}

/** A row of the list of recent touches: first who, then what. */
export function TouchRow({ touch }: { touch: TouchBody }) {
  const { contact, match, party } = touch;
  const account = contact?.account || touch.account;
  const [choosing, setChoosing] = useState(false);
  const open = contact === null && touch.outcome !== "in_progress" && isOpen(touch);
  const body = (
    <>
      <Icon name={touchIcon(touch)} />
      <div class="who">
        <span class="name">
          {contact === null ? (
            <Name>{(match.result === "internal" && party.name) || partyName(party)}</Name>
          ) : (
            <Name>{contact.name}</Name>
          )}
          {contact !== null && <Tier tier={contact.tier} />}
        </span>
        <span class="account">
          {contact === null ? unnamed(touch) : <Name>{account || partyName(party)}</Name>}
          {open && <Icon name="down" />}
        </span>
      </div>
      <div class="what">
        <What touch={touch} />
      </div>
      <div class="agent">{touch.agent_name !== "" && <Name>{touch.agent_name}</Name>}</div>
      <div class="when">
        {touch.outcome === "in_progress" ? (
          <span class="now">{t("touch.now")}</span>
        ) : (
          <ClockTime at={touch.at} />
        )}
        {daysBetween(touch.at, now.value) < 1 && <Ago at={touch.at} />}
      </div>
    </>
  );
  return (
    <li class="touch-row" data-missed={isMissed(touch)} data-result={match.result}>
      {contact === null && !open && <div class="row">{body}</div>}
      {open && (
        <button
          type="button"
          class="row"
          aria-expanded={choosing}
          title={t("choose.title")}
          onClick={() => setChoosing(!choosing)}
        >
          {body}
        </button>
      )}
      {open && choosing && (
        <div class="choose">
          {match.result === "ambiguous" ? (
            <Candidates touch={touch.id} candidates={match.candidates} question="choose.who" />
          ) : (
            <LookUp touch={touch.id} hint="choose.who" />
          )}
        </div>
      )}
      {contact !== null && (
        <button
          type="button"
          class="row"
          onClick={() => {
            openContact.value = contact.contact;
          }}
        >
          {body}
        </button>
      )}
    </li>
  );
}
