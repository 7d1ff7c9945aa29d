import { Button, EmptyState } from "@mantine/core";
import { IconMapQuestion } from "@tabler/icons-react";
import { Link } from "wouter";

export function NotFound() {
  return (
    <EmptyState icon={<IconMapQuestion />} title="There is nothing at this address." m="auto">
      <Button component={Link} href="/inbox" variant="default">
        Open the inbox
      </Button>
    </EmptyState>
  );
}
