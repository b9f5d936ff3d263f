/** The bar above every page: where one is, who one is, and whether what one sees is true. */

import { useEffect } from "preact/hooks";
import { askPermission, permission } from "../alerts.ts";
import { LANGUAGES, type Language, language, t } from "../i18n.ts";
import { muted, setLanguage, setMuted, setTheme, type Theme, theme } from "../prefs.ts";
import type { UserBody } from "../protocol.ts";
import { audible } from "../ring.ts";
import { connectNow, link } from "../socket.ts";
import {
  go,
  linksDown,
  mayBoard,
  now,
  openContact,
  page,
  signOut,
  user,
  version,
} from "../store.ts";
import { linkConsequence, linkName } from "../words.ts";
import { Icon } from "./icon.tsx";
import { ContactSearch } from "./search.tsx";
import { ClockTime, Name, Sentence } from "./text.tsx";

/** The state of the connection, always in the same place, always in words. */
export function Connection() {
  const { phase, retryAt, skew, offline } = link.value;
  const seconds = Math.max(0, Math.ceil((retryAt - (now.value - skew)) / 1000));
  const [look, text] =
    phase === "live" && !offline
      ? (["up", t("connection.live")] as const)
      : offline
        ? (["down", t("connection.offline")] as const)
        : phase === "waiting"
          ? (["down", t("connection.waiting", { count: seconds })] as const)
          : phase === "connecting"
            ? (["busy", t("connection.connecting")] as const)
            : (["down", t("connection.stopped")] as const);
  return (
    <div class="connection" data-look={look}>
      <span class="lamp" aria-hidden="true" />
      <span>{text}</span>
      {phase === "waiting" && !offline && (
        <button type="button" class="link" onClick={connectNow}>
          {t("connection.now")}
        </button>
      )}
    </div>
  );
}

/** What is broken and what that means, in whole sentences, below the bar. */
export function Troubles() {
  const { phase } = link.value;
  return (
    <div class="troubles" role="status">
      {phase === "replaced" && (
        <p class="trouble">
          <Icon name="alert" />
          <span>{t("connection.replaced")}</span>
          <button type="button" onClick={connectNow}>
            {t("connection.here")}
          </button>
        </p>
      )}
      {linksDown.value.map((one) => (
        <p class="trouble" key={one.name}>
          <Icon name="alert" />
          <span>
            <Sentence
              id="link.down"
              values={{ name: linkName(one.name), time: <ClockTime at={one.since} /> }}
            />{" "}
            {linkConsequence(one.name)}
            {one.message !== "" && (
              <small>
                <Name>{one.message}</Name>
              </small>
            )}
          </span>
        </p>
      ))}
    </div>
  );
}

const THEMES: readonly Theme[] = ["auto", "light", "dark"];

export function ThemeChoice() {
  return (
    <select
      aria-label={t("theme.choose")}
      value={theme.value}
      onChange={(event) => setTheme(event.currentTarget.value as Theme)}
    >
      {THEMES.map((one) => (
        <option key={one} value={one}>
          {t(`theme.${one}`)}
        </option>
      ))}
    </select>
  );
}

export function LanguageChoice() {
  return (
    <select
      aria-label={t("language.choose")}
      value={language.value}
      onChange={(event) => setLanguage(event.currentTarget.value as Language)}
    >
      {Object.entries(LANGUAGES).map(([code, name]) => (
        <option key={code} value={code} lang={code}>
          {name}
        </option>
      ))}
    </select>
  );
}

function SoundButton() {
  const label = t(muted.value ? "sound.off" : audible.value ? "sound.on" : "sound.waiting");
  return (
    <button
      type="button"
      class="quiet"
      data-shortcut="m"
      aria-pressed={muted.value}
      title={label}
      onClick={() => setMuted(!muted.value)}
    >
      <Icon name={muted.value ? "silent" : "sound"} />
      <span class="unseen">{label}</span>
    </button>
  );
}

function NotifyButton() {
  if (permission.value !== "default") return null;
  return (
    <button
      type="button"
      class="quiet attention"
      title={t("alert.ask")}
      onClick={() => void askPermission()}
    >
      <Icon name="bell" />
      <span class="unseen">{t("alert.ask")}</span>
    </button>
  );
}

const SHORTCUTS = [
  ["/", "keys.search"],
  ["1 – 9", "keys.candidate"],
  ["o", "keys.open"],
  ["x", "keys.dismiss"],
  ["m", "keys.mute"],
  ["Esc", "keys.close"],
  ["?", "keys.help"],
] as const;

function Help() {
  return (
    <dialog id="help" class="help" aria-label={t("keys.title")}>
      <h2>{t("keys.title")}</h2>
      <dl>
        {SHORTCUTS.map(([key, text]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{t(text)}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit">{t("keys.close")}</button>
      </form>
    </dialog>
  );
}

function showHelp(): void {
  const dialog = document.getElementById("help");
  if (dialog instanceof HTMLDialogElement) dialog.showModal();
}

/** "EY" for Ece Yılmaz. */
function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const letters = [words[0], words.length > 1 ? words.at(-1) : ""].map(
    (word) => [...(word ?? "")][0],
  );
  return letters.join("").toLocaleUpperCase(language.value);
}

function Menu({ who }: { who: UserBody }) {
  return (
    <>
      <button type="button" class="quiet me" popovertarget="menu" title={t("menu.title")}>
        <span class="initials" aria-hidden="true">
          {initials(who.name)}
        </span>
        <span class="name">
          <Name>{who.name}</Name>
        </span>
      </button>
      <div id="menu" popover="auto" class="menu">
        <p>
          <b>
            <Name>{who.name}</Name>
          </b>
          <span class="account">
            <Name>{[who.login, who.team].filter(Boolean).join(" · ")}</Name>
          </span>
        </p>
        <div class="choices">
          <span>{t("language.choose")}</span>
          <LanguageChoice />
          <span>{t("theme.choose")}</span>
          <ThemeChoice />
        </div>
        <button
          type="button"
          class="quiet"
          data-shortcut="?"
          popovertarget="menu"
          popovertargetaction="hide"
          onClick={showHelp}
        >
          <Icon name="keyboard" />
          {t("keys.help")}
        </button>
        <button type="button" class="quiet" onClick={() => void signOut()}>
          <Icon name="door" />
          {t("signin.out")}
        </button>
        <p class="version">Santral {version.value}</p>
      </div>
    </>
  );
}

/** Keys that act on the page: an element carries its key in `data-shortcut`. */
function useShortcuts(): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const { target } = event;
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (target instanceof Element && target.closest("input, select, textarea, dialog")) return;
      if (event.key === "Escape") {
        openContact.value = null;
        return;
      }
      const found = document.querySelector<HTMLElement>(
        `[data-shortcut="${CSS.escape(event.key)}"]`,
      );
      if (found === null || found.matches(":disabled")) return;
      event.preventDefault();
      if (found instanceof HTMLInputElement) found.focus();
      else found.click();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

export function TopBar() {
  useShortcuts();
  const who = user.value;
  if (!who) return null;
  const place = (name: "desk" | "board") => (
    <a
      href={`/${name}`}
      {...(page.value === name ? { "aria-current": "page" as const } : {})}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        go(name);
      }}
    >
      {t(`page.${name}`)}
    </a>
  );
  return (
    <header class="bar">
      <span class="brand">Santral</span>
      <nav aria-label={t("page.nav")}>
        {place("desk")}
        {mayBoard(who) && place("board")}
      </nav>
      <ContactSearch
        label={t("search.label")}
        placeholder={t("search.placeholder")}
        shortcut="/"
        onPick={(contact) => {
          openContact.value = contact.id;
        }}
      />
      <Connection />
      <div class="tools">
        <NotifyButton />
        <SoundButton />
        <Menu who={who} />
      </div>
      <Help />
    </header>
  );
}
