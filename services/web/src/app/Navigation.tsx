import { UnstyledButton } from "@mantine/core";
import { IconHash, IconInbox, IconMessage } from "@tabler/icons-react";
import { Suspense, useState } from "react";
import { Fallible } from "@/components/Fallible";
import { offlinePart } from "@/components/parts";
import { useObservable, useOwn } from "@/context/services";
import { countOf, total } from "@/model/unread";
import { Item } from "./Item";
import classes from "./Navigation.module.css";
import { TopicList } from "./TopicList";
import { UserName } from "./UserName";

const UserMenu = offlinePart(() => import("./UserMenu"));

/** Where one can go; `onGo` hears that somebody went. With `find` it is shown to go to a topic. */
export function Navigation({ onGo, find = false }: { onGo?: () => void; find?: boolean }) {
  const { live } = useOwn();
  const unread = useObservable(live.unread);
  return (
    <>
      <div className={classes.scroll}>
        <nav aria-label="Main" className={classes.nav}>
          {/* biome-ignore lint/a11y/useKeyWithClickEvents: the links in it are what keys act on */}
          {/* biome-ignore lint/a11y/noStaticElementInteractions: the same */}
          <div onClick={onGo}>
            <Item href="/inbox" icon={<IconInbox />} count={total(unread)}>
              Inbox
            </Item>
            <Item href="/messages" icon={<IconMessage />} count={countOf(unread, live.ownInbox)}>
              Direct messages
            </Item>
            <Item href="/topics" icon={<IconHash />} exact>
              Topics
            </Item>
          </div>
          <TopicList onGo={onGo} find={find} />
        </nav>
      </div>
      <UserPlace {...(onGo === undefined ? {} : { onGo })} />
    </>
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
