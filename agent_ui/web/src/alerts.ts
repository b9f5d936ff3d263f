/**
 * What reaches a person who looks elsewhere: the title, a desktop notification, a spoken line.
 *
 * A hidden tab waits a moment before it notifies, and keeps still when a visible tab says that it
 * shows the card. Notifications carry the card's id as their tag, so several hidden tabs make one.
 */

import { effect, signal } from "@preact/signals";
import { plain } from "./format.ts";
import { t } from "./i18n.ts";
import { type Card, isRinging } from "./live.ts";
import { live } from "./store.ts";
import { callerName, callerPlace } from "./words.ts";

const HESITATION_MS = 400;

type Permission = "default" | "granted" | "denied" | "unsupported";

const supported = "Notification" in globalThis;
export const permission = signal<Permission>(supported ? Notification.permission : "unsupported");
/** For screen readers: the last thing that happened to a card. */
export const spoken = signal("");

const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("santral-cards") : null;
const seenElsewhere = new Set<string>();
const shown = new Map<string, Notification>();

/** Ask for the permission. Only ever from a button. */
export async function askPermission(): Promise<void> {
  if (supported) permission.value = await Notification.requestPermission();
}

function notify(card: Card): void {
  if (!supported || Notification.permission !== "granted" || !document.hidden) return;
  const note = new Notification(plain(t("alert.rings", { name: callerName(card.pop) })), {
    body: plain(callerPlace(card.pop)),
    tag: card.pop.id,
    icon: "/assets/icon.svg",
    silent: true, // the ring is ours
    requireInteraction: true,
  });
  note.onclick = () => {
    window.focus();
    note.close();
  };
  shown.set(card.pop.id, note);
}

function appeared(card: Card): void {
  spoken.value = plain(
    `${t("alert.incoming", { name: callerName(card.pop) })} ${callerPlace(card.pop)}`,
  );
  if (!document.hidden) {
    channel?.postMessage(card.pop.id);
    return;
  }
  setTimeout(() => {
    const still = live.value.cards.find((other) => other.pop.id === card.pop.id);
    if (still !== undefined && isRinging(still) && !seenElsewhere.has(card.pop.id)) notify(still);
  }, HESITATION_MS);
}

export function startAlerts(): void {
  if (channel !== null) {
    channel.onmessage = (event) => {
      seenElsewhere.add(String(event.data));
    };
  }
  let known = new Set<string>();
  effect(() => {
    const ringing = live.value.cards.filter(isRinging);
    const ids = new Set(ringing.map((card) => card.pop.id));
    for (const card of ringing) if (!known.has(card.pop.id)) appeared(card);
    for (const id of known) {
      if (ids.has(id)) continue;
      shown.get(id)?.close();
      shown.delete(id);
      seenElsewhere.delete(id);
    }
    known = ids;
    const first = ringing[0];
    const badge = ringing.length > 1 ? `(${ringing.length}) ` : "";
    document.title =
      first === undefined
        ? "Santral"
        : `${badge}☎ ${plain(t("alert.rings", { name: callerName(first.pop) }))} · Santral`;
  });
}
