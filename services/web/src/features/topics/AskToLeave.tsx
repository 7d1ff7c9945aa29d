import { Button, Group, Modal, Stack, Text } from "@mantine/core";

interface Props {
  name: string;
  onStay: () => void;
  onDiscard: () => void;
  onLeave: () => void;
}

/** Asks what becomes of settings that are changed and not saved. */
export function AskToLeave({ name, onStay, onDiscard, onLeave }: Props) {
  return (
    <Modal opened onClose={onStay} title="Leave without saving?" size={500} lockScroll={false}>
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
    </Modal>
  );
}
