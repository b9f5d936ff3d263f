/** A box that finds contacts while one types. */

import { signal } from "@preact/signals";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { api, type ContactBody } from "../api.ts";
import { t } from "../i18n.ts";
import { contactLine } from "../words.ts";
import { Icon } from "./icon.tsx";
import { Name, Tier } from "./text.tsx";

/** On a phone the long hint would be cut. */
const screen = matchMedia("(max-width: 620px)");
const narrow = signal(screen.matches);
screen.addEventListener("change", () => {
  narrow.value = screen.matches;
});

const PAUSE_MS = 150;

interface Props {
  label: string;
  placeholder: string;
  shortcut?: string;
  onPick: (contact: ContactBody) => void;
}

export function ContactSearch({ label, placeholder, shortcut, onPick }: Props) {
  const [text, setText] = useState("");
  const [found, setFound] = useState<readonly ContactBody[] | null>(null);
  const [failed, setFailed] = useState(false);
  const [at, setAt] = useState(0);
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLInputElement>(null);
  const id = useId();

  useEffect(() => {
    const wanted = text.trim();
    setAt(0);
    if (wanted.length < 2) {
      setFound(null);
      return;
    }
    let stale = false;
    const timer = setTimeout(() => {
      api.search(wanted).then(
        (answer) => {
          if (stale) return;
          setFound(answer.items);
          setFailed(false);
        },
        () => {
          if (!stale) setFailed(true);
        },
      );
    }, PAUSE_MS);
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [text]);

  const pick = (contact: ContactBody | undefined) => {
    if (contact === undefined) return;
    setText("");
    setOpen(false);
    box.current?.blur();
    onPick(contact);
  };

  const keyed = (event: KeyboardEvent) => {
    const count = found?.length ?? 0;
    if (event.key === "ArrowDown" && count > 0) setAt((at + 1) % count);
    else if (event.key === "ArrowUp" && count > 0) setAt((at + count - 1) % count);
    else if (event.key === "Enter") pick(found?.[at]);
    else if (event.key === "Escape") {
      event.stopPropagation();
      if (text === "") box.current?.blur();
      setText("");
    } else return;
    event.preventDefault();
  };

  const listed = open && text.trim().length >= 2 && (found !== null || failed);
  return (
    <search class="search">
      <Icon name="search" />
      <input
        ref={box}
        type="text"
        role="combobox"
        aria-label={label}
        aria-expanded={listed}
        aria-controls={id}
        aria-autocomplete="list"
        {...(listed && found?.[at] ? { "aria-activedescendant": `${id}-${at}` } : {})}
        {...(shortcut === undefined ? {} : { "data-shortcut": shortcut })}
        placeholder={narrow.value ? t("search.placeholder_short") : placeholder}
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setOpen(true);
        }}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={keyed}
      />
      {shortcut !== undefined && (
        <span class="key" aria-hidden="true">
          {shortcut}
        </span>
      )}
      <div class="found" hidden={!listed}>
        <div id={id} role="listbox" aria-label={label} tabIndex={-1}>
          {(found ?? []).map((contact, index) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are the box's, as a combobox has it
            <div
              key={contact.id}
              id={`${id}-${index}`}
              role="option"
              tabIndex={-1}
              aria-selected={index === at}
              onPointerDown={(event) => event.preventDefault()}
              onClick={() => pick(contact)}
            >
              <span class="name">
                <Name>{contact.name}</Name>
                <Tier tier={contact.tier} />
              </span>
              <span class="account">
                <Name>{contactLine(contact)}</Name>
              </span>
            </div>
          ))}
        </div>
        {failed && <p class="empty">{t("search.failed")}</p>}
        {!failed && found?.length === 0 && <p class="empty">{t("search.nothing")}</p>}
      </div>
    </search>
  );
}
