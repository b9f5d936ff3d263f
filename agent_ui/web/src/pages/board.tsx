/** The supervisor's board: who waits, who works, which calls are going on. All by push. */

import type { ComponentChildren } from "preact";
import { duration, severity, since } from "../format.ts";
import { type Key, t } from "../i18n.ts";
import { ContactPanel } from "../parts/contact_panel.tsx";
import { Name, Running, Tier } from "../parts/text.tsx";
import type { AgentBody, CallBody, EntryBody, MemberBody, QueueBody } from "../protocol.ts";
import { agents, calls, now, openContact, queues } from "../store.ts";
import { knownContact, partyName } from "../words.ts";

function Figure({
  label,
  children,
  look = "",
}: {
  label: string;
  children: ComponentChildren;
  look?: string;
}) {
  return (
    <div class="figure" data-look={look}>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Figures() {
  const all = [...queues.value.values()];
  const entries = all.flatMap((queue) => queue.entries);
  const longest = Math.max(0, ...entries.map((entry) => since(entry.since, now.value)));
  const people = [...agents.value.values()];
  const count = (...states: AgentBody["state"][]) =>
    people.filter((agent) => states.includes(agent.state)).length;
  const sum = (of: (queue: QueueBody) => number) => all.reduce((total, one) => total + of(one), 0);
  return (
    <dl class="figures">
      <Figure label={t("board.waiting")} look={entries.length > 0 ? severity(longest) : ""}>
        {entries.length}
      </Figure>
      <Figure label={t("board.longest")} look={entries.length > 0 ? severity(longest) : ""}>
        {entries.length > 0 ? duration(longest) : "–"}
      </Figure>
      <Figure label={t("board.available")}>{count("available")}</Figure>
      <Figure label={t("board.busy")}>{count("talking", "held")}</Figure>
      <Figure label={t("board.paused")}>{count("paused")}</Figure>
      <Figure label={t("board.calls")}>{calls.value.size}</Figure>
      <Figure label={t("board.answered")}>{sum((queue) => queue.answered_today)}</Figure>
      <Figure label={t("board.abandoned")}>{sum((queue) => queue.abandoned_today)}</Figure>
      <Figure label={t("board.unanswered")}>{sum((queue) => queue.unanswered_today)}</Figure>
    </dl>
  );
}

function Waiting({ entry }: { entry: EntryBody }) {
  const how = severity(since(entry.since, now.value));
  return (
    <li class="waiting" data-severity={how}>
      <span class="position">{entry.position}</span>
      <span class="name">
        <Name>{entry.name || partyName(entry.party)}</Name>
        {entry.name !== "" && (
          <span class="account">
            <Name>{partyName(entry.party)}</Name>
          </span>
        )}
      </span>
      {how !== "short" && <span class="severity">{t(`severity.${how}`)}</span>}
      <Running from={entry.since} />
    </li>
  );
}

function Member({ member }: { member: MemberBody }) {
  return (
    <li class="member" data-state={member.state}>
      <span class="lamp" aria-hidden="true" />
      <Name>{member.name || member.interface}</Name>
      <span class="state">
        {member.state === "paused" && member.reason !== "" ? (
          <Name>{member.reason}</Name>
        ) : (
          t(`member.${member.state}`)
        )}
      </span>
      {member.since !== null && member.state !== "unavailable" && <Running from={member.since} />}
    </li>
  );
}

const MEMBER_ORDER = ["ringing", "in_use", "on_hold", "idle", "paused", "unavailable"];

function Queue({ queue, several }: { queue: QueueBody; several: boolean }) {
  const members = queue.members.toSorted(
    (a, b) =>
      MEMBER_ORDER.indexOf(a.state) - MEMBER_ORDER.indexOf(b.state) || a.name.localeCompare(b.name),
  );
  const entries = queue.entries.toSorted((a, b) => a.position - b.position);
  return (
    <article class="queue-card" data-queue={queue.id}>
      <header>
        <h3>
          <Name>{queue.name}</Name>
          {several && (
            <small>
              <Name>{queue.pbx}</Name>
            </small>
          )}
        </h3>
        <p class="today">
          <span>{t("queue.answered", { count: queue.answered_today })}</span>
          <span>{t("queue.abandoned", { count: queue.abandoned_today })}</span>
          <span>{t("queue.unanswered", { count: queue.unanswered_today })}</span>
        </p>
      </header>
      {entries.length === 0 ? (
        <p class="empty">{t("desk.nobody_waits")}</p>
      ) : (
        <ol class="entries">
          {entries.map((entry) => (
            <Waiting key={entry.call} entry={entry} />
          ))}
        </ol>
      )}
      {members.length === 0 ? (
        <p class="empty warn">{t("queue.no_members")}</p>
      ) : (
        <ul class="members" aria-label={t("queue.members")}>
          {members.map((member) => (
            <Member key={member.interface} member={member} />
          ))}
        </ul>
      )}
    </article>
  );
}

function callParty(call: CallBody): string {
  const contact = knownContact(call.match);
  return (
    contact?.name ??
    (call.match?.result === "internal" && call.party.name ? call.party.name : partyName(call.party))
  );
}

/** The PBX says of a phone only that it talks; whether it holds, the call says. */
function agentState(agent: AgentBody): AgentBody["state"] {
  const held = calls.value.get(agent.call)?.state === "held";
  return held && agent.state === "talking" ? "held" : agent.state;
}

const AGENT_ORDER = [
  "ringing",
  "talking",
  "held",
  "available",
  "paused",
  "unavailable",
  "offline",
] as const;

function Agents() {
  const all = [...agents.value.values()]
    .map((agent) => ({ ...agent, state: agentState(agent) }))
    .toSorted(
      (a, b) =>
        AGENT_ORDER.indexOf(a.state) - AGENT_ORDER.indexOf(b.state) || a.name.localeCompare(b.name),
    );
  const here = all.filter((agent) => agent.state !== "offline");
  const away = all.filter((agent) => agent.state === "offline");
  const row = (agent: AgentBody) => {
    const call = calls.value.get(agent.call);
    return (
      <li key={agent.id} class="agent-row" data-state={agent.state}>
        <span class="lamp" aria-hidden="true" />
        <span class="name">
          <Name>{agent.name}</Name>
          <span class="account">
            {call !== undefined ? (
              <Name>{callParty(call)}</Name>
            ) : (
              agent.team !== "" && <Name>{agent.team}</Name>
            )}
          </span>
        </span>
        <span class="state">
          {t(`agent.${agent.state}`)}
          {agent.reason !== "" && (
            <span class="account">
              <Name>{agent.reason}</Name>
            </span>
          )}
        </span>
        {agent.state !== "offline" ? <Running from={agent.since} /> : <span />}
      </li>
    );
  };
  return (
    <section class="agents" aria-labelledby="agents-title">
      <h2 id="agents-title">{t("board.agents")}</h2>
      {here.length === 0 ? <p class="empty">{t("board.no_agents")}</p> : <ul>{here.map(row)}</ul>}
      {away.length > 0 && (
        <details>
          <summary>{t("board.offline", { count: away.length })}</summary>
          <ul>{away.map(row)}</ul>
        </details>
      )}
    </section>
  );
}

function Call({ call }: { call: CallBody }) {
  const contact = knownContact(call.match);
  return (
    <tr data-state={call.state}>
      <td class="caller">
        {contact === undefined ? (
          <Name>{callParty(call)}</Name>
        ) : (
          <button
            type="button"
            class="link"
            onClick={() => {
              openContact.value = contact.contact;
            }}
          >
            <Name>{contact.name}</Name>
          </button>
        )}
        {contact !== undefined && <Tier tier={contact.tier} />}
        <span class="account">
          {contact !== undefined && contact.account !== "" ? (
            <Name>{contact.account}</Name>
          ) : (
            t(`direction.${call.direction}`)
          )}
        </span>
      </td>
      <td class="state">
        <span class="lamp" aria-hidden="true" />
        {t(`call.${call.state}` as Key)}
      </td>
      <td class="place">
        <Name>{call.queue || call.dialed}</Name>
      </td>
      <td class="participants">
        {call.participants.length === 0
          ? "–"
          : call.participants.map((one) => (
              <span key={one.endpoint}>
                <Name>{one.name || one.endpoint}</Name>
                {one.state === "ringing" && call.state !== "ringing" && (
                  <small>{t("member.ringing")}</small>
                )}
              </span>
            ))}
      </td>
      <td class="lasts">
        <Running from={call.answered_at ?? call.started_at} />
      </td>
    </tr>
  );
}

const CALL_ORDER = ["queued", "ringing", "started", "talking", "held", "ended"];

function Calls() {
  const all = [...calls.value.values()].toSorted(
    (a, b) =>
      CALL_ORDER.indexOf(a.state) - CALL_ORDER.indexOf(b.state) ||
      Date.parse(a.started_at) - Date.parse(b.started_at),
  );
  return (
    <section class="live-calls" aria-labelledby="calls-title">
      <h2 id="calls-title">{t("board.live_calls")}</h2>
      {all.length === 0 ? (
        <p class="empty">{t("board.no_calls")}</p>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col">{t("board.column_caller")}</th>
              <th scope="col">{t("board.column_state")}</th>
              <th scope="col">{t("board.column_place")}</th>
              <th scope="col">{t("board.column_with")}</th>
              <th scope="col" class="lasts">
                {t("board.column_time")}
              </th>
            </tr>
          </thead>
          <tbody>
            {all.map((call) => (
              <Call key={call.id} call={call} />
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

export function Board() {
  const all = [...queues.value.values()].toSorted((a, b) => a.id.localeCompare(b.id));
  const several = new Set(all.map((queue) => queue.pbx)).size > 1;
  return (
    <div class={openContact.value === null ? "board" : "board with-panel"}>
      <main>
        <h1 class="unseen">{t("page.board")}</h1>
        <Figures />
        <div class="columns">
          <section class="queues" aria-labelledby="queues-title">
            <h2 id="queues-title">{t("board.queues")}</h2>
            {all.length === 0 ? (
              <p class="empty">{t("board.no_queues")}</p>
            ) : (
              <div class="queue-cards">
                {all.map((queue) => (
                  <Queue key={queue.id} queue={queue} several={several} />
                ))}
              </div>
            )}
          </section>
          <Agents />
        </div>
        <Calls />
      </main>
      {openContact.value !== null && <ContactPanel id={openContact.value} />}
    </div>
  );
}
