import { Button, Group, Stack, Text } from "@mantine/core";
import { Dialog } from "@/components/Dialog";

interface Props {
  name: string;
  onStay: () => void;
  onDiscard: () => void;
  onLeave: () => void;
}

/** Asks what becomes of settings that are changed and not saved. */
export function AskToLeave({ name, onStay, onDiscard, onLeave }: Props) {
  return (
    <Dialog onClose={onStay} title="Leave without saving?" size={500}>
      <Stack gap="md">
        <Text size="sm">
          Your changes to the settings of {name} are not saved. They can be kept as a draft until you close this window.
        </Text>
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onStay}>
            Stay
          </Button>
          <Button variant="light" color="red" onClick={onDiscard}>
            Discard and leave
          </Button>
          <Button onClick={onLeave} data-autofocus>
            Keep and leave
          </Button>
        </Group>
      </Stack>
    </Dialog>
  );
}
