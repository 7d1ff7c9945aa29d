import { Button, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import { data } from "@/api/client";
import type { Hook, HookSecret } from "@/api/types";
import { Copied, OnceEach } from "@/components/Once";
import { Problem } from "@/components/Problem";
import { useServices } from "@/context/services";
import { useNow } from "@/context/useNow";
import { Confirm } from "@/features/account/Confirm";
import { publishLine } from "@/features/account/keys";
import { when } from "@/model/text";
import {
  bringsSecret,
  broughtSecret,
  CURL,
  KINDS,
  type Kind,
  labelOf,
  SEND_HERE,
  valuesFor,
  wasBrought,
} from "./senders";
import classes from "./TopicSettings.module.css";

/** `brought`: the sender made the secret that it signs with. */
type Shown = HookSecret & { brought: boolean };

/** Secrets with which other software sends to this topic, and the lines to copy into it. */
export default function SendHere({ name }: { name: string }) {
  const { api } = useServices();
  const client = useQueryClient();
  const [chosen, setChosen] = useState<Kind | typeof CURL.kind | null>(null);
  const [title, setTitle] = useState("");
  const [theirs, setTheirs] = useState("");
  /** The secret that was made last: it is shown once. */
  const [shown, setShown] = useState<Shown | null>(null);
  const queryKey = ["hooks", name];
  const refresh = () => client.invalidateQueries({ queryKey });
  const hooks = useQuery({
    queryKey,
    queryFn: () => data(api.GET("/api/v1/topics/{name}/hooks", { params: { path: { name } } })),
  });
  const create = useMutation({
    mutationFn: async (kind: Kind) => {
      const given = broughtSecret(kind, theirs);
      const body = { kind, name: title.trim(), ...given };
      const made = await data(api.POST("/api/v1/topics/{name}/hooks", { params: { path: { name } }, body }));
      return { ...made, brought: wasBrought(made, given) };
    },
    onSuccess: (secret) => {
      setTitle("");
      setTheirs("");
      setShown(secret);
      return refresh();
    },
  });
  const failed = create.error ?? hooks.error;
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (location.hash !== SEND_HERE) return;
    // In the next frame: a page that opens takes the focus itself first.
    const frame = requestAnimationFrame(() => {
      heading.current?.scrollIntoView();
      heading.current?.focus({ preventScroll: true });
    });
    return () => cancelAnimationFrame(frame);
  }, []);
  return (
    <section className={classes.section}>
      <h2 id={SEND_HERE.slice(1)} ref={heading} tabIndex={-1}>
        Send here
      </h2>
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
              setShown(null);
              setTheirs("");
              setChosen(kind);
            }}
          >
            {label}
          </Button>
        ))}
      </div>
      {chosen === CURL.kind && <Curl name={name} />}
      {chosen !== null && chosen !== CURL.kind && shown === null && (
        <form
          className={classes.section}
          onSubmit={(event) => {
            event.preventDefault();
            create.mutate(chosen);
          }}
        >
          <p className={classes.hint}>
            This makes an address with a secret for {labelOf(chosen)}. Whoever has it can publish to {name} in your
            name, until you revoke it.
          </p>
          <TextInput
            label="Name of the sender"
            description="Tells it apart in the list below; may be left empty"
            placeholder="Cluster in Frankfurt"
            dir="auto"
            autoComplete="off"
            maxLength={100}
            value={title}
            onChange={(event) => setTitle(event.currentTarget.value)}
          />
          <TheirSecret kind={chosen} value={theirs} onChange={setTheirs} />
          <div>
            <Button size="xs" type="submit" loading={create.isPending}>
              Make the address
            </Button>
          </div>
        </form>
      )}
      <Problem error={failed} />
      {shown !== null && (
        <OnceEach
          title={`${labelOf(shown.kind)}: copy this now, it is shown once.`}
          values={valuesFor(shown, shown.brought)}
        />
      )}
      <ul className={classes.people} aria-label="Secrets">
        {hooks.data?.items.map((hook) => (
          <Made
            key={hook.id}
            hook={hook}
            onRotated={(secret) => {
              setChosen(null);
              setShown(secret);
              return refresh();
            }}
            onRevoked={() => {
              if (shown?.id === hook.id) setShown(null);
              return refresh();
            }}
            onRefused={refresh}
          />
        ))}
      </ul>
    </section>
  );
}

/** The field for the secret that a sender signs with, for kinds of senders that may have made it. */
function TheirSecret({ kind, value, onChange }: { kind: string; value: string; onChange: (typed: string) => void }) {
  if (!bringsSecret(kind)) return null;
  return (
    <TextInput
      label="Their signing secret"
      description="Only where the sender gave you one"
      placeholder="whsec_…"
      autoComplete="off"
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
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
      <div>
        <Copied value={publishLine(location.origin, "KEY", name)} what="" />
      </div>
    </>
  );
}

interface MadeProps {
  hook: Hook;
  onRotated: (secret: Shown) => Promise<void>;
  onRevoked: () => Promise<void>;
  /** Another window may have revoked it already. */
  onRefused: () => Promise<void>;
}

function Made({ hook, onRotated, onRevoked, onRefused }: MadeProps) {
  const { api } = useServices();
  const now = useNow();
  const [asked, setAsked] = useState<"rotate" | "revoke" | null>(null);
  const [theirs, setTheirs] = useState("");
  const params = { path: { hook_id: hook.id } };
  const close = () => {
    setAsked(null);
    setTheirs("");
  };
  const rotate = useMutation({
    mutationFn: async () => {
      const body = broughtSecret(hook.kind, theirs);
      const made = await data(api.POST("/api/v1/hooks/{hook_id}/rotate", { params, body }));
      return { ...made, brought: wasBrought(made, body) };
    },
    onSuccess: (secret) => {
      close();
      return onRotated(secret);
    },
    onError: onRefused,
  });
  const revoke = useMutation({
    mutationFn: () => api.DELETE("/api/v1/hooks/{hook_id}", { params }),
    onSuccess: onRevoked,
    onError: onRefused,
  });
  const label = labelOf(hook.kind);
  const made = when(hook.created_at, now);
  const name = hook.name === "" ? "" : ` (${hook.name})`;
  const which = `the secret for ${label}${name} made ${made}`;
  return (
    <li>
      <span>
        {label}
        {name !== "" && (
          <>
            {" "}
            <bdi>{name}</bdi>
          </>
        )}
      </span>
      <span>
        made {made}
        {usage(hook, now)}{" "}
        <Button size="compact-xs" variant="subtle" aria-label={`Rotate ${which}`} onClick={() => setAsked("rotate")}>
          Rotate
        </Button>
        <Button
          size="compact-xs"
          variant="subtle"
          color="red"
          aria-label={`Revoke ${which}`}
          onClick={() => setAsked("revoke")}
        >
          Revoke
        </Button>
      </span>
      {asked === "rotate" && (
        <Confirm
          title={`Rotate ${which}?`}
          action="Rotate secret"
          error={rotate.error}
          busy={rotate.isPending}
          onClose={close}
          onConfirm={() => rotate.mutate()}
          field={
            <form
              onSubmit={(event) => {
                event.preventDefault();
                rotate.mutate();
              }}
            >
              <TheirSecret kind={hook.kind} value={theirs} onChange={setTheirs} />
            </form>
          }
        >
          A new secret takes its place, and what sends with this one is refused at once, until it has the new one. To
          change without a gap, make another first, and revoke this one afterwards.
        </Confirm>
      )}
      {asked === "revoke" && (
        <Confirm
          title={`Revoke ${which}?`}
          action="Revoke secret"
          error={revoke.error}
          busy={revoke.isPending}
          onClose={close}
          onConfirm={() => revoke.mutate()}
        >
          What sends with it is refused from then on. This cannot be undone.
        </Confirm>
      )}
    </li>
  );
}

function usage({ last_used_at }: Hook, now: number): string {
  return last_used_at === null ? ", not used yet" : `, used ${when(last_used_at, now)}`;
}
