import assert from "node:assert/strict";
import { test } from "node:test";
import { CLOSE, type ServerMessage, type Snapshot } from "../src/protocol.ts";
import { backoff, type Effect, type Link, type LinkEvent, START, step } from "../src/push.ts";

const NOW = Date.parse("2026-11-24T10:00:00Z");
const AT = new Date(NOW).toISOString();

const user = {
  id: 1,
  login: "ece",
  name: "Ece",
  role: "agent",
  team: "",
  language: "en",
  phones: [],
} as const;

function hello(session = "s1", at = AT): ServerMessage {
  return { type: "hello", seq: 1, at, session, protocol: 1, version: "1", user };
}

function snapshot(seq = 2): Snapshot {
  return { type: "snapshot", seq, at: AT, pops: [], calls: [], queues: [], agents: [], links: [] };
}

function notice(seq: number, at = AT): ServerMessage {
  return { type: "notice", seq, at, code: `n${seq}`, values: {} };
}

/** Feed events one after the other; answer the last state and everything that was to be done. */
function play(events: LinkEvent[], from: Link = START): [Link, Effect[]] {
  let link = from;
  const done: Effect[] = [];
  for (const event of events) {
    const [next, effects] = step(link, event, NOW, 0.5);
    link = next;
    done.push(...effects);
  }
  return [link, done];
}

const frames = (...all: ServerMessage[]): LinkEvent[] =>
  all.map((frame) => ({ type: "frame", frame }));
const applied = (effects: Effect[]) =>
  effects.flatMap((one) => (one.do === "apply" ? [one.frame.type] : []));

const [LIVE] = play([{ type: "start" }, { type: "opened" }, ...frames(hello(), snapshot())]);

test("a first connection asks for no resume and is live after the snapshot", () => {
  const [link, done] = play([
    { type: "start" },
    { type: "opened" },
    ...frames(hello(), snapshot(), notice(3)),
  ]);
  assert.equal(link.phase, "live");
  assert.equal(link.seq, 3);
  assert.deepEqual(applied(done), ["hello", "snapshot", "notice"]);
  assert.deepEqual(done[1], { do: "connect", resume: false });
  assert.ok(!done.some((one) => one.do === "send"));
});

test("after a loss the client waits, then resumes from the last frame it had", () => {
  const [waiting, lost] = play([...frames(notice(3)), { type: "closed", code: 1006 }], LIVE);
  assert.equal(waiting.phase, "waiting");
  assert.ok(lost.some((one) => one.do === "wait"));
  const [link, done] = play([{ type: "timer" }, { type: "opened" }], waiting);
  assert.equal(link.phase, "connecting");
  assert.deepEqual(
    done.filter((one) => one.do === "connect" || one.do === "send"),
    [
      { do: "connect", resume: true },
      { do: "send", message: { type: "resume", session: "s1", seq: 3 } },
    ],
  );
  const [live, effects] = play(
    frames(hello("s2"), { type: "resumed", seq: 2, at: AT }, notice(3), notice(4)),
    link,
  );
  assert.equal(live.phase, "live");
  assert.equal(live.session, "s2");
  assert.deepEqual(applied(effects), ["hello", "notice", "notice"]);
});

test("a connection lost between hello and the missed frames is resumed from the older session", () => {
  const [link] = play(
    [
      { type: "closed", code: 1006 },
      { type: "timer" },
      { type: "opened" },
      ...frames(hello("s2")),
      { type: "closed", code: 1006 },
      { type: "timer" },
    ],
    LIVE,
  );
  const [, done] = step(link, { type: "opened" }, NOW, 0);
  assert.deepEqual(done[0], { do: "send", message: { type: "resume", session: "s1", seq: 2 } });
});

test("a missing number is never passed over: the client asks for what it lacks", () => {
  const [link, done] = play(frames(notice(3), notice(5)), LIVE);
  assert.deepEqual(applied(done), ["notice"]);
  assert.equal(link.phase, "connecting");
  assert.equal(link.seq, 3);
  assert.ok(done.some((one) => one.do === "connect" && one.resume));
});

test("a frame that was seen already is not applied again", () => {
  const [link, done] = play(frames(notice(3), notice(3), notice(2)), LIVE);
  assert.equal(link.phase, "live");
  assert.deepEqual(applied(done), ["notice"]);
});

test("a snapshot in the middle of a session replaces everything, whatever its number", () => {
  const [link, done] = play(frames(snapshot(9), notice(10)), LIVE);
  assert.equal(link.phase, "live");
  assert.deepEqual(applied(done), ["snapshot", "notice"]);
});

test("the delays grow to half a minute, with jitter, and start over once live", () => {
  assert.equal(backoff(0, 0), 250);
  assert.equal(backoff(0, 1), 500);
  assert.equal(backoff(3, 1), 4000);
  assert.equal(backoff(50, 1), 30_000);
  assert.equal(backoff(50, 0), 15_000);
  let link = LIVE;
  for (let loss = 0; loss < 4; loss += 1) {
    [link] = play([{ type: "closed", code: 1006 }, { type: "timer" }], link);
  }
  assert.equal(link.attempt, 4);
  [link] = play([{ type: "opened" }, ...frames(hello("s2"), snapshot())], link);
  assert.equal(link.attempt, 0);
});

test("no greeting in time counts as a lost connection", () => {
  const [link, done] = play([{ type: "start" }, { type: "opened" }, { type: "timer" }]);
  assert.equal(link.phase, "waiting");
  assert.ok(done.some((one) => one.do === "disconnect"));
});

test("coming back to the tab or to the network tries at once; waking doubts a live socket", () => {
  const [waiting] = play([{ type: "closed", code: 1006 }], LIVE);
  for (const event of [{ type: "visible" }, { type: "online" }, { type: "woke" }] as LinkEvent[]) {
    const [link, done] = step(waiting, event, NOW, 0);
    assert.equal(link.phase, "connecting", event.type);
    assert.ok(done.some((one) => one.do === "connect"));
  }
  assert.deepEqual(step(LIVE, { type: "visible" }, NOW, 0)[1], []);
  assert.ok(step(LIVE, { type: "woke" }, NOW, 0)[1].some((one) => one.do === "connect"));
  const [off] = step(LIVE, { type: "offline" }, NOW, 0);
  assert.equal(off.offline, true);
  assert.equal(step(off, { type: "online" }, NOW, 0)[0].offline, false);
});

test("close codes: sign in again, stay quiet, start clean, or come back", () => {
  const after = (code: number) => step(LIVE, { type: "closed", code }, NOW, 0)[0];
  assert.equal(after(CLOSE.NOT_SIGNED_IN).phase, "signed_out");
  assert.equal(after(CLOSE.SIGNED_OUT).phase, "signed_out");
  assert.equal(after(CLOSE.REPLACED).phase, "replaced");
  assert.equal(after(CLOSE.BAD_FRAME).phase, "waiting");
  assert.equal(after(CLOSE.BAD_FRAME).session, "");
  assert.equal(after(CLOSE.TOO_SLOW).phase, "waiting");
  assert.equal(after(CLOSE.TOO_SLOW).session, "s1");
  // A replaced window does not fight for the connection by itself.
  assert.equal(step(after(CLOSE.REPLACED), { type: "visible" }, NOW, 0)[0].phase, "replaced");
});

test("the server's clock is learned from the least delayed frame", () => {
  const ahead = (ms: number) => new Date(NOW + ms).toISOString();
  const [link] = play(frames(notice(3, ahead(4000)), notice(4, ahead(1000))), LIVE);
  assert.equal(link.skew, 4000);
  const [again] = play(
    [
      { type: "closed", code: 1006 },
      { type: "timer" },
      { type: "opened" },
      ...frames(hello("s2", ahead(-2000))),
    ],
    link,
  );
  assert.equal(again.skew, -2000);
});

test("frames after the end of a session change nothing", () => {
  const [out] = step(LIVE, { type: "closed", code: CLOSE.SIGNED_OUT }, NOW, 0);
  assert.deepEqual(step(out, { type: "frame", frame: notice(3) }, NOW, 0), [out, []]);
});
