import { Button } from "@mantine/core";
import { IconArrowLeft } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { Link } from "wouter";
import { PageHeader } from "@/components/PageHeader";
import classes from "@/features/topics/TopicSettings.module.css";

/** A page of its own about a part of the account. */
export function AccountPart({ title, children }: { title: string; children: ReactNode }) {
  return (
    <>
      <PageHeader title={title}>
        <Button component={Link} href="/account" size="xs" variant="default" leftSection={<IconArrowLeft size={15} />}>
          Account
        </Button>
      </PageHeader>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: where nothing can be pressed, the keys must still scroll it */}
      <section className={classes.page} aria-label={title} tabIndex={0}>
        <div className={classes.column}>{children}</div>
      </section>
    </>
  );
}
