/**
 * The push client's mind: what to do about each thing that happens to the connection.
 *
 * Pure: no socket, no timer, no clock. `step` takes what we know and what happened, and answers what
 * we know now and what the shell (`socket.ts`) has to do. The promises it keeps:
 *
 * - a frame reaches the page once and in order, or a new snapshot replaces everything;
 * - a missing `seq` is never passed over: we reconnect and ask for what we lack;
 * - reconnecting backs off with jitter, so that a restarted server is not run over by its agents,
 *   but a person who comes back to the tab or to the network does not wait.
 */

import { CLOSE, type ClientMessage, type ServerMessage } from "./protocol.ts";

export type Phase =
  /** A socket is being opened, or is open and has not sent everything yet. */
  | "connecting"
  /** What is on the screen is what the server knows. */
  | "live"
  /** Not connected; `retryAt` says when we try again. */
  | "waiting"
  /** The session ended: sign in again. */
  | "signed_out"
  /** Another window took over; this one stays quiet until asked. */
  | "replaced";

export interface Link {
  readonly phase: Phase;
  /** The session whose frames the page has, and the last `seq` of it: what we can resume. */
  readonly session: string;
  readonly seq: number;
  /** The session of this socket, from its `hello` on; it counts once the page is up to date. */
  readonly greeted: string;
  /** Failed connections in a row. */
  readonly attempt: number;
  /** Client time in milliseconds, while `waiting`. */
  readonly retryAt: number;
  readonly offline: boolean;
  /** How far the server's clock is ahead of ours, in milliseconds. */
  readonly skew: number;
}

export type LinkEvent =
  | { type: "start" }
  | { type: "opened" }
  | { type: "frame"; frame: ServerMessage }
  | { type: "closed"; code: number }
  /** The timer that we asked for has run out. */
  | { type: "timer" }
  | { type: "online" }
  | { type: "offline" }
  /** The tab came to the front. */
  | { type: "visible" }
  /** The machine slept: whatever the socket says, it may be dead. */
  | { type: "woke" };

export type Effect =
  /** With `resume` the server waits for our `resume` before it sends anything but `hello`. */
  | { do: "connect"; resume: boolean }
  | { do: "disconnect" }
  | { do: "send"; message: ClientMessage }
  | { do: "wait"; ms: number }
  | { do: "apply"; frame: ServerMessage };

export const GREETING_MS = 10_000;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;

export const START: Link = {
  phase: "connecting",
  session: "",
  seq: 0,
  greeted: "",
  attempt: 0,
  retryAt: 0,
  offline: false,
  skew: 0,
};

/** Full jitter over the upper half: between half and all of 0.5 s, 1 s, 2 s, … 30 s. */
export function backoff(attempt: number, random: number): number {
  const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 10));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}

/** Answer what we know after `event`, and what is to be done. `now` in milliseconds, `random` in 0…1. */
export function step(link: Link, event: LinkEvent, now: number, random: number): [Link, Effect[]] {
  switch (event.type) {
    case "start":
      return connect(link);
    case "opened": {
      const effects: Effect[] = [{ do: "wait", ms: GREETING_MS }];
      if (link.session !== "") {
        const message = { type: "resume", session: link.session, seq: link.seq } as const;
        effects.unshift({ do: "send", message });
      }
      return [link, effects];
    }
    case "frame":
      return frameArrived(link, event.frame, now);
    case "closed":
      return closed(link, event.code, now, random);
    case "timer":
      if (link.phase === "waiting") return connect(link);
      if (link.phase === "connecting") return lost(link, now, random); // no greeting in time
      return [link, []];
    case "offline":
      return [{ ...link, offline: true }, []];
    case "online": {
      const back = { ...link, offline: false };
      return link.phase === "waiting" || link.phase === "live" ? connect(back) : [back, []];
    }
    case "visible":
      return link.phase === "waiting" ? connect(link) : [link, []];
    case "woke":
      return link.phase === "waiting" || link.phase === "live" ? connect(link) : [link, []];
  }
}

function frameArrived(link: Link, frame: ServerMessage, now: number): [Link, Effect[]] {
  if (link.phase !== "connecting" && link.phase !== "live") return [link, []];
  const ahead = Date.parse(frame.at) - now;
  switch (frame.type) {
    case "hello":
      // A fresh estimate of the clock on each connection; later frames can only improve it, because
      // delay on the way makes a frame look old, never new.
      return [{ ...link, greeted: frame.session, skew: ahead }, [{ do: "apply", frame }]];
    case "snapshot":
      return [
        { ...settled(link, frame.seq), skew: Math.max(link.skew, ahead) },
        [{ do: "apply", frame }],
      ];
    case "resumed":
      return [settled(link, frame.seq), []];
    default: {
      if (link.phase !== "live" || frame.seq <= link.seq) return [link, []]; // seen already
      if (frame.seq > link.seq + 1) return connect(link); // something is missing: ask for it
      const skew = Math.max(link.skew, ahead);
      return [{ ...link, seq: frame.seq, skew }, [{ do: "apply", frame }]];
    }
  }
}

function settled(link: Link, seq: number): Link {
  return { ...link, phase: "live", session: link.greeted, seq, attempt: 0 };
}

function closed(link: Link, code: number, now: number, random: number): [Link, Effect[]] {
  switch (code) {
    case CLOSE.NOT_SIGNED_IN:
    case CLOSE.SIGNED_OUT:
      return [{ ...link, phase: "signed_out", session: "" }, []];
    case CLOSE.REPLACED:
      return [{ ...link, phase: "replaced" }, []];
    case CLOSE.BAD_FRAME:
      return lost({ ...link, session: "" }, now, random); // start clean rather than repeat it
    default:
      return lost(link, now, random);
  }
}

function lost(link: Link, now: number, random: number): [Link, Effect[]] {
  const ms = backoff(link.attempt, random);
  return [
    { ...link, phase: "waiting", attempt: link.attempt + 1, retryAt: now + ms },
    [{ do: "disconnect" }, { do: "wait", ms }],
  ];
}

function connect(link: Link): [Link, Effect[]] {
  return [
    { ...link, phase: "connecting" },
    [{ do: "disconnect" }, { do: "connect", resume: link.session !== "" }],
  ];
}
