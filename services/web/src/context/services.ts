/** What every part of the page works with, by React context. */
import { createContext, useContext, useSyncExternalStore } from "react";
import type { Api } from "@/api/client";
import type { Clock } from "@/api/clock";
import type { Observable } from "@/api/observable";
import type { Session } from "@/api/session";
import type { ClientConfig, User } from "@/api/types";
import type { Live } from "@/model/live";

export interface Services {
  readonly session: Session;
  readonly api: Api;
  readonly clock: Clock;
  readonly config: ClientConfig;
  /** Why the newest request failed, for as long as that is the server's state; empty while it answers. */
  readonly trouble: Observable<string>;
}

/** Of the one who is signed in. */
export interface Own {
  readonly user: User;
  readonly live: Live;
}

export const ServicesContext = createContext<Services | null>(null);
export const OwnContext = createContext<Own | null>(null);

export function useServices(): Services {
  const services = useContext(ServicesContext);
  if (services === null) throw new Error("There are no services here.");
  return services;
}

/** Throws where nobody is signed in. */
export function useOwn(): Own {
  const own = useContext(OwnContext);
  if (own === null) throw new Error("Nobody is signed in here.");
  return own;
}

export function useObservable<T>(observable: Observable<T>): T {
  return useSyncExternalStore(observable.subscribe, observable.get);
}
