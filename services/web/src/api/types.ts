/** The shapes of the API by their names, as the gateway describes them. */
export type {
  AckState,
  ClientConfig,
  HistoryPage,
  Hook,
  HookSecret,
  InboxNotification,
  InboxPage,
  NewNotification,
  NewTopic,
  Notification,
  Subscription,
  Topic,
  TopicPatch,
  User,
} from "./schema";

import type { NewNotification, Subscription } from "./schema";

export type Priority = NonNullable<NewNotification["priority"]>;
export type EmailMode = Subscription["email"];
