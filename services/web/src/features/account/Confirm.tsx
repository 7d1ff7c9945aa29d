import { Button, Group, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { Dialog } from "@/components/Dialog";
import { Problem } from "@/components/Problem";

interface Props {
  title: string;
  /** What the button that does it says. */
  action: string;
  children: ReactNode;
  /** What may be filled in first. */
  field?: ReactNode;
  error: unknown;
  busy: boolean;
  onClose: () => void;
  onConfirm: () => void;
}

/** Asks once more before something ends. */
export function Confirm({ title, action, children, field, error, busy, onClose, onConfirm }: Props) {
  return (
    <Dialog onClose={onClose} title={title}>
      <Stack gap="md">
        <Text size="sm">{children}</Text>
        {field}
        <Problem error={error} />
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button color="red" loading={busy} onClick={onConfirm} data-autofocus>
            {action}
          </Button>
        </Group>
      </Stack>
    </Dialog>
  );
}
