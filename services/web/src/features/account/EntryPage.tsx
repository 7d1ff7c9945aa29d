import { Paper, Stack } from "@mantine/core";
import type { ReactNode } from "react";
import { Brand } from "@/components/Brand";
import classes from "./EntryPage.module.css";

/** A page for who is not signed in: the product's name, one card, and what stands below it. */
export function EntryPage({ children, aside }: { children: ReactNode; aside?: ReactNode }) {
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
