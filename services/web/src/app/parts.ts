import { PartMissing } from "@/components/Fallible";

/** What loads a module, failing with {@link PartMissing}. */
export function part<T>(load: () => Promise<T>): () => Promise<T> {
  return () =>
    load().catch((cause: unknown) => {
      throw new PartMissing("A part of the page could not be loaded.", { cause });
    });
}

/** The parts of the page that are loaded when they are needed, or a while after the start: offline they must be there. */
export const parts = {
  UserMenu: part(() => import("./UserMenu")),
  MenuDrawer: part(() => import("./MenuDrawer")),
  InboxPage: part(() => import("@/features/inbox/InboxPage")),
  MessagesPage: part(() => import("@/features/messages/MessagesPage")),
  TopicsPage: part(() => import("@/features/topics/TopicsPage")),
  TopicPage: part(() => import("@/features/feed/TopicPage")),
  TopicSettingsPage: part(() => import("@/features/topics/TopicSettingsPage")),
  AccountPage: part(() => import("@/features/account/AccountPage")),
  Composer: part(() => import("@/features/publish/Composer")),
  CreateTopic: part(() => import("@/features/topics/CreateTopic")),
  DeleteTopic: part(() => import("@/features/topics/DeleteTopic")),
  SubscriberList: part(() => import("@/features/topics/SubscriberList")),
  Markdown: part(() => import("@/components/Markdown")),
} as const;

const AFTER_MS = 3_000;

/** Load every part soon, one after the other; returns what gives that up. One that fails is tried again when needed. */
export function loadPartsSoon(): () => void {
  let over = false;
  const timer = setTimeout(async () => {
    for (const load of Object.values(parts)) {
      if (over) return;
      await load().catch(() => undefined);
    }
    document.documentElement.dataset.parts = "loaded";
  }, AFTER_MS);
  return () => {
    over = true;
    clearTimeout(timer);
  };
}
