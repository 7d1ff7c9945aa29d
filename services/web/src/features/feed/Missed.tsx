import { Alert } from "@mantine/core";
import { useObservable, useOwn } from "@/context/services";
import { missed } from "@/model/text";
import { countOf, total } from "@/model/unread";

/** Says how many notifications of one topic, or of all, were removed before the user read them. */
export function Missed({ topic }: { topic?: string }) {
  const { live } = useOwn();
  const expired = useObservable(live.expired);
  const count = topic === undefined ? total(expired) : countOf(expired, topic);
  if (count === undefined || count === 0) return null;
  return (
    <Alert color="yellow" m="sm" role="status">
      {missed(count)}
    </Alert>
  );
}
