import { useEffect, useState } from "react";
import { useOwn } from "@/context/services";
import type { TopicFeed } from "@/model/topicFeed";

/** The feed of a topic, followed for as long as it is shown. */
export function useTopicFeed(topic: string): TopicFeed | null {
  const { live } = useOwn();
  const [feed, setFeed] = useState<TopicFeed | null>(null);
  useEffect(() => {
    const opened = live.open(topic);
    setFeed(opened.feed);
    return opened.release;
  }, [live, topic]);
  return feed;
}
