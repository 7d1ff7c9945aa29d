import { Modal } from "@mantine/core";
import { KeyList } from "@/components/KeyList";
import { KEYS } from "@/model/keys";

export default function KeySheet({ onClose }: { onClose: () => void }) {
  return (
    <Modal opened onClose={onClose} title="Keyboard" lockScroll={false}>
      <KeyList keys={KEYS} />
    </Modal>
  );
}
