import { Alert } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { inboxFullQuery } from "@/context/queries";
import { useObservable, useOwn, useServices } from "@/context/services";
import { countOf } from "@/model/unread";

/** Says that nobody can send to the user until some of what was sent is acknowledged. */
export function InboxFull() {
  const { api } = useServices();
  const { live } = useOwn();
  const unread = countOf(useObservable(live.unread), live.ownInbox) ?? 0;
  const full = useQuery(inboxFullQuery(api, unread));
  if (unread === 0 || full.data !== true) return null;
  return (
    <Alert color="red" m="sm" role="alert">
      Your direct messages are full: nobody can send you more until you acknowledge some.
    </Alert>
  );
}
