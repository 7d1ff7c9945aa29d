/** Says that a mail server refuses the user's address, for as long as it does, and has it tried again. */
import { Alert, Button } from "@mantine/core";
import { IconMailOff } from "@tabler/icons-react";
import { useMutation, useQuery } from "@tanstack/react-query";
import { data } from "@/api/client";
import { sentence } from "@/api/errors";
import { notify } from "@/components/notify";
import { emailQuery, useChanged } from "@/context/queries";
import { useServices } from "@/context/services";
import { fullTime, plural } from "@/model/text";

export function EmailTrouble() {
  const { api } = useServices();
  const changed = useChanged();
  const state = useQuery(emailQuery(api)).data;
  const resume = useMutation({
    mutationFn: () => data(api.POST("/api/v1/me/email/resume")),
    onSuccess: async ({ resumed, dropped }) => {
      const rest = dropped > 0 ? ` ${plural(dropped, "older one")} will not be sent; the inbox has them.` : "";
      notify(`Your address is tried again, with ${plural(resumed, "held email")}.${rest}`);
      await changed("email");
    },
  });
  if (state === undefined || state.state === "on") return null;
  const stopped = state.state === "stopped";
  return (
    <Alert
      color={stopped ? "red" : "yellow"}
      icon={<IconMailOff size={18} />}
      title={stopped ? "You get no more email" : "Email to you is on hold"}
    >
      <p style={{ marginTop: 0 }}>
        Your mail server refused your address{state.since !== null && ` (${fullTime(state.since)})`}: {state.reason}
      </p>
      <p>
        {plural(state.held, "email")} {state.held === 1 ? "is" : "are"} held; nothing is missing from your inbox here.{" "}
        {state.next_try_at !== null && `The next try is at ${fullTime(state.next_try_at)}. `}
        Once your mailbox works again, have it tried at once.
      </p>
      {resume.error !== null && <p role="alert">{sentence(resume.error)}</p>}
      <Button size="xs" variant="default" loading={resume.isPending} onClick={() => resume.mutate()}>
        Try again
      </Button>
    </Alert>
  );
}
