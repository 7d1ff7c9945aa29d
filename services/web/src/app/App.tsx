import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { Suspense, useEffect, useMemo } from "react";
import { createApi } from "@/api/client";
import { ApiError, sentence } from "@/api/errors";
import { fetchInTime, read } from "@/api/http";
import { Session } from "@/api/session";
import type { ClientConfig } from "@/api/types";
import { Fallible } from "@/components/Fallible";
import { lazyPart } from "@/components/parts";
import { Waiting } from "@/components/Waiting";
import { ServicesContext, useObservable } from "@/context/services";
import { styleNonce, theme } from "./theme";

const SignInPage = lazyPart(() => import("@/features/account/SignInPage"));
const SignedIn = lazyPart(() => import("./SignedIn"));

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      networkMode: "always",
      retry: (failures, error) => failures < 4 && error instanceof ApiError && error.passes,
      retryDelay: (failures) => Math.min(300 * 2 ** failures, 5_000) * (0.5 + Math.random() / 2),
    },
    mutations: { networkMode: "always" },
  },
});

export function App() {
  return (
    <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={styleNonce}>
      <Notifications position="bottom-right" limit={4} />
      <QueryClientProvider client={queries}>
        <Fallible>
          <Start />
        </Fallible>
      </QueryClientProvider>
    </MantineProvider>
  );
}

/** Nothing is shown before it is known where the socket is and who is signed in. */
function Start() {
  const session = useMemo(() => new Session(), []);
  const api = useMemo(() => createApi(session), [session]);
  const state = useObservable(session.state);
  const config = useQuery({
    queryKey: ["config"],
    queryFn: readConfig,
    staleTime: Number.POSITIVE_INFINITY,
    retry: (_, error) => error instanceof ApiError && error.passes,
  });
  const resumed = useQuery({
    queryKey: ["session", state],
    queryFn: async () => (await session.token()) !== "",
    enabled: state === "unknown",
    retry: (_, error) => error instanceof ApiError && error.passes,
  });
  useEffect(() => {
    // What one user saw is not for the next.
    if (state === "signed-out") queries.removeQueries({ predicate: (query) => query.queryKey[0] !== "config" });
  }, [state]);
  const error = config.failureReason ?? (state === "unknown" ? resumed.failureReason : null);
  if (config.data === undefined || state === "unknown") {
    return <Waiting problem={error === null ? "" : sentence(error)} />;
  }
  return (
    <ServicesContext value={{ session, api, config: config.data }}>
      <Suspense fallback={<Waiting problem="" />}>{state === "signed-out" ? <SignInPage /> : <SignedIn />}</Suspense>
    </ServicesContext>
  );
}

/** Before anybody is signed in, so without a token. */
async function readConfig(): Promise<ClientConfig> {
  return (await read(await fetchInTime(new Request("/api/v1/config")))) as ClientConfig;
}
