/** The page's state: signals over the pure modules, and the actions that change them. */

import { computed, signal } from "@preact/signals";
import { api, type Listing, Problem } from "./api.ts";
import { apply, dismiss, type Live, NOTHING, ordered, putTouch, sweep } from "./live.ts";
import { settleLanguage } from "./prefs.ts";
import type { CandidateBody, NoticeFrame, ServerMessage, TouchBody, UserBody } from "./protocol.ts";
import { connect, link, send, serverNow } from "./socket.ts";
import { isWarning } from "./words.ts";

/** A notice on the screen. */
export interface Told {
  readonly frame: NoticeFrame;
  /** The contact it is about, to open. */
  readonly contact: CandidateBody | null;
  /** When it goes away, by this computer's clock in milliseconds. */
  readonly until: number;
}

/** How long a notice stays: time to read a line; what asks for an action stays longer. */
const NOTICE_MS = 8_000;
const WARNING_MS = 30_000;

export type Page = "desk" | "board" | "signin";

export const page = signal<Page>("signin");
/** The signed-in user; undefined until the server has said. */
export const user = signal<UserBody | null | undefined>(undefined);
/** Why the sign-in page is shown, when it was not asked for. */
export const signedOut = signal<"" | "ended" | "link_used">("");
export const version = signal("");

export const live = signal<Live>(NOTHING);
export const cards = computed(() => ordered(live.value.cards));
export const calls = computed(() => live.value.calls);
export const queues = computed(() => live.value.queues);
export const agents = computed(() => live.value.agents);
export const links = computed(() => live.value.links);
export const linksDown = computed(() => [...links.value.values()].filter((one) => !one.up));
/** The last notice, until its time is over. */
export const notice = signal<Told | null>(null);
/** A hand or the keyboard is on the notice: it does not go away meanwhile. */
export const noticeHeld = signal(false);

/** Server time in milliseconds, renewed every second: whoever shows a running time reads it. */
export const now = signal(Date.now());
/** The card that a hand or the keyboard is on: it does not go away meanwhile. */
export const heldCard = signal("");

/** The contact in the side panel. */
export const openContact = signal<number | null>(null);

// --- going from page to page ------------------------------------------------------------------

export function pageOf(path: string): Page {
  if (path.startsWith("/board")) return "board";
  return path.startsWith("/signin") ? "signin" : "desk";
}

export function go(next: Page, replace = false): void {
  page.value = next;
  openContact.value = null;
  if (replace) history.replaceState(null, "", `/${next}`);
  else if (location.pathname !== `/${next}`) history.pushState(null, "", `/${next}`);
}

export function mayBoard(who: UserBody): boolean {
  return who.role !== "agent";
}

/** Someone is signed in: connect, and show what they asked for if they may see it. */
export function entered(who: UserBody): void {
  user.value = who;
  signedOut.value = "";
  settleLanguage(who.language);
  const asked = pageOf(location.pathname);
  if (location.pathname === "/" || asked === "signin") {
    go(who.role === "supervisor" ? "board" : "desk", true);
  } else {
    go(asked === "board" && !mayBoard(who) ? "desk" : asked, true);
  }
  connect(received);
}

/** Nobody is signed in, or no longer. */
export function left(why: "" | "ended" | "link_used"): void {
  user.value = null;
  live.value = NOTHING;
  touches.value = EMPTY_LIST;
  signedOut.value = why;
  go("signin", true);
}

export async function signOut(): Promise<void> {
  await api.signOut().catch(() => null);
  location.assign("/signin");
}

// --- what the server pushes -------------------------------------------------------------------

const acknowledged = new Set<string>();
/** Who the last touches were with: a notice names its touch, which comes just before it. */
const lately = new Map<string, CandidateBody | null>();
const LATELY_KEPT = 50;

function tell(frame: NoticeFrame): void {
  notice.value = {
    frame,
    contact: lately.get(frame.values["touch"] ?? "") ?? null,
    until: Date.now() + (isWarning(frame) ? WARNING_MS : NOTICE_MS),
  };
}

function remember({ id, contact }: TouchBody): void {
  lately.delete(String(id));
  lately.set(String(id), contact);
  for (const old of lately.keys()) {
    if (lately.size <= LATELY_KEPT) break;
    lately.delete(old);
  }
}

function received(frame: ServerMessage): void {
  switch (frame.type) {
    case "hello":
      user.value = frame.user;
      version.value = frame.version;
      break;
    case "touch":
      remember(frame.touch);
      touches.value = {
        ...touches.value,
        items: putTouch(touches.value.items, frame.touch, touches.value.medium),
      };
      break;
    case "notice":
      tell(frame);
      break;
    default:
      live.value = apply(live.value, frame);
      // The list on the screen may be as old as the last snapshot.
      if (frame.type === "snapshot") void loadTouches(touches.value.medium);
  }
  now.value = serverNow();
}

/** Tell the server that a card is on the screen, once. Called after it was painted. */
export function acknowledge(id: string): void {
  if (acknowledged.has(id)) return;
  if (send({ type: "ack", id, shown_at: new Date().toISOString() })) acknowledged.add(id);
}

export function dismissCard(id: string): void {
  live.value = dismiss(live.value, id);
}

export function startClock(): void {
  setInterval(() => {
    now.value = serverNow();
    live.value = sweep(live.value, now.value, heldCard.value);
    if (notice.value !== null && !noticeHeld.value && Date.now() >= notice.value.until) {
      notice.value = null;
    }
  }, 1000);
  link.subscribe(({ phase }) => {
    if (phase === "signed_out") left("ended");
  });
}

// --- the list of recent touches ---------------------------------------------------------------

interface TouchList {
  readonly items: readonly TouchBody[];
  readonly next: string | null;
  /** The medium shown; `""` is all. */
  readonly medium: string;
  readonly state: "loading" | "ready" | "failed";
}

const EMPTY_LIST: TouchList = { items: [], next: null, medium: "", state: "loading" };

export const touches = signal<TouchList>(EMPTY_LIST);

/** Load the newest touches; or, with `more`, the page after those that we have. */
export async function loadTouches(medium: string, more = false): Promise<void> {
  const before = touches.value;
  const other = medium !== before.medium;
  touches.value = { ...before, items: other ? [] : before.items, medium, state: "loading" };
  let answer: Listing<TouchBody>;
  try {
    answer = await api.touches(medium, more ? (before.next ?? "") : "");
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 401) return left("ended");
    touches.value = { ...touches.value, state: "failed" };
    return;
  }
  if (touches.value.medium !== medium) return; // the reader has moved on
  const known = new Set(answer.items.map((touch) => touch.id));
  const items = more
    ? [...touches.value.items.filter((touch) => !known.has(touch.id)), ...answer.items]
    : answer.items;
  touches.value = { items, next: answer.next, medium, state: "ready" };
}
