import { Skeleton } from "@mantine/core";
import { type ComponentProps, Suspense } from "react";
import { Fallible } from "@/components/Fallible";
import { lazyPart } from "@/components/parts";

const Found = lazyPart(() => import("./Found"));

/** What a search finds; loaded with the first one. */
export function SearchResults(props: ComponentProps<typeof Found>) {
  return (
    <Fallible>
      <Suspense fallback={<Skeleton height={66} m="sm" />}>
        <Found {...props} />
      </Suspense>
    </Fallible>
  );
}
