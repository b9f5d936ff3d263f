/** The page begins here: settings first, then who is signed in, then the connection. */

import "./style/base.css";
import "./style/bar.css";
import "./style/desk.css";
import "./style/board.css";

import { render } from "preact";
import { spoken, startAlerts } from "./alerts.ts";
import { api, Problem } from "./api.ts";
import { t } from "./i18n.ts";
import { Board } from "./pages/board.tsx";
import { Desk } from "./pages/desk.tsx";
import { SignIn } from "./pages/signin.tsx";
import { Toast } from "./parts/toast.tsx";
import { TopBar, Troubles } from "./parts/top_bar.tsx";
import { followPrefs, settleLanguage } from "./prefs.ts";
import { startRinging } from "./ring.ts";
import { entered, left, mayBoard, page, pageOf, startClock, user } from "./store.ts";

const RETRY_MS = 3_000;

function App() {
  const who = user.value;
  if (who === undefined) {
    return (
      <main class="starting">
        <p class="empty">{t("connection.connecting")}</p>
      </main>
    );
  }
  if (who === null || page.value === "signin") return <SignIn />;
  return (
    <>
      <TopBar />
      <Troubles />
      {page.value === "board" ? <Board /> : <Desk />}
      <Toast />
      <p class="unseen" role="alert">
        {spoken.value}
      </p>
    </>
  );
}

/** Ask who is signed in; keep asking while the server is away. */
async function enter(): Promise<void> {
  try {
    entered(await api.session());
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 401) {
      const linkUsed = new URLSearchParams(location.search).get("signin") === "expired";
      left(linkUsed ? "link_used" : "");
      return;
    }
    setTimeout(() => void enter(), RETRY_MS);
  }
}

settleLanguage();
followPrefs();
startClock();
startRinging();
startAlerts();
addEventListener("popstate", () => {
  const who = user.value;
  if (!who) return;
  const asked = pageOf(location.pathname);
  page.value = asked === "board" && mayBoard(who) ? "board" : "desk";
});

const root = document.getElementById("page");
if (root !== null) render(<App />, root);
void enter();
