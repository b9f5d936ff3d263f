/** Saying who it was: one of the candidates, or somebody found by name. */

import { useState } from "preact/hooks";
import { api, type ContactBody, Problem } from "../api.ts";
import { type Key, t } from "../i18n.ts";
import type { CandidateBody } from "../protocol.ts";
import { openContact } from "../store.ts";
import { contactLine } from "../words.ts";
import { Icon } from "./icon.tsx";
import { ContactSearch } from "./search.tsx";
import { Name, Sentence, Tier } from "./text.tsx";

/** Make the choice of a person, or say why it did not work. */
function useChoice(touch: number) {
  const [chosen, setChosen] = useState<number | null>(null);
  const [error, setError] = useState("");
  const choose = async (contact: number) => {
    setChosen(contact);
    setError("");
    try {
      await api.choose(touch, contact);
    } catch (problem) {
      setChosen(null);
      setError(
        problem instanceof Problem && problem.status === 0
          ? t("error.unreachable")
          : t("pop.choose_failed"),
      );
    }
  };
  return { chosen, error, choose };
}

function Failed({ text }: { text: string }) {
  if (text === "") return null;
  return (
    <p class="error" role="alert">
      {text}
    </p>
  );
}

interface CandidatesProps {
  touch: number;
  candidates: readonly CandidateBody[];
  /** Whether the keys 1 to 9 choose here. */
  keys?: boolean;
  /** The question; another one once the call is over. */
  question?: Key;
}

/** Several people have this number: which of them is it? */
export function Candidates({
  touch,
  candidates,
  keys = false,
  question = "pop.who",
}: CandidatesProps) {
  const { chosen, error, choose } = useChoice(touch);
  return (
    <fieldset class="candidates">
      <legend>{t(question)}</legend>
      {candidates.map((candidate, index) => (
        <button
          key={candidate.contact}
          type="button"
          class="candidate"
          disabled={chosen !== null}
          aria-busy={chosen === candidate.contact}
          {...(keys && index < 9 ? { "data-shortcut": String(index + 1) } : {})}
          onClick={() => void choose(candidate.contact)}
        >
          {keys && index < 9 && (
            <span class="key" aria-hidden="true">
              {index + 1}
            </span>
          )}
          <span class="name">
            <Name>{candidate.name}</Name>
            <Tier tier={candidate.tier} />
          </span>
          <span class="account">
            <Name>{[candidate.account, candidate.external_id].filter(Boolean).join(" · ")}</Name>
          </span>
        </button>
      ))}
      <Failed text={error} />
    </fieldset>
  );
}

/** The person found; saved only after a second look, since the history is rewritten. */
function Found({
  touch,
  contact,
  onOther,
}: {
  touch: number;
  contact: ContactBody;
  onOther: () => void;
}) {
  const { chosen, error, choose } = useChoice(touch);
  return (
    <div class="found-one">
      <p>
        <span class="name">
          <Name>{contact.name}</Name>
          <Tier tier={contact.tier} />
        </span>
        <span class="account">
          <Name>{contactLine(contact)}</Name>
        </span>
      </p>
      <button
        type="button"
        class="primary"
        disabled={chosen !== null}
        aria-busy={chosen !== null}
        onClick={() => void choose(contact.id)}
      >
        <Icon name="check" />
        <span>
          <Sentence id="choose.save" values={{ name: <Name>{contact.name}</Name> }} />
        </span>
      </button>
      <button type="button" class="quiet" disabled={chosen !== null} onClick={onOther}>
        {t("choose.other")}
      </button>
      <Failed text={error} />
    </div>
  );
}

/** Nobody known: ask, and find the person by name. Without a touch there is only the looking up. */
export function LookUp({ touch, hint }: { touch: number | null; hint: Key }) {
  const [found, setFound] = useState<ContactBody | null>(null);
  return (
    <div class="look-up">
      {found !== null && touch !== null ? (
        <Found touch={touch} contact={found} onOther={() => setFound(null)} />
      ) : (
        <>
          <p>{t(hint)}</p>
          <ContactSearch
            label={t("pop.look_up")}
            placeholder={t("search.placeholder")}
            onPick={(contact) => {
              if (touch === null) openContact.value = contact.id;
              else setFound(contact);
            }}
          />
        </>
      )}
    </div>
  );
}
