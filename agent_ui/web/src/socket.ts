/** The shell around `push.ts`: one WebSocket, one timer, and what the browser tells about itself. */

import { signal } from "@preact/signals";
import type { ClientMessage, ServerMessage } from "./protocol.ts";
import { type Effect, type Link, type LinkEvent, START, step } from "./push.ts";

/** Where the server pushes. */
const PUSH_PATH = "/api/v1/push";
/** A tick that comes this late means that the machine slept. */
const SLEPT_MS = 30_000;
const TICK_MS = 5_000;

export const link = signal<Link>(START);

/** The server's clock as far as we know it, in milliseconds. */
export function serverNow(): number {
  return Date.now() + link.value.skew;
}

type Apply = (frame: ServerMessage) => void;

let socket: WebSocket | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let apply: Apply = () => {};
let started = false;

function happened(event: LinkEvent): void {
  const [next, effects] = step(link.value, event, Date.now(), Math.random());
  link.value = next;
  for (const effect of effects) carryOut(effect);
}

function carryOut(effect: Effect): void {
  switch (effect.do) {
    case "connect":
      open(effect.resume);
      break;
    case "disconnect":
      drop();
      break;
    case "send":
      send(effect.message);
      break;
    case "wait":
      clearTimeout(timer);
      timer = setTimeout(() => happened({ type: "timer" }), effect.ms);
      break;
    case "apply":
      apply(effect.frame);
      break;
  }
}

function open(resume: boolean): void {
  const url = new URL(resume ? `${PUSH_PATH}?resume=1` : PUSH_PATH, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const mine = new WebSocket(url);
  socket = mine;
  // A socket that we gave up may still speak; it is not listened to.
  const when = (tell: () => void) => {
    if (socket === mine) tell();
  };
  mine.onopen = () => when(() => happened({ type: "opened" }));
  mine.onclose = (event) => when(() => happened({ type: "closed", code: event.code }));
  mine.onmessage = (event) =>
    when(() => happened({ type: "frame", frame: JSON.parse(String(event.data)) }));
}

function drop(): void {
  clearTimeout(timer);
  const old = socket;
  socket = undefined;
  old?.close(1000);
}

export function send(message: ClientMessage): boolean {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(message));
  return true;
}

/** Connect, and stay connected. Called once. */
export function connect(onFrame: Apply): void {
  apply = onFrame;
  if (!started) {
    started = true;
    addEventListener("online", () => happened({ type: "online" }));
    addEventListener("offline", () => happened({ type: "offline" }));
    // A page that comes back from the browser's cache has a dead socket.
    addEventListener("pageshow", (event) => event.persisted && happened({ type: "woke" }));
    addEventListener("visibilitychange", () => {
      if (!document.hidden) happened({ type: "visible" });
    });
    let last = Date.now();
    setInterval(() => {
      const gap = Date.now() - last;
      last = Date.now();
      // A hidden tab is only ticked once a minute: that is no sleep.
      if (gap > SLEPT_MS && !document.hidden) happened({ type: "woke" });
    }, TICK_MS);
  }
  happened({ type: "start" });
}

/** Try now instead of waiting; or take over from the window that replaced us. */
export function connectNow(): void {
  happened({ type: "start" });
}
