import { Paper, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { NO_ANSWER } from "@/api/errors";
import { Brand } from "@/components/Brand";
import { useSlow } from "@/components/useSlow";
import { useTitle } from "@/components/useTitle";
import classes from "./EntryPage.module.css";

/** A page for who is not signed in: the product's name, one card, and what stands below it. */
export function EntryPage({ title, children, aside }: { title: string; children: ReactNode; aside?: ReactNode }) {
  useTitle(title);
  return (
    <main className={classes.page}>
      <Stack gap="lg" className={classes.column}>
        <Brand />
        <Paper withBorder p="xl" radius="lg">
          {children}
        </Paper>
        {aside}
      </Stack>
    </main>
  );
}

/** Says beneath a form that is `busy` that the answer takes long. */
export function Slow({ busy }: { busy: boolean }) {
  if (!useSlow(busy)) return null;
  return (
    <Text size="sm" c="dimmed" role="status">
      {NO_ANSWER} It may still come; nothing is sent twice.
    </Text>
  );
}
