import { Button, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { data } from "@/api/client";
import type { Hook } from "@/api/types";
import { OnceEach } from "@/components/Once";
import { Problem } from "@/components/Problem";
import { useNow } from "@/components/useNow";
import { useServices } from "@/context/services";
import { publishLine } from "@/features/account/keys";
import { when } from "@/model/text";
import { bringsSecret, CURL, KINDS, type Kind, labelOf, valuesFor } from "./senders";
import classes from "./TopicSettings.module.css";

/** Secrets with which other software sends to this topic, and the lines to copy into it. */
export default function SendHere({ name }: { name: string }) {
  const { api } = useServices();
  const client = useQueryClient();
  const [chosen, setChosen] = useState<Kind | typeof CURL.kind | null>(null);
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
      <p className={classes.hint}>Choose what shall send to this topic.</p>
      <div className={classes.kinds}>
        {[...KINDS, CURL].map(({ kind, label }) => (
          <Button
            key={kind}
            size="xs"
            variant={chosen === kind ? "light" : "default"}
            aria-pressed={chosen === kind}
            disabled={create.isPending}
            onClick={() => {
              create.reset();
              setTheirs("");
              setChosen(kind);
            }}
          >
            {label}
          </Button>
        ))}
      </div>
      {chosen === CURL.kind && <Curl name={name} />}
      {chosen !== null && chosen !== CURL.kind && create.data === undefined && (
        <>
          <p className={classes.hint}>
            This makes an address with a secret for {labelOf(chosen)}. Whoever has it can publish to {name} in your
            name, until you revoke it.
          </p>
          {bringsSecret(chosen) && (
            <TextInput
              label="Their signing secret"
              description={`Only where ${labelOf(chosen)} gave you one`}
              placeholder="whsec_…"
              autoComplete="off"
              value={theirs}
              onChange={(event) => setTheirs(event.currentTarget.value)}
            />
          )}
          <div>
            <Button size="xs" loading={create.isPending} onClick={() => create.mutate(chosen)}>
              Make the address
            </Button>
          </div>
        </>
      )}
      <Problem error={failed} />
      {create.data !== undefined && (
        <OnceEach
          title={`${labelOf(create.data.kind)}: copy this now, it is shown once.`}
          values={valuesFor(create.data)}
        />
      )}
      <ul className={classes.people} aria-label="Secrets">
        {hooks.data?.items.map((hook) => (
          <Made key={hook.id} hook={hook} revoking={revoke.isPending} onRevoke={() => revoke.mutate(hook.id)} />
        ))}
      </ul>
    </section>
  );
}

/** A script needs no address of its own: it sends with an API key. */
function Curl({ name }: { name: string }) {
  return (
    <>
      <p className={classes.hint}>
        Scripts send with an API key that may publish here. <Link href="/account/keys">Make one under API keys</Link>,
        and put it in place of KEY:
      </p>
      <pre className={classes.line}>{publishLine(location.origin, "KEY", name)}</pre>
    </>
  );
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

function usage({ last_used_at }: Hook, now: number): string {
  return last_used_at === null ? ", not used yet" : `, used ${when(last_used_at, now)}`;
}
