import { Button, Textarea } from "@mantine/core";
import { IconSend } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { notify } from "@/components/notify";
import { Problem } from "@/components/Problem";
import { useAskBeforeClosing } from "@/context/leaving";
import { useOwn } from "@/context/services";
import classes from "./ThreadPage.module.css";

const BLANK = { body: "" };

/** Writes to the other of a thread. It shows there at once; what is begun is kept. */
export function Reply({ other, name }: { other: string; name: string }) {
  const { live } = useOwn();
  const draft = `thread.${other}`;
  const [written, setWritten] = useState(() => live.drafts.read(draft, BLANK));
  const [error, setError] = useState<unknown>(null);
  const ready = written.body.trim() !== "";
  useAskBeforeClosing(ready);
  useEffect(() => live.drafts.keep(draft, written, BLANK), [live, draft, written]);
  const submit = () => {
    if (!ready) return;
    try {
      live.outbox.send(other, { body: written.body });
    } catch (failure) {
      setError(failure);
      return;
    }
    if (live.connection.state.get() !== "live") notify("Kept: it is sent when the connection is back.", "warning");
    setError(null);
    setWritten(BLANK);
  };
  return (
    <form
      className={classes.reply}
      aria-label="Your message"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
      }}
    >
      <Problem error={error} />
      <div className={classes.write}>
        <Textarea
          className={classes.field ?? ""}
          aria-label={`Message to ${name}`}
          placeholder={`Message to ${name}`}
          dir="auto"
          autosize
          minRows={1}
          maxRows={8}
          maxLength={65_536}
          value={written.body}
          onChange={(event) => setWritten({ body: event.currentTarget.value })}
        />
        <Button type="submit" disabled={!ready} leftSection={<IconSend size={15} />}>
          Send
          <span className={classes.key} aria-hidden>
            Ctrl Enter
          </span>
        </Button>
      </div>
    </form>
  );
}
