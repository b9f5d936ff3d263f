/** The pop card: who is calling, why we think so, and what was before. */

import { useEffect, useState } from "preact/hooks";
import { duration } from "../format.ts";
import { type Key, t } from "../i18n.ts";
import type { Card } from "../live.ts";
import type { PopBody } from "../protocol.ts";
import { acknowledge, dismissCard, heldCard, openContact } from "../store.ts";
import { callerName, countryOf, knownContact, partyName } from "../words.ts";
import { Candidates, LookUp } from "./choose.tsx";
import { Icon, type IconName } from "./icon.tsx";
import { Name, ReasonText, Running, RunningOn, Sentence, Tier } from "./text.tsx";
import { TouchLine } from "./touch_row.tsx";

const RESULT_ICON: Record<PopBody["match"]["result"], IconName> = {
  known: "person",
  ambiguous: "people",
  unknown: "question",
  withheld: "hidden",
  internal: "phone",
  own: "phone",
};

/** `ringing`, `connected`, `held`, `ended` or `gone`: what the card looks like. */
function look(card: Card): string {
  return card.gone === null ? card.pop.state : "gone";
}

function Status({ card }: { card: Card }) {
  const { pop, gone } = card;
  if (gone !== null) {
    const key: Key =
      gone.by !== "" && (gone.reason === "answered_elsewhere" || gone.reason === "transferred")
        ? `gone.${gone.reason}_by`
        : `gone.${gone.reason}`;
    return (
      <span class="status">
        <Sentence id={key} values={{ by: <Name>{gone.by}</Name> }} />
      </span>
    );
  }
  const from = {
    ringing: pop.ringing_at,
    connected: pop.answered_at,
    held: pop.answered_at,
    ended: pop.answered_at,
  }[pop.state];
  const outgoing = pop.direction === "outbound" && pop.state === "ringing";
  return (
    <span class="status">
      <span class="lamp" aria-hidden="true" />
      {t(outgoing ? "pop.calling" : (`pop.${pop.state}` as Key))}
      {from !== null && <Running from={from} until={pop.state === "ended" ? pop.ended_at : null} />}
    </span>
  );
}

/** By which way the call came, and how long the caller waited before this phone rang. */
function Way({ card }: { card: Card }) {
  const { pop } = card;
  // Of a call that we made nobody waited but us.
  const waited = pop.direction === "outbound" ? null : pop.waited_s;
  return (
    <ul class="way">
      {pop.queue !== "" && (
        <li class="queue">
          <Sentence id="pop.queue" values={{ queue: <Name>{pop.queue}</Name> }} />
        </li>
      )}
      {pop.dialed !== "" && (
        <li>
          <Sentence id="pop.dialed" values={{ number: <Name>{pop.dialed}</Name> }} />
        </li>
      )}
      {waited !== null && (
        <li>
          <Sentence
            id="pop.waited"
            values={{
              time:
                pop.state === "ringing" && pop.ringing_at !== null ? (
                  <RunningOn
                    base={waited}
                    at={pop.ringing_at}
                    until={card.gone === null ? null : card.changedAt}
                  />
                ) : (
                  <span class="time">{duration(waited)}</span>
                ),
            }}
          />
        </li>
      )}
    </ul>
  );
}

function Number_({ pop }: { pop: PopBody }) {
  const [copied, setCopied] = useState(false);
  const { party } = pop;
  if (party.kind === "withheld") return null;
  const place = countryOf(party);
  const copy = () => {
    void navigator.clipboard.writeText(party.address).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 1500);
    });
  };
  return (
    <p class="number">
      <span class="digits">
        <Name>{partyName(party)}</Name>
      </span>
      {place !== "" && <span class="country">{place}</span>}
      {navigator.clipboard !== undefined && (
        <button type="button" class="quiet small" onClick={copy} title={t("pop.copy")}>
          <Icon name={copied ? "check" : "copy"} />
          <span class="unseen">{t(copied ? "pop.copied" : "pop.copy")}</span>
        </button>
      )}
    </p>
  );
}

function Who({ pop }: { pop: PopBody }) {
  const contact = knownContact(pop.match);
  const { match, party } = pop;
  const claimed = contact === undefined && match.result !== "internal" ? party.name : "";
  return (
    <div class="who">
      {match.result !== "known" && (
        <p class="result">
          <Icon name={RESULT_ICON[match.result]} />
          {t(`match.${match.result}` as Key, { count: match.candidates.length })}
        </p>
      )}
      <h2>
        <Name>{callerName(pop)}</Name>
        {contact !== undefined && <Tier tier={contact.tier} />}
      </h2>
      {contact !== undefined && contact.account !== "" && (
        <p class="account">
          <Name>{contact.account}</Name>
          {contact.external_id !== "" && (
            <span class="external">
              <Name>{contact.external_id}</Name>
            </span>
          )}
        </p>
      )}
      {contact !== undefined || match.result === "internal" ? (
        <Number_ pop={pop} />
      ) : (
        countryOf(party) !== "" && <p class="number country-only">{countryOf(party)}</p>
      )}
      {claimed !== "" && (
        <p class="claimed">
          <Sentence id="pop.claimed" values={{ name: <Name>{claimed}</Name> }} />
        </p>
      )}
      {match.reasons.length > 0 && (
        <ul class="reasons" aria-label={t("pop.reasons")}>
          {match.reasons.map((reason) => (
            <li key={reason}>
              <ReasonText sentence={reason} />
            </li>
          ))}
        </ul>
      )}
      {pop.note !== "" && (
        <p class="note">
          <Name>{pop.note}</Name>
        </p>
      )}
    </div>
  );
}

function Before({ pop, first }: { pop: PopBody; first: boolean }) {
  const { result } = pop.match;
  if (result === "ambiguous") {
    return <Candidates touch={pop.touch} candidates={pop.match.candidates} keys={first} />;
  }
  if (pop.recent.length > 0) {
    return (
      <section class="before">
        <h3>{t("pop.before")}</h3>
        <ul>
          {pop.recent.slice(0, 4).map((touch) => (
            <TouchLine key={touch.id} touch={touch} />
          ))}
        </ul>
      </section>
    );
  }
  if (result === "known") return <p class="before empty">{t("pop.first_time")}</p>;
  if (result === "unknown") {
    const hint = pop.direction === "outbound" ? "pop.hint_dialled" : "pop.hint_unknown";
    return <LookUp touch={pop.touch} hint={hint} />;
  }
  if (result === "withheld") return <LookUp touch={null} hint="pop.hint_withheld" />;
  return null;
}

interface Props {
  card: Card;
  /** The whole card, or one line of it. */
  open: boolean;
  /** Shortcuts act on the first card. */
  first: boolean;
  onToggle: () => void;
}

export function PopCard({ card, open, first, onToggle }: Props) {
  const { pop } = card;
  const contact = knownContact(pop.match);
  const over = card.gone !== null || pop.state === "ended";

  useEffect(() => {
    // Two frames later the card has been painted; a hidden tab paints nothing and says nothing.
    let frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(() => acknowledge(pop.id));
    });
    return () => cancelAnimationFrame(frame);
  }, [pop.id]);

  const hold = () => {
    heldCard.value = pop.id;
  };
  const release = () => {
    if (heldCard.value === pop.id) heldCard.value = "";
  };
  useEffect(() => release, []);

  return (
    <article
      class={open ? "card" : "card compact"}
      data-look={look(card)}
      data-result={pop.match.result}
      data-card={pop.id}
      aria-label={callerName(pop)}
      onPointerEnter={hold}
      onPointerLeave={release}
      onFocusCapture={hold}
      onBlurCapture={release}
    >
      <header>
        <Status card={card} />
        {open ? (
          <Way card={card} />
        ) : (
          <button type="button" class="summary" aria-expanded="false" onClick={onToggle}>
            <span class="name">
              <Name>{callerName(pop)}</Name>
              {contact !== undefined && <Tier tier={contact.tier} />}
            </span>
            <span class="account">
              {contact === undefined ? (
                t(`match.${pop.match.result}` as Key, { count: pop.match.candidates.length })
              ) : (
                <Name>{contact.account}</Name>
              )}
              {pop.queue !== "" && (
                <>
                  {" · "}
                  <Name>{pop.queue}</Name>
                </>
              )}
            </span>
          </button>
        )}
        <div class="actions">
          {contact !== undefined && (
            <button
              type="button"
              class="quiet"
              {...(first ? { "data-shortcut": "o" } : {})}
              onClick={() => {
                openContact.value = contact.contact;
              }}
            >
              <Icon name="person" />
              <span class="word">{t("pop.open")}</span>
            </button>
          )}
          {over && (
            <button
              type="button"
              class="quiet"
              title={t("pop.dismiss")}
              {...(first ? { "data-shortcut": "x" } : {})}
              onClick={() => dismissCard(pop.id)}
            >
              <Icon name="close" />
              <span class="unseen">{t("pop.dismiss")}</span>
            </button>
          )}
        </div>
      </header>
      {open && (
        <div class="body">
          <Who pop={pop} />
          <Before pop={pop} first={first} />
        </div>
      )}
    </article>
  );
}
