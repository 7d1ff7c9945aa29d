import { Alert, Button, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { data } from "@/api/client";
import { sentence } from "@/api/errors";
import type { Hook, HookSecret } from "@/api/types";
import { Once } from "@/components/Once";
import { useNow } from "@/components/useNow";
import { useServices } from "@/context/services";
import { when } from "@/model/text";
import { bringsSecret, KINDS, type Kind, labelOf, linesFor } from "./senders";
import classes from "./TopicSettings.module.css";

/** Secrets with which other software sends to this topic, and the lines to copy into it. */
export default function SendHere({ name }: { name: string }) {
  const { api } = useServices();
  const client = useQueryClient();
  const [theirs, setTheirs] = useState("");
  const queryKey = ["hooks", name];
  const refresh = () => client.invalidateQueries({ queryKey });
  const hooks = useQuery({
    queryKey,
    queryFn: () => data(api.GET("/api/v1/topics/{name}/hooks", { params: { path: { name } } })),
  });
  const create = useMutation({
    mutationFn: (kind: Kind) => {
      const own = bringsSecret(kind) && theirs.trim() !== "" ? { signing_secret: theirs.trim() } : {};
      const body = { kind, name: "", ...own };
      return data(api.POST("/api/v1/topics/{name}/hooks", { params: { path: { name } }, body }));
    },
    onSuccess: () => {
      setTheirs("");
      return refresh();
    },
  });
  const revoke = useMutation({
    mutationFn: (id: string) => api.DELETE("/api/v1/hooks/{hook_id}", { params: { path: { hook_id: id } } }),
    onSuccess: (_, id) => {
      if (create.data?.id === id) create.reset();
    },
    // Another window may have revoked it already.
    onSettled: refresh,
  });
  const failed = create.error ?? revoke.error ?? hooks.error;
  return (
    <section className={classes.section}>
      <h2>Send here</h2>
      <p className={classes.hint}>
        Choose what shall send to this topic. You get the lines to copy into it, with a secret of its own.
      </p>
      <div className={classes.kinds}>
        {KINDS.map(({ kind, label }) => (
          <Button
            key={kind}
            size="xs"
            variant="default"
            disabled={create.isPending}
            onClick={() => create.mutate(kind)}
          >
            {label}
          </Button>
        ))}
      </div>
      <TextInput
        label="Their signing secret"
        description="Only where Standard Webhooks or GitLab gave you one"
        placeholder="whsec_…"
        autoComplete="off"
        value={theirs}
        onChange={(event) => setTheirs(event.currentTarget.value)}
      />
      {failed !== null && (
        <Alert color="red" role="alert">
          {sentence(failed)}
        </Alert>
      )}
      {create.data !== undefined && <Lines created={create.data} />}
      <ul className={classes.people} aria-label="Secrets">
        {hooks.data?.items.map((hook) => (
          <Made key={hook.id} hook={hook} revoking={revoke.isPending} onRevoke={() => revoke.mutate(hook.id)} />
        ))}
      </ul>
    </section>
  );
}

function Lines({ created }: { created: HookSecret }) {
  return <Once title={`${labelOf(created.kind)}: copy this now, it is shown once.`} lines={linesFor(created)} />;
}

interface MadeProps {
  hook: Hook;
  revoking: boolean;
  onRevoke: () => void;
}

function Made({ hook, revoking, onRevoke }: MadeProps) {
  const now = useNow();
  const label = labelOf(hook.kind);
  const made = when(hook.created_at, now);
  const used = usage(hook, now);
  return (
    <li>
      <span>
        {label}
        {hook.name !== "" && ` (${hook.name})`}
      </span>
      <span>
        made {made}
        {used}{" "}
        <Button
          size="compact-xs"
          variant="subtle"
          color="red"
          disabled={revoking}
          aria-label={`Revoke the secret for ${label} made ${made}`}
          onClick={onRevoke}
        >
          Revoke
        </Button>
      </span>
    </li>
  );
}

/** Signed webhooks prove nothing to who keeps their secret, so their uses are not known. */
function usage({ signed, last_used_at }: Hook, now: number): string {
  if (last_used_at !== null) return `, used ${when(last_used_at, now)}`;
  return signed ? "" : ", not used yet";
}
