import { ActionIcon, UnstyledButton } from "@mantine/core";
import { IconHash, IconInbox, IconMessage, IconPlus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, Suspense, useState } from "react";
import { Link, useLocation } from "wouter";
import { Fallible } from "@/components/Fallible";
import { offlinePart } from "@/components/parts";
import { subscriptionsQuery } from "@/context/queries";
import { useObservable, useOwn, useServices } from "@/context/services";
import { badge, total } from "@/model/unread";
import classes from "./Navigation.module.css";
import { UserName } from "./UserName";

const UserMenu = offlinePart(() => import("./UserMenu"));

/** Where one can go; `onGo` hears that somebody went. */
export function Navigation({ onGo }: { onGo?: () => void }) {
  const { live } = useOwn();
  const { api } = useServices();
  const unread = useObservable(live.unread);
  const subscriptions = useQuery(subscriptionsQuery(api));
  const topics = (subscriptions.data ?? []).filter((one) => one.topic !== live.ownInbox);
  return (
    <>
      <div className={classes.scroll}>
        {/* biome-ignore lint/a11y/useKeyWithClickEvents: the links in it are what keys act on */}
        <nav aria-label="Main" className={classes.nav} onClick={onGo}>
          <Item href="/inbox" icon={<IconInbox />} count={total(unread)}>
            Inbox
          </Item>
          <Item href="/messages" icon={<IconMessage />} count={unread.get(live.ownInbox) ?? 0}>
            Direct messages
          </Item>
          <Item href="/topics" icon={<IconHash />} exact>
            Topics
          </Item>
          <div className={classes.heading}>
            Subscribed
            <ActionIcon
              component={Link}
              href="/topics"
              variant="subtle"
              color="gray"
              size="sm"
              aria-label="Find topics"
            >
              <IconPlus size={16} />
            </ActionIcon>
          </div>
          {topics.map(({ topic }) => (
            <Item key={topic} href={`/topics/${topic}`} count={unread.get(topic) ?? 0} small>
              {topic}
            </Item>
          ))}
          {subscriptions.data !== undefined && topics.length === 0 && (
            <p className={classes.none}>No topics yet. Browse them and subscribe to what concerns you.</p>
          )}
        </nav>
      </div>
      <UserPlace {...(onGo === undefined ? {} : { onGo })} />
    </>
  );
}

interface ItemProps {
  href: string;
  children: ReactNode;
  icon?: ReactNode;
  count?: number;
  exact?: boolean;
  small?: boolean;
}

function Item({ href, children, icon, count = 0, exact = false, small = false }: ItemProps) {
  const [location] = useLocation();
  const active = location === href || (!exact && location.startsWith(`${href}/`));
  return (
    <Link
      href={href}
      className={classes.item}
      aria-current={active ? "page" : undefined}
      data-small={small || undefined}
    >
      {icon}
      <span className={classes.label}>{children}</span>
      {count > 0 && (
        <span className={classes.count}>
          {badge(count)}
          <span className={classes.hidden}> unread</span>
        </span>
      )}
    </Link>
  );
}

/** Who is signed in; its menu is loaded when somebody wants it. */
function UserPlace({ onGo }: { onGo?: () => void }) {
  const [wanted, setWanted] = useState(false);
  const button = (
    <UnstyledButton className={classes.userButton} aria-haspopup="menu" onClick={() => setWanted(true)}>
      <UserName />
    </UnstyledButton>
  );
  return (
    <div className={classes.user}>
      {wanted ? (
        <Fallible>
          <Suspense fallback={button}>
            <UserMenu onGo={onGo ?? (() => undefined)} />
          </Suspense>
        </Fallible>
      ) : (
        button
      )}
    </div>
  );
}
