/** The last notice: one line over the page that moves nothing, and goes by itself. */

import { t } from "../i18n.ts";
import { notice, noticeHeld, openContact } from "../store.ts";
import { isWarning, noticeText } from "../words.ts";
import { Icon } from "./icon.tsx";
import { Name, Sentence } from "./text.tsx";

function Text() {
  const told = notice.value;
  if (told === null) return null;
  const { key, values, plain } = noticeText(told.frame);
  if (key === null) return <Name>{plain}</Name>;
  const names = Object.entries(values).map(([name, value]) => [
    name,
    <Name key={name}>{value}</Name>,
  ]);
  return <Sentence id={key} values={Object.fromEntries(names)} />;
}

export function Toast() {
  const told = notice.value;
  const put = () => {
    noticeHeld.value = false;
    notice.value = null;
  };
  const hold = () => {
    noticeHeld.value = true;
  };
  const release = () => {
    noticeHeld.value = false;
  };
  const warning = told !== null && isWarning(told.frame);
  return (
    <div
      class={told === null ? "unseen" : "toast"}
      data-look={warning ? "warning" : "news"}
      onPointerEnter={hold}
      onPointerLeave={release}
      onFocusCapture={hold}
      onBlurCapture={release}
    >
      {told !== null && <Icon name={warning ? "alert" : "mail"} />}
      {/* Always there, so that screen readers notice when its text changes. */}
      <p role="status">
        <Text />
      </p>
      {told !== null && told.contact !== null && (
        <button
          type="button"
          class="link"
          onClick={() => {
            openContact.value = told.contact?.contact ?? null;
            put();
          }}
        >
          {t("notice.open")}
        </button>
      )}
      {told !== null && (
        <button type="button" class="quiet small" title={t("notice.close")} onClick={put}>
          <Icon name="close" />
          <span class="unseen">{t("notice.close")}</span>
        </button>
      )}
    </div>
  );
}
