/** Tells of new notifications beyond the page: by one window of this browser, as the user wishes. */
import { navigate } from "wouter/use-browser-location";
import { Observable } from "@/api/observable";
import type { Notification } from "@/api/types";
import { Batcher } from "@/socket/batcher";
import { type AlertWishes, alertOf, QUIET, wanted } from "./alerts";

const KEY = "notifyx.alerts";
const GATHER_MS = 300;

/** Two tones, each of so many seconds. */
const TONES = [880, 1174.66];
const TONE_SECONDS = 0.12;

export class Alerter {
  readonly wishes = new Observable<AlertWishes>(load());
  readonly #own: string;
  readonly #nameOf: (topic: string) => string;
  readonly #batch: Batcher<Notification>;
  readonly #leaving = new AbortController();
  #leads = navigator.locks === undefined;
  #sound: AudioContext | undefined;

  constructor(own: string, nameOf: (topic: string) => string) {
    this.#own = own;
    this.#nameOf = nameOf;
    this.#batch = new Batcher(GATHER_MS, (items) => this.#tell(items));
    window.addEventListener("storage", this.#changedElsewhere);
    // The window that holds the lock speaks for all; when it closes, the next one gets it.
    navigator.locks
      ?.request("notifyx.alerts", { signal: this.#leaving.signal }, () => {
        this.#leads = true;
        return new Promise<void>((resolve) => this.#leaving.signal.addEventListener("abort", () => resolve()));
      })
      .catch(() => undefined);
  }

  arrived(items: readonly Notification[]): void {
    for (const item of items) if (wanted(this.wishes.get(), item, this.#own)) this.#batch.add(item);
  }

  /** Change what the user wishes; the browser is asked for its permission where that takes it. */
  async wish(wishes: AlertWishes): Promise<void> {
    const allowed = wishes.desktop && supported() ? (await Notification.requestPermission()) === "granted" : false;
    const settled = { ...wishes, desktop: wishes.desktop && allowed };
    localStorage.setItem(KEY, JSON.stringify(settled));
    this.wishes.set(settled);
    if (settled.sound) this.#play();
  }

  close(): void {
    this.#leaving.abort();
    this.#batch.clear();
    window.removeEventListener("storage", this.#changedElsewhere);
    void this.#sound?.close();
  }

  #tell(items: Notification[]): void {
    const wishes = this.wishes.get();
    const alert = alertOf(items, this.#nameOf);
    if (!this.#leads || alert === undefined) return;
    if (wishes.sound) this.#play();
    if (!wishes.desktop || !supported() || Notification.permission !== "granted") return;
    if (document.visibilityState === "visible" && document.hasFocus()) return;
    try {
      const shown = new Notification(alert.title, { body: alert.text, tag: alert.tag, icon: "/favicon.svg" });
      shown.onclick = () => {
        window.focus();
        navigate(alert.path);
        shown.close();
      };
    } catch {
      // Some phones have the permission and yet no such notifications of pages.
    }
  }

  #play(): void {
    this.#sound ??= new AudioContext();
    const sound = this.#sound;
    // Without a gesture of the user on this page, browsers keep it silent.
    if (sound.state === "suspended") void sound.resume();
    TONES.forEach((frequency, index) => {
      const start = sound.currentTime + index * TONE_SECONDS;
      const tone = sound.createOscillator();
      const volume = sound.createGain();
      tone.frequency.value = frequency;
      volume.gain.setValueAtTime(0.08, start);
      volume.gain.exponentialRampToValueAtTime(0.001, start + TONE_SECONDS * 2);
      tone.connect(volume).connect(sound.destination);
      tone.start(start);
      tone.stop(start + TONE_SECONDS * 2);
    });
  }

  #changedElsewhere = (event: StorageEvent): void => {
    if (event.key === KEY) this.wishes.set(load());
  };
}

/** Whether this browser has desktop notifications on this page. */
export function supported(): boolean {
  return "Notification" in window && window.isSecureContext;
}

function load(): AlertWishes {
  try {
    return { ...QUIET, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch {
    return QUIET;
  }
}
