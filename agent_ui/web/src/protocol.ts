/**
 * The push protocol and the bodies of the API, as `agent_ui/messages.py` defines them.
 *
 * `tests/browser/test_protocol.py` compares every interface here with the Python model of the same
 * name, field by field, so neither can drift from the other.
 */

export type Direction = "inbound" | "outbound" | "internal";

export interface PartyBody {
  kind: "phone" | "email" | "internal" | "withheld";
  address: string;
  display: string;
  name: string;
  region: string;
}

export interface CandidateBody {
  contact: number;
  name: string;
  account: string;
  external_id: string;
  tier: string;
}

export interface MatchBody {
  result: "known" | "ambiguous" | "unknown" | "withheld" | "internal" | "own";
  candidates: readonly CandidateBody[];
  reasons: readonly string[];
}

export interface TouchBody {
  id: number;
  medium: "phone" | "email" | "note";
  direction: Direction;
  outcome: string;
  at: string;
  ended_at: string | null;
  contact: CandidateBody | null;
  account: string;
  party: PartyBody;
  match: MatchBody;
  agent: number | null;
  agent_name: string;
  subject: string;
  queue: string;
  ring_s: number | null;
  wait_s: number | null;
  talk_s: number | null;
  hold_s: number | null;
}

export interface PopBody {
  id: string;
  call: string;
  touch: number;
  state: "ringing" | "connected" | "held" | "ended";
  direction: Direction;
  party: PartyBody;
  match: MatchBody;
  dialed: string;
  queue: string;
  waited_s: number | null;
  ringing_at: string | null;
  answered_at: string | null;
  ended_at: string | null;
  recent: readonly TouchBody[];
  note: string;
}

export interface ParticipantBody {
  endpoint: string;
  agent: number | null;
  name: string;
  state: string;
}

export interface CallBody {
  id: string;
  pbx: string;
  direction: Direction;
  state: "started" | "queued" | "ringing" | "talking" | "held" | "ended";
  party: PartyBody;
  match: MatchBody | null;
  dialed: string;
  queue: string;
  started_at: string;
  answered_at: string | null;
  participants: readonly ParticipantBody[];
}

export interface EntryBody {
  call: string;
  party: PartyBody;
  name: string;
  position: number;
  since: string;
}

export interface MemberBody {
  interface: string;
  name: string;
  agent: number | null;
  state: "idle" | "ringing" | "in_use" | "on_hold" | "paused" | "unavailable";
  reason: string;
  since: string | null;
  calls_taken: number;
}

export interface QueueBody {
  id: string;
  pbx: string;
  name: string;
  entries: readonly EntryBody[];
  members: readonly MemberBody[];
  answered_today: number;
  abandoned_today: number;
  unanswered_today: number;
}

export interface AgentBody {
  id: number;
  name: string;
  team: string;
  state: "offline" | "available" | "ringing" | "talking" | "held" | "paused" | "unavailable";
  since: string;
  reason: string;
  call: string;
  queues: readonly string[];
}

export interface LinkBody {
  name: string;
  up: boolean;
  since: string;
  message: string;
}

export interface UserBody {
  id: number;
  login: string;
  name: string;
  role: "agent" | "supervisor" | "admin";
  team: string;
  language: string;
  phones: readonly string[];
}

interface ServerFrame {
  seq: number;
  at: string;
}

export interface Hello extends ServerFrame {
  type: "hello";
  session: string;
  protocol: 1;
  version: string;
  user: UserBody;
}

export interface Snapshot extends ServerFrame {
  type: "snapshot";
  pops: readonly PopBody[];
  calls: readonly CallBody[];
  queues: readonly QueueBody[];
  agents: readonly AgentBody[];
  links: readonly LinkBody[];
}

export interface Resumed extends ServerFrame {
  type: "resumed";
}

export interface Pop extends ServerFrame {
  type: "pop";
  pop: PopBody;
}

export interface PopUpdate extends ServerFrame {
  type: "pop_update";
  pop: PopBody;
}

export type WithdrawalReason =
  | "answered_elsewhere"
  | "abandoned"
  | "no_answer"
  | "rejected"
  | "busy"
  | "transferred"
  | "forwarded"
  | "failed"
  | "ended"
  | "unknown";

export interface PopWithdrawnFrame extends ServerFrame {
  type: "pop_withdrawn";
  id: string;
  reason: WithdrawalReason;
  by: string;
}

export interface CallFrame extends ServerFrame {
  type: "call";
  call: CallBody;
}

export interface TouchFrame extends ServerFrame {
  type: "touch";
  touch: TouchBody;
}

export interface QueueFrame extends ServerFrame {
  type: "queue";
  queue: QueueBody;
}

export interface AgentFrame extends ServerFrame {
  type: "agent";
  agent: AgentBody;
}

export interface LinkFrame extends ServerFrame {
  type: "link";
  link: LinkBody;
}

export interface NoticeFrame extends ServerFrame {
  type: "notice";
  code: string;
  values: Readonly<Record<string, string>>;
}

export type ServerMessage =
  | Hello
  | Snapshot
  | Resumed
  | Pop
  | PopUpdate
  | PopWithdrawnFrame
  | CallFrame
  | TouchFrame
  | QueueFrame
  | AgentFrame
  | LinkFrame
  | NoticeFrame;

export interface Resume {
  type: "resume";
  session: string;
  seq: number;
}

export interface Ack {
  type: "ack";
  id: string;
  shown_at: string;
}

export type ClientMessage = Resume | Ack;

/** Close codes of the socket, as `agent_ui/messages.py` lists them. */
export const CLOSE = {
  NOT_SIGNED_IN: 4001,
  TOO_SLOW: 4002,
  BAD_FRAME: 4003,
  SIGNED_OUT: 4004,
  REPLACED: 4005,
} as const;
