/** The shapes of the API by their names, as the gateway describes them. */
export type {
  AckState,
  ApiKey,
  ClientConfig,
  CreatedApiKey,
  DescribedTopic,
  DirectFoundPage,
  FoundPage,
  HistoryPage,
  Hook,
  HookSecret,
  InboxNotification,
  InboxPage,
  LinkCheck,
  NewNotification,
  NewPassword,
  NewTopic,
  Notification,
  Session,
  SignedUp,
  Subscription,
  Thread,
  ThreadNotification,
  ThreadsPage,
  Topic,
  TopicPatch,
  User,
} from "./schema";

import type { ApiKey, NewNotification, Subscription } from "./schema";

export type Priority = NonNullable<NewNotification["priority"]>;
export type EmailMode = Subscription["email"];
export type Scope = ApiKey["scopes"][number];
