import { ActionIcon } from "@mantine/core";
import { useDisclosure, useHotkeys, useMediaQuery } from "@mantine/hooks";
import { IconMenu2 } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Suspense, useEffect, useMemo, useRef, useState } from "react";
import { Link, Redirect, Route, Switch, useLocation } from "wouter";
import { Brand } from "@/components/Brand";
import { Fallible } from "@/components/Fallible";
import { ahead, offlinePart, shared } from "@/components/parts";
import { Troubles, TroublesContext } from "@/components/troubles";
import { emailQuery, useReadOnArrival } from "@/context/queries";
import { useObservable, useOwn, useServices } from "@/context/services";
import { usePageKey } from "@/context/usePageKey";
import { seqOf } from "@/model/paths";
import { total } from "@/model/unread";
import { ConnectionBadge } from "./ConnectionBadge";
import { Navigation } from "./Navigation";
import { NotFound } from "./NotFound";
import classes from "./Shell.module.css";
import { Troubled } from "./Troubled";

const KeySheet = offlinePart(() => import("./KeySheet"));
const MenuDrawer = offlinePart(() => import("./MenuDrawer"));
const loadInbox = shared(() => import("@/features/inbox/InboxPage"));
const InboxPage = offlinePart(loadInbox);
const MessagesPage = offlinePart(() => import("@/features/messages/MessagesPage"));
const ReceivedPage = offlinePart(() => import("@/features/messages/ReceivedPage"));
const ThreadPage = offlinePart(() => import("@/features/messages/ThreadPage"));
const TopicsPage = offlinePart(() => import("@/features/topics/TopicsPage"));
const TopicPage = offlinePart(() => import("@/features/feed/TopicPage"));
const TopicSettingsPage = offlinePart(() => import("@/features/topics/TopicSettingsPage"));
const AccountPage = offlinePart(() => import("@/features/account/AccountPage"));
const DetailsPage = offlinePart(() => import("@/features/account/DetailsPage"));
const ConfirmEmailPage = offlinePart(() => import("@/features/account/ConfirmEmailPage"));
const SessionsPage = offlinePart(() => import("@/features/account/SessionsPage"));
const DataPage = offlinePart(() => import("@/features/account/DataPage"));
const ApiKeysPage = offlinePart(() => import("@/features/account/ApiKeysPage"));

// Before it is known who looks at it. Other pages are of so many files that, over six connections, the token would wait.
if (["/", "/inbox"].includes(location.pathname)) ahead(loadInbox);

export function Shell() {
  const narrow = useMediaQuery("(max-width: 52em)", window.innerWidth < 832) ?? false;
  const troubles = useMemo(() => new Troubles(), []);
  return (
    <TroublesContext value={troubles}>
      <div className={classes.shell} data-narrow={narrow || undefined}>
        <a href="#main" className={classes.skip}>
          Skip to the content
        </a>
        {narrow ? <TopBar /> : <Sidebar />}
        <Content />
        <Keys />
      </div>
    </TroublesContext>
  );
}

/** The keys of the pages, for whoever asks with "?". */
function Keys() {
  const [asked, setAsked] = useState(false);
  usePageKey((key) => {
    if (key === "?") setAsked(true);
  });
  if (!asked) return null;
  return (
    <Fallible>
      <Suspense>
        <KeySheet onClose={() => setAsked(false)} />
      </Suspense>
    </Fallible>
  );
}

function Sidebar() {
  return (
    <header className={classes.sidebar}>
      <div className={classes.head}>
        <Brand />
      </div>
      <Navigation />
      <div className={classes.foot}>
        <ConnectionBadge />
      </div>
    </header>
  );
}

function TopBar() {
  const [opened, { open, close }] = useDisclosure();
  const [find, setFind] = useState(false);
  const menu = (toFind: boolean) => {
    setFind(toFind);
    open();
  };
  useHotkeys([["mod+K", () => menu(true)]], []);
  const { live } = useOwn();
  const unread = total(useObservable(live.unread)) ?? 0;
  return (
    <header className={classes.bar}>
      <ActionIcon variant="subtle" color="gray" size="lg" onClick={() => menu(false)} aria-label={menuLabel(unread)}>
        <IconMenu2 />
        {unread > 0 && <span className={classes.mark} />}
      </ActionIcon>
      <Brand />
      <ConnectionBadge />
      {opened && (
        <Fallible>
          <Suspense>
            <MenuDrawer onClose={close} find={find} />
          </Suspense>
        </Fallible>
      )}
    </header>
  );
}

function menuLabel(unread: number): string {
  return unread > 0 ? `Menu, ${unread} unread` : "Menu";
}

/** On every page but the account's, which says more. */
function EmailStopped() {
  const { api } = useServices();
  if (useQuery(emailQuery(api)).data?.state !== "stopped") return null;
  return (
    <p className={classes.notice} role="status">
      You get no more email: your mail server refuses your address. <Link href="/account">What to do</Link>
    </p>
  );
}

function Content() {
  const [location] = useLocation();
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useReadOnArrival(location);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page is another place to read from
  useEffect(() => {
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
  }, [location]);
  return (
    <main id="main" className={classes.main} ref={main} tabIndex={-1}>
      {location !== "/account" && <EmailStopped />}
      <Troubled />
      <Fallible key={location}>
        <Suspense>
          <Switch>
            <Route path="/inbox" component={InboxPage} />
            <Route path="/messages" component={MessagesPage} />
            <Route path="/messages/with/:user">{({ user }) => <ThreadPage key={user} user={user} />}</Route>
            <Route path="/messages/received">
              <ReceivedPage />
            </Route>
            <Route path="/messages/n/:seq">{({ seq }) => <ReceivedPage seq={seqOf(seq)} />}</Route>
            <Route path="/topics" component={TopicsPage} />
            <Route path="/topics/:name">{({ name }) => <TopicPage key={name} name={name} />}</Route>
            <Route path="/topics/:name/n/:seq">
              {({ name, seq }) => <TopicPage key={name} name={name} seq={seqOf(seq)} />}
            </Route>
            <Route path="/topics/:name/settings">{({ name }) => <TopicSettingsPage key={name} name={name} />}</Route>
            <Route path="/account" component={AccountPage} />
            <Route path="/account/details" component={DetailsPage} />
            <Route path="/confirm-email" component={ConfirmEmailPage} />
            <Route path="/account/keys" component={ApiKeysPage} />
            <Route path="/account/sessions" component={SessionsPage} />
            <Route path="/account/data" component={DataPage} />
            <Route path="/">
              <Redirect to="/inbox" replace />
            </Route>
            <Route path="/sign-in">
              <Redirect to="/inbox" replace />
            </Route>
            <Route path="/sign-up">
              <Redirect to="/inbox" replace />
            </Route>
            <Route>
              <NotFound />
            </Route>
          </Switch>
        </Suspense>
      </Fallible>
    </main>
  );
}
