/** The agent's desk: the cards of the calls at hand, and what happened before them. */

import { useState } from "preact/hooks";
import { askPermission, permission } from "../alerts.ts";
import { dayKey, dayName, duration, since } from "../format.ts";
import { region, t } from "../i18n.ts";
import { PopCard } from "../parts/card.tsx";
import { ContactPanel } from "../parts/contact_panel.tsx";
import { Name } from "../parts/text.tsx";
import { TouchRow } from "../parts/touch_row.tsx";
import type { TouchBody } from "../protocol.ts";
import { link } from "../socket.ts";
import { cards, loadTouches, now, openContact, queues, touches, user } from "../store.ts";

/** How many wait in the queues that this agent sees. */
function QueueStrip() {
  const all = [...queues.value.values()].toSorted((a, b) => a.name.localeCompare(b.name));
  if (all.length === 0) return null;
  return (
    <ul class="queue-strip" aria-label={t("desk.queues")}>
      {all.map((queue) => {
        const longest = Math.max(0, ...queue.entries.map((one) => since(one.since, now.value)));
        return (
          <li key={queue.id} data-busy={queue.entries.length > 0}>
            <Name>{queue.name}</Name>
            <b>
              {queue.entries.length === 0
                ? t("desk.nobody_waits")
                : t("desk.waiting", { count: queue.entries.length })}
            </b>
            {queue.entries.length > 0 && <span class="time">{duration(longest)}</span>}
          </li>
        );
      })}
    </ul>
  );
}

function Cards() {
  // Which cards the agent has opened or closed by hand.
  const [byHand, setByHand] = useState<ReadonlySet<string>>(new Set());
  const all = cards.value;
  if (all.length === 0) {
    const phones = user.value?.phones ?? [];
    return (
      <div class="idle">
        <p class="ready">
          <span class="lamp" aria-hidden="true" />
          {t(link.value.phase === "live" ? "desk.idle" : "desk.idle_unsure")}
        </p>
        <p class="phones">
          {phones.length > 0
            ? t("desk.phones", {
                phones: phones.map((phone) => phone.split("/").at(-1)).join(", "),
              })
            : t("desk.no_phone")}
          {permission.value === "default" && (
            <button type="button" class="link" onClick={() => void askPermission()}>
              {t("alert.ask")}
            </button>
          )}
        </p>
        <QueueStrip />
      </div>
    );
  }
  return (
    <>
      <div class="cards">
        {all.map((card, index) => (
          <PopCard
            key={card.pop.id}
            card={card}
            first={index === 0}
            open={index === 0 || byHand.has(card.pop.id)}
            onToggle={() => setByHand(new Set(byHand).add(card.pop.id))}
          />
        ))}
      </div>
      <QueueStrip />
    </>
  );
}

const MEDIA = ["", "phone", "email", "note"] as const;

/** Touches under the headings of their days. */
function byDay(items: readonly TouchBody[]): [string, TouchBody[]][] {
  const days: [string, TouchBody[]][] = [];
  for (const touch of items) {
    const day = days.at(-1);
    if (day !== undefined && day[0] === dayKey(touch.at)) day[1].push(touch);
    else days.push([dayKey(touch.at), [touch]]);
  }
  return days;
}

function Recent() {
  const { items, next, medium, state } = touches.value;
  return (
    <section class="recent" aria-labelledby="recent-title">
      <div class="recent-head">
        <h2 id="recent-title">{t("desk.recent")}</h2>
        <fieldset class="filter">
          <legend class="unseen">{t("desk.filter")}</legend>
          {MEDIA.map((one) => (
            <label key={one}>
              <input
                type="radio"
                name="medium"
                checked={medium === one}
                onChange={() => void loadTouches(one)}
              />
              <span>{t(one === "" ? "medium.all" : `medium.${one}`)}</span>
            </label>
          ))}
        </fieldset>
      </div>
      {byDay(items).map(([day, list]) => (
        <section key={day} class="day">
          <h3>{list[0] && dayName(list[0].at, now.value, region.value)}</h3>
          <ul>
            {list.map((touch) => (
              <TouchRow key={touch.id} touch={touch} />
            ))}
          </ul>
        </section>
      ))}
      {state === "loading" && items.length === 0 && <p class="empty">{t("desk.loading")}</p>}
      {state === "ready" && items.length === 0 && (
        <p class="empty">{t(medium === "" ? "desk.no_touches" : "desk.none_of_medium")}</p>
      )}
      {state === "failed" && (
        <p class="error" role="alert">
          {t("desk.failed")}{" "}
          <button type="button" onClick={() => void loadTouches(medium)}>
            {t("desk.again")}
          </button>
        </p>
      )}
      {next !== null && (
        <button
          type="button"
          class="more"
          disabled={state === "loading"}
          onClick={() => void loadTouches(medium, true)}
        >
          {t("desk.more")}
        </button>
      )}
    </section>
  );
}

export function Desk() {
  return (
    <div class={openContact.value === null ? "desk" : "desk with-panel"}>
      <main>
        <h1 class="unseen">{t("page.desk")}</h1>
        <section class="now" aria-label={t("desk.now")}>
          <Cards />
        </section>
        <Recent />
      </main>
      {openContact.value !== null && <ContactPanel id={openContact.value} />}
    </div>
  );
}
