/** The REST API, as far as the page uses it. Errors are `Problem`s with the server's stable code. */

import type { TouchBody, UserBody } from "./protocol.ts";

export interface Listing<T> {
  items: readonly T[];
  next: string | null;
}

/** As `agent_ui/http/contacts.py` defines them. */
export interface AccountBody {
  id: number;
  name: string;
  external_id: string;
  tier: string;
}

export interface PointBody {
  kind: string;
  value: string;
  display: string;
  label: string;
  shared: boolean;
  valid_from: string | null;
  valid_to: string | null;
}

export interface ContactBody {
  id: number;
  name: string;
  external_id: string;
  kind: string;
  tier: string;
  tags: readonly string[];
  notes: string;
  account: AccountBody | null;
  owner: number | null;
  points: readonly PointBody[];
}

export interface ContactWithTouches extends ContactBody {
  touches: readonly TouchBody[];
}

export class Problem extends Error {
  /** HTTP status; 0 when the server could not be reached. */
  readonly status: number;
  readonly code: string;
  /** Seconds after which it may be tried again, if the server says so. */
  readonly retryAfter: number | null;

  constructor(status: number, code: string, title: string, retryAfter: number | null = null) {
    super(title);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  let response: Response;
  try {
    response = await fetch(`/api/v1/${path}`, {
      method,
      credentials: "same-origin",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, "unreachable", "The server cannot be reached.");
  }
  const text = await response.text();
  let answer: unknown = null;
  try {
    answer = text === "" ? null : JSON.parse(text);
  } catch {
    // A proxy's own page; the status says enough.
  }
  if (response.ok) return answer as T;
  const problem = (answer ?? {}) as { code?: string; title?: string };
  const after = Number(response.headers.get("Retry-After"));
  throw new Problem(
    response.status,
    problem.code ?? "",
    problem.title ?? response.statusText,
    Number.isFinite(after) && after > 0 ? after : null,
  );
}

function query(values: Record<string, string | number>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== "") params.set(name, String(value));
  }
  return params.toString();
}

export const api = {
  session: () => call<UserBody>("GET", "session"),
  signIn: (login: string, password: string) =>
    call<UserBody>("POST", "session", { login, password }),
  signOut: () => call<null>("DELETE", "session"),
  touches: (medium: string, after: string) =>
    call<Listing<TouchBody>>("GET", `touches?${query({ medium, after })}`),
  choose: (touch: number, contact: number) =>
    call<TouchBody>("POST", `touches/${touch}/match`, { contact }),
  contact: (id: number) => call<ContactWithTouches>("GET", `contacts/${id}`),
  history: (contact: number) =>
    call<Listing<TouchBody>>("GET", `touches?${query({ contact, limit: 100 })}`),
  search: (text: string) =>
    call<Listing<ContactBody>>("GET", `contacts?${query({ text, limit: 12 })}`),
};
