/**
 * The ring: a short soft tone while a card rings, in one tab only.
 *
 * Browsers let a tab make a sound only after a person has touched it, so a tab stands for the job
 * (a Web Lock) from its first touch on; the first such tab has it, and when it closes the next one
 * inherits it. Without Web Locks (a page served without TLS from another machine) tabs agree over a
 * BroadcastChannel: who hears a tab with a smaller name ring stays silent.
 */

import { effect, signal } from "@preact/signals";
import { isRinging, isTalking } from "./live.ts";
import { muted } from "./prefs.ts";
import { live } from "./store.ts";

const PERIOD_MS = 3_000;

/** This tab is the one that rings. */
export const rings = signal(false);
/** This tab may make a sound: a person has touched it. */
export const audible = signal(false);

const tab = `${Date.now()}-${Math.random()}`;
const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("santral-ring") : null;
let context: AudioContext | undefined;
let heardOther = 0;

function stand(): void {
  if (audible.value) return;
  audible.value = true;
  context = new AudioContext();
  if (navigator.locks) {
    void navigator.locks.request("santral-ring", () => {
      rings.value = true;
      return new Promise<never>(() => {}); // ours until the tab closes
    });
  } else {
    rings.value = true;
  }
}

/** Two soft notes, a fifth apart. */
function play(audio: AudioContext): void {
  void audio.resume();
  for (const [delay, pitch] of [
    [0, 587.33],
    [0.22, 880],
  ] as const) {
    const start = audio.currentTime + delay;
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    tone.type = "sine";
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0, start);
    volume.gain.linearRampToValueAtTime(0.16, start + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.001, start + 0.6);
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(start + 0.65);
  }
}

function sound(): void {
  if (context === undefined) return;
  if (!navigator.locks && Date.now() - heardOther < PERIOD_MS + 1_000) return;
  channel?.postMessage(tab);
  play(context);
}

export function startRinging(): void {
  for (const touch of ["pointerdown", "keydown"]) {
    addEventListener(touch, stand, { once: true, capture: true });
  }
  if (channel !== null) {
    channel.onmessage = (event) => {
      if (String(event.data) < tab) heardOther = Date.now();
    };
  }
  let repeat: ReturnType<typeof setInterval> | undefined;
  let was = false;
  effect(() => {
    const { cards } = live.value;
    const calling = cards.some(isRinging) && !cards.some(isTalking);
    const ringing = rings.value && !muted.value && calling;
    if (ringing === was) return;
    was = ringing;
    document.documentElement.toggleAttribute("data-ringing", ringing);
    clearInterval(repeat);
    if (!ringing) return;
    sound();
    repeat = setInterval(sound, PERIOD_MS);
  });
}
