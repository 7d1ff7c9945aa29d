import { ActionIcon } from "@mantine/core";
import { useHotkeys, useLocalStorage } from "@mantine/hooks";
import { IconChevronDown, IconPlus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type KeyboardEvent, useRef, useState } from "react";
import { Link, useLocation } from "wouter";
import { Loading } from "@/components/Loading";
import { problemOf, subscriptionsQuery } from "@/context/queries";
import { useObservable, useOwn, useServices } from "@/context/services";
import { FILTERED_FROM, listed } from "@/model/sidebar";
import { countOf } from "@/model/unread";
import { Item } from "./Item";
import classes from "./Navigation.module.css";

const STEPS: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1 };

/** The topics that the user subscribes to: what is unread first, with a filter where they are many. */
export function TopicList({ onGo, find }: { onGo: (() => void) | undefined; find: boolean }) {
  const { live } = useOwn();
  const { api } = useServices();
  const [, go] = useLocation();
  const unread = useObservable(live.unread);
  const subscriptions = useQuery(subscriptionsQuery(api));
  const [wanted, setWanted] = useState("");
  const [sought, setSought] = useState(false);
  const [folded, setFolded] = useLocalStorage({ key: "notifyx.folded", defaultValue: false });
  const field = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const topics = (subscriptions.data ?? []).map((one) => one.topic).filter((topic) => topic !== live.ownInbox);
  const filtered = find || sought || topics.length >= FILTERED_FROM;
  const shown = listed(topics, unread, filtered ? wanted : "");
  useHotkeys(
    [
      [
        "mod+K",
        () => {
          setFolded(false);
          // A field, however few there are: what is typed is a name, and no key of the page.
          setSought(true);
          requestAnimationFrame(() => field.current?.focus());
        },
      ],
    ],
    [],
  );

  const onKey = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const links = [...(list.current?.querySelectorAll("a") ?? [])];
      const next = links.indexOf(document.activeElement as HTMLAnchorElement) + step;
      if (next < 0) field.current?.focus();
      else links[Math.min(next, links.length - 1)]?.focus();
    }
  };
  const onFieldKey = (event: KeyboardEvent) => {
    const first = shown[0];
    if (event.key === "Escape") setWanted("");
    if (event.key === "Enter" && first !== undefined) {
      setWanted("");
      onGo?.();
      go(`/topics/${first}`);
    }
  };

  return (
    <>
      <div className={classes.heading}>
        <button
          type="button"
          className={classes.fold}
          aria-expanded={!folded || find}
          onClick={() => setFolded(!folded)}
        >
          <IconChevronDown size={14} aria-hidden />
          Subscribed{topics.length > 0 && ` (${topics.length})`}
        </button>
        <ActionIcon
          component={Link}
          href="/topics"
          variant="subtle"
          color="gray"
          size="sm"
          aria-label="Find topics"
          onClick={onGo}
        >
          <IconPlus size={16} />
        </ActionIcon>
      </div>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: arrows move between the field and the links in it */}
      <div hidden={folded && !find} onKeyDown={onKey}>
        {filtered && (
          <input
            ref={field}
            data-autofocus={find || undefined}
            type="search"
            className={classes.filter}
            aria-label="Filter your topics"
            placeholder={matchMedia("(pointer: fine)").matches ? "Filter (Ctrl K)" : "Filter"}
            value={wanted}
            onChange={(event) => setWanted(event.currentTarget.value)}
            onKeyDown={onFieldKey}
            onBlur={() => setSought(wanted !== "")}
          />
        )}
        {/* biome-ignore lint/a11y/useKeyWithClickEvents: the links in it are what keys act on */}
        {/* biome-ignore lint/a11y/noStaticElementInteractions: the same */}
        <div ref={list} onClick={onGo}>
          {shown.map((topic) => (
            <Item key={topic} href={`/topics/${topic}`} count={countOf(unread, topic)} small>
              {topic}
            </Item>
          ))}
        </div>
        {subscriptions.data === undefined ? (
          <Loading label="Loading your topics" problem={problemOf(subscriptions)} />
        ) : (
          shown.length === 0 && (
            <p className={classes.none}>
              {topics.length === 0
                ? "No topics yet. Browse them and subscribe to what concerns you."
                : "None of your topics has that in its name."}
            </p>
          )
        )}
      </div>
    </>
  );
}
