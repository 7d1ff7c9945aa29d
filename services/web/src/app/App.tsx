import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { Suspense, useEffect, useMemo } from "react";
import { Route, Switch } from "wouter";
import { createApi } from "@/api/client";
import { Clock } from "@/api/clock";
import { fetchInTime, read } from "@/api/http";
import { Observable } from "@/api/observable";
import { Session } from "@/api/session";
import type { ClientConfig } from "@/api/types";
import { Fallible } from "@/components/Fallible";
import { ahead, lazyPart, shared } from "@/components/parts";
import { Waiting } from "@/components/Waiting";
import { FRESH_MS, meQuery, problemOf, readOnReturn, tried } from "@/context/queries";
import { ServicesContext, useObservable } from "@/context/services";
import { styleNonce, theme } from "./theme";

const loadSignIn = shared(() => import("@/features/account/SignInPage"));
const loadSignedIn = shared(() => import("./SignedIn"));
const SignInPage = lazyPart(loadSignIn);
const ForgotPasswordPage = lazyPart(() => import("@/features/account/ForgotPasswordPage"));
const ResetPasswordPage = lazyPart(() => import("@/features/account/ResetPasswordPage"));
const SignedIn = lazyPart(loadSignedIn);

/** Pages that are the same for everybody. */
const OF_ALL = ["/forgot-password", "/reset-password"];

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: FRESH_MS,
      networkMode: "always",
      ...tried(),
    },
    mutations: { networkMode: "always" },
  },
});
readOnReturn();

/** Between tries while there is no page yet: somebody is watching. */
const MAX_PAUSE_MS = 5_000;

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
  const trouble = useMemo(() => new Observable(""), []);
  const clock = useMemo(() => new Clock(), []);
  const api = useMemo(() => createApi(session, trouble, clock), [session, trouble, clock]);
  const state = useObservable(session.state);
  const config = useQuery({
    queryKey: ["config"],
    queryFn: readConfig,
    staleTime: Number.POSITIVE_INFINITY,
    ...tried(MAX_PAUSE_MS),
  });
  const resumed = useQuery({
    queryKey: ["session", state],
    queryFn: async () => (await session.token()) !== "",
    enabled: state === "unknown",
    ...tried(MAX_PAUSE_MS),
  });
  useEffect(() => {
    // What one user saw is not for the next.
    if (state === "signed-out") queries.removeQueries({ predicate: (query) => query.queryKey[0] !== "config" });
  }, [state]);
  useEffect(() => {
    // While it is still asked who is signed in: nearly always it is who was.
    if (!OF_ALL.includes(location.pathname)) ahead(state === "signed-out" ? loadSignIn : loadSignedIn);
  }, [state]);
  // Beside the parts of the page that show it.
  useQuery({ ...meQuery(api), ...tried(MAX_PAUSE_MS), enabled: state === "signed-in" });
  if (config.data === undefined || state === "unknown") {
    return <Waiting problem={problemOf(config) || (state === "unknown" ? problemOf(resumed) : "")} />;
  }
  return (
    <ServicesContext value={{ session, api, clock, config: config.data, trouble }}>
      <Suspense fallback={<Waiting problem="" />}>
        <Switch>
          <Route path="/forgot-password" component={ForgotPasswordPage} />
          <Route path="/reset-password" component={ResetPasswordPage} />
          <Route>{state === "signed-out" ? <SignInPage /> : <SignedIn />}</Route>
        </Switch>
      </Suspense>
    </ServicesContext>
  );
}

/** Before anybody is signed in, so without a token. */
async function readConfig(): Promise<ClientConfig> {
  return (await read(await fetchInTime(new Request("/api/v1/config")))) as ClientConfig;
}
