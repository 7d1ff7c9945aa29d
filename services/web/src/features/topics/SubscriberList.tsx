import { useInfiniteQuery } from "@tanstack/react-query";
import { data } from "@/api/client";
import { Loading } from "@/components/Loading";
import { More } from "@/components/More";
import { problemOf } from "@/context/queries";
import { useOwn, useServices } from "@/context/services";
import { EMAIL_MODES } from "./emailModes";
import classes from "./TopicSettings.module.css";

const PAGE = 50;

/** Who is subscribed, for the topic's creators. */
export default function SubscriberList({ name }: { name: string }) {
  const { api } = useServices();
  const { user } = useOwn();
  const subscribers = useInfiniteQuery({
    queryKey: ["subscribers", name],
    queryFn: ({ pageParam }) => {
      const query = { limit: PAGE, ...(pageParam === null ? {} : { after: pageParam }) };
      return data(api.GET("/api/v1/topics/{name}/subscribers", { params: { path: { name }, query } }));
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
  });
  const people = subscribers.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section className={classes.section}>
      <h2>Subscribers</h2>
      {subscribers.isPending && <Loading label="Loading subscribers" problem={problemOf(subscribers)} />}
      {subscribers.isSuccess && people.length === 0 && <p className={classes.hint}>Nobody is subscribed.</p>}
      <ul className={classes.people}>
        {people.map((one) => (
          <li key={one.user}>
            {one.user === user.id ? <strong>You</strong> : <Who {...one} />}
            <span>
              {one.unread} unread, email: {EMAIL_MODES[one.email].short}
            </span>
          </li>
        ))}
      </ul>
      <More pages={subscribers} size="xs" />
    </section>
  );
}

/** By their name, which they need not have given; two may have the same. */
function Who({ name, user }: { name: string | null; user: string }) {
  return name === null ? <code>{user}</code> : <span title={user}>{name}</span>;
}
