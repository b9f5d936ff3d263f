import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apply,
  dismiss,
  ENDED_MS,
  FAREWELL_MS,
  isRinging,
  type Live,
  NOTHING,
  ordered,
  putTouch,
  sweep,
} from "../src/live.ts";
import type { CallBody, PopBody, ServerMessage, TouchBody } from "../src/protocol.ts";

const NOW = Date.parse("2026-11-24T10:00:00Z");
const at = (seconds = 0) => new Date(NOW + seconds * 1000).toISOString();
const party = {
  kind: "phone",
  address: "+905320001122",
  display: "",
  name: "",
  region: "",
} as const;
const match = { result: "unknown", candidates: [], reasons: [] } as const;

function pop(
  id: string,
  state: PopBody["state"] = "ringing",
  more: Partial<PopBody> = {},
): PopBody {
  return {
    id,
    call: id,
    touch: 1,
    state,
    direction: "inbound",
    party,
    match,
    dialed: "",
    queue: "",
    waited_s: null,
    ringing_at: at(),
    answered_at: state === "ringing" ? null : at(),
    ended_at: state === "ended" ? at() : null,
    recent: [],
    note: "",
    ...more,
  };
}

function touch(id: number, seconds: number, medium: TouchBody["medium"] = "phone"): TouchBody {
  return {
    id,
    medium,
    direction: "inbound",
    outcome: "answered",
    at: at(seconds),
    ended_at: null,
    contact: null,
    account: "",
    party,
    match,
    agent: null,
    agent_name: "",
    subject: "",
    queue: "",
    ring_s: null,
    wait_s: null,
    talk_s: null,
    hold_s: null,
  };
}

function call(id: string, state: CallBody["state"]): CallBody {
  return {
    id,
    pbx: "main",
    direction: "inbound",
    state,
    party,
    match: null,
    dialed: "",
    queue: "",
    started_at: at(),
    answered_at: null,
    participants: [],
  };
}

type Unnumbered<T> = T extends unknown ? Omit<T, "seq" | "at"> : never;

function play(frames: Unnumbered<ServerMessage>[], from: Live = NOTHING): Live {
  return frames.reduce(
    (live, frame, seq) => apply(live, { ...frame, seq, at: at(seq) } as ServerMessage),
    from,
  );
}

const shown = (live: Live) =>
  live.cards.map(({ pop: { id, state }, gone }) => `${id}:${gone?.reason ?? state}`);
const snapshot = (...pops: PopBody[]): Unnumbered<ServerMessage> => ({
  type: "snapshot",
  pops,
  calls: [],
  queues: [],
  agents: [],
  links: [],
});

test("a card appears, is answered, ends and stays for a while", () => {
  let live = play([
    { type: "pop", pop: pop("a") },
    { type: "pop_update", pop: pop("a", "connected") },
    { type: "pop_withdrawn", id: "a", reason: "ended", by: "" },
  ]);
  assert.deepEqual(shown(live), ["a:ended"]);
  live = sweep(live, NOW + ENDED_MS - 1000, "");
  assert.deepEqual(shown(live), ["a:ended"]);
  assert.deepEqual(shown(sweep(live, NOW + ENDED_MS + 5000, "")), []);
});

test("a withdrawn card says why, then goes, unless a hand is on it", () => {
  const live = play([
    { type: "pop", pop: pop("a") },
    { type: "pop_withdrawn", id: "a", reason: "answered_elsewhere", by: "Selin" },
  ]);
  assert.deepEqual(live.cards[0]?.gone, { reason: "answered_elsewhere", by: "Selin" });
  const later = NOW + FAREWELL_MS + 2000;
  assert.deepEqual(shown(sweep(live, later, "a")), ["a:answered_elsewhere"]);
  assert.deepEqual(shown(sweep(live, later, "")), []);
});

test("a card that comes again after its withdrawal rings again", () => {
  const live = play([
    { type: "pop", pop: pop("a") },
    { type: "pop_withdrawn", id: "a", reason: "no_answer", by: "" },
    { type: "pop", pop: pop("a") },
  ]);
  assert.deepEqual(shown(live), ["a:ringing"]);
});

test("an update of a card that was never shown shows it; a strange withdrawal changes nothing", () => {
  const live = play([
    { type: "pop_update", pop: pop("a", "connected") },
    { type: "pop_withdrawn", id: "z", reason: "abandoned", by: "" },
  ]);
  assert.deepEqual(shown(live), ["a:connected"]);
});

test("a snapshot withdraws what no longer rings and keeps what the agent is reading", () => {
  const before = play([
    { type: "pop", pop: pop("rang") },
    { type: "pop", pop: pop("over", "ended") },
    { type: "pop", pop: pop("talk", "connected") },
  ]);
  const live = play([snapshot(pop("talk", "held"), pop("new"))], before);
  assert.deepEqual(shown(live), ["rang:unknown", "over:ended", "talk:held", "new:ringing"]);
});

test("a card that was put away is not brought back by a snapshot, but by a new call", () => {
  const over = pop("a", "ended");
  let live = dismiss(play([{ type: "pop", pop: over }]), "a");
  live = play([snapshot(over)], live);
  assert.deepEqual(shown(live), []);
  live = play([{ type: "pop", pop: pop("a") }], live);
  assert.deepEqual(shown(live), ["a:ringing"]);
});

test("ended cards do not pile up", () => {
  const ended = ["a", "b", "c", "d", "e"].map(
    (id): Unnumbered<ServerMessage> => ({ type: "pop", pop: pop(id, "ended") }),
  );
  assert.deepEqual(shown(play([...ended, { type: "pop", pop: pop("f") }])), [
    "c:ended",
    "d:ended",
    "e:ended",
    "f:ringing",
  ]);
});

test("the caller one talks with stays on top; within a state the older comes first", () => {
  const live = play([
    { type: "pop", pop: pop("held", "held") },
    { type: "pop", pop: pop("ring1") },
    { type: "pop", pop: pop("talk", "connected") },
    { type: "pop", pop: pop("ring2") },
    { type: "pop_withdrawn", id: "ring1", reason: "abandoned", by: "" },
  ]);
  assert.deepEqual(
    ordered(live.cards).map((card) => card.pop.id),
    ["talk", "ring2", "held", "ring1"],
  );
});

test("of the calls that are over the last comes first", () => {
  const live = play([
    { type: "pop", pop: pop("first") },
    { type: "pop", pop: pop("second", "connected") },
    { type: "pop_update", pop: pop("second", "ended") },
    { type: "pop_update", pop: pop("first", "connected") },
    { type: "pop_update", pop: pop("first", "ended") },
  ]);
  assert.deepEqual(
    ordered(live.cards).map((card) => card.pop.id),
    ["first", "second"],
  );
});

test("a call that the agent dials is not announced to the agent", () => {
  const live = play([
    { type: "pop", pop: pop("in") },
    { type: "pop", pop: pop("out", "ringing", { direction: "outbound" }) },
  ]);
  assert.deepEqual(
    live.cards.filter(isRinging).map((card) => card.pop.id),
    ["in"],
  );
});

test("calls come and go; parts that a frame does not touch keep their identity", () => {
  const live = play([{ type: "call", call: call("a", "ringing") }]);
  assert.equal(live.calls.get("a")?.state, "ringing");
  const after = play([{ type: "call", call: call("a", "ended") }], live);
  assert.equal(after.calls.size, 0);
  assert.equal(after.queues, live.queues);
  assert.equal(after.cards, live.cards);
});

test("the list of touches stays newest first, without doubles, and within its filter", () => {
  const list = [touch(3, 30), touch(2, 20), touch(1, 10)];
  const ids = (touches: readonly TouchBody[]) => touches.map((one) => one.id);
  assert.deepEqual(ids(putTouch(list, touch(4, 40), "")), [4, 3, 2, 1]);
  assert.deepEqual(ids(putTouch(list, touch(2, 20), "")), [3, 2, 1]);
  assert.deepEqual(ids(putTouch(list, touch(9, 25), "")), [3, 9, 2, 1]);
  assert.deepEqual(ids(putTouch(list, touch(9, 5), "")), [3, 2, 1], "belongs to a later page");
  assert.deepEqual(ids(putTouch(list, touch(5, 50, "email"), "phone")), [3, 2, 1]);
  assert.deepEqual(ids(putTouch([], touch(5, 50), "")), [5]);
});
