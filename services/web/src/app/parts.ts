/** The parts of the page that are loaded when they are needed, or a while after the start: offline they must be there. */
export const parts = {
  UserMenu: () => import("./UserMenu"),
  MenuDrawer: () => import("./MenuDrawer"),
  InboxPage: () => import("@/features/inbox/InboxPage"),
  MessagesPage: () => import("@/features/messages/MessagesPage"),
  TopicsPage: () => import("@/features/topics/TopicsPage"),
  TopicPage: () => import("@/features/feed/TopicPage"),
  TopicSettingsPage: () => import("@/features/topics/TopicSettingsPage"),
  AccountPage: () => import("@/features/account/AccountPage"),
  Composer: () => import("@/features/publish/Composer"),
  CreateTopic: () => import("@/features/topics/CreateTopic"),
  DeleteTopic: () => import("@/features/topics/DeleteTopic"),
  SubscriberList: () => import("@/features/topics/SubscriberList"),
  Markdown: () => import("@/components/Markdown"),
} as const;

const AFTER_MS = 3_000;

/** Load every part soon, one after the other; returns what gives that up. */
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
