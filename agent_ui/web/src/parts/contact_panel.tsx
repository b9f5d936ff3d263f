/** The side panel: a contact with numbers, addresses, notes and history. */

import { useEffect, useRef, useState } from "preact/hooks";
import { api, type ContactBody, type ContactWithTouches, type PointBody, Problem } from "../api.ts";
import { t } from "../i18n.ts";
import type { TouchBody } from "../protocol.ts";
import { openContact } from "../store.ts";
import { coded, labelName } from "../words.ts";
import { Icon } from "./icon.tsx";
import { Name, Tier } from "./text.tsx";
import { TouchLine } from "./touch_row.tsx";

type Loaded =
  | { state: "loading" }
  | { state: "failed"; text: string }
  | { state: "ready"; contact: ContactWithTouches };

async function load(id: number): Promise<Loaded> {
  try {
    return { state: "ready", contact: await api.contact(id) };
  } catch (problem) {
    const status = problem instanceof Problem ? problem.status : -1;
    const text =
      status === 404
        ? t("contact.missing")
        : status === 0
          ? t("error.unreachable")
          : t("contact.failed");
    return { state: "failed", text };
  }
}

/** The way to call or write: a number without spaces, an address with every sign made safe. */
function PointLink({ point }: { point: PointBody }) {
  const text = <Name>{point.display}</Name>;
  if (point.valid_to !== null) return text;
  if (point.kind === "phone" && /^\+?\d+$/.test(point.value)) {
    return <a href={`tel:${point.value}`}>{text}</a>;
  }
  if (point.kind === "email") {
    const [local = "", domain = ""] = point.value.split(/@(?=[^@]*$)/);
    return <a href={`mailto:${encodeURIComponent(local)}@${encodeURIComponent(domain)}`}>{text}</a>;
  }
  return text;
}

function Points({ contact }: { contact: ContactBody }) {
  return (
    <ul class="points">
      {contact.points.map((point) => (
        <li key={`${point.kind}${point.value}`} data-past={point.valid_to !== null}>
          <Icon name={point.kind === "email" ? "mail" : "phone"} />
          <span class={point.kind === "phone" ? "value digits" : "value"}>
            <PointLink point={point} />
          </span>
          <span class="label">
            {point.label !== "" && <Name>{labelName(point.label)}</Name>}
            {point.shared && <span class="tag">{t("contact.shared")}</span>}
            {point.valid_to !== null && <span class="tag">{t("contact.past")}</span>}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** As many of the last touches as come with the contact. */
const FIRST_TOUCHES = 10;

function History({ contact }: { contact: ContactWithTouches }) {
  const [all, setAll] = useState<readonly TouchBody[] | null>(null);
  const shown = all ?? contact.touches;
  if (shown.length === 0) return <p class="empty">{t("contact.no_history")}</p>;
  return (
    <>
      <ul class="history">
        {shown.map((touch) => (
          <TouchLine key={touch.id} touch={touch} />
        ))}
      </ul>
      {all === null && contact.touches.length >= FIRST_TOUCHES && (
        <button
          type="button"
          onClick={() => {
            api.history(contact.id).then(
              (answer) => setAll(answer.items),
              () => {}, // the button stays, to be pressed again
            );
          }}
        >
          {t("contact.more")}
        </button>
      )}
    </>
  );
}

function Details({ contact }: { contact: ContactWithTouches }) {
  return (
    <>
      <h2>
        <Name>{contact.name}</Name>
        <Tier tier={contact.tier} />
      </h2>
      <p class="account">
        {contact.account !== null && <Name>{contact.account.name}</Name>}
        <span class="external">
          {coded("contact_kind", contact.kind)}
          {contact.external_id !== "" && (
            <>
              {" · "}
              <Name>{contact.external_id}</Name>
            </>
          )}
        </span>
      </p>
      {contact.tags.length > 0 && (
        <ul class="tags">
          {contact.tags.map((tag) => (
            <li key={tag} class="tag">
              <Name>{tag}</Name>
            </li>
          ))}
        </ul>
      )}
      {contact.notes !== "" && (
        <p class="note">
          <Name>{contact.notes}</Name>
        </p>
      )}
      <section>
        <h3>{t("contact.points")}</h3>
        {contact.points.length > 0 ? (
          <Points contact={contact} />
        ) : (
          <p class="empty">{t("contact.no_points")}</p>
        )}
      </section>
      <section>
        <h3>{t("contact.history")}</h3>
        <History key={contact.id} contact={contact} />
      </section>
    </>
  );
}

export function ContactPanel({ id }: { id: number }) {
  const [loaded, setLoaded] = useState<Loaded>({ state: "loading" });
  const panel = useRef<HTMLElement>(null);

  useEffect(() => {
    let stale = false;
    setLoaded({ state: "loading" });
    void load(id).then((next) => {
      if (!stale) setLoaded(next);
    });
    const before = document.activeElement;
    panel.current?.focus();
    return () => {
      stale = true;
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, [id]);

  return (
    <aside ref={panel} class="panel" tabIndex={-1} aria-label={t("contact.title")}>
      <button
        type="button"
        class="quiet close"
        title={t("contact.close")}
        onClick={() => {
          openContact.value = null;
        }}
      >
        <Icon name="close" />
        <span class="unseen">{t("contact.close")}</span>
      </button>
      <div aria-busy={loaded.state === "loading"}>
        {loaded.state === "loading" && <p class="empty">{t("contact.loading")}</p>}
        {loaded.state === "failed" && (
          <p class="error" role="alert">
            {loaded.text}
          </p>
        )}
        {loaded.state === "ready" && <Details contact={loaded.contact} />}
      </div>
    </aside>
  );
}
