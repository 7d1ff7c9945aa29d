import { Button, type MantineSpacing } from "@mantine/core";
import type { UseInfiniteQueryResult } from "@tanstack/react-query";
import { sentence } from "@/api/errors";
import classes from "./More.module.css";
import { Problem } from "./Problem";

interface Props {
  pages: Pick<
    UseInfiniteQueryResult,
    "data" | "error" | "failureReason" | "hasNextPage" | "isFetchingNextPage" | "fetchNextPage"
  >;
  children?: string;
  size?: "xs" | "sm";
  m?: MantineSpacing;
}

/** The way to the next page of a list, and why it, or the first one, could not be read. */
export function More({ pages, children = "Show more", size = "sm", m = 0 }: Props) {
  const { data, error, failureReason, hasNextPage, isFetchingNextPage, fetchNextPage } = pages;
  return (
    <>
      <Problem error={error} />
      {data !== undefined && hasNextPage && (
        <div className={classes.more}>
          <Button variant="default" size={size} m={m} loading={isFetchingNextPage} onClick={() => fetchNextPage()}>
            {children}
          </Button>
          {isFetchingNextPage && failureReason !== null && (
            <span role="status">{sentence(failureReason)} It is tried again by itself.</span>
          )}
        </div>
      )}
    </>
  );
}
