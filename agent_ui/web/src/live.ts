/**
 * What is live now: the cards of this agent, and the queues, agents and calls of the board.
 *
 * Pure: `apply` takes the world and a frame and answers the next world. Parts that a frame does not
 * touch keep their identity, so the page redraws only what changed.
 */

import type {
  AgentBody,
  CallBody,
  LinkBody,
  PopBody,
  QueueBody,
  ServerMessage,
  TouchBody,
  WithdrawalReason,
} from "./protocol.ts";

/** Why a card is on its way out. */
export interface Withdrawal {
  readonly reason: WithdrawalReason;
  /** Who answered, or to whom it went. */
  readonly by: string;
}

export interface Card {
  readonly pop: PopBody;
  /** Server time in milliseconds of the last change of state. */
  readonly changedAt: number;
  readonly gone: Withdrawal | null;
}

export interface Live {
  readonly cards: readonly Card[];
  readonly calls: ReadonlyMap<string, CallBody>;
  readonly queues: ReadonlyMap<string, QueueBody>;
  readonly agents: ReadonlyMap<number, AgentBody>;
  readonly links: ReadonlyMap<string, LinkBody>;
  /** Cards that the agent has put away, or whose time was over: no snapshot brings them back. */
  readonly putAway: ReadonlySet<string>;
}

export const NOTHING: Live = {
  cards: [],
  calls: new Map(),
  queues: new Map(),
  agents: new Map(),
  links: new Map(),
  putAway: new Set(),
};

/** How long a withdrawn card still says why, in milliseconds. */
export const FAREWELL_MS = 7_000;
/** How long the card of an ended call stays for the agent to read. */
export const ENDED_MS = 180_000;
/** Ended cards beyond this many leave early, the oldest first. */
const ENDED_KEPT = 3;

export function apply(live: Live, frame: ServerMessage): Live {
  const at = Date.parse(frame.at);
  switch (frame.type) {
    case "snapshot":
      return {
        ...live,
        cards: replaceCards(
          live.cards,
          frame.pops.filter((pop) => pop.state !== "ended" || !live.putAway.has(pop.id)),
          at,
        ),
        calls: new Map(frame.calls.map((call) => [call.id, call])),
        queues: new Map(frame.queues.map((queue) => [queue.id, queue])),
        agents: new Map(frame.agents.map((agent) => [agent.id, agent])),
        links: new Map(frame.links.map((link) => [link.name, link])),
      };
    case "pop":
    case "pop_update":
      return { ...live, cards: thin(putCard(live.cards, frame.pop, at)) };
    case "pop_withdrawn":
      return { ...live, cards: withdraw(live.cards, frame.id, frame.reason, frame.by, at) };
    case "call":
      return {
        ...live,
        calls:
          frame.call.state === "ended"
            ? without(live.calls, frame.call.id)
            : withItem(live.calls, frame.call.id, frame.call),
      };
    case "queue":
      return { ...live, queues: withItem(live.queues, frame.queue.id, frame.queue) };
    case "agent":
      return { ...live, agents: withItem(live.agents, frame.agent.id, frame.agent) };
    case "link":
      return { ...live, links: withItem(live.links, frame.link.name, frame.link) };
    default:
      return live;
  }
}

function putCard(cards: readonly Card[], pop: PopBody, at: number): readonly Card[] {
  const index = cards.findIndex((card) => card.pop.id === pop.id);
  const before = cards[index];
  if (before === undefined) {
    const changedAt = pop.state === "ended" && pop.ended_at ? Date.parse(pop.ended_at) : at;
    return [...cards, { pop, changedAt, gone: null }];
  }
  const changedAt = before.pop.state === pop.state && before.gone === null ? before.changedAt : at;
  return cards.with(index, { pop, changedAt, gone: null });
}

function withdraw(
  cards: readonly Card[],
  id: string,
  reason: WithdrawalReason,
  by: string,
  at: number,
): readonly Card[] {
  return cards.map((card) => {
    if (card.pop.id !== id || card.gone !== null) return card;
    // The end of a call that was talked is news about the card, not its withdrawal: the agent may
    // still be writing about it.
    if (reason === "ended" && card.pop.answered_at !== null) {
      if (card.pop.state === "ended") return card;
      const ended_at = new Date(at).toISOString();
      return { ...card, pop: { ...card.pop, state: "ended", ended_at }, changedAt: at };
    }
    return { ...card, changedAt: at, gone: { reason, by } };
  });
}

/** After a snapshot: what the server no longer has is withdrawn, what the agent was reading stays. */
function replaceCards(
  cards: readonly Card[],
  pops: readonly PopBody[],
  at: number,
): readonly Card[] {
  const here = new Set(pops.map((pop) => pop.id));
  const kept = cards.map((card) =>
    here.has(card.pop.id) || card.gone !== null || card.pop.state === "ended"
      ? card
      : { ...card, changedAt: at, gone: { reason: "unknown" as const, by: "" } },
  );
  return pops.reduce<readonly Card[]>((all, pop) => putCard(all, pop, at), kept);
}

function thin(cards: readonly Card[]): readonly Card[] {
  const over = cards.filter((card) => card.pop.state === "ended").length - ENDED_KEPT;
  let drop = over;
  return over <= 0 ? cards : cards.filter((card) => card.pop.state !== "ended" || drop-- <= 0);
}

/** Drop the cards whose time is over, except `held`: one that a hand or the keyboard is on. */
export function sweep(live: Live, now: number, held: string): Live {
  const kept = live.cards.filter(({ pop, changedAt, gone }) => {
    if (pop.id === held) return true;
    if (gone !== null) return now - changedAt < FAREWELL_MS;
    return pop.state !== "ended" || now - changedAt < ENDED_MS;
  });
  return keep(live, kept);
}

export function dismiss(live: Live, id: string): Live {
  return keep(
    live,
    live.cards.filter((card) => card.pop.id !== id),
  );
}

function keep(live: Live, kept: readonly Card[]): Live {
  if (kept.length === live.cards.length) return live;
  const here = new Set(kept.map((card) => card.pop.id));
  const away = live.cards.map((card) => card.pop.id).filter((id) => !here.has(id));
  // The last hundred are plenty: the server forgets the ended ones within minutes.
  return { ...live, cards: kept, putAway: new Set([...live.putAway, ...away].slice(-100)) };
}

const RANK = { connected: 0, ringing: 1, held: 2, ended: 3 } as const;

/**
 * The order on the screen: the caller one talks with, who rings, who is on hold, what is over.
 * Within the same state the older stays first, so that nothing jumps under a hand; of the calls
 * that are over the last comes first, which the agent may still be writing about.
 */
export function ordered(cards: readonly Card[]): readonly Card[] {
  const rank = (card: Card) => (card.gone !== null ? 4 : RANK[card.pop.state]);
  return cards.toSorted(
    (a, b) => rank(a) - rank(b) || (rank(a) === RANK.ended ? b.changedAt - a.changedAt : 0),
  );
}

/** Somebody calls this agent: to be heard and seen from elsewhere. Not when the agent dials. */
export function isRinging({ gone, pop }: Card): boolean {
  return gone === null && pop.state === "ringing" && pop.direction !== "outbound";
}

/** The agent has somebody on the line, and no ring should come between. */
export function isTalking({ gone, pop }: Card): boolean {
  return gone === null && pop.state === "connected";
}

/** Put a touch into a list that is newest first. A touch that went on keeps its place. */
export function putTouch(
  touches: readonly TouchBody[],
  touch: TouchBody,
  medium: string,
): readonly TouchBody[] {
  if (medium !== "" && touch.medium !== medium) return touches;
  const rest = touches.filter((other) => other.id !== touch.id);
  const index = rest.findIndex((other) => Date.parse(other.at) <= Date.parse(touch.at));
  // Older than all we have loaded: it belongs to a page that was not asked for.
  if (index === -1 && rest.length === touches.length && rest.length > 0) return touches;
  return rest.toSpliced(index === -1 ? rest.length : index, 0, touch);
}

function withItem<K, V>(items: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> {
  return new Map(items).set(key, value);
}

function without<K, V>(items: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> {
  const rest = new Map(items);
  rest.delete(key);
  return rest;
}
